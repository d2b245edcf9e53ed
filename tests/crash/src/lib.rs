//! The fault proxy, the history checker, and the tests that kill the real server.

#![forbid(unsafe_code)]

pub mod app;
pub mod away;
pub mod book;
pub mod checker;
pub mod demo;
pub mod dice;
pub mod kills;
pub mod lab;
pub mod load;
pub mod log_reader;
pub mod proxy;
pub mod requests;
pub mod run;
pub mod scripts;
pub mod server;
pub mod storm;
