//! A scripted scenario for each settled hole of the protocol (`tests/HOLES.md`): what happens step by step, in the
//! world of the simulator, with all its invariants, and what must come of it.
//!
//! With the feature `planted-bugs` each scenario that names some is played with each of them once more, and must fail.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a scenario looks for what it is about, and lets the rest pass")]

mod cursors;
mod frames;
mod leaving;
mod pages;
mod presence;
mod producers;
mod sessions;
mod storing;
