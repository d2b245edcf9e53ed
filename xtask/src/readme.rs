//! The two READMEs say the same.

use crate::error::{Error, Result};
use crate::tree;

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";

/// Compares the levels of the headings and the code blocks of both READMEs, comments aside. Without the second file
/// there is nothing to compare.
///
/// # Errors
/// [`Error::Rules`] with the first difference of each kind.
pub(crate) fn check() -> Result {
    let root = tree::root();
    let pair = (tree::read_if_present(&root.join(ENGLISH))?, tree::read_if_present(&root.join(CHINESE))?);
    let (Some(english), Some(chinese)) = pair else { return Ok(()) };
    Error::unless_empty(differences(&Outline::of(&english), &Outline::of(&chinese)))
}

#[derive(Debug, Default, PartialEq)]
struct Outline {
    headings: Vec<usize>,
    blocks: Vec<String>,
}

impl Outline {
    fn of(text: &str) -> Self {
        let mut outline = Self::default();
        let mut block: Option<String> = None;
        for line in text.lines() {
            let fence = line.trim_start().starts_with("```");
            match (&mut block, fence) {
                (Some(_), true) => outline.blocks.extend(block.take()),
                (Some(code), false) => {
                    code.push_str(without_comment(line));
                    code.push('\n');
                }
                (None, true) => block = Some(format!("{}\n", line.trim())),
                (None, false) if line.starts_with('#') => {
                    outline.headings.push(line.chars().take_while(|c| *c == '#').count());
                }
                (None, false) => {}
            }
        }
        outline
    }
}

fn without_comment(line: &str) -> &str {
    let comment = ["# ", "// "].iter().filter_map(|mark| {
        let at = line.find(mark)?;
        let (before, _) = line.split_at_checked(at)?;
        (before.is_empty() || before.ends_with(' ')).then_some(before)
    });
    comment.min_by_key(|before| before.len()).unwrap_or(line).trim_end()
}

fn differences(english: &Outline, chinese: &Outline) -> Vec<String> {
    let mut broken = Vec::new();
    if english.headings != chinese.headings {
        let (left, right) = (&english.headings, &chinese.headings);
        broken.push(format!("levels of headings differ: {ENGLISH} {left:?}, {CHINESE} {right:?}"));
    }
    if english.blocks.len() != chinese.blocks.len() {
        let (left, right) = (english.blocks.len(), chinese.blocks.len());
        broken.push(format!("numbers of code blocks differ: {ENGLISH} {left}, {CHINESE} {right}"));
    }
    let pairs = english.blocks.iter().zip(&chinese.blocks).enumerate();
    for (index, (left, right)) in pairs.filter(|(_, (left, right))| left != right) {
        broken.push(format!("code block {} differs:\n{left}\nbut\n{right}", index + 1));
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_prose_may_differ() {
        let english = Outline::of("# A\ntext\n```sh\nrun it # now\n# or later\n```\n## B\n");
        let chinese = Outline::of("# 甲\n```sh\nrun it # 现在\n# 以后\n```\n文字\n## 乙\n");
        assert_eq!(differences(&english, &chinese), Vec::<String>::new());
    }

    #[test]
    fn other_commands_and_levels_are_found() {
        let english = Outline::of("# A\n```sh\nrun --all\n```\n");
        let chinese = Outline::of("## A\n```sh\nrun\n```\n");
        assert_eq!(differences(&english, &chinese).len(), 2);
    }
}
