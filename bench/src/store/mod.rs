//! The client's store and what could stand in its place: what a commit costs, how long the file gets, how fast it
//! opens; and what becomes of it when calls fail and bytes change.

mod candidate;
mod faults;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use moorline::StoreBatch;

use crate::error::{Error, Result};
use crate::peer::disk;
use crate::table::{self, Column};
use candidate::Candidate;
pub(crate) use faults::Child;

/// The client's store, and others that could stand in its place.
#[derive(Debug, clap::Args)]
pub(crate) struct Stores {
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Commits per figure.
    #[arg(long, default_value_t = 1_000)]
    commits: u64,
    /// Messages that are published and settled, one by one, before the file's length is looked at.
    #[arg(long, default_value_t = 100_000)]
    cycles: u64,
    /// Bytes of a record.
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// Makes calls fail and changes bytes, instead of measuring.
    #[arg(long)]
    faults: bool,
}

const COLUMNS: &[Column] =
    &[("commit of 1, µs", 0), ("commit of 32, µs", 0), ("open 1,000 messages, ms", 2), ("KiB after the cycles", 0)];
/// Messages that wait while others come and go.
const WAITING: u64 = 50;

impl Stores {
    pub(crate) fn run(&self) -> Result {
        if self.faults {
            return faults::run();
        }
        let candidates = Candidate::ALL;
        let mut samples = vec![Vec::new(); candidates.len()];
        for _ in 0..self.rounds {
            for (candidate, samples) in candidates.iter().zip(&mut samples) {
                let folder = folder()?;
                samples.push(vec![
                    self.commits(*candidate, &folder.path().join("one"), 1)?,
                    self.commits(*candidate, &folder.path().join("group"), 32)?,
                    self.open(*candidate, &folder.path().join("open"))?,
                    self.cycles(*candidate, &folder.path().join("cycles"))?,
                ]);
            }
        }
        let rows: Vec<_> = candidates.iter().map(|candidate| candidate.name()).zip(samples).collect();
        let title = format!("Client stores: records of {} B, {} cycles, synced", self.size, self.cycles);
        table::print(&title, COLUMNS, &rows);
        Ok(())
    }

    /// Returns µs per commit of `group` messages, as many of which are removed.
    fn commits(&self, candidate: Candidate, path: &Path, group: u64) -> Result<f64> {
        let mut store = candidate.open(path)?;
        let begin = Instant::now();
        for n in 0..self.commits {
            let first = n * group;
            commit(&mut *store, candidate, first..first + group, self.size)?;
        }
        Ok(micros(begin.elapsed()) / self.commits.max(1) as f64)
    }

    /// Returns ms for opening a store with a full outbox.
    fn open(&self, candidate: Candidate, path: &Path) -> Result<f64> {
        let puts = (0..1_000).map(|n| (key(n), vec![n as u8; self.size])).collect();
        candidate.commit(&mut *candidate.open(path)?, StoreBatch { puts, ..StoreBatch::default() })?;
        let begin = Instant::now();
        let found = candidate.load(&mut *candidate.open(path)?)?;
        let elapsed = begin.elapsed();
        if found.len() == 1_000 { Ok(micros(elapsed) / 1e3) } else { Err(Error::Answer(candidate.name(), "opening")) }
    }

    /// Returns KiB on disk after many messages came and went.
    fn cycles(&self, candidate: Candidate, path: &Path) -> Result<f64> {
        let mut store = candidate.open(path)?;
        for n in 0..self.cycles {
            commit(&mut *store, candidate, n..n + 1, self.size)?;
        }
        Ok(length(path)? as f64 / 1024.0)
    }
}

/// Publishes these messages and settles as many earlier ones.
fn commit(
    store: &mut dyn moorline::Store,
    candidate: Candidate,
    messages: std::ops::Range<u64>,
    size: usize,
) -> Result {
    let deletes = messages.clone().filter_map(|n| n.checked_sub(WAITING)).map(key).collect();
    let puts = messages.map(|n| (key(n), vec![n as u8; size])).collect();
    candidate.commit(store, StoreBatch { clear: false, deletes, puts })
}

/// Returns an empty folder on a disk, unlike many a `/tmp`.
fn folder() -> Result<tempfile::TempDir> {
    Ok(tempfile::tempdir_in(disk(&std::env::current_exe()?))?)
}

fn key(n: u64) -> Vec<u8> {
    format!("e{n:016x}").into_bytes()
}

fn micros(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

/// Returns the length of a store's file and of those beside it.
fn length(path: &Path) -> Result<u64> {
    let (folder, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        if file.file_name().to_string_lossy().starts_with(&*name.to_string_lossy()) {
            bytes += file.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Returns a file's name with something behind it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
