//! The fault proxy, the history checker, and the tests that kill the real server.

#![forbid(unsafe_code)]

pub mod checker;
pub mod proxy;
