//! The simulator: real client cores and the real server node and engine core, under one seed and virtual time.
//!
//! [`run`] plays one seed: a random scenario of publishes, readers and faults, then a quiet time, then the checks of
//! the invariants (1–16 of the quality page; 17: who is away is told; 18: calls of the backend; 19: what the backend
//! decides). The same seed gives the same trace hash.
#![expect(clippy::indexing_slicing, reason = "a wrong index is a fault of the simulator, and stops it at once")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the simulator looks at what it checks, and lets the rest pass")]

mod batches;
mod bugs;
mod calls;
mod client;
mod decisions;
mod dice;
mod frames;
mod history;
mod host;
mod model;
mod network;
mod notes;
mod reader;
mod scenario;
pub mod script;
mod server;
mod service;
mod settle;
mod trace;
mod wire;
mod world;

pub use bugs::{Bugs, PLANTED, Place, Planted, SCRIPTED};
pub use dice::Dice;
pub use model::Violation;
pub use world::Outcome;

/// Tells the dice of a run's members from those of the rest.
const PRESENCE: u64 = 0x7072_6573_656e_6365;

/// The same for those who follow users.
const STATUS: u64 = 0x7374_6174_7573_6573;

/// The same for calls of the backend.
const CALLS: u64 = 0x6361_6c6c_7363_616c;

/// Plays one seed.
pub fn run(seed: u64, bugs: Bugs, verbose: bool) -> Outcome {
    let mut dice = Dice::from_seed(seed);
    let mut scenario = scenario::Scenario::draw(&mut dice);
    scenario.draw_presence(&mut Dice::from_seed(seed ^ PRESENCE));
    scenario.draw_status(&mut Dice::from_seed(seed ^ STATUS));
    scenario.draw_calls(seed, &mut Dice::from_seed(seed ^ CALLS));
    scenario.draw_decisions(seed);
    play(scenario, dice, bugs, verbose)
}

/// Plays what a fuzzer chose.
pub fn run_bytes(bytes: &[u8], bugs: Bugs) -> Outcome {
    let mut dice = Dice::from_bytes(bytes.to_vec());
    let mut scenario = scenario::Scenario::draw(&mut dice);
    scenario.draw_presence(&mut dice);
    scenario.draw_status(&mut dice);
    play(scenario, dice, bugs, false)
}

fn play(scenario: scenario::Scenario, dice: Dice, bugs: Bugs, verbose: bool) -> Outcome {
    let mut world = world::World::new(scenario, dice, bugs, verbose);
    world.plan();
    world.run()
}
