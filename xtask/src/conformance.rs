//! `cargo xtask conformance`: the Autobahn cases for RFC 6455 against the server's WebSocket layer.

use std::path::Path;

use serde_json::Value;

use crate::cargo::{self, cargo};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::step::{Counts, Steps};
use crate::{tools, tree};

/// The Autobahn cases as a Python package.
const CASES: &str = "kosoku==0.1.0";
/// Cases that are left out: 9 measures, 12 and 13 are about compression, which the server refuses.
const LEFT_OUT: [&str; 3] = ["9.*", "12.*", "13.*"];

pub(crate) const NAME: &str = "WebSocket conformance";

/// `cargo xtask conformance`
///
/// # Errors
/// Names the cases that failed.
pub(crate) fn command() -> Result {
    let mut steps = Steps::default();
    steps.count(NAME, test);
    steps.finish()
}

/// Runs all cases.
///
/// # Errors
/// One line per case that failed; what cannot be had.
pub(crate) fn test(counts: &mut Counts) -> Result {
    let folder = cargo::target()?.join("conformance");
    install(&folder)?;
    cargo(["build", "-p", "moorline-server", "--features", "echo", "--example", "echo"]).run()?;
    let echo = Process::new(cargo::target()?.join("debug").join("examples").join("echo")).serve()?;
    let report = folder.join("report");
    tree::remove(&report)?;
    let mut cases = Process::new(folder.join("bin").join("kosoku")).arg("--outdir", &report);
    for left_out in LEFT_OUT {
        cases = cases.args(["--exclude", left_out]);
    }
    let ran = cases.args([echo.line()]).run();
    match tree::read_if_present(&report.join("index.json"))? {
        Some(index) => judge(&index, counts),
        None => ran,
    }
}

/// Installs the cases into a folder of their own.
fn install(folder: &Path) -> Result {
    if folder.join("bin").join("kosoku").exists() {
        return Ok(());
    }
    Process::new(tools::python()?).args(["-m", "venv"]).args([folder]).run()?;
    Process::new(folder.join("bin").join("pip")).args(["install", "--quiet", CASES]).obtain(CASES)
}

/// Counts the cases and names those that are not simply well.
fn judge(index: &str, counts: &mut Counts) -> Result {
    let index: Value = serde_json::from_str(index).map_err(|_| Error::Answer("kosoku"))?;
    let cases = index.as_object().and_then(|agents| agents.values().next()).and_then(Value::as_object);
    let mut failed = Vec::new();
    for (case, result) in cases.ok_or(Error::Answer("kosoku"))? {
        let field = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or("MISSING");
        let (behavior, close) = (field("behavior"), field("behaviorClose"));
        match (behavior, close) {
            ("OK", "OK") => {}
            ("OK" | "NON-STRICT" | "INFORMATIONAL", "OK" | "INFORMATIONAL") => println!("{case}: {behavior}"),
            _ => failed.push(format!("case {case}: {behavior}, closing {close}")),
        }
        counts.passed += 1;
    }
    counts.passed -= failed.len();
    counts.failed += failed.len();
    Error::unless_empty(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_named() {
        let index = r#"{"echo": {
            "1.1": {"behavior": "OK", "behaviorClose": "OK"},
            "1.2": {"behavior": "NON-STRICT", "behaviorClose": "OK"},
            "1.3": {"behavior": "OK", "behaviorClose": "FAILED"},
            "1.4": {"behavior": "ERROR", "behaviorClose": "OK"}
        }}"#;
        let mut counts = Counts::default();
        let error = judge(index, &mut counts).unwrap_err();
        assert_eq!((counts.passed, counts.failed), (2, 2));
        assert_eq!(error.to_string(), "case 1.3: OK, closing FAILED\ncase 1.4: ERROR, closing OK");
    }
}
