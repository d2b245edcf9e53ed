//! What a page's blocks of code are to a reader who follows it.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// What comes before the reason of a block that is not run.
const ELSEWHERE: &str = "elsewhere: ";
/// What stands before a line that a command prints.
const PRINTED: &str = "#> ";

/// One thing that a reader does, in the page's order.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Writes a file.
    Write { line: usize, path: PathBuf, text: String },
    /// Types commands, and compares the last one's output; `…` stands for anything.
    Type { line: usize, commands: String, printed: Vec<String> },
    /// What this machine has no place for, and why.
    Elsewhere { line: usize, reason: String },
}

/// Takes a page apart: ` ```sh ` is typed, ` ```toml /etc/file ` is written there, ` ```sh elsewhere: why ` is left out.
///
/// # Errors
/// [`Error::Rules`] with the blocks that are none of these.
pub(super) fn steps(page: &str) -> Result<Vec<Step>> {
    let (mut steps, mut broken) = (Vec::new(), Vec::new());
    let mut lines = (1..).zip(page.lines());
    while let Some((line, text)) = lines.next() {
        let Some(info) = text.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```").collect();
        let (language, rest) = info.split_once(' ').unwrap_or((info, ""));
        if let Some(reason) = rest.strip_prefix(ELSEWHERE) {
            steps.push(Step::Elsewhere { line, reason: reason.to_owned() });
        } else if rest.starts_with('/') {
            steps.push(Step::Write { line, path: rest.into(), text: body.join("\n") + "\n" });
        } else if language == "sh" && rest.is_empty() {
            typed(line + 1, &body, &mut steps);
        } else {
            broken.push(format!("line {line}: what is this block? `sh`, a path to write it to, or `{ELSEWHERE}why`"));
        }
    }
    Error::unless_empty(broken)?;
    Ok(steps)
}

/// Splits a block behind each line that is printed.
fn typed(first: usize, body: &[&str], steps: &mut Vec<Step>) {
    let (mut commands, mut printed, mut begin) = (String::new(), Vec::new(), first);
    for (line, text) in (first..).zip(body) {
        if let Some(output) = text.strip_prefix(PRINTED) {
            printed.push(output.to_owned());
            continue;
        }
        if !printed.is_empty() {
            let (commands, printed) = (std::mem::take(&mut commands), std::mem::take(&mut printed));
            steps.push(Step::Type { line: begin, commands, printed });
            begin = line;
        }
        commands.push_str(text);
        commands.push('\n');
    }
    steps.push(Step::Type { line: begin, commands, printed });
}

/// Tells whether a text has all these lines, in order; `…` stands for anything.
pub(super) fn fits(text: &str, printed: &[String]) -> bool {
    let parts = printed.iter().flat_map(|line| line.split('…')).map(str::trim).filter(|part| !part.is_empty());
    let mut rest = Some(text);
    for part in parts {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, rest)| rest);
    }
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_its_reader_does() {
        let page = "text\n```toml /etc/a.toml\na = 1\n```\n```sh\ncd /\nls\n#> bin … usr\nid\n```\n```sh elsewhere: no bus\nx\n```\n";
        let wanted = [
            Step::Write { line: 2, path: "/etc/a.toml".into(), text: "a = 1\n".into() },
            Step::Type { line: 6, commands: "cd /\nls\n".into(), printed: vec!["bin … usr".into()] },
            Step::Type { line: 9, commands: "id\n".into(), printed: Vec::new() },
            Step::Elsewhere { line: 11, reason: "no bus".into() },
        ];
        assert_eq!(steps(page).unwrap(), wanted);
        assert!(steps("```\nwhat\n```\n").is_err());
        assert!(steps("```toml\na = 1\n```\n").is_err());
    }

    #[test]
    fn output_is_compared_in_order() {
        let printed = ["one … three".to_owned(), "five".to_owned()];
        assert!(fits("one two three\nfour\nfive\n", &printed));
        assert!(!fits("five\none two three\n", &printed));
        assert!(!fits("one two\n", &printed));
    }
}
