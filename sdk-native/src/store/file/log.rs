use std::collections::BTreeSet;

use super::disk::{Disk, Replace, failure};
use super::record::{self, Entries, HEADER};
use super::schema::{SCHEMA, Schema};
use crate::store::{StoreBatch, StoreError};

/// A file shorter than this is not worth writing anew.
pub(super) const WORTHWHILE: u64 = 256 << 10;

/// A log of writes that is written anew when most of it is void.
///
/// Everything it holds is in memory, too: the file is read once, and what is written anew never comes from a disk that
/// has just failed.
pub(super) struct Log<D: Disk> {
    disk: D,
    schema: Schema,
    entries: Entries,
    /// Bytes of the entries in the file.
    live: u64,
    /// Where the next record goes.
    end: u64,
    /// The file is not written anew before it is so long.
    worthwhile: u64,
    tail: Tail,
}

/// What stands at the end of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// The mark of a closed file.
    Closed,
    /// The last commit.
    Open,
    /// Perhaps a commit that failed: nothing is appended to it, the file is written anew first.
    Doubtful,
}

impl<D: Disk> Log<D> {
    /// Opens the log, or begins one. One of an earlier version is replaced by one of this.
    ///
    /// # Errors
    /// [`StoreError`]; a damaged file is not changed.
    pub(super) fn open(disk: D) -> Result<Self, StoreError> {
        Self::open_as(disk, SCHEMA)
    }

    /// As [`open`](Self::open), with the versions that are known.
    ///
    /// # Errors
    /// The same.
    pub(super) fn open_as(mut disk: D, schema: Schema) -> Result<Self, StoreError> {
        let Some(file) = disk.read().map_err(failure)? else {
            let mut log = Self::new(disk, schema, Entries::new(), 0, Tail::Doubtful);
            log.rewrite(StoreBatch::default()).map_err(WriteError::into_error)?;
            return Ok(log);
        };
        let version = record::version(&file, schema.version())?;
        let (mut entries, mut at, mut tail) = (Entries::new(), HEADER, Tail::Open);
        while let Some((body, next)) = record::decode(&file, at) {
            record::replay(body, &mut entries)?;
            tail = if body.is_empty() { Tail::Closed } else { Tail::Open };
            at = next;
        }
        if at < file.len() {
            // A commit that a crash cut short is the last of all. What is followed by another was whole once.
            if (at + 1..file.len()).any(|later| record::decode(&file, later).is_some()) {
                return Err(StoreError::Corrupt("a record in the middle of it"));
            }
            if version == schema.version() {
                disk.truncate(at as u64).map_err(failure)?;
            }
        }
        if version < schema.version() {
            return Self::migrate(disk, schema, schema.migrate(version, entries)?);
        }
        Ok(Self::new(disk, schema, entries, at as u64, tail))
    }

    /// Puts a file of this version in the place of an earlier one's. Until it is there, the earlier one is, untouched.
    fn migrate(disk: D, schema: Schema, entries: Entries) -> Result<Self, StoreError> {
        let mut log = Self::new(disk, schema, entries, 0, Tail::Doubtful);
        match log.rewrite(StoreBatch::default()) {
            // A power cut may bring back the earlier file, which says the same; the first commit writes a new one again.
            Ok(()) | Err(WriteError::Perhaps(_)) => Ok(log),
            Err(WriteError::Not(error, _)) => Err(error),
        }
    }

    fn new(disk: D, schema: Schema, entries: Entries, end: u64, tail: Tail) -> Self {
        let live = entries.iter().map(|(key, value)| record::length_of(key, value)).sum();
        Self { disk, schema, entries, live, end, worthwhile: WORTHWHILE, tail }
    }

    pub(super) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Makes a batch durable.
    ///
    /// # Errors
    /// [`StoreError`]. Nothing of the batch is in the file then, nor ever will be, but for [`StoreError::Uncertain`].
    pub(super) fn commit(&mut self, batch: StoreBatch) -> Result<(), StoreError> {
        if self.tail == Tail::Doubtful || (batch.clear && !batch.puts.is_empty()) {
            return self.rewrite(batch).map_err(WriteError::into_error);
        }
        if batch.clear {
            return self.wipe();
        }
        if self.end < self.worthwhile.max(2 * self.live) {
            return self.append(batch);
        }
        match self.rewrite(batch) {
            Ok(()) => Ok(()),
            Err(WriteError::Perhaps(error)) => Err(error),
            Err(WriteError::Not(_, batch)) => {
                // No room for a second file, perhaps: the one there is goes on for a while.
                self.worthwhile = self.end + WORTHWHILE;
                self.append(batch)
            }
        }
    }

