//! The file store: a log of writes, small enough to be held in memory whole.

mod disk;
mod log;
mod record;
mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;

use super::{Store, StoreBatch, StoreEntry, StoreError};
use crate::error::Error;
use disk::LockedFile;
use log::Log;

/// Keeps everything in one file: what was queued goes out after a restart of the process, a crash, a power cut.
///
/// One file belongs to one user of one app: give each user who logs in a file of his own. While it is open nobody else
/// can open it; a lock file, `<file>.lock`, stands beside it. [`Client::close`](crate::Client::close) releases it before
/// it returns.
///
/// The file holds unsent messages in plain: only its owner may read it (mode 0600), and encryption is the platform's
/// (put it into the app's protected folder). [`Client::close_and_wipe`](crate::Client::close_and_wipe) empties it. It is
/// never much longer than twice what it holds plus 256 KiB; the outbox is limited to 1,000 messages and 8 MiB. Files
/// written by earlier versions of this crate are read, and replaced by one of this version in one step; later versions'
/// are refused and left as they are.
pub struct FileStore {
    log: Log<LockedFile>,
}

impl FileStore {
    /// Opens the file, or makes it; its folder must exist. Reads the whole file, which takes milliseconds.
    ///
    /// # Errors
    /// `client.store_locked` when another client has it open, `client.store_corrupt` when bytes were changed,
    /// `client.store_newer` when a later version wrote it, `storage.full` and `storage.unavailable` when the system
    /// refuses it. The file is not changed then.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let log = LockedFile::open(path).and_then(Log::open);
        log.map(|log| Self { log }).map_err(|error| Error::store(path, error))
    }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<Vec<StoreEntry>, StoreError> {
        Ok(self.log.entries().iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&mut self, batch: StoreBatch) -> Result<(), StoreError> {
        self.log.commit(batch)
    }
}
