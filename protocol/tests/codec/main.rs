//! Both codecs: golden vectors, properties, and `docs/protocol.md` compared with the code.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that meets something else fails"
)]

mod allocation;
mod document;
mod greed;
mod inputs;
mod properties;
mod rules;
mod samples;
mod strategies;
mod vectors;
mod wire;
