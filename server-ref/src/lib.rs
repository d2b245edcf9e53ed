//! The Moorline server: a sans-IO [`node`], an [`engine`] behind submit and complete, and the shell around them.

#![forbid(unsafe_code)]

pub mod engine;
pub mod node;
pub mod planted;
#[cfg(feature = "shell")]
pub mod wall_clock;
#[cfg(feature = "shell")]
pub mod ws;
