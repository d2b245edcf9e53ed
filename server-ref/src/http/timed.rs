//! The files of the log, with a clock on every fdatasync.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use serde::Serialize;

use crate::engine::log::{Files, LogFile, Space};

/// How long fdatasync takes, in s.
#[derive(Clone, Debug)]
pub struct SyncTimes {
    pub(super) histogram: Histogram,
    /// The same for the console, finer.
    counts: Arc<[AtomicU64; BUCKETS]>,
}

/// Buckets of the console: from 50 µs to 3.3 s, each a fifth larger than the one before.
const BUCKETS: usize = 64;
const SMALLEST: f64 = 0.000_05;
const GROWTH: f64 = 1.2;

impl Default for SyncTimes {
    /// Buckets from 100 µs to 1.6 s, each twice the one before.
    fn default() -> Self {
        let counts = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
        Self { histogram: Histogram::new(exponential_buckets(0.000_1, 2.0, 15)), counts }
    }
}

/// How many syncs took how long, since the start.
#[derive(Clone, Debug)]
pub(super) struct SyncCounts([u64; BUCKETS]);

impl Default for SyncCounts {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

/// Syncs since the start; times in ms.
#[derive(Debug, Serialize)]
pub(super) struct SyncSummary {
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<f64>,
}

impl SyncCounts {
    /// Returns the time in ms within which so large a part of the syncs was done, as far as buckets can say.
    fn within(&self, part: f64) -> Option<f64> {
        let all: u64 = self.0.iter().sum();
        let wanted = (all as f64 * part).ceil().max(1.0) as u64;
        let mut sum = 0;
        let at = self.0.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        at.map(|at| SMALLEST * GROWTH.powi(at as i32) * 1_000.0)
    }

    pub(super) fn summary(&self) -> SyncSummary {
        let (p50, p99, most) = (self.within(0.5), self.within(0.99), self.within(1.0));
        SyncSummary { count: self.0.iter().sum(), p50, p99, most }
    }
}

/// Returns how many syncs there were between two moments, and their 99th percentile in ms.
pub(super) fn between(then: Option<&SyncCounts>, now: &SyncCounts) -> (u64, Option<f64>) {
    let mut new = now.clone();
    if let Some(then) = then {
        new.0.iter_mut().zip(&then.0).for_each(|(count, then)| *count = count.saturating_sub(*then));
    }
    (new.0.iter().sum(), new.within(0.99))
}

impl SyncTimes {
    /// Watches the files of a directory.
    pub fn watch(&self, files: Arc<dyn Files>) -> Arc<dyn Files> {
        Arc::new(Timed { inner: files, times: self.clone() })
    }

    fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.histogram.observe(seconds);
        let bucket = (seconds / SMALLEST).max(1.0).log(GROWTH).ceil() as usize;
        if let Some(count) = self.counts.get(bucket.min(BUCKETS - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many syncs took how long, since the start.
    pub(super) fn counts(&self) -> SyncCounts {
        let mut counts = SyncCounts::default();
        counts.0.iter_mut().zip(self.counts.iter()).for_each(|(to, from)| *to = from.load(Ordering::Relaxed));
        counts
    }
}

struct Timed<T> {
    inner: T,
    times: SyncTimes,
}

impl Timed<Arc<dyn Files>> {
    fn file(&self, file: Arc<dyn LogFile>) -> Arc<dyn LogFile> {
        Arc::new(Timed { inner: file, times: self.times.clone() })
    }
}

impl Files for Timed<Arc<dyn Files>> {
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.inner.create(name).map(|file| self.file(file))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Arc<dyn LogFile>> {
        self.inner.open(name, writable).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn space(&self) -> io::Result<Option<Space>> {
        self.inner.space()
    }
}

impl LogFile for Timed<Arc<dyn LogFile>> {
    fn reserve(&self, size: u64) -> io::Result<()> {
        self.inner.reserve(size)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.inner.write_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        let began = Instant::now();
        self.inner.sync()?;
        self.times.observe(began.elapsed());
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.inner.read_at(bytes, at)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_a_fifth() {
        let times = SyncTimes::default();
        for ms in 1..=100 {
            times.observe(Duration::from_millis(ms));
        }
        let before = times.counts();
        let summary = before.summary();
        assert_eq!(summary.count, 100);
        let is_near = |found: Option<f64>, ms: f64| found.is_some_and(|found| (ms..ms * 1.2).contains(&found));
        assert!(
            is_near(summary.p50, 50.0) && is_near(summary.p99, 99.0) && is_near(summary.most, 100.0),
            "{summary:?}"
        );
        times.observe(Duration::from_micros(400));
        let (count, p99) = between(Some(&before), &times.counts());
        assert!(count == 1 && is_near(p99, 0.4), "{p99:?}");
        assert_eq!(between(Some(&before), &before), (0, None));
        times.observe(Duration::from_secs(60));
        times.observe(Duration::ZERO);
    }
}
