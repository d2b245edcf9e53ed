//! The simulator: real client cores and the real server node and engine core, under one seed and virtual time.
//!
//! [`run`] plays one seed: a random scenario of publishes, readers and faults, then a quiet time, then the checks of
//! the invariants (1–12 and 14–16 of the quality page, as far as today's parts reach). The same seed gives the same
//! trace hash.
#![expect(clippy::indexing_slicing, reason = "a wrong index is a fault of the simulator, and stops it at once")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the simulator looks at what it checks, and lets the rest pass")]

mod batches;
mod bugs;
mod client;
mod dice;
mod frames;
mod history;
mod host;
mod model;
mod network;
mod reader;
mod scenario;
mod server;
mod service;
mod settle;
mod trace;
mod wire;
mod world;

pub use bugs::{Bugs, PLANTED, Place, Planted};
pub use dice::Dice;
pub use model::Violation;
pub use world::Outcome;

/// Plays one seed.
pub fn run(seed: u64, bugs: Bugs, verbose: bool) -> Outcome {
    play(Dice::from_seed(seed), bugs, verbose)
}

/// Plays what a fuzzer chose.
pub fn run_bytes(bytes: &[u8], bugs: Bugs) -> Outcome {
    play(Dice::from_bytes(bytes.to_vec()), bugs, false)
}

fn play(mut dice: Dice, bugs: Bugs, verbose: bool) -> Outcome {
    let scenario = scenario::Scenario::draw(&mut dice);
    let mut world = world::World::new(scenario, dice, bugs, verbose);
    world.plan();
    world.run()
}
