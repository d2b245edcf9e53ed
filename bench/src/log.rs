//! The log engine alone, in this process: how fast it stores, how fast it opens again, what its state costs.

mod state;
mod turns;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use moorline_server::engine::ReadRange;

use self::turns::Log;
use crate::error::Result;
use crate::machine;
use crate::peer::disk;
use crate::table::{self, Column};

/// The log engine, without sockets.
#[derive(Debug, clap::Args)]
pub(crate) struct LogBench {
    /// The server's binary: the log stands beside it, which is on a disk.
    #[arg(long)]
    server: PathBuf,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Messages of the log that is opened again.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Channels that they are spread over.
    #[arg(long, default_value_t = 1_000)]
    channels: u64,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// Messages stored with one sync.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1_024])]
    batches: Vec<u64>,
    /// Seconds that storing is measured, per batch size and round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

const OPENING: &[Column] =
    &[("after a good end ms", 1), ("of them CPU", 1), ("after a kill ms", 1), ("of them CPU", 1), ("MB on disk", 0)];
const READING: &[Column] = &[("hot µs", 1), ("cold µs", 1)];
const STORING: &[Column] = &[("stored and synced/s", 0), ("µs/message", 2)];
/// Reads of which the median is taken.
const READS: u64 = 200;
/// Messages of a read.
const LAST: usize = 100;

impl LogBench {
    pub(crate) fn run(&self) -> Result {
        state::print(self.channels, self.messages);
        let beside = disk(&self.server);
        let rows: Vec<(String, Vec<Vec<f64>>)> = self
            .batches
            .iter()
            .map(|batch| Ok((format!("batch {batch}"), self.each_round(|_| self.storing(beside, *batch))?)))
            .collect::<Result<_>>()?;
        let rows: Vec<_> = rows.iter().map(|(name, rounds)| (name.as_str(), rounds.clone())).collect();
        table::print(&format!("Storing: {} B, one channel, fdatasync after each batch", self.size), STORING, &rows);

        let folder = tempfile::tempdir_in(beside)?;
        let mut log = Log::open(folder.path())?;
        self.fill(&mut log)?;
        log.close()?;
        let opening = self.each_round(|_| opening(folder.path()))?;
        let title =
            format!("Opening again: {} messages of {} B in {} channels", self.messages, self.size, self.channels);
        table::print(&title, OPENING, &[("log", opening)]);
        let reading = self.each_round(|round| self.reading(folder.path(), round))?;
        table::print(&format!("The last {LAST} messages of a channel"), READING, &[("log", reading)]);
        Ok(())
    }

    fn each_round(&self, measure: impl Fn(u64) -> Result<Vec<f64>>) -> Result<Vec<Vec<f64>>> {
        (0..self.rounds as u64).map(measure).collect()
    }

    fn storing(&self, beside: &Path, batch: u64) -> Result<Vec<f64>> {
        let folder = tempfile::tempdir_in(beside)?;
        let mut log = Log::open(folder.path())?;
        let (mut stored, span) = (0, Duration::from_secs(self.seconds));
        let begin = Instant::now();
        while begin.elapsed() < span {
            log.store((stored..stored + batch).map(|n| (0, n)), self.size)?;
            stored += batch;
        }
        let seconds = begin.elapsed().as_secs_f64();
        Ok(vec![stored as f64 / seconds, seconds * 1e6 / stored as f64])
    }

    fn fill(&self, log: &mut Log) -> Result {
        let mut stored = 0;
        while stored < self.messages {
            let batch = (self.messages - stored).min(1_024);
            log.store((stored..stored + batch).map(|n| (n % self.channels, n)), self.size)?;
            stored += batch;
        }
        Ok(())
    }

    fn reading(&self, folder: &Path, round: u64) -> Result<Vec<f64>> {
        let mut log = Log::open(folder)?;
        let cold: Vec<f64> = (0..READS).map(|n| log.read(n % self.channels, LAST)).collect::<Result<_>>()?;
        for n in 0..LAST as u64 {
            // Of each round its own, beyond those that are there.
            log.store(std::iter::once((0, self.messages + round * LAST as u64 + n)), self.size)?;
        }
        let hot: Vec<f64> = (0..READS).map(|_| log.read(0, LAST)).collect::<Result<_>>()?;
        log.close()?;
        Ok(vec![table::median(hot), table::median(cold)])
    }
}

fn opening(folder: &Path) -> Result<Vec<f64>> {
    let open = || {
        let (begin, used) = (Instant::now(), machine::thread_time());
        let log = Log::open(folder)?;
        let used = machine::thread_time() - used;
        Ok::<_, crate::error::Error>((log, [begin.elapsed(), used].map(|time| time.as_secs_f64() * 1e3)))
    };
    let (log, after_end) = open()?;
    // Dropped without a word, as a killed process leaves it.
    drop(log);
    let (log, after_kill) = open()?;
    log.close()?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok([&after_end[..], &after_kill[..], &[bytes as f64 / 1e6]].concat())
}

/// The newest messages.
const NEWEST: ReadRange = ReadRange::Newest;
