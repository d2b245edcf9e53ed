//! What every engine must do, and what the log must survive.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that meets something else fails"
)]

mod backend;
mod cursors;
mod disk;
mod events;
mod hooks;
mod log;
mod opening;
mod presence;
mod producers;
mod publishing;
mod reading;
mod retention;
mod rig;
mod sessions;
