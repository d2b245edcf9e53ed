//! Ids, producers and cursors that the core has handed over, in sorted files that never change.
//!
//! Each checkpoint writes a table of what has changed, and names the tables that count. Of a key the newest value is
//! true. Tables of about one size are merged beside the batches; those that were merged are removed when a checkpoint
//! no longer names them. Blocks and filters are read through a cache, so that memory does not grow with what is stored.

mod cache;
mod filter;
mod format;
mod merge;
mod table;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use self::cache::Cache;
pub(super) use self::merge::Merge;
pub(super) use self::table::{Table, TableError, name, number_of};
use super::OpenError;
use super::files::{Files, is_full};
use crate::engine::core::{Entries, Expiry, StateKey};

/// What tables there are, for tests, metrics and `inspect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Tables.
    pub tables: usize,
    /// Values in them, older ones of the same key included.
    pub entries: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Bytes in memory: of directories and of the cache.
    pub memory: usize,
    /// Blocks and filters that were not in the cache so far.
    pub reads: u64,
}

/// See the module's documentation.
pub(super) struct Tables {
    /// Newest first.
    live: Vec<Arc<Table>>,
    cache: Cache,
    /// Bytes for directories and cache.
    capacity: usize,
    reads: u64,
    /// The number of the next table.
    next: u64,
    /// Tables that no longer count, though a checkpoint may name them.
    obsolete: Vec<u64>,
    /// As of the newest checkpoint.
    expiry: Expiry,
    /// The table that a checkpoint under way writes.
    flushing: Option<u64>,
    /// The tables that are being merged, or cannot be.
    merging: Vec<u64>,
    stopped: Arc<AtomicBool>,
}

/// A table that a checkpoint is to write, and the older ones that it will name, the newest first.
pub(super) struct Flush {
    number: u64,
    entries: Entries,
    older: Vec<u64>,
}

/// The tables that a checkpoint names, the newest first; the first may be new.
pub(super) struct Flushed {
    table: Option<Table>,
    pub(super) named: Vec<u64>,
}

impl Flush {
    /// Writes the table, if there is something to write.
    pub(super) fn store(mut self, files: &dyn Files) -> io::Result<Flushed> {
        if self.entries.is_empty() {
            return Ok(Flushed { table: None, named: self.older });
        }
        self.entries.sort();
        let table = Table::write(files, self.number, |writer| {
            self.entries.iter().try_for_each(|(key, value)| writer.push(key, value))
        })?;
        self.older.insert(0, self.number);
        Ok(Flushed { table: Some(table), named: self.older })
    }
}

impl Tables {
    /// Opens the tables that a checkpoint names, the newest first, among files with these names.
    pub(super) fn open(files: &dyn Files, named: &[u64], names: &[String], capacity: usize) -> Result<Self, OpenError> {
        let open = |number: &u64| Table::open(files, *number).map(Arc::new);
        let mut tables = Self {
            live: named.iter().map(open).collect::<Result<_, _>>()?,
            cache: Cache::new(0),
            capacity,
            reads: 0,
            next: names.iter().filter_map(|name| number_of(name)).max().map_or(0, |last| last.wrapping_add(1)),
            obsolete: Vec::new(),
            expiry: Expiry::default(),
            flushing: None,
            merging: Vec::new(),
            stopped: Arc::default(),
        };
        tables.resize_cache();
        Ok(tables)
    }

    /// Returns the newest value of a key, if there is one.
    pub(super) fn find(&mut self, key: StateKey) -> Result<Option<Bytes>, TableError> {
        let hash = filter::hash(key);
        for number in 0..self.live.len() {
            let Some(table) = self.live.get(number).map(Arc::clone) else { break };
            let Some(group) = table.group(key) else { continue };
            let filter = self.read(&table, group.filter)?;
            if !filter::admits(&filter, hash) {
                continue;
            }
            let Some(block) = table.block(key) else { continue };
            let mut rest = self.read(&table, block.place)?;
            while let Some((other, value)) = format::next_entry(&mut rest).filter(|(other, _)| *other <= key) {
                if other == key {
                    return Ok(Some(value).filter(|value| !value.is_empty()));
                }
            }
        }
        Ok(None)
    }

