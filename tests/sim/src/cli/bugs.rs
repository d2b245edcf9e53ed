//! Whether the simulator has teeth: each planted bug must be found, and the right promise must break.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use moorline_sim::{Bugs, PLANTED, Planted};

use super::Options;
use super::play::one;

/// Where the fresh seeds begin: far from those that are searched.
const FRESH: u64 = 1_000_000;

/// What became of one planted bug.
struct Found {
    planted: Planted,
    /// Which promise broke on the recorded seed.
    recorded: Option<u8>,
    /// How often which promise broke on the fresh seeds.
    fresh: BTreeMap<u8, u64>,
    /// The lowest seed of those searched that finds it, and which promise broke.
    lowest: Option<(u64, u8)>,
}

/// Plays each planted bug on its recorded seed and on fresh ones.
pub(crate) fn check(options: &Options) -> bool {
    println!("{:<26} {:>9} {:>8}   in {} fresh seeds", "planted bug", "invariant", "seed", options.seeds);
    let mut missed = 0;
    for found in each(options, |planted, bugs| {
        let recorded = one(planted.seed, bugs).0.map(|violation| violation.invariant);
        let fresh = rate(bugs, options.seeds);
        Found { planted, recorded, fresh, lowest: None }
    }) {
        let Found { planted, recorded, fresh, .. } = found;
        let is_right = recorded.is_some_and(|invariant| planted.breaks.contains(&invariant));
        let verdict = recorded.map_or_else(|| "MISSED".into(), |invariant| invariant.to_string());
        let remark = if is_right || recorded.is_none() { "" } else { "  WRONG INVARIANT" };
        println!("{:<26} {verdict:>9} {:>8}   {}{remark}", planted.name, planted.seed, shares(&fresh));
        missed += usize::from(!is_right);
    }
    println!("{} passed, {missed} failed", PLANTED.len() - missed);
    missed == 0
}

/// Searches the lowest seed that finds each planted bug.
pub(crate) fn find(options: &Options) -> bool {
    let mut missed = 0;
    for found in each(options, |planted, bugs| {
        let broken = |seed| one(seed, bugs).0.map(|violation| violation.invariant);
        let right = |seed| broken(seed).filter(|invariant| planted.breaks.contains(invariant));
        let lowest = (0..options.seeds).find_map(|seed| Some((seed, right(seed)?)));
        Found { planted, recorded: None, fresh: rate(bugs, 200), lowest }
    }) {
        let Found { planted, fresh, lowest, .. } = found;
        let is_right = lowest.is_some_and(|(_, invariant)| planted.breaks.contains(&invariant));
        let seed = lowest.map_or_else(|| "none".into(), |(seed, invariant)| format!("{seed} ({invariant})"));
        let remark = if is_right { "" } else { "  !" };
        println!("{:<26} {seed:>12}   {}{remark}", planted.name, shares(&fresh));
        missed += usize::from(!is_right);
    }
    println!("{} found, {missed} missed or found by another invariant", PLANTED.len() - missed);
    missed == 0
}

/// Counts which promises break on fresh seeds.
fn rate(bugs: Bugs, seeds: u64) -> BTreeMap<u8, u64> {
    let mut fresh = BTreeMap::new();
    for seed in FRESH..FRESH + seeds {
        if let (Some(violation), _) = one(seed, bugs) {
            *fresh.entry(violation.invariant).or_default() += 1;
        }
    }
    fresh
}

fn shares(fresh: &BTreeMap<u8, u64>) -> String {
    let total: u64 = fresh.values().sum();
    let each: Vec<_> = fresh.iter().map(|(invariant, count)| format!("{invariant}: {count}")).collect();
    format!("{total:>4}   ({})", each.join(", "))
}

/// Does something for each planted bug (or the one that is named), on all cores; in the order of the table.
fn each(options: &Options, act: impl Fn(Planted, Bugs) -> Found + Sync) -> Vec<Found> {
    let next = AtomicUsize::new(0);
    let all: Mutex<Vec<(usize, Found)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(planted) = PLANTED.get(index).copied() else { return };
                    if options.bug.as_deref().is_some_and(|name| name != planted.name) {
                        continue;
                    }
                    let Ok(bugs) = Bugs::named(planted.name) else { return };
                    let found = act(planted, bugs);
                    if let Ok(mut all) = all.lock() {
                        all.push((index, found));
                    }
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_default();
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, found)| found).collect()
}
