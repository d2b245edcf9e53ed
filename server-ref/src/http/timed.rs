//! The files of the log, with a clock on every fdatasync.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::engine::log::{Files, LogFile, Space};

/// How long fdatasync takes, in s.
#[derive(Clone, Debug)]
pub struct SyncTimes(pub(super) Histogram);

impl Default for SyncTimes {
    /// Buckets from 100 µs to 1.6 s, each twice the one before.
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(0.000_1, 2.0, 15)))
    }
}

impl SyncTimes {
    /// Watches the files of a directory.
    pub fn watch(&self, files: Arc<dyn Files>) -> Arc<dyn Files> {
        Arc::new(Timed { inner: files, times: self.clone() })
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
        self.times.0.observe(began.elapsed().as_secs_f64());
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.inner.read_at(bytes, at)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}
