//! A bug in the core must turn the suite of each language red: it is run with a core that has one.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::process::Process;
use crate::step::Counts;
use crate::{bindings, cargo, tree};

/// What names the bug (`sdk-mobile/src/planted.rs`).
const VARIABLE: &str = "MOORLINE_PLANTED";

/// A bug, and a scenario that must notice it, by its name in a language.
pub(crate) type Planted = (&'static str, &'static str);

/// Builds the facade with bugs that can be switched on, and returns the library to be loaded; the one to be linked is beside it, in
/// `static`.
///
/// # Errors
/// As [`bindings::library`].
pub(crate) fn library() -> Result<PathBuf> {
    let folder = cargo::target()?.join("planted");
    tree::create(&folder.join("static"))?;
    let library = bindings::library("dev", &["planted-bugs"])?;
    let (from, name) = (library.parent().unwrap_or(&library), library.file_name().unwrap_or_default());
    let copy = folder.join(name);
    tree::copy(&library, &copy)?;
    tree::copy(&from.join(bindings::STATIC), &folder.join("static").join(bindings::STATIC))?;
    // What others find in the build folder is without.
    bindings::library("dev", &[])?;
    Ok(copy)
}

/// Runs scenarios with the planted library: all pass as long as no bug is switched on, and each fails with its own.
///
/// # Errors
/// [`Error::Rules`] with what was not noticed.
pub(crate) fn prove(bugs: &[Planted], run: impl Fn(&[&str]) -> Result<Process>) -> Result {
    let scenarios: Vec<&str> = bugs.iter().map(|(_, scenario)| *scenario).collect();
    let (counts, printed) = run(&scenarios)?.tally()?;
    if (counts.passed, counts.failed) != (bugs.len(), 0) {
        return Err(Error::Rules(vec![printed, "without a bug, not all scenarios pass".to_owned()]));
    }
    let mut unseen = Vec::new();
    for (bug, scenario) in bugs {
        let (Counts { passed, failed }, printed) = run(&[scenario])?.env(VARIABLE, bug).tally()?;
        if (passed, failed) == (0, 1) {
            println!("{scenario} notices {bug}");
        } else {
            unseen.push(format!("{printed}\n{scenario} does not notice {bug}"));
        }
    }
    Error::unless_empty(unseen)
}
