//! Commands that build binaries and run them: the demo, the simulator, the long runs.

use std::ffi::OsString;
use std::path::Path;

use crate::cargo::{self, TEST_FAST};
use crate::error::Result;
use crate::process::Process;
use crate::step::Counts;

const SERVER: (&str, &str) = ("moorline-server", "moorline-server");
const COMMAND: (&str, &str) = ("moorline", "moorline");
const CRASH: (&str, &str) = ("moorline-crash", "moorline-crash");
const SIMULATOR: (&str, &str) = ("moorline-sim", "moorline-sim");

/// `cargo xtask demo`
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Fixed counts, ends by itself, exit code 1 if a message was lost, doubled or out of order.
    #[arg(long)]
    check: bool,
}

impl Demo {
    pub(crate) fn run(&self) -> Result {
        let built = cargo::build(TEST_FAST, &[SERVER, COMMAND, CRASH])?;
        demo(&built, self.check)
    }
}

/// `cargo xtask soak`
#[derive(Debug, clap::Args)]
pub(crate) struct Soak {
    /// So many SIGKILLs of the real server under load.
    #[arg(long, value_name = "N")]
    kills: Option<u32>,
    /// So many groups of real clients on networks that fail.
    #[arg(long, value_name = "N")]
    scripts: Option<u64>,
    /// So many seeds of the simulator.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The seed of the kills, or the first seed of the scripts or of the simulator.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

impl Soak {
    pub(crate) fn run(&self) -> Result {
        let (kills, scripts, seeds) = match (self.kills, self.scripts, self.seeds) {
            (None, None, None) => (Some(1_000), Some(1_000), Some(100_000)),
            chosen => chosen,
        };
        if let Some(count) = scripts {
            let built = cargo::build(TEST_FAST, &[SERVER, CRASH])?;
            self::scripts(&built, count, self.seed)?;
        }
        if let Some(kills) = kills {
            let built = cargo::build(TEST_FAST, &[SERVER, CRASH])?;
            crash(&built, kills, self.seed)?;
        }
        if let Some(seeds) = seeds {
            let built = build_simulator()?;
            let start = self.seed.map(|seed| ["--start".to_owned(), seed.to_string()]).into_iter().flatten();
            // What is done already is noted there: a soak that was broken off goes on.
            let notes = cargo::target()?.join(format!("soak-{}.txt", self.seed.unwrap_or_default()));
            simulator(&built, seeds).args(start).arg("--soak", &notes).run()?;
        }
        Ok(())
    }
}

/// `cargo xtask sim`
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Sim {
    /// What the simulator is told.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Sim {
    pub(crate) fn run(&self) -> Result {
        let built = build_simulator()?;
        cargo::built(&built, SIMULATOR.1).args(&self.args).run()
    }
}

/// `cargo xtask replay`
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// What `Client::blackbox` exported, or `moorline … --blackbox FILE` wrote.
    file: std::path::PathBuf,
}

impl Replay {
    pub(crate) fn run(&self) -> Result {
        let built = cargo::build(TEST_FAST, &[SIMULATOR])?;
        cargo::built(&built, SIMULATOR.1).arg("--replay", &self.file).run()
    }
}

/// Builds everything that [`demo`], [`crash`] and [`simulator`] start, and returns where it is.
///
/// # Errors
/// As [`cargo::build`].
pub(crate) fn build_all() -> Result<std::path::PathBuf> {
    cargo::build(TEST_FAST, &[SERVER, COMMAND, CRASH, SIMULATOR])
}

/// Runs the demo.
///
/// # Errors
/// As [`Process::run`].
pub(crate) fn demo(built: &Path, check: bool) -> Result {
    let process = crash_command(built, "demo").arg("--command", &built.join(COMMAND.1));
    if check { process.args(["--check"]).run() } else { process.run() }
}

/// Runs the crash test.
///
/// # Errors
/// As [`Process::run`].
pub(crate) fn crash(built: &Path, kills: u32, seed: Option<u64>) -> Result {
    crash_command(built, "kills").args(["--kills".to_owned(), kills.to_string()]).args(from(seed)).run()
}

/// Lets a client come back to a long backlog.
///
/// # Errors
/// As [`Process::run`].
pub(crate) fn away(built: &Path) -> Result {
    crash_command(built, "away").run()
}

/// Lets many clients come back to a server that was restarted, then killed.
///
/// # Errors
/// As [`Process::run`].
pub(crate) fn storm(built: &Path) -> Result {
    crash_command(built, "storm").run()
}

/// Sends HTTP requests over a network that fails, to a server that is killed.
///
/// # Errors
/// As [`Process::run`].
pub(crate) fn requests(built: &Path) -> Result {
    crash_command(built, "requests").run()
}

/// Runs groups of real clients on networks that fail.
///
/// # Errors
/// As [`Process::run`].
pub(crate) fn scripts(built: &Path, scripts: u64, seed: Option<u64>) -> Result {
    crash_command(built, "scripts").args(["--scripts".to_owned(), scripts.to_string()]).args(from(seed)).run()
}

fn from(seed: Option<u64>) -> impl Iterator<Item = String> {
    seed.map(|seed| ["--seed".to_owned(), seed.to_string()]).into_iter().flatten()
}

/// Begins a run of the simulator over so many seeds.
pub(crate) fn simulator(built: &Path, seeds: u64) -> Process {
    cargo::built(built, SIMULATOR.1).args(["--seeds".to_owned(), seeds.to_string()])
}

/// Builds the simulator and returns where it is.
///
/// # Errors
/// As [`cargo::build`].
pub(crate) fn build_simulator() -> Result<std::path::PathBuf> {
    cargo::build(TEST_FAST, &[SIMULATOR])
}

/// Begins a run of the simulator over the seeds that failed once.
pub(crate) fn corpus(built: &Path) -> Process {
    cargo::built(built, SIMULATOR.1).args(["--corpus"])
}

/// Lets the simulator find every planted bug, each on its recorded seed and on so many fresh ones.
///
/// # Errors
/// As [`Process::run`].
pub(crate) fn planted_bugs(seeds: u64) -> Result {
    let (package, binary) = SIMULATOR;
    let run = ["run", "--profile", TEST_FAST, "-p", package, "--bin", binary, "--features", "planted-bugs", "--"];
    cargo::cargo(run).args(["--bugs".to_owned(), "--seeds".to_owned(), seeds.to_string()]).run()
}

/// Plays the scripted scenarios of the simulator, each with the planted bugs that it must fail with.
///
/// # Errors
/// As [`Process::run_tests`].
pub(crate) fn scenarios(counts: &mut Counts) -> Result {
    let run = ["test", "--profile", TEST_FAST, "-p", SIMULATOR.0, "--features", "planted-bugs", "--test", "holes"];
    cargo::cargo(run).run_tests(counts)
}

fn crash_command(built: &Path, command: &str) -> Process {
    cargo::built(built, CRASH.1).args([command]).arg("--server", &built.join(SERVER.1))
}
