//! The golden frames of `tests/vectors/`, which every implementation reads.
//!
//! `MOORLINE_BLESS=1 cargo test -p moorline-protocol` writes them anew from `samples`. A difference in git is then a
//! change of the wire.

mod frames;
mod inputs;

use std::path::PathBuf;

/// Where the vectors are.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors"))
}

#[expect(clippy::disallowed_methods, reason = "the one switch of this test")]
fn is_blessing() -> bool {
    std::env::var_os("MOORLINE_BLESS").is_some()
}

/// Compares a file with what it should be, or writes it.
fn check_file(name: &str, content: &str) {
    let path = folder().join(name);
    if is_blessing() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == content, "{name} is not what the codecs write; see the head of this test");
}
