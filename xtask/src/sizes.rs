//! Files stay short enough to be read in one sitting.

use crate::error::{Error, Result};
use crate::tree;

/// Lines of a file, its test module not counted. Files named `tests.rs` and folders of tests are free.
const LINES: usize = 500;

/// Longer files, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Checks every Rust file.
///
/// # Errors
/// [`Error::Rules`] with one line per file that is too long.
pub(crate) fn check() -> Result {
    let root = tree::root();
    let mut broken = Vec::new();
    for path in tree::rust_files(&root)? {
        let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
        let excepted = EXCEPTIONS.iter().any(|(file, _)| *file == name);
        if excepted || name.ends_with("/tests.rs") || name.contains("/tests/") && !name.contains("/src/") {
            continue;
        }
        let lines = tree::code_lines(&tree::read(&path)?).count();
        if lines > LINES {
            broken.push(format!("{name}: {lines} lines; at most {LINES}"));
        }
    }
    Error::unless_empty(broken)
}
