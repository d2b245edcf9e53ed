//! The file system as the log needs it: a seam at which tests let it fail.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open file.
pub trait LogFile: Send + Sync {
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

/// The files of one directory.
pub trait Files: Send + Sync {
    /// Creates a file of `size` zero bytes, durably allocated, in place of one of the same name.
    ///
    /// # Errors
    /// The system's; `StorageFull` leaves nothing behind.
    fn allocate(&self, name: &str, size: u64) -> io::Result<Arc<dyn LogFile>>;

    /// Opens a file.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, name: &str, writable: bool) -> io::Result<Arc<dyn LogFile>>;

    /// Writes a whole file so that it is there completely or not at all, durably.
    ///
    /// # Errors
    /// The system's.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Renames a file, durably.
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

    /// Returns a whole file.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.open(name, false)?;
        let mut bytes = vec![0; file.size()? as usize];
        file.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// A directory of the real file system.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Names a directory that exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl LogFile for File {
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
    fn allocate(&self, name: &str, size: u64) -> io::Result<Arc<dyn LogFile>> {
        let temporary = self.path(&format!("{name}.new"));
        let result = write_zeros(&temporary, size);
        if result.is_err() {
            // Whatever went wrong is told; a remainder would only take room.
            let _ = std::fs::remove_file(&temporary);
        }
        let file = result?;
        std::fs::rename(&temporary, self.path(name))?;
        self.sync_directory()?;
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(writable).open(self.path(name))?))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.path(&format!("{name}.new"));
        std::fs::write(&temporary, bytes)?;
        File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, self.path(name))?;
        self.sync_directory()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))?;
        self.sync_directory()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }
}

/// Writes zeros instead of only reserving room: a later fdatasync then has no metadata to write.
fn write_zeros(path: &Path, size: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < size {
        let part = zeros.get(..(size - at).min(1 << 20) as usize).unwrap_or(&zeros);
        file.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    file.sync_all()?;
    Ok(file)
}
