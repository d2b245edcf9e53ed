//! The node without sockets: what it decides, at which moment.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    reason = "tests"
)]

mod apps;
mod bench;
mod callouts;
mod calls;
mod compression;
mod cursors;
mod drain;
mod flow;
mod grants;
mod heartbeat;
mod hooks;
mod opening;
mod pages;
mod permits;
mod presence;
mod publish;
mod replaced;