    /// Hands out the newest value of each key of a range, in order.
    pub(super) fn scan(&self, keys: Range<StateKey>, each: &mut dyn FnMut(Bytes)) -> io::Result<()> {
        merge::newest(&self.live, keys.start, |key, value| {
            if key < keys.end && !value.is_empty() {
                each(value);
            }
            Ok(key < keys.end)
        })
    }

    fn read(&mut self, table: &Table, place: (u64, u32)) -> Result<Bytes, TableError> {
        if let Some(content) = self.cache.get((table.number, place.0)) {
            return Ok(content);
        }
        self.reads += 1;
        let content = table.read(place)?;
        self.cache.put((table.number, place.0), content.clone());
        Ok(content)
    }

    /// Begins a checkpoint: what it has to write.
    pub(super) fn flush(&mut self, entries: Entries, expiry: Expiry) -> Flush {
        self.expiry = expiry;
        let number = self.take_number();
        self.flushing = Some(number);
        Flush { number, entries, older: self.numbers() }
    }

    /// A checkpoint is written. Returns the tables whose files are of no use any more.
    pub(super) fn flushed(&mut self, flushed: Flushed) -> Vec<u64> {
        self.flushing = None;
        if let Some(table) = flushed.table {
            self.live.insert(0, Arc::new(table));
            self.resize_cache();
        }
        let (kept, gone) = std::mem::take(&mut self.obsolete).into_iter().partition(|n| flushed.named.contains(n));
        self.obsolete = kept;
        gone
    }

    /// A checkpoint could not be written, though perhaps its table.
    pub(super) fn not_flushed(&mut self) {
        self.obsolete.extend(self.flushing.take());
    }

    /// Begins a merge, if one is due.
    pub(super) fn begin_merge(&mut self) -> Option<Merge> {
        let count = merge::choose(self.live.iter().map(|table| table.bytes));
        if !self.merging.is_empty() || count == 0 {
            return None;
        }
        let tables: Vec<Arc<Table>> = self.live.iter().take(count).cloned().collect();
        self.merging = tables.iter().map(|table| table.number).collect();
        Some(Merge {
            tables,
            number: self.take_number(),
            expiry: (count == self.live.len()).then(|| self.expiry.clone()),
            stopped: Arc::clone(&self.stopped),
        })
    }

