//! The npm package in real browsers, and as bundlers pack it.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::process::Process;
use crate::{cargo, npm, run, tools, tree, wasm};

/// Seeds of the simulator that are played in Chromium.
pub(crate) const SEEDS: u64 = 16;

/// `cargo xtask browsers`
#[derive(Debug, clap::Args)]
pub(crate) struct Browsers {
    /// Only the tests of files whose path contains this, such as `firefox`, `faults` or `bundlers`.
    filter: Option<String>,
    /// Also play seeds of the simulator in Chromium, and compare their traces with the native ones.
    #[arg(long)]
    traces: bool,
    /// Also let Next prerender a page (it is fetched from npm; minutes).
    #[arg(long)]
    next: bool,
}

impl Browsers {
    pub(crate) fn run(&self) -> Result {
        npm::build()?;
        vitest(self.filter.as_deref(), self.next)?;
        if self.traces { compare(&run::build_simulator()?, SEEDS) } else { Ok(()) }
    }
}

/// Runs the scenarios, the faults and the bundlers; the package is built already.
///
/// # Errors
/// A missing browser, or a test that fails.
pub(crate) fn test() -> Result {
    vitest(None, false)
}

/// Plays seeds of the simulator in Chromium and natively, from the simulator in `built`: a seed has one trace.
///
/// # Errors
/// As [`wasm::compare_with`].
pub(crate) fn compare(built: &Path, seeds: u64) -> Result {
    tools::browsers()?;
    wasm::compare_with(&folder().join("test").join("browser").join("play.mjs"), built, seeds)
}

fn vitest(filter: Option<&str>, with_next: bool) -> Result {
    tools::browsers()?;
    npm::install_once(&folder())?;
    let server = cargo::build("dev", &[("moorline-server", "moorline-server")])?.join("moorline-server");
    let process =
        Process::new("node").args(["node_modules/vitest/vitest.mjs", "run", "-c", "vitest.browsers.config.ts"]);
    let process = process.args(filter).directory(folder()).env("MOORLINE_SERVER", server);
    if with_next { process.env("MOORLINE_NEXT", "1").run() } else { process.run() }
}

fn folder() -> PathBuf {
    tree::root().join("bindings").join("js")
}
