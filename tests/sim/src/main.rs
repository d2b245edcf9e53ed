//! `moorline-sim`: plays seeds, finds broken promises, and says how to play them again.
#![expect(clippy::indexing_slicing, reason = "three totals, at constant indexes")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use moorline_sim::{Bugs, Outcome, run};

const HELP: &str = "moorline-sim: plays seeds of the simulator

  --seeds N      how many seeds (default 2000)
  --start S      the first seed (default 0)
  --seed S       only this seed, with everything that happened
  --jobs N       threads (default: all cores)
  --twice        play each seed twice and compare the trace hashes
  --bug NAME     plant a bug (needs the feature planted-bugs); `--bug list` names them
  --bugs         find every planted bug: its recorded seed, and --seeds fresh ones";

struct Options {
    seeds: u64,
    start: u64,
    seed: Option<u64>,
    jobs: usize,
    twice: bool,
    bug: Option<String>,
    all_bugs: bool,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if options.all_bugs {
        return find_all(&options);
    }
    let bugs = match options.bug.as_deref() {
        None => Bugs::default(),
        Some(name) => match Bugs::named(name) {
            Ok(bugs) => bugs,
            Err(message) => {
                eprintln!("{message}");
                return ExitCode::from(2);
            }
        },
    };
    if let Some(seed) = options.seed { show(seed, bugs) } else { many(&options, bugs) }
}

fn options() -> Result<Options, String> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { seeds: 2000, start: 0, seed: None, jobs, twice: false, bug: None, all_bugs: false };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || -> Result<u64, String> {
            let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
            value.parse().map_err(|_| format!("{arg}: {value} is not a number"))
        };
        match arg.as_str() {
            "--seeds" => options.seeds = number()?,
            "--start" => options.start = number()?,
            "--seed" => options.seed = Some(number()?),
            "--jobs" => options.jobs = number()?.max(1) as usize,
            "--twice" => options.twice = true,
            "--bugs" => options.all_bugs = true,
            "--bug" => options.bug = Some(args.next().ok_or("--bug needs a name")?),
            "--help" | "-h" => return Err("".into()),
            _ => return Err(format!("unknown option {arg}")),
        }
    }
    Ok(options)
}

fn show(seed: u64, bugs: Bugs) -> ExitCode {
    let outcome = run(seed, bugs, true);
    println!("{}", outcome.scenario);
    for line in &outcome.lines {
        println!("{line}");
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
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("BROKEN: invariant {}: {}", violation.invariant, violation.what);
            ExitCode::FAILURE
        }
    }
}

fn many(options: &Options, bugs: Bugs) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let failures: Mutex<Vec<(u64, String)>> = Mutex::default();
    let totals: Mutex<[u64; 3]> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= options.seeds {
                        break;
                    }
                    let seed = options.start + index;
                    let outcome = run(seed, bugs, false);
                    let twin = options.twice.then(|| run(seed, bugs, false).trace);
                    note(seed, &outcome, twin, &failures, &totals);
                    if index > 0 && index.is_multiple_of(500) {
                        let rate = index as f64 / began.elapsed().as_secs_f64();
                        eprintln!("{index} of {} seeds, {rate:.0} seeds/s", options.seeds);
                    }
                }
            });
        }
    });
    let (Ok(mut failures), Ok(totals)) = (failures.into_inner(), totals.into_inner()) else { return ExitCode::FAILURE };
    failures.sort();
    for (seed, what) in failures.iter().take(20) {
        println!("seed {seed}: {what}\n  replay: cargo xtask sim --seed {seed}");
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} published, {} delivered, {} resets in {} seeds, {seconds:.1} s, {:.0} seeds/s",
        totals[0],
        totals[1],
        totals[2],
        options.seeds,
        options.seeds as f64 / seconds
    );
    println!("{} passed, {} failed", options.seeds - failures.len() as u64, failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn note(
    seed: u64,
    outcome: &Outcome,
    twin: Option<u64>,
    failures: &Mutex<Vec<(u64, String)>>,
    totals: &Mutex<[u64; 3]>,
) {
    if let Ok(mut totals) = totals.lock() {
        totals[0] += outcome.published;
        totals[1] += outcome.delivered;
        totals[2] += outcome.resets;
    }
    let mut broken = outcome.violation.as_ref().map(|v| format!("invariant {}: {}", v.invariant, v.what));
    if twin.is_some_and(|twin| twin != outcome.trace) {
        broken = Some("invariant 16: two runs, two traces".into());
    }
    if let (Some(what), Ok(mut failures)) = (broken, failures.lock()) {
        failures.push((seed, what));
    }
}

/// Plays each planted bug on its recorded seed and on fresh ones; each must be found.
fn find_all(options: &Options) -> ExitCode {
    let mut missed = 0;
    for planted in moorline_sim::PLANTED {
        let bugs = match Bugs::named(planted.name) {
            Ok(bugs) => bugs,
            Err(message) => {
                eprintln!("{message}");
                return ExitCode::from(2);
            }
        };
        let broken = |seed: u64| run(seed, bugs, false).violation;
        let recorded = broken(planted.seed);
        let fresh = (0..options.seeds).map(|index| 1_000_000 + options.start + index);
        let found = fresh.clone().filter(|seed| broken(*seed).is_some()).count();
        let invariant = recorded.as_ref().map_or_else(|| "-".to_owned(), |v| v.invariant.to_string());
        println!(
            "{:<28} {} at seed {:<6} (invariant {invariant:>2}), {found} of {} fresh seeds",
            planted.name,
            if recorded.is_some() { "found" } else { "MISSED" },
            planted.seed,
            options.seeds
        );
        missed += usize::from(recorded.is_none());
    }
    let unseen: Vec<&str> = moorline_sim::UNSEEN.iter().map(|planted| planted.name).collect();
    println!("not looked for, since no seed shows them yet: {}", unseen.join(", "));
    println!("{} passed, {missed} failed", moorline_sim::PLANTED.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
