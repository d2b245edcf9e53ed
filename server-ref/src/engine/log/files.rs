//! The file system as the log needs it: a seam at which tests let it fail, and lose what was not synced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::space::Space;

/// An open file.
pub trait LogFile: Send + Sync {
    /// Takes the room for `size` bytes, or fails at once if there is not so much.
    ///
    /// # Errors
    /// The system's.
    fn reserve(&self, size: u64) -> io::Result<()>;

    /// Writes all of `bytes` at a position.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes what was written durable (fdatasync).
    ///
    /// # Errors
    /// The system's. Never tried again: after a failure nobody knows what is on the disk.
    fn sync(&self) -> io::Result<()>;

    /// Fills `bytes` from a position.
    ///
    /// # Errors
    /// The system's, and `UnexpectedEof`.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;

    /// Returns the length.
    ///
    /// # Errors
    /// The system's.
    fn size(&self) -> io::Result<u64>;
}

/// The files of one directory. Names come and go durably only with [`sync`](Self::sync).
pub trait Files: Send + Sync {
    /// Creates an empty file, in place of one of the same name.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;

    /// Opens a file.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, name: &str, writable: bool) -> io::Result<Arc<dyn LogFile>>;

    /// Renames a file, over one that has the new name.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns all names, sorted.
    ///
    /// # Errors
    /// The system's.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes what happened to names durable.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self) -> io::Result<()>;

    /// Returns the room of the file system; `None` where there is no such thing.
    ///
    /// # Errors
    /// The system's.
    fn space(&self) -> io::Result<Option<Space>> {
        Ok(None)
    }
}

/// The end of the name of a file that is not complete. Whatever bears it at a start is of no use.
pub(super) const TEMPORARY: &str = ".new";
/// Zeros are written in parts of this size.
const PART: usize = 1 << 20;

/// Tells whether something failed for lack of room, which may pass.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Returns a whole file.
pub(super) fn read(files: &dyn Files, name: &str) -> io::Result<Vec<u8>> {
    let file = files.open(name, false)?;
    let mut bytes = vec![0; file.size()? as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Writes a whole file so that it is there completely or not at all, durably. If that fails, what was there before
/// still is.
pub(super) fn replace(files: &dyn Files, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_new(files, name, |file| file.write_at(bytes, 0)).map(|_| ())
}

/// Creates a file of `size` zero bytes whose room is taken for good, in place of one of the same name.
pub(super) fn allocate(files: &dyn Files, name: &str, size: u64) -> io::Result<Arc<dyn LogFile>> {
    // Zeros instead of reserved room alone: a later fdatasync then has no metadata to write.
    write_new(files, name, |file| {
        file.reserve(size)?;
        write_zeros(file, 0, size)
    })
}

/// Writes zeros from a position to another.
pub(super) fn write_zeros(file: &dyn LogFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; PART.min(to.saturating_sub(from) as usize)];
    let mut at = from;
    while at < to {
        let part = zeros.get(..((to - at) as usize).min(PART)).unwrap_or(&zeros);
        file.write_at(part, at)?;
        at += part.len() as u64;
    }
    Ok(())
}

/// Creates a file, which is there completely or not at all, durably.
pub(super) fn write_new(
    files: &dyn Files,
    name: &str,
    write: impl FnOnce(&dyn LogFile) -> io::Result<()>,
) -> io::Result<Arc<dyn LogFile>> {
    let temporary = format!("{name}{TEMPORARY}");
    let written = files.create(&temporary).and_then(|file| {
        write(file.as_ref())?;
        file.sync()?;
        Ok(file)
    });
    if written.is_err() {
        // Whatever went wrong is told; a remainder would only take room.
        let _ = files.remove(&temporary);
    }
    let file = written?;
    files.rename(&temporary, name)?;
    files.sync()?;
    Ok(file)
}

/// A directory of the real file system.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Names a directory that exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl LogFile for File {
    fn reserve(&self, size: u64) -> io::Result<()> {
        let reserve = || rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, size);
        // A signal may come meanwhile, and says nothing about the disk.
        match rustix::io::retry_on_intr(reserve) {
            // Some file systems cannot tell beforehand; writing will.
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            other => Ok(other?),
        }
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(bytes, at)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl Files for Directory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Arc::new(options.open(self.0.join(name))?))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(writable).open(self.0.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.0.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let found = rustix::fs::statvfs(&self.0)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Some(Space { free: bytes(found.f_bavail), total: bytes(found.f_blocks) }))
    }
}