    /// A merge came to its end.
    ///
    /// # Errors
    /// The system's. A damaged table only ends all merging, and without room the next checkpoint tries again.
    pub(super) fn merged(&mut self, merged: io::Result<Table>) -> io::Result<()> {
        match merged {
            Ok(table) => {
                let old = std::mem::take(&mut self.merging);
                let at = self.live.iter().position(|table| old.contains(&table.number)).unwrap_or(0);
                self.live.retain(|table| !old.contains(&table.number));
                self.live.insert(at, Arc::new(table));
                self.obsolete.extend(old);
                self.resize_cache();
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(%error, "the log is damaged: look with `moorline-server inspect`");
            }
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, "no room to merge tables; trying again later");
                self.merging.clear();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Nobody waits for a merge any more.
    pub(super) fn stop_merging(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Tells whether a checkpoint would let files be removed.
    pub(super) fn has_obsolete(&self) -> bool {
        !self.obsolete.is_empty()
    }

    /// Returns the numbers of the tables that count, the newest first.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.live.iter().map(|table| table.number).collect()
    }

    /// Reads all tables.
    pub(super) fn verify(&self) -> Result<(), TableError> {
        self.live.iter().try_for_each(|table| table.verify())
    }

    /// Returns how much there is.
    pub(super) fn stats(&self) -> TableStats {
        TableStats {
            tables: self.live.len(),
            entries: self.live.iter().map(|table| table.directory.entries).sum(),
            bytes: self.live.iter().map(|table| table.bytes).sum(),
            memory: self.directories() + self.cache.bytes(),
            reads: self.reads,
        }
    }

    fn directories(&self) -> usize {
        self.live.iter().map(|table| table.memory()).sum()
    }

    /// The cache gets what the directories leave.
    fn resize_cache(&mut self) {
        self.cache.resize(self.capacity.saturating_sub(self.directories()));
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::files::Directory;

    fn entries(of: &[(u128, &str)]) -> Entries {
        let mut entries = Entries::default();
        of.iter().for_each(|(key, value)| entries.push(StateKey(*key), |out| out.extend_from_slice(value.as_bytes())));
        entries
    }

    fn flush(tables: &mut Tables, files: &dyn Files, of: &[(u128, &str)]) -> Vec<u64> {
        let flush = tables.flush(entries(of), Expiry::default());
        tables.flushed(flush.store(files).unwrap())
    }

    fn found(tables: &mut Tables, key: u128) -> Option<String> {
        tables.find(StateKey(key)).unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
    }

    #[test]
    fn the_newest_value_counts_whatever_is_merged_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let files = Directory::new(dir.path());
        let mut tables = Tables::open(&files, &[], &[], 1 << 20).unwrap();
        // Of one batch the last counts, too.
        flush(&mut tables, &files, &[(1, "old"), (1, "a"), (2, "gone soon"), (3, "stays")]);
        flush(&mut tables, &files, &[(1, "b"), (9, "largest")]);
        flush(&mut tables, &files, &[(1, "c"), (2, "")]);
        assert!(tables.begin_merge().is_none());
        flush(&mut tables, &files, &[(1, "d"), (4, "new")]);
        let merge = tables.begin_merge().unwrap();
        assert_eq!(flush(&mut tables, &files, &[(1, "e"), (4, "")]), [0; 0]);
        assert!(tables.begin_merge().is_none());
        let check = |tables: &mut Tables| {
            let values = [1, 2, 3, 4, 5, 9].map(|key| found(tables, key));
            assert_eq!(
                values.each_ref().map(Option::as_deref),
                [Some("e"), None, Some("stays"), None, None, Some("largest")]
            );
        };
        check(&mut tables);
        tables.merged(merge.run(&files)).unwrap();
        check(&mut tables);
        // 1, 3, 4 and 9 are left of the merged ones, and 1 and 4 are newer.
        assert_eq!((tables.stats().tables, tables.stats().entries), (2, 6));
        // The files of the merged ones go when a checkpoint names others.
        assert_eq!(flush(&mut tables, &files, &[(6, "x")]), [0, 1, 2, 3].map(|n| 3 - n));
        let mut again = Tables::open(&files, &tables.numbers(), &files.list().unwrap(), 0).unwrap();
        check(&mut again);
        assert_eq!(again.next, tables.next);
        again.verify().unwrap();
    }

    #[test]
    fn many_values_and_large_ones_are_found_through_a_small_cache() {
        let dir = tempfile::tempdir().unwrap();
        let files = Directory::new(dir.path());
        let mut tables = Tables::open(&files, &[], &[], 64 << 10).unwrap();
        let value = |key: u128| "v".repeat(if key.is_multiple_of(1_000) { 40_000 } else { key as usize % 90 + 1 });
        let mut entries = Entries::default();
        (0..20_000).rev().for_each(|n| entries.push(StateKey(n * 3), |out| out.extend_from_slice(value(n).as_bytes())));
        let flushed = tables.flush(entries, Expiry::default()).store(&files).unwrap();
        tables.flushed(flushed);
        for n in (0..20_000).step_by(37).chain([0, 1_000, 19_000, 19_999]) {
            assert_eq!(found(&mut tables, n * 3), Some(value(n)));
            assert_eq!(found(&mut tables, n * 3 + 1), None);
            assert!(tables.stats().memory <= 64 << 10);
        }
        assert_eq!(found(&mut tables, 1 << 100), None);
    }

    #[test]
    fn a_merge_that_is_stopped_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let files = Directory::new(dir.path());
        let mut tables = Tables::open(&files, &[], &[], 0).unwrap();
        (0..4).for_each(|n| drop(flush(&mut tables, &files, &[(n, "x")])));
        let merge = tables.begin_merge().unwrap();
        tables.stop_merging();
        tables.merged(merge.run(&files)).unwrap();
        assert_eq!((tables.stats().tables, files.list().unwrap().len()), (4, 4));
    }
}
