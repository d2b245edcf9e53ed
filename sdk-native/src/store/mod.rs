//! Where a client keeps what must survive.

mod file;
mod group;
mod memory;
#[cfg(test)]
mod tests;
mod thread;

pub use file::FileStore;
pub use memory::MemoryStore;
pub use moorline_core::{StoreBatch, StoreEntry, StoreError};
pub(crate) use thread::StoreThread;

/// Where a client keeps what must survive: its device, its outbox, its positions.
///
/// Called from a thread of its own, in order, never at the same time. It is dropped before
/// [`Client::close`](crate::Client::close) returns.
pub trait Store: Send + 'static {
    /// Returns everything in the store. Called once, first.
    ///
    /// # Errors
    /// [`StoreError`]; the client is not built then.
    fn load(&mut self) -> Result<Vec<StoreEntry>, StoreError>;

    /// Makes a batch durable, all of it or nothing. What waits is merged into one batch before.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch may become durable later, but for [`StoreError::Uncertain`].
    fn commit(&mut self, batch: StoreBatch) -> Result<(), StoreError>;
}
