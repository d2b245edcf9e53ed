use std::collections::BTreeMap;

pub use moorline_core::{StoreBatch, StoreEntry, StoreError};

/// Where a client keeps what must survive: its device, its outbox, its positions.
///
/// Called from a thread of its own, in order, never at the same time.
pub trait Store: Send + 'static {
    /// Returns everything in the store. Called once, first.
    ///
    /// # Errors
    /// [`StoreError`]; the client is not built then.
    fn load(&mut self) -> Result<Vec<StoreEntry>, StoreError>;

    /// Makes a batch durable, all of it or nothing.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch may become durable later.
    fn commit(&mut self, batch: StoreBatch) -> Result<(), StoreError>;
}

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
