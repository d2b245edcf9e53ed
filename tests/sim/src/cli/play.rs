//! Plays seeds.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use moorline_sim::{Bugs, Outcome, Violation, run};

use super::Options;

/// Failing seeds that are named.
const NAMED: usize = 20;

/// Seeds that failed once, one a line, with what it was.
const CORPUS: &str = include_str!("../../corpus.txt");

/// What the seeds of a run came to.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) resets: u64,
    /// Seeds, and what they broke.
    pub(crate) failures: Vec<(u64, String)>,
}

/// Plays one seed and prints all that happened.
pub(crate) fn show(seed: u64, bugs: Bugs) -> bool {
    let outcome = run(seed, bugs, true);
    println!("{}", outcome.scenario);
    for line in &outcome.lines {
        println!("{line}");
    }
    if let Some(what) = outcome.unsettled {
        println!("not settled: {what}");
    }
    println!(
        "seed {seed}: trace {:016x}, {} steps, {} published, {} delivered, {} resets, {:.1} s of virtual time",
        outcome.trace,
        outcome.steps,
        outcome.published,
        outcome.delivered,
        outcome.resets,
        outcome.virtual_us as f64 / 1e6
    );
    match outcome.violation {
        None => true,
        Some(violation) => {
            println!("BROKEN: {}", describe(&violation));
            false
        }
    }
}

/// Plays many seeds on all cores.
pub(crate) fn many(options: &Options) -> bool {
    let began = Instant::now();
    let totals = play(options.start, options.seeds, options);
    let seconds = began.elapsed().as_secs_f64();
    name(&totals);
    println!(
        "{} published, {} delivered, {} resets in {} seeds, {seconds:.1} s, {:.0} seeds/s",
        totals.published,
        totals.delivered,
        totals.resets,
        options.seeds,
        options.seeds as f64 / seconds
    );
    let failed = totals.failures.len();
    println!("{} passed, {failed} failed", options.seeds - failed as u64);
    failed == 0
}

/// Prints `seed trace`, a line each.
pub(crate) fn traces(options: &Options) -> bool {
    for seed in options.start..options.start + options.seeds {
        println!("{seed} {:016x}", run(seed, options.bugs, false).trace);
    }
    true
}

/// Plays what failed once.
pub(crate) fn corpus() -> bool {
    let lines = CORPUS.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    let seeds: Vec<u64> = lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    let mut totals = Totals::default();
    for seed in &seeds {
        let (broken, _) = one(*seed, Bugs::default());
        totals.failures.extend(broken.map(|violation| (*seed, describe(&violation))));
    }
    name(&totals);
    println!("{} passed, {} failed", seeds.len() - totals.failures.len(), totals.failures.len());
    totals.failures.is_empty()
}

/// Prints failing seeds, each with the command that plays it again.
pub(crate) fn name(totals: &Totals) {
    for (seed, what) in totals.failures.iter().take(NAMED) {
        println!("seed {seed}: {what}\n  replay: cargo xtask sim --seed {seed}");
    }
}

/// Plays `seeds` seeds from `start` on.
pub(crate) fn play(start: u64, seeds: u64, options: &Options) -> Totals {
    let next = AtomicU64::new(0);
    let totals: Mutex<Totals> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= seeds {
                        return;
                    }
                    let seed = start + index;
                    let (mut broken, outcome) = one(seed, options.bugs);
                    if let (true, Some(outcome)) = (options.twice, &outcome)
                        && one(seed, options.bugs).1.is_none_or(|twin| twin.trace != outcome.trace)
                    {
                        broken = Some(Violation { invariant: 16, what: "two runs, two traces".into() });
                    }
                    if let Ok(mut totals) = totals.lock() {
                        totals.add(seed, broken, outcome.as_ref());
                    }
                }
            });
        }
    });
    let mut totals = totals.into_inner().unwrap_or_default();
    totals.failures.sort();
    totals
}

/// Plays one seed. A panic counts as a broken promise.
pub(crate) fn one(seed: u64, bugs: Bugs) -> (Option<Violation>, Option<Outcome>) {
    match catch_unwind(|| run(seed, bugs, false)) {
        Ok(mut outcome) => (outcome.violation.take(), Some(outcome)),
        Err(_) => (Some(Violation { invariant: 0, what: "a panic, printed above".into() }), None),
    }
}

pub(crate) fn describe(violation: &Violation) -> String {
    format!("invariant {}: {}", violation.invariant, violation.what)
}

impl Totals {
    fn add(&mut self, seed: u64, broken: Option<Violation>, outcome: Option<&Outcome>) {
        if let Some(outcome) = outcome {
            self.published += outcome.published;
            self.delivered += outcome.delivered;
            self.resets += outcome.resets;
        }
        self.failures.extend(broken.map(|violation| (seed, describe(&violation))));
    }
}
