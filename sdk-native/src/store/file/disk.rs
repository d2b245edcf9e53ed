use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// What a log needs of a disk. The tests have one that fails, and one whose power is cut.
pub(super) trait Disk {
    /// Returns the file's content; `None` if there is no file.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>>;
    /// Writes at the end, which is `at`. After an error any part of it may be written, but not all.
    fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file off; durable with the next [`sync`](Self::sync).
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Makes durable what was appended. After an error nobody knows what is.
    fn sync(&mut self) -> io::Result<()>;
    /// Puts another file in the place of this one, durably.
    fn replace(&mut self, content: &[u8]) -> Result<(), Replace>;
}

/// Why a file could not be replaced.
#[derive(Debug)]
pub(super) enum Replace {
    /// The old one is still there, untouched.
    Not(io::Error),
    /// The new one is there, and after a power cut perhaps the old one.
    Perhaps(io::Error),
}

/// A file, and the lock beside it.
#[derive(Debug)]
pub(super) struct LockedFile {
    path: PathBuf,
    file: Option<File>,
    /// Holds the lock until it is dropped. The store's own file cannot: it is replaced.
    _lock: File,
}

impl LockedFile {
    /// Locks the file at `path`, which need not exist.
    ///
    /// # Errors
    /// [`StoreError::Locked`], or what the system says.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = private().create(true).truncate(false).write(true).open(beside(path, ".lock")).map_err(failure)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::Locked,
            TryLockError::Error(error) => failure(error),
        })?;
        // A process that was killed while it replaced the file left this.
        match fs::remove_file(beside(path, ".new")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failure(error)),
            Ok(()) | Err(_) => {}
        }
        let file = match private().read(true).write(true).open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failure(error)),
        };
        Ok(Self { path: path.to_owned(), file, _lock: lock })
    }

    fn file(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for LockedFile {
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut content = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut content)?;
        Ok(Some(content))
    }

    fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file()?.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn replace(&mut self, content: &[u8]) -> Result<(), Replace> {
        let new = beside(&self.path, ".new");
        let written = write_new(&new, content).and_then(|file| {
            fs::rename(&new, &self.path)?;
            Ok(file)
        });
        match written {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                // Otherwise the next start removes it.
                let _ = fs::remove_file(&new);
                return Err(Replace::Not(error));
            }
        }
        sync_folder(&self.path).map_err(Replace::Perhaps)
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file = private().create(true).truncate(true).read(true).write(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

/// Makes a rename durable.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

/// Windows has no way to sync a folder; NTFS journals the rename.
#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Files that only their owner reads.
fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Tells what an error means to a store.
pub(super) fn failure(error: io::Error) -> StoreError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let is_full = matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge);
    if is_full { StoreError::Full } else { StoreError::Io(error.to_string()) }
}
