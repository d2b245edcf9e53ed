use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use moorline::StoreBatch;

use super::candidate::Candidate;
use super::{beside, folder, key};
use crate::error::{Error, Result};

/// Commits of a file that is then damaged, and of one whose calls fail.
const COMMITS: u64 = 40;
/// Every so many bytes, one is changed.
const STRIDE: usize = 31;
/// Sync calls that fail, one per run.
const SYNCS: u32 = 30;

/// Uses a store in a process of its own, which may die of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Child {
    candidate: Candidate,
    path: PathBuf,
    /// Commits so many messages and ends without closing; otherwise says which are there.
    #[arg(long)]
    commits: Option<u64>,
    /// Closes the store properly.
    #[arg(long)]
    close: bool,
}

impl Child {
    pub(crate) fn run(&self) -> Result {
        let mut store = self.candidate.open(&self.path)?;
        if let Some(commits) = self.commits {
            for n in 0..commits {
                let puts = vec![(key(n), vec![n as u8; 200])];
                let result = self.candidate.commit(&mut *store, StoreBatch { puts, ..StoreBatch::default() });
                println!("{} {n}", if result.is_ok() { "kept" } else { "refused" });
            }
        } else {
            for (key, value) in self.candidate.load(&mut *store)? {
                match (0..COMMITS).find(|n| key == super::key(*n) && value == vec![*n as u8; 200]) {
                    Some(n) => println!("found {n}"),
                    None => println!("found something else"),
                }
            }
        }
        if self.close {
            drop(store);
        } else {
            std::mem::forget(store);
        }
        Ok(())
    }
}

/// Changes bytes, and makes syncs fail, and prints what became of it.
pub(super) fn run() -> Result {
    println!("One byte changed in a file of {COMMITS} commits (every {STRIDE}th byte, one run each):\n");
    println!("| | noticed | harmless | last commit silently lost | other content, silently | process died |");
    println!("|--|--:|--:|--:|--:|--:|");
    for candidate in Candidate::ALL {
        for closed in [true, false] {
            let seen = damage(candidate, closed)?;
            let count = |what| seen.get(&what).copied().unwrap_or(0);
            let state = if closed { "closed" } else { "killed" };
            println!(
                "| {}, {state} | {} | {} | {} | {} | {} |",
                candidate.name(),
                count(Seen::Noticed),
                count(Seen::Harmless),
                count(Seen::LastLost),
                count(Seen::Wrong),
                count(Seen::Died)
            );
        }
    }
    println!("\nOne sync fails while messages are committed ({SYNCS} runs, each another call):\n");
    println!("| | commits refused | of them there after all | kept ones missing | commits kept after the failure |");
    println!("|--|--:|--:|--:|--:|");
    for candidate in Candidate::ALL {
        let tally = failing_syncs(candidate)?;
        println!(
            "| {} | {} | {} | {} | {} |",
            candidate.name(),
            tally.refused,
            tally.refused_and_found,
            tally.kept_and_missing,
            tally.kept_after
        );
    }
    Ok(())
}

/// What became of a damaged file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Noticed,
    Harmless,
    LastLost,
    Wrong,
    Died,
}

fn damage(candidate: Candidate, closed: bool) -> Result<BTreeMap<Seen, u32>> {
    let folder = folder()?;
    let path = folder.path().join("whole");
    let close: &[&str] = if closed { &["--close"] } else { &[] };
    child(candidate, &path, &[&["--commits", &COMMITS.to_string()], close].concat())?;
    let whole = fs::read(&path)?;
    let mut seen = BTreeMap::new();
    for at in (0..whole.len()).step_by(STRIDE) {
        let mut damaged = whole.clone();
        if let Some(byte) = damaged.get_mut(at) {
            *byte ^= 0x41;
        }
        let copy = folder.path().join("damaged");
        for suffix in ["-wal", "-shm"] {
            let (from, to) = (beside(&path, suffix), beside(&copy, suffix));
            if from.exists() {
                fs::copy(from, to)?;
            }
        }
        fs::write(&copy, damaged)?;
        *seen.entry(look(candidate, &copy)?).or_default() += 1;
    }
    Ok(seen)
}

fn look(candidate: Candidate, path: &Path) -> Result<Seen> {
    let output = child(candidate, path, &[])?;
    let found = found(&output);
    let whole: Vec<u64> = (0..COMMITS).collect();
    Ok(match output.status.code() {
        Some(0) if found == whole => Seen::Harmless,
        Some(0) if whole.split_last().is_some_and(|(_, before)| found == before) => Seen::LastLost,
        Some(0) => Seen::Wrong,
        Some(1) => Seen::Noticed,
        _ => Seen::Died,
    })
}

#[derive(Default)]
struct Tally {
    refused: usize,
    refused_and_found: usize,
    kept_and_missing: usize,
    kept_after: usize,
}

fn failing_syncs(candidate: Candidate) -> Result<Tally> {
    let mut tally = Tally::default();
    for failing in 1..=SYNCS {
        let folder = folder()?;
        let path = folder.path().join("store");
        let fault = format!("inject=fsync,fdatasync:error=EIO:when={failing}");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &fault]);
        strace.arg(std::env::current_exe()?).args(arguments(candidate, &path, &["--commits", &COMMITS.to_string()]));
        let output = strace.output().map_err(|_| Error::Answer("strace", "making syncs fail (is it installed?)"))?;
        let told = told(&output);
        let found = found(&child(candidate, &path, &[])?);
        let mut has_failed = false;
        for (kept, n) in told {
            match (kept, found.contains(&n)) {
                (true, false) => tally.kept_and_missing += 1,
                (false, true) => tally.refused_and_found += 1,
                (true, true) | (false, false) => {}
            }
            tally.refused += usize::from(!kept);
            tally.kept_after += usize::from(kept && has_failed);
            has_failed |= !kept;
        }
    }
    Ok(tally)
}

fn child(candidate: Candidate, path: &Path, more: &[&str]) -> Result<Output> {
    Ok(Command::new(std::env::current_exe()?).args(arguments(candidate, path, more)).output()?)
}

fn arguments(candidate: Candidate, path: &Path, more: &[&str]) -> Vec<std::ffi::OsString> {
    let name = match candidate {
        Candidate::File => "file",
        Candidate::Redb => "redb",
        Candidate::Sqlite => "sqlite",
    };
    let first = ["store-child".into(), name.into(), path.as_os_str().to_owned()];
    first.into_iter().chain(more.iter().map(Into::into)).collect()
}

/// Reads which messages a child found; `u64::MAX` stands for something that nobody wrote.
fn found(output: &Output) -> Vec<u64> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| line.strip_prefix("found ")).map(|n| n.parse().unwrap_or(u64::MAX)).collect()
}

/// Reads what a child said of each commit.
fn told(output: &Output) -> Vec<(bool, u64)> {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |line: &str| {
        let (word, n) = line.split_once(' ')?;
        Some((word == "kept", n.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}
