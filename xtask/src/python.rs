//! The Python package: its wheel, and its tests against the real server.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::planted::{self, Planted};
use crate::process::Process;
use crate::step::Counts;
use crate::{bindings, cargo, tools, tree};

/// `cargo xtask python`
#[derive(Debug, clap::Args)]
pub(crate) struct Python {
    /// Run its tests, too, with a library that is not optimised.
    #[arg(long)]
    test: bool,
    /// Only see that its tests notice bugs that are planted in the core.
    #[arg(long, conflicts_with = "test")]
    planted: bool,
}

impl Python {
    pub(crate) fn run(&self) -> Result {
        if self.test {
            return test(&mut Counts::default());
        }
        if self.planted {
            return planted(&tools_of_tests()?);
        }
        let wheel = wheel(&environment()?, "release")?;
        println!("{}", wheel.display());
        Ok(())
    }
}

/// Builds the wheel, installs it in an environment of its own, checks its types and runs its tests and its example.
///
/// # Errors
/// A missing tool; a part that does not build; a test that fails.
pub(crate) fn test(counts: &mut Counts) -> Result {
    let python = tools_of_tests()?;
    let wheel = wheel(&python, "dev")?;
    pip(&python).args(["--no-deps", "--force-reinstall"]).args([&wheel]).run()?;
    let server = cargo::build("dev", &[("moorline-server", "moorline-server")])?.join("moorline-server");
    // What is installed is tested, not what lies here.
    let at_tests = |args: &[&str]| Process::new(&python).args(args).directory(folder().join("tests"));
    let cache = cargo::target()?.join("python").join("types");
    Process::new(&python)
        .args(["-m", "mypy"])
        .arg("--cache-dir", &cache)
        .args(["src/moorline"])
        .directory(folder())
        .run()?;
    let pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "../pyproject.toml", "."];
    at_tests(&pytest).env("MOORLINE_SERVER", &server).env("PYTHONDONTWRITEBYTECODE", "1").run_tests(counts)?;
    example(&python, &server, counts)?;
    planted(&python)
}

/// Bugs of the core, and the tests that must notice them.
const BUGS: &[Planted] = &[
    ("outbox-unbounded", "test_a_full_outbox_refuses_at_the_call"),
    ("resume-from-now", "test_gets_what_it_missed_when_it_comes_back"),
];

/// Runs tests with a copy of the package whose core has bugs.
fn planted(python: &Path) -> Result {
    let library = planted::library()?;
    let copy = library.with_file_name("python");
    tree::remove(&copy)?;
    let package = copy.join("moorline");
    tree::copy_all(&folder().join("src").join("moorline"), &package)?;
    tree::copy(&library, &package.join("_ffi").join(library.file_name().unwrap_or_default()))?;
    let server = cargo::build("dev", &[("moorline-server", "moorline-server")])?.join("moorline-server");
    planted::prove(BUGS, |tests| {
        let pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "../pyproject.toml", "-k"];
        let process = Process::new(python).args(pytest).args([tests.join(" or ")]).directory(folder().join("tests"));
        let process = process.env("PYTHONPATH", &copy).env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(process.env("MOORLINE_SERVER", &server))
    })
}

fn example(python: &Path, server: &Path, counts: &mut Counts) -> Result {
    let folder = tree::root().join("examples").join("bot-python");
    let test = Process::new(python).args(["test_bot.py"]).directory(folder).env("MOORLINE_SERVER", server);
    test.env("PYTHONDONTWRITEBYTECODE", "1").run_tests(counts)
}

/// Begins an installation into the environment.
fn pip(python: &Path) -> Process {
    Process::new(python).args(["-m", "pip", "install", "-q", "--disable-pip-version-check"])
}

/// Makes the environment, with what tests need, and returns its interpreter.
fn tools_of_tests() -> Result<PathBuf> {
    let python = environment()?;
    pip(&python).args(["-r", "tests/requirements.txt"]).directory(folder()).run()?;
    Ok(python)
}

/// Builds the wheel with a library of this profile, and returns where it is.
fn wheel(python: &Path, profile: &str) -> Result<PathBuf> {
    let library = bindings::library(profile, &[])?;
    let name = library.file_name().unwrap_or_default();
    let beside = folder().join("src").join("moorline").join("_ffi").join(name);
    std::fs::copy(&library, &beside).map_err(|source| crate::error::Error::File { path: beside, source })?;
    let wheels = cargo::target()?.join("python").join("wheels");
    tree::remove(&wheels)?;
    let pip = Process::new(python).args(["-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check"]);
    pip.arg("--wheel-dir", &wheels).args(["."]).directory(folder()).run()?;
    tree::newest(&wheels).ok_or(crate::error::Error::Answer("pip wheel"))
}

/// Makes the environment if it is not there, and returns its interpreter.
fn environment() -> Result<PathBuf> {
    let folder = cargo::target()?.join("python").join("venv");
    let python =
        if cfg!(windows) { folder.join("Scripts").join("python.exe") } else { folder.join("bin").join("python") };
    if !python.exists() {
        let system = tools::python()?;
        Process::new(system).args(["-m", "venv"]).args([&folder]).run()?;
    }
    Ok(python)
}

fn folder() -> PathBuf {
    tree::root().join("bindings").join("python")
}
