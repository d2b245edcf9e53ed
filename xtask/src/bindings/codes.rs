//! The table of error codes, in each language.

use std::fmt::Write as _;

const MADE: &str = "Made of protocol/src/code.rs by `cargo xtask bindings`. Do not edit.";

const PYTHON: &str = "bindings/python/src/moorline/_codes.py";
const KOTLIN: &str = "bindings/kotlin/moorline/src/main/kotlin/dev/moorline/ErrorCode.kt";
const SWIFT: &str = "bindings/swift/Sources/Moorline/Codes.swift";

/// One code.
struct Code<'a> {
    number: &'a str,
    name: &'a str,
    kind: &'a str,
    is_retryable: bool,
    meaning: &'a str,
}

/// Makes the tables of what the generator prints: paths in the checkout, and texts.
pub(super) fn tables(printed: &str) -> Vec<(String, String)> {
    let codes: Vec<Code<'_>> = printed.lines().filter_map(Code::read).collect();
    vec![(PYTHON.to_owned(), python(&codes)), (KOTLIN.to_owned(), kotlin(&codes)), (SWIFT.to_owned(), swift(&codes))]
}

impl<'a> Code<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        let (number, name, kind) = (next()?, next()?, next()?);
        Some(Self { number, name, kind, is_retryable: next()? == "true", meaning: next()? })
    }

    /// `auth.expired` as `authExpired`.
    fn camel(&self) -> String {
        let mut is_start = false;
        let mut camel = String::new();
        for letter in self.name.chars() {
            match letter {
                '.' | '_' => is_start = true,
                letter if std::mem::take(&mut is_start) => camel.extend(letter.to_uppercase()),
                letter => camel.push(letter),
            }
        }
        camel
    }

    /// `auth.expired` as `AUTH_EXPIRED`.
    fn upper(&self) -> String {
        self.name.replace('.', "_").to_uppercase()
    }
}

fn python(codes: &[Code<'_>]) -> String {
    let mut text = format!(
        "# {MADE}\n\n\"\"\"Every code of this version: its number, its class, whether it is retryable.\"\"\"\n\n"
    );
    text.push_str("from typing import Final\n\nCODES: Final[dict[str, tuple[int, str, bool]]] = {\n");
    for code in codes {
        let retryable = if code.is_retryable { "True" } else { "False" };
        line(&mut text, &format!("    # {}", code.meaning));
        line(
            &mut text,
            &format!("    \"{}\": ({}, \"{}\", {retryable}),", code.name, code.number, code.kind.to_lowercase()),
        );
    }
    text.push_str("}\n");
    text
}

fn kotlin(codes: &[Code<'_>]) -> String {
    let mut text = format!(
        "// {MADE}\npackage dev.moorline\n\n/** The codes of this version. A newer server may send others. */\n"
    );
    text.push_str("public object ErrorCode {\n");
    for code in codes {
        line(&mut text, &format!("    /** {} */", code.meaning));
        line(&mut text, &format!("    public const val {}: String = \"{}\"\n", code.upper(), code.name));
    }
    text.truncate(text.trim_end().len());
    text.push_str("\n}\n");
    text
}

fn swift(codes: &[Code<'_>]) -> String {
    let mut text = format!("// {MADE}\n\nextension MoorlineError.Code {{\n");
    for code in codes {
        line(&mut text, &format!("    /// {}", code.meaning));
        line(&mut text, &format!("    public static let {} = Self(rawValue: \"{}\")", code.camel(), code.name));
    }
    text.push_str("}\n");
    text
}

fn line(text: &mut String, line: &str) {
    // A String takes everything.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_a_name_in_each_language() {
        let tables =
            tables("301\tauth.expired\tAuth\tfalse\tThe token has expired.\n704\tlimit.outbox\tLimit\ttrue\tFull.\n");
        let texts: Vec<_> = tables.iter().map(|(_, text)| text.as_str()).collect();
        assert!(texts[0].contains("    # The token has expired.\n    \"auth.expired\": (301, \"auth\", False),\n"));
        assert!(texts[1].contains("    public const val LIMIT_OUTBOX: String = \"limit.outbox\"\n}\n"));
        assert!(texts[2].contains("    public static let authExpired = Self(rawValue: \"auth.expired\")\n"));
    }
}
