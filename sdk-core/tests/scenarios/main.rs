//! One client core against a scripted server: frames in, frames out, both clocks by hand.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that meets something else fails"
)]

mod answers;
mod arguments;
mod blackbox;
mod calls;
mod clocks;
mod compression;
mod connecting;
mod cursors;
mod ending;
mod flow;
mod host;
mod joining;
mod leaving;
mod liveness;
mod parking;
mod presence;
mod producers;
mod properties;
mod publishing;
mod push;
mod receiving;
mod server;
mod storing;
mod tokens;
