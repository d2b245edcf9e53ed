//! The server behind real sockets, and clients that break every rule: each gets an answer that says what to do, the
//! server goes on, and everybody else does not notice.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "tests"
)]

mod apps;
mod attacks;
mod callouts;
mod channels;
mod data;
mod devices;
mod disk;
mod edges;
mod frames;
mod front;
mod hooks;
mod http;
mod limits;
mod order;
mod service;
mod signals;
mod sockets;
mod start;
mod support;
mod tokens;
mod traces;
mod upgrade;
