//! The `moorline-server` binary.
fn main() {}
