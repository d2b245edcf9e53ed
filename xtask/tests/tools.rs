//! `cargo xtask test` on a machine where nothing can be installed: what needs a tool is named as not verified, and nothing
//! else is. The installers and tools are stand-ins on the path.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A machine of stand-ins, in a folder of its own.
struct Machine {
    folder: PathBuf,
}

impl Machine {
    /// One where we are root, `apt-get` is offline, and Maven, Java, Python and Debian's compilers are missing.
    fn bare(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).unwrap();
        let machine = Self { folder };
        machine.program("id", "echo 0");
        machine.program("npm", "exit 0");
        machine.program("apt-get", "echo 'Temporary failure resolving deb.debian.org' >&2; exit 100");
        for missing in ["mvn", "javac", "python3", "python", "swift", "mmdebstrap", "clang", "wasm-ld", "rustc"] {
            machine.program(missing, "exit 127");
        }
        let target = machine.folder.join("target");
        machine.program("cargo", &format!("echo '{{\"target_directory\": \"{}\"}}'", target.display()));
        machine
    }

    /// Puts a program on the path.
    fn program(&self, name: &str, script: &str) {
        let path = self.folder.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs the steps of `cargo xtask test` with this in their names: whether they passed, and what was printed.
    fn test(&self, only: &str) -> (bool, String) {
        let bin = self.folder.join("bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let xtask = xtask.args(["test", "--only", only]).env("PATH", path).env("CARGO", bin.join("cargo"));
        let output = xtask.output().unwrap();
        let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), printed.concat())
    }
}

/// What the printed text has in its table of what was not verified.
fn table(printed: &str) -> &str {
    printed.split_once("not verified on this machine:\n").map_or("", |(_, rest)| rest)
}

#[test]
fn what_cannot_be_installed_is_not_verified_by_name() {
    let machine = Machine::bare("bare");
    for name in [
        "Kotlin packages",
        "Swift package",
        "Python package",
        "mobile facade",
        "cores on wasm32",
        "WebSocket conformance",
        "HTTP API against",
    ] {
        let (passed, printed) = machine.test(name);
        assert!(passed, "{name}: {printed}");
        assert!(table(&printed).starts_with(&format!("– {name}")), "{name}: {printed}");
        assert!(printed.contains("0 passed, 0 failed\n"), "{printed}");
    }
}

#[test]
fn packages_that_cannot_be_fetched_are_not_verified() {
    let machine = Machine::bare("offline");
    // Python is here, PyPI is not.
    let make = "case $2 in venv) mkdir -p \"$3/bin\"; cp \"$0\" \"$3/bin/python\"; cp \"$0\" \"$3/bin/pip\";; pip) exit 1;; esac";
    machine.program("python3", &format!("case $1 in install) exit 1;; -m) {make};; esac"));
    for name in ["Python package", "WebSocket conformance", "HTTP API against"] {
        let (passed, printed) = machine.test(name);
        assert!(passed, "{name}: {printed}");
        assert!(table(&printed).starts_with(&format!("– {name}")), "{name}: {printed}");
    }
}

#[test]
fn a_build_that_fails_is_a_failure_where_the_tools_are_there() {
    let machine = Machine::bare("broken");
    let make = "mkdir -p \"$3/bin\"; cp \"$0\" \"$3/bin/python\"; cp \"$0\" \"$3/bin/pip\"";
    machine.program("python3", &format!("case $1.$2 in -m.venv) {make};; esac"));
    let target = machine.folder.join("target");
    let metadata = format!("echo '{{\"target_directory\": \"{}\"}}'", target.display());
    machine.program("cargo", &format!("case $1 in metadata) {metadata};; *) exit 101;; esac"));
    for name in ["Python package", "WebSocket conformance", "HTTP API against"] {
        let (passed, printed) = machine.test(name);
        assert!(!passed, "{name}: {printed}");
        assert!(printed.contains("0 passed, 1 failed"), "{name}: {printed}");
        assert_eq!(table(&printed), "", "{name}");
    }
}
