//! Finds the tools a command needs, and installs them where that is simple.

use std::path::{Path, PathBuf};

use crate::cargo::cargo;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::tree;

/// Installs Debian packages if this is Debian (or Ubuntu) and we are root.
///
/// # Errors
/// [`Error::Unobtainable`]: with `elsewhere`, one sentence that says what to do on other machines, or because apt-get failed.
pub(crate) fn install_debian(packages: &[&str], elsewhere: &str) -> Result {
    if !can_install() {
        let names = packages.join(" ");
        return Err(Error::Unobtainable(format!("{elsewhere} (on Debian, as root: apt-get install {names})")));
    }
    say(&format!("installing {} with apt-get", packages.join(" ")));
    let apt = |args: &[&str]| Process::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive");
    apt(&["update", "-qq"]).obtain(elsewhere)?;
    apt(&["install", "-y", "-qq", "--no-install-recommends"]).args(packages).obtain(elsewhere)
}

#[expect(clippy::print_stderr, reason = "tells the person who waits, beside the results on stdout")]
fn say(text: &str) {
    eprintln!("xtask: {text}");
}

/// Installs Node if it is missing.
///
/// # Errors
/// As [`install_debian`].
pub(crate) fn node() -> Result {
    if answers("node", &["--version"]) {
        return Ok(());
    }
    install_debian(&["nodejs"], "Node is missing: install 18 or newer from https://nodejs.org")
}

/// Installs npm if it is missing.
///
/// # Errors
/// As [`install_debian`].
pub(crate) fn npm() -> Result {
    if answers("npm", &["--version"]) {
        return Ok(());
    }
    install_debian(&["npm"], "npm is missing: it comes with Node, from https://nodejs.org")
}

/// Installs Maven and a JDK if they are missing.
///
/// # Errors
/// As [`install_debian`].
pub(crate) fn maven() -> Result {
    if answers("mvn", &["--version"]) && answers("javac", &["--version"]) {
        return Ok(());
    }
    let elsewhere = "Maven or a JDK is missing: install Maven 3.8 or newer and JDK 17 or newer";
    install_debian(&["maven", "default-jdk-headless"], elsewhere)
}

/// Returns a Python of at least 3.11 that can make environments, and installs one if it is missing.
///
/// # Errors
/// As [`install_debian`].
pub(crate) fn python() -> Result<&'static str> {
    let is_fit =
        |program: &&str| answers(program, &["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"]);
    let programs = ["python3", "python"];
    if let Some(program) = programs.iter().find(|program| is_fit(program)) {
        return Ok(program);
    }
    let elsewhere = "Python 3.11 or newer with venv is missing: https://www.python.org";
    install_debian(&["python3", "python3-venv"], elsewhere).map(|()| "python3")
}

/// Installs Python packages into a folder of their own, and returns where their programs are.
///
/// # Errors
/// As [`python`] and [`Process::run`].
pub(crate) fn environment(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let (programs, installed) = (folder.join("bin"), folder.join("installed"));
    let wanted = packages.join("\n");
    if tree::read_if_present(&installed)?.is_none_or(|found| found != wanted) {
        Process::new(python()?).args(["-m", "venv", "--clear"]).args([folder]).run()?;
        Process::new(programs.join("pip")).args(["install", "--quiet"]).args(packages).run()?;
        tree::write(&installed, &wanted)?;
    }
    Ok(programs)
}

/// Installs clang with its linker and archiver, if they are missing.
///
/// # Errors
/// As [`install_debian`].
pub(crate) fn clang() -> Result {
    if ["clang", "ld.lld", "llvm-ar", "llvm-nm"].iter().all(|program| answers(program, &["--version"])) {
        return Ok(());
    }
    install_debian(&["clang", "lld", "llvm"], "clang, lld and llvm are missing")
}

/// Installs curl if it is missing: the examples of the docs are run with it.
///
/// # Errors
/// As [`install_debian`].
pub(crate) fn curl() -> Result {
    if answers("curl", &["--version"]) {
        return Ok(());
    }
    install_debian(&["curl"], "curl is missing: install it from https://curl.se")
}

/// Browsers and what they need: the package of Debian, its program, and the variable that names another.
const BROWSERS: [(&str, &str, &str); 4] = [
    ("chromium", "/usr/bin/chromium", "MOORLINE_CHROMIUM"),
    ("firefox-esr", "/usr/bin/firefox-esr", "MOORLINE_FIREFOX"),
    ("webkit2gtk-driver", "/usr/bin/WebKitWebDriver", "MOORLINE_WEBKIT"),
    ("xvfb", "/usr/bin/Xvfb", "MOORLINE_WEBKIT"),
];

/// Installs Chromium, Firefox and WebKit with its driver, where they are missing and not named by a variable.
///
/// # Errors
/// As [`install_debian`].
pub(crate) fn browsers() -> Result {
    let is_missing = |(_, program, variable): &&(&str, &str, &str)| {
        !Path::new(program).exists() && std::env::var_os(variable).is_none()
    };
    let missing: Vec<&str> = BROWSERS.iter().filter(is_missing).map(|(package, ..)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let elsewhere = "the tests need Chromium, Firefox and WebKitGTK with WebKitWebDriver and Xvfb: install them, and name \
                     the programs in MOORLINE_CHROMIUM, MOORLINE_FIREFOX and MOORLINE_WEBKIT (its MiniBrowser)";
    install_debian(&missing, elsewhere)
}

/// Installs cargo-deny if it is missing.
///
/// # Errors
/// As [`Process::obtain`].
pub(crate) fn cargo_deny() -> Result {
    if answers("cargo", &["deny", "--version"]) {
        return Ok(());
    }
    cargo(["install", "--locked", "--version", "^0.20", "cargo-deny"]).obtain("cargo-deny")
}

/// Installs cargo-fuzz if it is missing.
///
/// # Errors
/// As [`Process::obtain`].
pub(crate) fn cargo_fuzz() -> Result {
    if answers("cargo", &["fuzz", "--version"]) {
        return Ok(());
    }
    cargo(["install", "--locked", "--version", "^0.13", "cargo-fuzz"]).obtain("cargo-fuzz")
}

/// Tells whether a command answers.
pub(crate) fn answers(program: &str, args: &[&str]) -> bool {
    Process::new(program).args(args).succeeds()
}

/// Tells whether [`install_debian`] can install anything.
pub(crate) fn can_install() -> bool {
    is_debian() && is_root()
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists()
}

fn is_root() -> bool {
    Process::new("id").args(["-u"]).output().is_ok_and(|user| user.trim() == "0")
}
