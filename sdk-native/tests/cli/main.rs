//! The `moorline` command as people and scripts run it, against a real server.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod blackbox;
mod history;
mod presence;
mod program;
mod publish;
mod store;
mod sub;
mod token;
mod unreachable;
