//! The committed corpus: one text file per target, one input per line in hexadecimal, with comments.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Returns the file that holds a target's corpus.
pub fn file(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{target}.hex"))
}

/// Reads a corpus; empty lines and those that begin with `#` are comments.
///
/// # Panics
/// If a line is not hexadecimal.
pub fn read(text: &str) -> Vec<Vec<u8>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| decode(line).expect("a line of hexadecimal digits")).collect()
}

/// Writes inputs, shortest first; the comments of `before`, and the lines under them, stay in front.
pub fn write(before: &str, mut inputs: Vec<Vec<u8>>) -> String {
    let kept = kept(before);
    let known = read(&kept);
    inputs.retain(|input| !known.contains(input));
    inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    inputs.dedup();
    let mut text = kept;
    for input in inputs {
        text.push_str(&encode(&input));
        text.push('\n');
    }
    text
}

/// Returns what people put into a corpus: up to the last line that stands under a comment.
fn kept(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().rposition(|line| line.starts_with('#')).map_or(0, |comment| comment + 2);
    lines.iter().take(last).fold(String::new(), |text, line| text + line + "\n")
}

fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2);
    pairs.map(|pair| if let [high, low] = pair { Some((high * 16 + low) as u8) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let inputs = vec![vec![255, 0], vec![1], Vec::new(), vec![1]];
        let text = write("", inputs);
        // An empty input is an empty line, which says nothing.
        assert_eq!(read(&text), [vec![1], vec![255, 0]]);
    }

    #[test]
    fn lines_under_a_comment_stay() {
        let before = "# what it broke\n0203\n04\n";
        assert_eq!(write(before, vec![vec![9], vec![2, 3]]), "# what it broke\n0203\n09\n");
    }
}
