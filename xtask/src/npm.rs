//! The npm package: the core for web hosts, the TypeScript around it, and its tests against the real server.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::process::Process;
use crate::{cargo, tools, tree, wasm};

/// What npm prints where the registry cannot be reached, and only there.
const UNREACHABLE: &[&str] =
    &["code ENOTFOUND", "code EAI_AGAIN", "code ECONNREFUSED", "code ECONNRESET", "code ETIMEDOUT", "code ENETUNREACH"];

/// The examples that use the package, and have tests.
const EXAMPLES: &[&str] = &["testing-vitest"];

/// `cargo xtask npm`
#[derive(Debug, clap::Args)]
pub(crate) struct Npm {
    /// Run its tests, too.
    #[arg(long)]
    test: bool,
    /// Make the pages anew that the server has in its binary, the chat and the console: `server-ref/src/page`.
    #[arg(long, conflicts_with = "test")]
    page: bool,
}

impl Npm {
    pub(crate) fn run(&self) -> Result {
        match (self.test, self.page) {
            (true, _) => test(),
            (_, true) => build().and_then(|()| page(&[])),
            _ => build(),
        }
    }
}

/// Builds the package in `bindings/js/dist`.
///
/// # Errors
/// A missing tool, or a part that does not build.
pub(crate) fn build() -> Result {
    install(&folder())?;
    for (features, name) in [(&["blackbox"][..], "blackbox"), (&[], "core")] {
        node("scripts/core.mjs").args([wasm::module("moorline-wasm", features)?]).args([name]).run()?;
    }
    node("scripts/asm.mjs").run()?;
    node("scripts/server.mjs").args([wasm::module("moorline-server-wasm", &[])?]).run()?;
    node("scripts/build.mjs").run()
}

/// Builds the package, checks its types and runs its tests against the real server, then the examples that use it.
///
/// # Errors
/// As [`build`]; a test that fails.
pub(crate) fn test() -> Result {
    build()?;
    node("node_modules/typescript/bin/tsc").args(["-p", "."]).run()?;
    node("node_modules/vitest/vitest.mjs").args(["run", "--typecheck"]).env("MOORLINE_SERVER", server()?).run()?;
    node("node_modules/publint/src/cli.js").args(["--strict"]).run()?;
    // The documentation that the types give, without a warning.
    node("node_modules/typedoc/bin/typedoc").args(["--emit", "none"]).run()?;
    let entries = ["core.wasm", "core.wasm.br", "blackbox.wasm"];
    let attw = node("node_modules/@arethetypeswrong/cli/dist/index.js").args(["--pack", ".", "--profile", "node16"]);
    attw.args(["--ignore-rules", "cjs-resolves-to-esm", "--exclude-entrypoints"]).args(entries).run()?;
    page(&["--check"])?;
    EXAMPLES.iter().try_for_each(|name| example(name))
}

/// Builds the pages of the server as one file each, from the package as it was built; with `--check` tells whether they
/// are the committed ones.
fn page(args: &[&str]) -> Result {
    [tree::root().join("examples").join("chat-web"), tree::root().join("console")].into_iter().try_for_each(|folder| {
        install(&folder)?;
        Process::new("node").args(["node_modules/typescript/bin/tsc", "-p", "."]).directory(folder.clone()).run()?;
        Process::new("node").args(["scripts/page.mjs"]).args(args).directory(folder).run()
    })
}

/// Runs an example's tests with the package that was built.
fn example(name: &str) -> Result {
    let folder = tree::root().join("examples").join(name);
    install(&folder)?;
    Process::new("npm").args(["test"]).directory(folder).run()
}

/// Measures receiving, and how large bundles are.
///
/// # Errors
/// As [`build`].
pub(crate) fn bench() -> Result {
    build()?;
    node("bench/receive.mjs").args([server()?]).run()?;
    install(&folder().join("bench").join("peers"))?;
    node("bench/sizes.mjs").run()
}

fn server() -> Result<PathBuf> {
    cargo::build("dev", &[("moorline-server", "moorline-server")])?;
    Ok(cargo::target()?.join("debug").join("moorline-server"))
}

/// Installs what a folder's lockfile names, unless something is installed there.
///
/// # Errors
/// As [`install`].
pub(crate) fn install_once(folder: &Path) -> Result {
    tools::node()?;
    if folder.join("node_modules").exists() { Ok(()) } else { install(folder) }
}

/// Installs what a folder's lockfile names.
///
/// # Errors
/// A missing tool, or a package that cannot be had.
pub(crate) fn install(folder: &Path) -> Result {
    tools::node()?;
    tools::npm()?;
    let install = Process::new("npm").args(["ci", "--no-audit", "--no-fund"]).directory(folder);
    install.run_or_unreachable("packages", UNREACHABLE)
}

/// The same where the lock file cannot name packages that are for other systems only, and that the registry lacks.
///
/// # Errors
/// As [`install`].
pub(crate) fn install_what_there_is(folder: &Path) -> Result {
    tools::node()?;
    tools::npm()?;
    let install = Process::new("npm").args(["install", "--no-save", "--no-audit", "--no-fund"]).directory(folder);
    install.run_or_unreachable("packages", UNREACHABLE)
}

fn node(script: &str) -> Process {
    Process::new("node").args([script]).directory(folder())
}

fn folder() -> PathBuf {
    tree::root().join("bindings").join("js")
}
