//! The examples of docs/http-api.md, as a reader runs them.

use std::process::Command;

use super::backend;

/// Returns the commands of a page with what each of them is said to print, in order.
fn examples(page: &str) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for block in page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let mut goes_on = false;
        for line in block.lines() {
            if let Some(printed) = line.strip_prefix("# ") {
                all.last_mut().unwrap().1.push(printed.to_owned());
            } else if goes_on {
                all.last_mut().unwrap().0.push_str(&format!("\n{line}"));
            } else {
                all.push((line.to_owned(), Vec::new()));
            }
            goes_on = line.ends_with('\\');
        }
    }
    all
}

/// Tells whether a text has all parts of a pattern, in order; `…` stands for anything.
fn fits(text: &str, pattern: &str) -> bool {
    let mut rest = Some(text);
    for part in pattern.split('…').map(str::trim).filter(|part| !part.is_empty()) {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, rest)| rest);
    }
    rest.is_some()
}

#[test]
fn every_example_of_the_docs_prints_what_the_docs_say() {
    let dir = tempfile::tempdir().unwrap();
    let (program, _) = backend(dir.path());
    let examples = examples(include_str!("../../../../docs/http-api.md"));
    let settings = format!("MOORLINE=http://{}\nKEY=dev\n", program.address());
    let mut checked = 0;
    for (command, printed) in examples.iter().filter(|(command, _)| command.starts_with("curl ")) {
        let output = Command::new("sh").args(["-ec", &format!("{settings}{command}")]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap().replace("\r\n", " ");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!printed.is_empty(), "{command}: the docs do not say what it prints");
        for pattern in printed {
            assert!(fits(&said, pattern), "{command}\nprints {said}\nand not {pattern}");
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked} examples");
}
