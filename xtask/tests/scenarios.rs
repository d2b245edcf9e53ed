//! The scenarios of the suite in JavaScript are told in every language, under the same names.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Told in another way by a language, each with the reason.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("kotlin", "publishes at QoS 0", "one test for the three: `publishes at`"),
    ("kotlin", "publishes at QoS 1", "one test for the three: `publishes at`"),
    ("kotlin", "publishes at QoS 2", "one test for the three: `publishes at`"),
    ("kotlin", "keeps what was published offline over a reload", "the process is killed instead: FaultScenarios"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The text of all files below a folder that end so.
fn texts(folder: &Path, end: &str) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all += &texts(&path, end);
        } else if path.to_string_lossy().ends_with(end) {
            all += &fs::read_to_string(path).unwrap();
        }
    }
    all
}

/// The names in the suite's records: `  'name': …`.
fn names() -> Vec<String> {
    let text = texts(&root().join("bindings/js/test/scenarios"), ".ts");
    let quoted = text.lines().filter_map(|line| line.strip_prefix("  '")?.split_once("': "));
    quoted.map(|(name, _)| name.to_owned()).collect()
}

/// A name as one of a function: `connects_and_says_so`.
fn function(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

#[test]
fn every_scenario_is_told_in_every_language() {
    let names = names();
    assert!(names.len() >= 38, "{names:?}");
    let python = texts(&root().join("bindings/python/tests"), ".py");
    let swift = texts(&root().join("bindings/swift/Tests"), ".swift");
    let kotlin = texts(&root().join("bindings/kotlin/moorline/src/test"), ".kt");
    let mut missing = Vec::new();
    for name in &names {
        let told = [
            ("python", python.contains(&format!("async def test_{}(", function(name)))),
            ("swift", swift.contains(&format!("func test_{}()", function(name)))),
            ("kotlin", kotlin.contains(&format!("fun `{name}`("))),
        ];
        for (language, is_told) in told {
            let is_elsewhere = ELSEWHERE.iter().any(|(of, which, _)| (*of == "*" || *of == language) && which == name);
            if !is_told && !is_elsewhere {
                missing.push(format!("{language}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
