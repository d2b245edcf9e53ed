//! The simulator for a host without files, threads, clock and randomness: what `play.mjs` calls.

/// Plays a seed and returns the hash of its trace.
#[unsafe(no_mangle)]
pub extern "C" fn run(seed: u64) -> u64 {
    moorline_sim::run(seed, moorline_sim::Bugs::default(), false).trace
}
