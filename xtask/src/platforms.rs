//! The npm package on mini-programs and React Native: simulated platforms in V8, Hermes and QuickJS, real sockets, the real server.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::process::Process;
use crate::{cargo, npm, run as runs, tree, wasm};

/// `cargo xtask mini-programs`
#[derive(Debug, clap::Args)]
pub(crate) struct MiniPrograms {
    /// Only the tests of files whose path contains this, such as `wechat`, `hermes` or `growth`.
    filter: Option<String>,
    /// Also builds the chats for uni-app, Taro and React Native, and runs what was built (fetches their tools from npm).
    #[arg(long)]
    apps: bool,
    /// Also plays seeds of the simulator as plain JavaScript, and compares their traces with those of this machine.
    #[arg(long)]
    traces: bool,
}

/// Seeds that are played as plain JavaScript.
pub(crate) const SEEDS: u64 = 64;

impl MiniPrograms {
    pub(crate) fn run(&self) -> Result {
        npm::build()?;
        vitest(self.filter.as_deref())?;
        if self.apps {
            apps()?;
        }
        if self.traces { compare(&runs::build_simulator()?, SEEDS) } else { Ok(()) }
    }
}

/// Plays seeds as plain JavaScript, made as `moorline/asm` is, and natively, from the simulator in `built`.
///
/// # Errors
/// As [`wasm::compare_with`].
pub(crate) fn compare(built: &Path, seeds: u64) -> Result {
    if !folder().join("node_modules").join("binaryen").exists() {
        npm::install(&folder())?;
    }
    wasm::compare_with(&tree::root().join("tests").join("sim").join("wasm").join("plain.mjs"), built, seeds)
}

/// Runs all of it; the package is built already.
///
/// # Errors
/// A missing tool, or a test that fails.
pub(crate) fn test() -> Result {
    vitest(None)
}

/// The chats for frameworks, and what of each is built.
const APPS: &[(&str, &[&str])] = &[
    ("chat-uni", &["build:h5", "build:mp-weixin", "build:mp-alipay", "build:app"]),
    ("chat-taro", &["build:h5", "build:weapp", "build:alipay"]),
    ("chat-react-native", &["build:android"]),
];

/// Builds the chats with the tools of uni-app, Taro and React Native, and runs what they made; the package is built already.
///
/// # Errors
/// A missing tool, a build or a test that fails.
pub(crate) fn apps() -> Result {
    for (app, builds) in APPS {
        let folder = tree::root().join("examples").join(app);
        npm::install_what_there_is(&folder)?;
        for build in *builds {
            Process::new("npm").args(["run", build]).directory(folder.clone()).output()?;
        }
    }
    run("vitest.builds.config.ts", None)
}

fn vitest(filter: Option<&str>) -> Result {
    run("vitest.platforms.config.ts", filter)
}

fn run(config: &str, filter: Option<&str>) -> Result {
    let folder = folder();
    npm::install_once(&folder)?;
    npm::install(&folder.join("test").join("platforms").join("engines"))?;
    let server = cargo::build("dev", &[("moorline-server", "moorline-server")])?.join("moorline-server");
    Process::new("node")
        .args(["node_modules/vitest/vitest.mjs", "run", "-c", config])
        .args(filter)
        .directory(folder)
        .env("MOORLINE_SERVER", server)
        .run()
}

fn folder() -> PathBuf {
    tree::root().join("bindings").join("js")
}
