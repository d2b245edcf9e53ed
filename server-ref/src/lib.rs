//! The Moorline server: a sans-IO [`node`], an [`engine`] behind submit and complete, and the shell around them.

#![forbid(unsafe_code)]

pub mod apps;
#[cfg(feature = "shell")]
mod asker;
#[cfg(feature = "shell")]
pub mod callout;
#[cfg(feature = "shell")]
pub mod config;
#[cfg(feature = "shell")]
pub mod egress;
pub mod engine;
#[cfg(feature = "shell")]
pub mod hooks;
#[cfg(feature = "shell")]
pub mod http;
#[cfg(feature = "shell")]
pub mod jwks;
#[cfg(feature = "shell")]
pub mod jwt;
#[cfg(feature = "shell")]
pub mod net;
pub mod node;
#[cfg(feature = "shell")]
mod page;
pub mod planted;
#[cfg(feature = "shell")]
pub mod pulse;
#[cfg(feature = "shell")]
pub mod server;
#[cfg(feature = "shell")]
pub mod shard;
#[cfg(feature = "shell")]
pub mod traces;
#[cfg(feature = "shell")]
pub mod wall_clock;
#[cfg(feature = "shell")]
pub mod ws;
