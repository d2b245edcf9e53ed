//! The fault proxy, the history checker, and the tests that kill the real server.

#![forbid(unsafe_code)]

pub mod checker;
pub mod log_reader;
pub mod proxy;
pub mod server;
