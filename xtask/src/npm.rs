//! The npm package: the core for web hosts, the TypeScript around it, and its tests against the real server.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::process::Process;
use crate::{cargo, tools, tree, wasm};

/// `cargo xtask npm`
#[derive(Debug, clap::Args)]
pub(crate) struct Npm {
    /// Run its tests, too.
    #[arg(long)]
    test: bool,
}

impl Npm {
    pub(crate) fn run(&self) -> Result {
        if self.test { test() } else { build() }
    }
}

/// Builds the package in `bindings/js/dist`.
///
/// # Errors
/// A missing tool, or a part that does not build.
pub(crate) fn build() -> Result {
    install()?;
    for (features, name) in [(&["blackbox"][..], "blackbox"), (&[], "core")] {
        node("scripts/core.mjs").args([wasm::module(features)?]).args([name]).run()?;
    }
    node("scripts/build.mjs").run()
}

/// Builds the package, checks its types and runs its tests against the real server.
///
/// # Errors
/// As [`build`]; a test that fails.
pub(crate) fn test() -> Result {
    build()?;
    node("node_modules/typescript/bin/tsc").args(["-p", "."]).run()?;
    node("node_modules/vitest/vitest.mjs").args(["run", "--typecheck"]).env("MOORLINE_SERVER", server()?).run()?;
    node("node_modules/publint/src/cli.js").args(["--strict"]).run()?;
    let entries = ["core.wasm", "core.wasm.br", "blackbox.wasm"];
    let attw = node("node_modules/@arethetypeswrong/cli/dist/index.js").args(["--pack", ".", "--profile", "node16"]);
    attw.args(["--ignore-rules", "cjs-resolves-to-esm", "--exclude-entrypoints"]).args(entries).run()
}

/// Measures receiving, and how large bundles are.
///
/// # Errors
/// As [`build`].
pub(crate) fn bench() -> Result {
    build()?;
    node("bench/receive.mjs").args([server()?]).run()?;
    clean_install(&folder().join("bench").join("peers"))?;
    node("bench/sizes.mjs").run()
}

fn server() -> Result<PathBuf> {
    cargo::build("dev", &[("moorline-server", "moorline-server")])?;
    Ok(cargo::target()?.join("debug").join("moorline-server"))
}

fn install() -> Result {
    tools::node()?;
    tools::npm()?;
    clean_install(&folder())
}

/// Installs what a lockfile names.
fn clean_install(folder: &Path) -> Result {
    Process::new("npm").args(["ci", "--no-audit", "--no-fund"]).directory(folder).output().map(drop)
}

fn node(script: &str) -> Process {
    Process::new("node").args([script]).directory(folder())
}

fn folder() -> PathBuf {
    tree::root().join("bindings").join("js")
}
