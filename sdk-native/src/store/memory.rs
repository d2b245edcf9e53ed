use std::collections::BTreeMap;

use super::{Store, StoreBatch, StoreEntry, StoreError};

/// Keeps everything in memory: nothing survives the process.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(BTreeMap<Vec<u8>, Vec<u8>>);

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Vec<StoreEntry>, StoreError> {
        Ok(self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&mut self, batch: StoreBatch) -> Result<(), StoreError> {
        if batch.clear {
            self.0.clear();
        }
        for key in &batch.deletes {
            self.0.remove(key);
        }
        self.0.extend(batch.puts);
        Ok(())
    }
}
