use std::collections::BTreeMap;

use super::StoreBatch;

/// Batches that are committed together: the same as one after the other, but written once and synced once.
///
/// The last word about a key counts, and `clear` voids every word before it. What is put and removed within a group is
/// never written.
#[derive(Default)]
pub(super) struct Group {
    clear: bool,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Group {
    pub(super) fn add(&mut self, batch: StoreBatch) {
        if batch.clear {
            self.clear = true;
            self.writes.clear();
        }
        self.writes.extend(batch.deletes.into_iter().map(|key| (key, None)));
        self.writes.extend(batch.puts.into_iter().map(|(key, value)| (key, Some(value))));
    }

    pub(super) fn into_batch(self) -> StoreBatch {
        let mut batch = StoreBatch { clear: self.clear, ..StoreBatch::default() };
        for (key, value) in self.writes {
            match value {
                Some(value) => batch.puts.push((key, value)),
                None if !self.clear => batch.deletes.push(key),
                None => {}
            }
        }
        batch
    }
}
