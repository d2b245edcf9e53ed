//! Makes one table of several: of a key the newest value counts.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::format;
use super::table::{Table, TableError};
use crate::engine::core::{Expiry, StateKey};
use crate::engine::log::files::Files;

/// Tables of about one size that are merged.
const MOST_ALIKE: usize = 4;
/// A table takes part if it is at most so many times as large as all newer ones together.
const RATIO: u64 = 2;

/// A merge that is to be done.
pub(in crate::engine::log) struct Merge {
    /// Newest first.
    pub(super) tables: Vec<Arc<Table>>,
    /// The number of the new table.
    pub(super) number: u64,
    /// With the oldest table among them: what is over, and what says that something is gone, goes.
    pub(super) expiry: Option<Expiry>,
    /// Whether nobody waits for it any more.
    pub(super) stopped: Arc<AtomicBool>,
}

/// Returns how many of the newest tables should become one, given their bytes, the newest first; 0 if none. So there are
/// never more than a few beside those that are each three times as large as all before: their number grows with the
/// logarithm of what they hold, and so does how often an entry is written.
pub(super) fn choose(bytes: impl IntoIterator<Item = u64>) -> usize {
    let (mut count, mut sum) = (0, 0);
    for size in bytes {
        if count > 0 && size > sum * RATIO {
            break;
        }
        (count, sum) = (count + 1, sum + size);
    }
    if count < MOST_ALIKE { 0 } else { count }
}

impl Merge {
    /// Writes the new table.
    ///
    /// # Errors
    /// The system's; `InvalidData` if a table is damaged, `Interrupted` if it was stopped.
    pub(in crate::engine::log) fn run(self, files: &dyn Files) -> io::Result<Table> {
        Table::write(files, self.number, |writer| {
            newest(&self.tables, StateKey(0), |key, value| {
                if !self.is_dropped(key, &value) {
                    writer.push(key, &value)?;
                }
                if self.stopped.load(Ordering::Relaxed) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Ok(true)
            })
        })
    }

    fn is_dropped(&self, key: StateKey, value: &Bytes) -> bool {
        self.expiry.as_ref().is_some_and(|expiry| value.is_empty() || expiry.is_over(key, value))
    }
}

/// Hands out the newest value of each key, of tables of which the newest is the first, in the order of the keys, from a
/// key on and as long as `each` says.
///
/// # Errors
/// The system's; `InvalidData` if a table is damaged.
pub(super) fn newest(
    tables: &[Arc<Table>],
    from: StateKey,
    mut each: impl FnMut(StateKey, Bytes) -> io::Result<bool>,
) -> io::Result<()> {
    let mut scans: Vec<Scan> = tables.iter().map(|table| Scan::new(Arc::clone(table), from)).collect();
    scans.iter_mut().try_for_each(Scan::advance)?;
    while let Some((key, value)) = scans.iter().filter_map(|scan| scan.head.as_ref()).min_by_key(|(key, _)| *key) {
        let (key, value) = (*key, value.clone());
        if key >= from && !each(key, value)? {
            break;
        }
        for scan in &mut scans {
            if scan.head.as_ref().is_some_and(|(other, _)| *other == key) {
                scan.advance()?;
            }
        }
    }
    Ok(())
}

/// The entries of a table, in order.
struct Scan {
    table: Arc<Table>,
    /// The number of the next block.
    next: usize,
    block: Bytes,
    head: Option<(StateKey, Bytes)>,
}

impl Scan {
    /// Begins with the block in which a key would be.
    fn new(table: Arc<Table>, from: StateKey) -> Self {
        let after = table.directory.blocks.partition_point(|block| block.first <= from);
        Self { table, next: after.saturating_sub(1), block: Bytes::new(), head: None }
    }

    fn advance(&mut self) -> io::Result<()> {
        self.head = format::next_entry(&mut self.block);
        while self.head.is_none()
            && let Some(block) = self.table.directory.blocks.get(self.next)
        {
            self.block = self.table.read(block.place).map_err(damaged)?;
            self.next += 1;
            self.head = format::next_entry(&mut self.block);
        }
        Ok(())
    }
}

fn damaged(error: TableError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_one_size_are_merged_and_larger_ones_wait() {
        assert_eq!(choose([10, 10, 10]), 0);
        assert_eq!(choose([10, 10, 10, 10]), 4);
        assert_eq!(choose([10, 10, 10, 61]), 0);
        assert_eq!(choose([10, 10, 10, 60]), 4);
        assert_eq!(choose([10, 20, 60, 100, 5_000, 10]), 4);
        assert_eq!(choose([]), 0);
    }

    #[test]
    fn there_are_few_tables_and_each_entry_is_written_a_few_times() {
        let (mut tables, mut written): (Vec<u64>, u64) = (Vec::new(), 0);
        for _ in 0..10_000 {
            tables.insert(0, 1);
            let count = choose(tables.iter().copied());
            let merged: u64 = tables.drain(..count).sum();
            written += merged;
            if merged > 0 {
                tables.insert(0, merged);
            }
            assert!(tables.len() <= 12, "{tables:?}");
        }
        assert!(written < 90_000, "{written}");
    }
}
