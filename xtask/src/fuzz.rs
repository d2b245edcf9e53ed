//! `cargo xtask fuzz`: feeds the fuzz targets with libFuzzer.

use std::path::{Path, PathBuf};

use crate::cargo;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::{tools, tree};

/// Memory that a target may take.
const MEMORY_MB: u32 = 512;
/// Bytes of an input. What has to be larger is described by fewer.
const INPUT_BYTES: u32 = 4096;
/// An input that takes longer is a crash.
const TIMEOUT_S: u32 = 20;
/// Freed memory that the address sanitizer keeps to itself is no memory of the target's.
const SANITIZER: &str = "quarantine_size_mb=16";

/// `cargo xtask fuzz`
#[derive(Debug, clap::Args)]
pub(crate) struct Fuzz {
    /// The target; without one, every target in turn.
    target: Option<String>,
    /// Lists the targets.
    #[arg(long)]
    list: bool,
    /// How long each target is fed.
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u32,
    /// So many at once (default: one per core).
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Then puts what reaches new code into the committed corpus (tests/fuzz/corpus), which the tests replay.
    #[arg(long)]
    keep: bool,
}

impl Fuzz {
    pub(crate) fn run(&self) -> Result {
        if self.list {
            return program(["list"]).run();
        }
        let targets = self.targets()?;
        tools::cargo_fuzz()?;
        for target in &targets {
            let target = Target::build(target)?;
            target.feed(self.minutes, self.jobs)?;
            if self.keep {
                target.keep()?;
            }
        }
        Ok(())
    }

    fn targets(&self) -> Result<Vec<String>> {
        let list = program(["list"]).output()?;
        let names = list.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned);
        let wanted = |name: &String| self.target.as_ref().is_none_or(|target| target == name);
        let targets: Vec<String> = names.filter(wanted).collect();
        if targets.is_empty() {
            return Err(Error::Missing("there is no such target; `cargo xtask fuzz --list` names them".to_owned()));
        }
        Ok(targets)
    }
}

/// Begins a call of the targets' own binary, which needs no fuzzer.
fn program<'a>(args: impl IntoIterator<Item = &'a str>) -> Process {
    cargo::cargo(["run", "--quiet", "-p", "moorline-fuzz", "--"]).args(args)
}

/// A target that is built, and its folders.
struct Target {
    name: String,
    binary: PathBuf,
    corpus: PathBuf,
    minimal: PathBuf,
    crashes: PathBuf,
}

impl Target {
    fn build(name: &str) -> Result<Self> {
        let folder = cargo::target()?.join("fuzz");
        let wrappers = tree::root().join("tests").join("fuzz").join("fuzz");
        // The sanitizer is not stable; every compiler has it.
        let build = cargo::cargo(["fuzz", "build"]).env("RUSTC_BOOTSTRAP", "1");
        build.arg("--fuzz-dir", &wrappers).arg("--target-dir", &folder).args([name]).run()?;
        let target = Self {
            name: name.to_owned(),
            binary: folder.join(host()?).join("release").join(name),
            corpus: folder.join("corpus").join(name),
            minimal: folder.join("minimal").join(name),
            crashes: folder.join("crashes").join(name),
        };
        tree::create(&target.crashes)?;
        target.seed(&target.corpus)?;
        Ok(target)
    }

    /// Writes the seeds and the committed corpus into a folder.
    fn seed(&self, folder: &Path) -> Result {
        program(["seeds", &self.name]).args([folder]).run()
    }

    fn libfuzzer(&self) -> Process {
        let limits = [format!("-rss_limit_mb={MEMORY_MB}"), format!("-max_len={INPUT_BYTES}")];
        Process::new(&self.binary).env("ASAN_OPTIONS", SANITIZER).args(limits).args([format!("-timeout={TIMEOUT_S}")])
    }

    fn feed(&self, minutes: u32, jobs: Option<usize>) -> Result {
        let jobs = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        println!("\n── {}: {minutes} min, {jobs} at once", self.name);
        let mut process = self.libfuzzer().args([format!("-max_total_time={}", 60 * minutes)]);
        process = process.args([format!("-artifact_prefix={}/", self.crashes.display())]);
        if jobs > 1 {
            process = process.args([format!("-fork={jobs}")]);
        }
        process.args([&self.corpus]).run().map_err(|error| self.explain(error))
    }

    /// Says where the input is that broke something, and how it is tried again.
    fn explain(&self, error: Error) -> Error {
        let Some(input) = tree::newest(&self.crashes) else { return error };
        let (name, input) = (&self.name, input.display());
        Error::Missing(format!(
            "{name} is broken by {input}\n\
             try it again:  cargo run -p moorline-fuzz -- replay {name} {input}\n\
             when it is fixed, its bytes belong into tests/fuzz/corpus/{name}.hex, under a comment that says what broke"
        ))
    }

    fn keep(&self) -> Result {
        tree::remove(&self.minimal)?;
        self.seed(&self.minimal)?;
        // Whether code is reached is enough: how often it is makes the corpus large.
        let merge = self.libfuzzer().args(["-merge=1", "-use_counters=0"]);
        merge.args([&self.minimal, &self.corpus]).run()?;
        program(["keep", &self.name]).args([&self.minimal]).run()
    }
}

/// Returns the name of the machine that the compiler builds for.
fn host() -> Result<String> {
    let version = Process::new("rustc").args(["-vV"]).output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or(Error::Answer("rustc -vV"))
}
