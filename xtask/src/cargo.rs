//! Calls of cargo.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process::Process;
use crate::tree;

/// The profile of what does real work in tests: optimised, with every assertion on.
pub(crate) const TEST_FAST: &str = "test-fast";

/// Begins a call of cargo in the root of the checkout.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Process {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // What `cargo run` says of this program. Build scripts that look at it (ring's) would run again, and all that rests on
    // them, whenever cargo is called from here after it was called from a shell.
    let is_own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    Process::new(program).args(args).without(is_own).directory(tree::root())
}

/// Formats all Rust code, or only reports what is not formatted.
///
/// # Errors
/// As [`Process::run`].
pub(crate) fn fmt(check: bool) -> Result {
    let process = cargo(["fmt", "--all"]);
    if check { process.args(["--check"]).run() } else { process.run() }
}

/// Returns what cargo says about the workspace's own crates.
///
/// # Errors
/// As [`Process::output`], and [`Error::Answer`].
pub(crate) fn metadata() -> Result<serde_json::Value> {
    let text = cargo(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    serde_json::from_str(&text).map_err(|_| Error::Answer("cargo metadata"))
}

/// Returns the folder cargo builds into.
///
/// # Errors
/// As [`metadata`].
pub(crate) fn target() -> Result<PathBuf> {
    let metadata = metadata()?;
    let target = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    target.map(PathBuf::from).ok_or(Error::Answer("cargo metadata"))
}

/// Builds binaries (`(package, binary)`) with a profile and returns the folder they are in.
///
/// # Errors
/// As [`Process::run`] and [`metadata`].
pub(crate) fn build(profile: &str, binaries: &[(&str, &str)]) -> Result<PathBuf> {
    let mut args = vec!["build", "--profile", profile];
    for (package, binary) in binaries {
        args.extend(["-p", package, "--bin", binary]);
    }
    cargo(args).run()?;
    // The profile `dev` has a folder of another name.
    Ok(target()?.join(if profile == "dev" { "debug" } else { profile }))
}

/// Begins a call of a built binary, in the root of the checkout.
pub(crate) fn built(folder: &Path, binary: &str) -> Process {
    Process::new(folder.join(binary)).directory(tree::root())
}
