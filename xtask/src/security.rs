//! SECURITY.md names a test for every rule, and each of them is there.

use std::path::Path;

use crate::error::{Error, Result};
use crate::tree;

const PAGE: &str = "SECURITY.md";
/// What stands where there is no test, because there is nothing to test yet.
const NOTHING: &str = "–";

/// Looks for every test that the tables name, as `path/of/file.rs::name`.
///
/// # Errors
/// [`Error::Rules`] with a line for each row without a test, and for each test that is not in its file.
pub(crate) fn check() -> Result {
    let root = tree::root();
    let rows = rows(&tree::read(&root.join(PAGE))?);
    let mut broken = Vec::new();
    if rows.is_empty() {
        broken.push(format!("{PAGE}: no table of rules"));
    }
    for (rule, tests) in &rows {
        match tests {
            Tests::Nothing => {}
            Tests::Named(names) if names.is_empty() => broken.push(format!("{PAGE}: `{rule}` names no test")),
            Tests::Named(names) => {
                for (file, name) in names {
                    broken.extend(missing(&root, file, name)?);
                }
            }
        }
    }
    Error::unless_empty(broken)
}

/// What a row names.
#[derive(Debug, PartialEq)]
enum Tests {
    Nothing,
    /// File and name.
    Named(Vec<(String, String)>),
}

/// Returns each row's rule and its tests.
fn rows(page: &str) -> Vec<(String, Tests)> {
    let cells = page.lines().filter(|line| line.starts_with("| ")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        (cells.first().copied().unwrap_or_default(), cells.last().copied().unwrap_or_default())
    });
    let rules = cells.filter(|(_, tests)| *tests != "Shown by");
    rules.map(|(rule, tests)| (rule.to_owned(), read(tests))).collect()
}

fn read(cell: &str) -> Tests {
    if cell == NOTHING {
        return Tests::Nothing;
    }
    let quoted = cell.split('`').skip(1).step_by(2);
    let names = quoted.filter_map(|text| text.split_once("::"));
    Tests::Named(names.map(|(file, name)| (file.to_owned(), name.to_owned())).collect())
}

/// Says what is missing, if anything is: the file, or the function in it; of TypeScript the test with this title.
fn missing(root: &Path, file: &str, name: &str) -> Result<Option<String>> {
    let Some(text) = tree::read_if_present(&root.join(file))? else {
        return Ok(Some(format!("{PAGE} names {file}, which is not there")));
    };
    let is_there = if file.ends_with(".rs") { text.contains(&format!("fn {name}(")) } else { text.contains(name) };
    Ok((!is_there).then(|| format!("{PAGE} names {file}::{name}, which is not there")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_names_tests_that_are_there() {
        assert_eq!(check().map_err(|error| error.to_string()), Ok(()));
        assert!(rows(&tree::read(&tree::root().join(PAGE)).unwrap()).len() > 50);
    }

    #[test]
    fn the_crates_that_read_what_others_send_have_no_unsafe_code() {
        for package in ["protocol", "sdk-core", "sdk-native", "server-ref"] {
            let library = tree::read(&tree::root().join(package).join("src").join("lib.rs")).unwrap();
            assert!(library.lines().any(|line| line == "#![forbid(unsafe_code)]"), "{package}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let page = "| Rule | What | Shown by |\n|--|--|--|\n| a | b | `x.rs::one`, `y.rs::two` |\n| c | d | – |\n| e | f | |\n";
        let named = |names: &[(&str, &str)]| {
            Tests::Named(names.iter().map(|(file, name)| ((*file).to_owned(), (*name).to_owned())).collect())
        };
        let found = rows(page);
        assert_eq!(found[0], ("a".to_owned(), named(&[("x.rs", "one"), ("y.rs", "two")])));
        assert_eq!(found[1], ("c".to_owned(), Tests::Nothing));
        assert_eq!(found[2], ("e".to_owned(), named(&[])));
        let root = tree::root();
        let find = |file: &str, name: &str| missing(&root, file, name).unwrap();
        assert_eq!(find("xtask/src/security.rs", "check"), None);
        assert!(find("xtask/src/security.rs", "chek").unwrap().contains("chek"));
        assert!(find("xtask/src/gone.rs", "check").unwrap().contains("not there"));
    }
}
