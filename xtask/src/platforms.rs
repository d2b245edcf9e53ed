//! The npm package on mini-programs and React Native: simulated platforms in V8, Hermes and QuickJS, real sockets, the real server.

use std::path::PathBuf;

use crate::error::Result;
use crate::process::Process;
use crate::{cargo, npm, tree};

/// `cargo xtask mini-programs`
#[derive(Debug, clap::Args)]
pub(crate) struct MiniPrograms {
    /// Only the tests of files whose path contains this, such as `wechat`, `hermes` or `growth`.
    filter: Option<String>,
}

impl MiniPrograms {
    pub(crate) fn run(&self) -> Result {
        npm::build()?;
        vitest(self.filter.as_deref())
    }
}

/// Runs all of it; the package is built already.
///
/// # Errors
/// A missing tool, or a test that fails.
pub(crate) fn test() -> Result {
    vitest(None)
}

fn vitest(filter: Option<&str>) -> Result {
    let folder = folder();
    npm::install(&folder.join("test").join("platforms").join("engines"))?;
    let server = cargo::build("dev", &[("moorline-server", "moorline-server")])?;
    let server = server.with_file_name("debug").join("moorline-server");
    Process::new("node")
        .args(["node_modules/vitest/vitest.mjs", "run", "-c", "vitest.platforms.config.ts"])
        .args(filter)
        .directory(folder)
        .env("MOORLINE_SERVER", server)
        .run()
}

fn folder() -> PathBuf {
    tree::root().join("bindings").join("js")
}
