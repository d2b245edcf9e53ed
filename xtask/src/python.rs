//! The Python package: its wheel, and its tests against the real server.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::process::Process;
use crate::step::Counts;
use crate::{bindings, cargo, tools, tree};

/// `cargo xtask python`
#[derive(Debug, clap::Args)]
pub(crate) struct Python {
    /// Run its tests, too, with a library that is not optimised.
    #[arg(long)]
    test: bool,
}

impl Python {
    pub(crate) fn run(&self) -> Result {
        if self.test {
            return test(&mut Counts::default());
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
    let python = environment()?;
    let pip = || Process::new(&python).args(["-m", "pip", "install", "-q", "--disable-pip-version-check"]);
    pip().args(["-r", "tests/requirements.txt"]).directory(folder()).obtain("what the tests need of PyPI")?;
    let wheel = wheel(&python, "dev")?;
    pip().args(["--no-deps", "--force-reinstall"]).args([&wheel]).run()?;
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
    example(&python, &server, counts)
}

fn example(python: &Path, server: &Path, counts: &mut Counts) -> Result {
    let folder = tree::root().join("examples").join("bot-python");
    let test = Process::new(python).args(["test_bot.py"]).directory(folder).env("MOORLINE_SERVER", server);
    test.env("PYTHONDONTWRITEBYTECODE", "1").run_tests(counts)
}

/// Builds the wheel with a library of this profile, and returns where it is.
fn wheel(python: &Path, profile: &str) -> Result<PathBuf> {
    let library = bindings::library(profile)?;
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