    fn append(&mut self, batch: StoreBatch) -> Result<(), StoreError> {
        let record = record::encode_batch(self.end, &batch);
        if let Err(error) = self.disk.append(self.end, &record) {
            if self.disk.truncate(self.end).is_err() {
                self.tail = Tail::Doubtful;
            }
            return Err(failure(error));
        }
        if let Err(error) = self.disk.sync() {
            return Err(self.roll_back(&error));
        }
        self.end += record.len() as u64;
        self.tail = Tail::Open;
        self.apply(batch);
        Ok(())
    }

    /// A sync failed: the record may be durable or not, and asking again proves nothing. A new file without it settles
    /// that.
    fn roll_back(&mut self, error: &std::io::Error) -> StoreError {
        let before = self.end;
        self.tail = Tail::Doubtful;
        match self.rewrite(StoreBatch::default()) {
            Ok(()) => StoreError::Io(error.to_string()),
            Err(WriteError::Perhaps(_)) => StoreError::Uncertain(error.to_string()),
            Err(WriteError::Not(..)) => {
                // As long as the power stays on, this removes it.
                let _ = self.disk.truncate(before);
                StoreError::Uncertain(error.to_string())
            }
        }
    }

    /// Writes everything, with a batch, into a new file that takes the place of this one.
    fn rewrite(&mut self, batch: StoreBatch) -> Result<(), WriteError> {
        let content = self.snapshot(&batch);
        match self.disk.replace(&content) {
            Ok(()) => {
                self.end = content.len() as u64;
                self.worthwhile = WORTHWHILE;
                self.tail = Tail::Open;
                self.apply(batch);
                Ok(())
            }
            Err(Replace::Not(error)) => Err(WriteError::Not(failure(error), batch)),
            Err(Replace::Perhaps(error)) => {
                self.tail = Tail::Doubtful;
                Err(WriteError::Perhaps(StoreError::Uncertain(error.to_string())))
            }
        }
    }

    fn snapshot(&self, batch: &StoreBatch) -> Vec<u8> {
        let removed: BTreeSet<&[u8]> = batch.deletes.iter().map(Vec::as_slice).collect();
        let kept = self.entries.iter().filter(|(key, _)| !batch.clear && !removed.contains(key.as_slice()));
        let puts = kept.chain(batch.puts.iter().map(|(key, value)| (key, value)));
        let record = record::encode(HEADER as u64, [], puts.map(|(key, value)| (key.as_slice(), value.as_slice())));
        [record::header(self.schema.version()), record].concat()
    }

    /// Removes everything. Needs no room, so that it works on a full disk.
    fn wipe(&mut self) -> Result<(), StoreError> {
        self.disk.truncate(HEADER as u64).map_err(failure)?;
        self.tail = Tail::Doubtful;
        self.disk.sync().map_err(|error| StoreError::Uncertain(error.to_string()))?;
        self.apply(StoreBatch { clear: true, ..StoreBatch::default() });
        self.end = HEADER as u64;
        self.tail = Tail::Open;
        Ok(())
    }

    fn apply(&mut self, batch: StoreBatch) {
        if batch.clear {
            self.entries.clear();
            self.live = 0;
        }
        for key in batch.deletes {
            if let Some(value) = self.entries.remove(&key) {
                self.live -= record::length_of(&key, &value);
            }
        }
        for (key, value) in batch.puts {
            self.live += record::length_of(&key, &value);
            if let Some(before) = self.entries.get(&key) {
                self.live -= record::length_of(&key, before);
            }
            self.entries.insert(key, value);
        }
    }

    /// Leaves the mark that nothing is missing at the end.
    fn close(&mut self) {
        if self.tail == Tail::Open {
            let mark = record::encode(self.end, [], []);
            // Without the mark the file is as good as that of a process that was killed.
            let _ = self.disk.append(self.end, &mark).and_then(|()| self.disk.sync());
        }
    }
}

impl<D: Disk> Drop for Log<D> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Why the file was not written anew.
enum WriteError {
    /// It is as it was; the batch comes back.
    Not(StoreError, StoreBatch),
    /// It is, and perhaps will not have been.
    Perhaps(StoreError),
}

impl WriteError {
    fn into_error(self) -> StoreError {
        match self {
            Self::Not(error, _) | Self::Perhaps(error) => error,
        }
    }
}
