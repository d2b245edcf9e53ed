//! The whole server in memory, for the tests of apps: the real node over the real engine core, as a state machine.
//!
//! [`Machine`] takes what happens to connections and time, and hands out what they are to be told, in order. [`exports`]
//! offers it to a host without sockets, threads, clock and randomness: numbers and bytes in, numbers and bytes out.

mod calls;
pub mod exports;
mod machine;
mod operator;
mod settings;
mod tokens;

pub use self::machine::{Machine, Output};
pub use self::operator::{Answer, Ask, Connected};
pub use self::settings::{Channels, GrantRule, Limits, Permission, Settings};
