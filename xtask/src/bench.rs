//! `cargo xtask bench`: builds the server, the load generator and the peers, and hands over.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cargo;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::{npm, tools, tree};

/// `cargo xtask bench`
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

/// What is measured; everything after it goes to the load generator.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// One publisher, 1,000 subscribers, against the centrifuge library.
    Fanout(Options),
    /// Connections that are open and quiet, against the centrifuge library.
    Idle(Options),
    /// Durable acknowledged publishes, against Redis with `appendfsync always`.
    Publish(Options),
    /// Durable publishes over the HTTP API: messages per second, latency.
    Http(Options),
    /// Encoding and decoding of frames.
    Codec(Options),
    /// Compressed deliveries: bytes and processor time, against per-message deflate and context takeover.
    Compression(Options),
    /// Receiving in the client core.
    Core(Options),
    /// The client's store, against redb and SQLite; `--faults` makes calls fail and changes bytes.
    Store(Options),
    /// All members of a channel come back at once: what the others are told, without sockets.
    Presence(Options),
    /// Receiving in the npm package, in V8; and its bundles' sizes beside those of its peers.
    Js,
    /// The log engine alone: storing, opening again, reading, and what its state costs.
    Log(Options),
}

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
struct Options {
    /// Options of the measurement, such as `--rounds 3`; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

const SERVER: (&str, &str) = ("moorline-server", "moorline-server");
const LOAD: (&str, &str) = ("moorline-bench", "moorline-bench");

impl Bench {
    pub(crate) fn run(&self) -> Result {
        let (name, options) = match &self.what {
            What::Js => return npm::bench(),
            What::Fanout(options) => ("fanout", options),
            What::Idle(options) => ("idle", options),
            What::Publish(options) => ("publish", options),
            What::Http(options) => ("http", options),
            What::Codec(options) => ("codec", options),
            What::Compression(options) => ("compression", options),
            What::Core(options) => ("core", options),
            What::Store(options) => ("store", options),
            What::Presence(options) => ("presence", options),
            What::Log(options) => ("log", options),
        };
        let peers = if options.ask_for_help() { Vec::new() } else { self.what.programs()? };
        let bench = cargo::built(&self.what.load()?, LOAD.1).args([name]);
        let bench = peers.iter().fold(bench, |bench, (option, program)| bench.arg(option, program));
        bench.args(&options.options).run()
    }
}

impl What {
    /// Builds the load generator and returns where it is.
    fn load(&self) -> Result<PathBuf> {
        let folder = cargo::build("release", &[LOAD])?;
        if let Self::Store(_) = self {
            cargo::cargo(["build", "--release", "-p", LOAD.0, "--features", "stores"]).run()?;
        }
        Ok(folder)
    }

    /// Builds or finds the programs that are measured; each with the option that names it.
    fn programs(&self) -> Result<Vec<(&'static str, PathBuf)>> {
        let server = || Ok(cargo::build("release", &[SERVER])?.join(SERVER.1));
        match self {
            Self::Fanout(_) | Self::Idle(_) => Ok(vec![("--centrifuge", centrifuge()?), ("--server", server()?)]),
            Self::Publish(_) => Ok(vec![("--redis", redis()?), ("--server", server()?)]),
            Self::Log(_) | Self::Http(_) => Ok(vec![("--server", server()?)]),
            Self::Js | Self::Codec(_) | Self::Compression(_) | Self::Core(_) | Self::Presence(_) | Self::Store(_) => {
                Ok(Vec::new())
            }
        }
    }
}

impl Options {
    fn ask_for_help(&self) -> bool {
        self.options.iter().any(|option| option == "--help" || option == "-h")
    }
}

/// Builds the peer from its library, which the Go module proxy serves.
fn centrifuge() -> Result<PathBuf> {
    if !tools::answers("go", &["version"]) {
        let text = "Go is missing: install 1.26 or newer from https://go.dev/dl (a distribution's is often older)";
        return Err(Error::Missing(text.to_owned()));
    }
    let peer = cargo::target()?.join("peers").join("centrifuge");
    let sources = tree::root().join("bench").join("peers").join("centrifuge");
    Process::new("go").args(["build", "-o"]).args([&peer]).args(["."]).directory(sources).run()?;
    Ok(peer)
}

fn redis() -> Result<PathBuf> {
    if !tools::answers("redis-server", &["--version"]) {
        tools::install_debian(&["redis-server"], "Redis is missing: install redis-server")?;
    }
    Ok(Path::new("redis-server").to_path_buf())
}
