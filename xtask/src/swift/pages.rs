//! The Swift in the package's pages: it compiles, and the program that a newcomer types runs.

use crate::error::{Error, Result};
use crate::tree;

/// Where the pages are.
const README: &str = "bindings/swift/README.md";
const MORE: &[&str] = &[
    "bindings/swift/Sources/Moorline/Moorline.docc/Moorline.md",
    "bindings/swift/Sources/Moorline/Moorline.docc/Errors.md",
    "bindings/swift/Sources/Moorline/Moorline.docc/Lifecycle.md",
];

/// What the pages take for granted.
const AROUND: &str = "import Foundation\nimport Moorline\nimport MoorlineTesting\n\n\
    struct Order: Codable, Sendable { var id: String }\n\
    struct Api: Sendable { func token() async throws -> String { \"\" } }\n";
const GIVEN: &str =
    "client: Moorline, room: Channel, receipt: Receipt, order: Order, api: Api, folder: String, offset: UInt64";

/// Where the program of the first page says that its server is.
pub(super) const SERVER: &str = "ws://127.0.0.1:8000/ws";

/// What the pages say in Swift.
pub(super) struct Pages {
    /// The whole program that the README begins with.
    pub(super) program: String,
    /// All other pieces, as one file that only has to compile.
    pub(super) pieces: String,
}

impl Pages {
    /// Reads the pages.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Rules`] if the README does not begin with a program.
    pub(super) fn read() -> Result<Self> {
        let mut readme = blocks(&tree::read(&tree::root().join(README))?).into_iter();
        let program = readme.next().filter(|program| program.contains("import Moorline"));
        let program = program.ok_or_else(|| Error::Rules(vec![format!("{README} does not begin with a program")]))?;
        let mut rest: Vec<String> = readme.collect();
        for page in MORE {
            rest.extend(blocks(&tree::read(&tree::root().join(page))?));
        }
        let functions = rest.iter().enumerate();
        let functions = functions.map(|(at, piece)| format!("\nfunc piece{at}({GIVEN}) async throws {{\n{piece}}}\n"));
        Ok(Self { program, pieces: AROUND.to_owned() + &functions.collect::<String>() })
    }
}

/// Returns the blocks of Swift of a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in page.lines() {
        match (&mut block, line) {
            (None, "```swift") => block = Some(String::new()),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_blocks_of_swift() {
        let page = "a\n```swift\nlet x = 1\n```\n```\nls\n```\n```swift\nlet y = 2\n\nlet z = 3\n```\n";
        assert_eq!(blocks(page), ["let x = 1\n", "let y = 2\n\nlet z = 3\n"]);
    }
}
