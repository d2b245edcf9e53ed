//! The table of codes that the TypeScript side has, so that a code crosses as its number.

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use moorline_core::protocol::ErrorCode;

    const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bindings/js/src/codes.gen.ts");

    fn table() -> String {
        let mut text = String::from(
            "// Made of protocol/src/code.rs: `MOORLINE_BLESS=1 cargo test -p moorline-wasm`. Do not edit.\n\n\
             /** Number, name, whether the same request can succeed later; in the order of the numbers. */\n\
             export const codes = [\n",
        );
        for code in ErrorCode::ALL {
            writeln!(text, "  [{}, \"{}\", {}],", code.number(), code.name(), code.is_retryable()).unwrap();
        }
        text.push_str("] as const;\n\n/** The codes of this version. A newer server may send others. */\n");
        text.push_str("export type KnownErrorCode =\n");
        for code in ErrorCode::ALL {
            writeln!(text, "  /** {} */\n  | \"{}\"", code.meaning(), code.name()).unwrap();
        }
        text.pop();
        text.push_str(";\n");
        text
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "who runs the test says whether the table is written")]
    fn the_table_of_typescript_is_that_of_the_protocol() {
        if std::env::var_os("MOORLINE_BLESS").is_some() {
            std::fs::write(TABLE, table()).unwrap();
        }
        let found = std::fs::read_to_string(TABLE).unwrap();
        assert!(found == table(), "codes.gen.ts is old: MOORLINE_BLESS=1 cargo test -p moorline-wasm");
    }
}
