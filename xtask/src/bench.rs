//! `cargo xtask bench`: builds the server, the load generator and the peers, and hands over.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cargo;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::{tools, tree};

/// `cargo xtask bench`
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// What is measured.
    what: What,
    /// Options of the measurement, such as `--rounds 3` (`cargo xtask bench fanout --help` lists them).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    /// One publisher, 1,000 subscribers, against the centrifuge library.
    Fanout,
    /// Connections that are open and quiet, against the centrifuge library.
    Idle,
    /// Durable acknowledged publishes, against Redis with `appendfsync always`.
    Publish,
    /// Encoding and decoding of frames.
    Codec,
    /// The log engine alone: storing, opening again, reading, and what its state costs.
    Log,
}

impl Bench {
    pub(crate) fn run(&self) -> Result {
        let built =
            cargo::build("release", &[("moorline-server", "moorline-server"), ("moorline-bench", "moorline-bench")])?;
        let server = built.join("moorline-server");
        let bench = cargo::built(&built, "moorline-bench");
        let bench = match self.what {
            What::Fanout => bench.args(["fanout"]).arg("--server", &server).arg("--centrifuge", &centrifuge()?),
            What::Idle => bench.args(["idle"]).arg("--server", &server).arg("--centrifuge", &centrifuge()?),
            What::Publish => bench.args(["publish"]).arg("--server", &server).arg("--redis", redis()?),
            What::Codec => bench.args(["codec"]),
            What::Log => bench.args(["log"]).arg("--server", &server),
        };
        bench.args(&self.args).run()
    }
}

/// Builds the peer from its library, which the Go module proxy serves.
fn centrifuge() -> Result<PathBuf> {
    if !tools::answers("go", &["version"]) {
        return Err(Error::Missing("Go is missing: install it from https://go.dev/dl".to_owned()));
    }
    let peer = cargo::target()?.join("peers").join("centrifuge");
    let sources = tree::root().join("bench").join("peers").join("centrifuge");
    Process::new("go").args(["build", "-o"]).args([&peer]).args(["."]).directory(sources).run()?;
    Ok(peer)
}

fn redis() -> Result<&'static Path> {
    if !tools::answers("redis-server", &["--version"]) {
        tools::install_debian(&["redis-server"], "Redis is missing: install redis-server")?;
    }
    Ok(Path::new("redis-server"))
}
