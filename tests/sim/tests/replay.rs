//! One seed, one trace.

use moorline_sim::{Bugs, run};

/// Played twice each; on a thread of its own the second time, so that nothing of the first is left.
const SEEDS: std::ops::Range<u64> = 0..24;

fn trace(seed: u64) -> u64 {
    run(seed, Bugs::default(), false).trace
}

#[test]
fn a_seed_has_one_trace() {
    for seed in SEEDS {
        let first = trace(seed);
        let again = std::thread::spawn(move || trace(seed)).join().expect("a run ends");
        assert_eq!(first, again, "seed {seed}");
    }
}

#[test]
fn two_seeds_have_two_traces() {
    let traces: std::collections::BTreeSet<u64> = SEEDS.map(trace).collect();
    assert_eq!(traces.len(), SEEDS.count());
}
