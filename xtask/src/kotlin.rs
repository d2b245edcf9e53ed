//! The Kotlin packages: the client for the JVM and for Android, with their tests against the real server.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process::Process;
use crate::step::Counts;
use crate::{bindings, cargo, planted, tools, tree};

/// The folder of JNA for this machine's libraries, if it is one that the packages are tested on.
const PLATFORM: &str = if cfg!(target_os = "macos") {
    if cfg!(target_arch = "aarch64") { "darwin-aarch64" } else { "darwin-x86-64" }
} else if cfg!(target_arch = "aarch64") {
    "linux-aarch64"
} else {
    "linux-x86-64"
};

/// Where the tests find the library with bugs; without it they say that they did not look.
const PLANTED: &str = "MOORLINE_PLANTED_LIBRARY";
/// What Maven prints where its repository cannot be reached, and only there: what the repository does not have is
/// another sentence.
const UNREACHABLE: &[&str] = &["Could not transfer artifact", "Could not transfer metadata"];

/// `cargo xtask kotlin`
#[derive(Debug, clap::Args)]
pub(crate) struct Kotlin {
    /// Only build the packages, without tests.
    #[arg(long)]
    build: bool,
    /// Only see that the tests notice bugs that are planted in the core.
    #[arg(long, conflicts_with = "build")]
    planted: bool,
}

impl Kotlin {
    pub(crate) fn run(&self) -> Result {
        if self.build {
            return prepare().and_then(|()| maven(&["-DskipTests"]).run());
        }
        if self.planted {
            prepare()?;
            let library = planted::library()?;
            let only = ["-pl", "moorline", "-am", "-Dtest=PlantedTest", "-Dsurefire.failIfNoSpecifiedTests=false"];
            return maven(&only).env(PLANTED, library).run();
        }
        test(&mut Counts::default())
    }
}

/// Builds the packages, and runs their tests.
///
/// # Errors
/// A missing tool; what does not build; a test that fails.
pub(crate) fn test(counts: &mut Counts) -> Result {
    prepare()?;
    let library = planted::library()?;
    let reports = reports();
    for report in &reports {
        tree::remove(report)?;
    }
    let built = maven(&[]).env(PLANTED, library);
    let ended = built.run_or_unreachable("what the build needs of Maven's repository", UNREACHABLE);
    for report in &reports {
        add(report, counts)?;
    }
    match ended {
        // A test failed before something could not be fetched.
        Err(Error::Unobtainable(why)) if counts.failed > 0 => return Err(Error::Missing(why)),
        ended => ended?,
    }
    if counts.passed == 0 { Err(Error::Answer("surefire")) } else { Ok(()) }
}

/// Installs what is missing, and lays the native library where the build finds it.
fn prepare() -> Result {
    tools::maven()?;
    let library = bindings::library("dev", &[])?;
    let place = folder().join("target").join("natives").join(PLATFORM);
    tree::create(&place)?;
    let path = place.join(library.file_name().unwrap_or_default());
    std::fs::copy(&library, &path).map(drop).map_err(|source| Error::File { path, source })
}

/// Begins a call of Maven that builds and tests everything. No compiler daemon stays behind.
fn maven(args: &[&str]) -> Process {
    let server = cargo::build("dev", &[("moorline-server", "moorline-server")]).and_then(|_| cargo::target());
    let server = server.map(|target| target.join("debug").join("moorline-server")).unwrap_or_default();
    Process::new("mvn")
        .args(["--batch-mode", "--quiet", "-Dkotlin.compiler.daemon=false", "verify"])
        .args(args)
        .env("MOORLINE_SERVER", server)
        .directory(folder())
}

/// Where the modules' test reports are.
fn reports() -> Vec<PathBuf> {
    let modules = ["moorline-testing", "moorline", "moorline-android"].map(|module| folder().join(module));
    let example = tree::root().join("examples").join("chat-android");
    modules.into_iter().chain([example]).map(|module| module.join("target").join("surefire-reports")).collect()
}

/// Adds the counts of a folder's reports.
fn add(folder: &Path, counts: &mut Counts) -> Result {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "xml") {
            let text = tree::read(&entry.path())?;
            let count = |name: &str| attribute(&text, name).unwrap_or(0);
            let failed = count("failures") + count("errors");
            counts.failed += failed;
            counts.passed += count("tests").saturating_sub(failed + count("skipped"));
        }
    }
    Ok(())
}

/// Reads a number of the report's `<testsuite …>`.
fn attribute(report: &str, name: &str) -> Option<usize> {
    let (_, suite) = report.split_once("<testsuite ")?;
    let (suite, _) = suite.split_once('>')?;
    let (_, value) = suite.split_once(&format!(" {name}=\""))?;
    value.split_once('"')?.0.parse().ok()
}

fn folder() -> PathBuf {
    tree::root().join("bindings").join("kotlin")
}

#[cfg(test)]
mod tests {
    use super::attribute;

    #[test]
    fn counts_are_those_of_the_suite() {
        let report = "<?xml?>\n<testsuite xmlns:xsi=\"x\" name=\"a.B\" time=\"1.5\" tests=\"12\" errors=\"1\" \
                      skipped=\"0\" failures=\"2\">\n<properties tests=\"7\"/>";
        let counts = ["tests", "errors", "skipped", "failures", "nothing"].map(|name| attribute(report, name));
        assert_eq!(counts, [Some(12), Some(1), Some(0), Some(2), None]);
    }
}
