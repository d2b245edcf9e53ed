//! Long runs that can be interrupted: each part is noted when it is done.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use moorline_sim::{Bugs, run};

use super::Options;
use super::play::{name, play};

/// Seeds of a part.
const PART: u64 = 2_500;

/// Plays `--seeds` seeds in parts, and goes on after the last part that is noted.
pub(crate) fn soak(options: &Options) -> bool {
    let head = format!("moorline-sim soak from {}, fingerprint {:016x}\n", options.start, fingerprint());
    let notes = std::fs::read_to_string(&options.notes).unwrap_or_default();
    let (mut done, mut failed) = match notes.strip_prefix(&head) {
        Some(parts) => resume(parts),
        None => (0, 0),
    };
    if done == 0 {
        let folder = options.notes.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| std::fs::write(&options.notes, &head)) {
            println!("cannot write {}: {error}", options.notes.display());
            return false;
        }
    } else {
        println!("going on after {done} seeds ({})", options.notes.display());
    }
    let (began, before) = (Instant::now(), done);
    while done < options.seeds {
        let part = PART.min(options.seeds - done);
        let totals = play(options.start + done, part, options);
        name(&totals);
        done += part;
        failed += totals.failures.len();
        let mut note = format!("{part} seeds, {} failed:", totals.failures.len());
        for (seed, _) in &totals.failures {
            // Writing to a string cannot fail.
            let _ = write!(note, " {seed}");
        }
        if let Err(error) = append(&options.notes, &note) {
            println!("cannot write {}: {error}", options.notes.display());
            return false;
        }
        let rate = (done - before) as f64 / began.elapsed().as_secs_f64();
        println!("{done} of {} seeds, {failed} failed, {rate:.0} seeds/s", options.seeds);
    }
    println!("{} passed, {failed} failed", done - failed as u64);
    failed == 0
}

/// Tells one simulator from another: what its first seeds come to.
fn fingerprint() -> u64 {
    (0..8).map(|seed| run(seed, Bugs::default(), false).trace).fold(0, |all, trace| all.rotate_left(7) ^ trace)
}

/// Returns how many seeds the noted parts had, and how many failed.
fn resume(parts: &str) -> (u64, usize) {
    let mut sum = (0, 0);
    for part in parts.lines() {
        let mut words = part.split(' ');
        let seeds = words.next().and_then(|count| count.parse::<u64>().ok());
        let failed = words.nth(1).and_then(|count| count.parse::<usize>().ok());
        let (Some(seeds), Some(failed)) = (seeds, failed) else { break };
        sum = (sum.0 + seeds, sum.1 + failed);
    }
    sum
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::options().append(true).open(path)?;
    writeln!(file, "{line}")
}
