//! A copy of a data directory, taken while a server runs on it.
//!
//! All files are opened before any is copied: what the server removes meanwhile can still be read. The names are listed
//! until two listings with the opening between them agree, so that what is opened is all there was at one moment. The
//! newest segment, which is being written, is read from its end: what of it is missing in the copy is then its end, as
//! after a crash.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::files::{Directory, Files, TEMPORARY};
use super::open::{Identity, STORE};
use super::space::Space;
use super::{OpenError, checkpoint, index, inspect, segment, tables};

/// Bytes that are copied at once.
const PART: u64 = 1 << 20;
/// Bytes that are written together or not, where a file is read while it is written.
const PAGE: u64 = 4 << 10;
/// Bytes of what a file's metadata count in (`st_blocks`, POSIX).
const BLOCK: u64 = 512;
/// Listings that may be out of date when their files have been opened.
const ATTEMPTS: u32 = 1_000;

/// What a backup is made of.
#[derive(Debug)]
pub struct Backup {
    /// How many files there are.
    pub files: usize,
    /// Their sizes together. What is zero takes no room where the file system can leave it out.
    pub bytes: u64,
}

/// Why there is no backup.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The data directory cannot be read, or what was copied is damaged.
    Source(OpenError),
    /// There is something at the target.
    Exists(PathBuf),
    /// The target cannot be written.
    Target {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The names in the directory changed whenever its files were opened.
    Restless,
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Exists(path) => write!(f, "{}: there is something already; name a new directory", path.display()),
            Self::Target { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Restless => write!(f, "the data directory changes too fast to be copied; try again"),
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Source(error) => Some(error),
            Self::Target { source, .. } => Some(source),
            Self::Exists(_) | Self::Restless => None,
        }
    }
}

/// Copies the data directory `from`, also that of a running server, to `to`, which must not exist. Everything that was
/// answered before the call is in the copy. A server that is started on it begins a new epoch in every channel.
///
/// `to` is there completely or not at all: until then it is `to` with `.new` at its end, which a failed call removes (and one
/// that is killed leaves). Directories above it are made.
///
/// # Errors
/// [`BackupError`]; nothing is written where there is not room for all.
pub fn backup(from: &Path, to: &Path) -> Result<Backup, BackupError> {
    backup_while(from, to, &mut || {})
}

/// As [`backup`], and `meanwhile` is called wherever a server at work could get in between.
///
/// # Errors
/// The same.
pub fn backup_while(from: &Path, to: &Path, meanwhile: &mut dyn FnMut()) -> Result<Backup, BackupError> {
    backup_within(from, to, &|at| Directory::new(at).space(), meanwhile)
}

/// As [`backup_while`]; `space` says what room there is at a place.
fn backup_within(
    from: &Path,
    to: &Path,
    space: &dyn Fn(&Path) -> io::Result<Option<Space>>,
    meanwhile: &mut dyn FnMut(),
) -> Result<Backup, BackupError> {
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let opened = open_all(from, &Directory::new(from), meanwhile)?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(parent).map_err(target(parent))?;
    let fits = taken(&opened).and_then(|taken| has_room(taken, space(parent)?));
    fits.map_err(target(parent))?;
    let mut partial = to.as_os_str().to_owned();
    partial.push(TEMPORARY);
    let partial = PathBuf::from(partial);
    fs::create_dir(&partial).map_err(target(&partial))?;
    let made = fill(&opened, from, &partial, meanwhile).and_then(|made| {
        fs::rename(&partial, to).map_err(target(to))?;
        Directory::new(parent).sync().map_err(target(parent))?;
        Ok(made)
    });
    // What is half there would take the room that the server needs.
    if made.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    made
}

/// Copies all files, and looks whether the copy is good.
fn fill(opened: &[(String, File)], from: &Path, to: &Path, meanwhile: &mut dyn FnMut()) -> Result<Backup, BackupError> {
    let newest = opened.iter().filter_map(|(name, _)| segment::base_of(name)).max();
    let mut bytes = 0;
    for (name, file) in opened {
        let path = to.join(name);
        let is_written = segment::base_of(name).is_some_and(|base| Some(base) == newest);
        bytes += copy(file, &path, is_written, meanwhile).map_err(target(&path))?;
    }
    let copied = Directory::new(to);
    let identity = Identity::read(&Directory::new(from), &[STORE.to_owned()]).map_err(BackupError::Source)?;
    if let Some(identity) = identity {
        identity.renewed().write(&copied).map_err(BackupError::Source)?;
    }
    if let Some(damage) = inspect(to).map_err(BackupError::Source)?.damage {
        return Err(BackupError::Source(damage));
    }
    copied.sync().map_err(target(to))?;
    Ok(Backup { files: opened.len() + 1, bytes })
}

fn target(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Target { path, source }
}

/// Returns the bytes of the blocks that the files take now. That is the most the copy can take: it leaves out the zeros at the end
/// of the newest segment.
fn taken(files: &[(String, File)]) -> io::Result<u64> {
    files.iter().map(|(_, file)| Ok(file.metadata()?.blocks().saturating_mul(BLOCK))).sum()
}

/// Looks whether so many bytes fit into what is free, where that is known.
fn has_room(taken: u64, space: Option<Space>) -> io::Result<()> {
    match space.filter(|space| space.free < taken) {
        Some(Space { free, .. }) => {
            let text = format!("the copy may take {taken} bytes, and {free} are free");
            Err(io::Error::new(io::ErrorKind::StorageFull, text))
        }
        None => Ok(()),
    }
}

/// Opens all files that count, as they are at one moment.
fn open_all(
    from: &Path,
    directory: &Directory,
    meanwhile: &mut dyn FnMut(),
) -> Result<Vec<(String, File)>, BackupError> {
    let failed = |source| BackupError::Source(OpenError::Directory { path: from.display().to_string(), source });
    let list = || -> io::Result<Vec<String>> {
        let names = directory.list()?;
        Ok(names.into_iter().filter(|name| counts(name)).collect())
    };
    for _ in 0..ATTEMPTS {
        let names = list().map_err(failed)?;
        if !names.iter().any(|name| segment::base_of(name).is_some()) {
            return Err(failed(io::Error::new(io::ErrorKind::NotFound, "there is no log in it")));
        }
        meanwhile();
        let opened: io::Result<Vec<_>> =
            names.iter().map(|name| Ok((name.clone(), File::open(from.join(name))?))).collect();
        meanwhile();
        match opened {
            Ok(opened) if list().map_err(failed)? == names => return Ok(opened),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(BackupError::Restless)
}

/// Tells whether a file is part of a backup. Who the store is and how its last run ended are written for the copy.
fn counts(name: &str) -> bool {
    let known = segment::base_of(name).or_else(|| index::base_of(name)).or_else(|| checkpoint::lsn_of(name));
    known.or_else(|| tables::number_of(name)).is_some()
}

/// Copies a file, leaving out what is zero; returns its size.
fn copy(from: &File, to: &Path, is_written: bool, meanwhile: &mut dyn FnMut()) -> io::Result<u64> {
    let size = from.metadata()?.len();
    let target = File::options().write(true).create_new(true).open(to)?;
    target.set_len(size)?;
    let part = if is_written { PAGE } else { PART };
    let mut bytes = vec![0; part as usize];
    let count = size.div_ceil(part);
    for at in 0..count {
        let at = if is_written { count - 1 - at } else { at } * part;
        let bytes = bytes.get_mut(..part.min(size - at) as usize).unwrap_or_default();
        from.read_exact_at(bytes, at)?;
        meanwhile();
        if bytes.iter().any(|byte| *byte != 0) {
            target.write_all_at(bytes, at)?;
        }
    }
    target.sync_all()?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::{LogConfig, open};

    #[test]
    fn a_copy_has_room_where_all_that_it_may_take_is_free() {
        let within = |free| has_room(10, Some(Space { free, total: 100 }));
        assert_eq!(within(9).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(within(10).is_ok() && has_room(10, None).is_ok());
    }

    #[test]
    fn a_copy_that_does_not_fit_is_not_begun() {
        let (from, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(open(&LogConfig { threads: false, ..LogConfig::new(from.path()) }).unwrap());
        let (parent, to) = (dir.path().join("copies"), dir.path().join("copies").join("one"));
        // What is asked for is the room of the directory that it comes to stand in.
        let space = |free| {
            let parent = parent.clone();
            move |at: &Path| Ok(Some(Space { free: if at == parent { free } else { u64::MAX }, total: u64::MAX }))
        };
        let refused = backup_within(from.path(), &to, &space(0), &mut || {}).unwrap_err();
        let BackupError::Target { path, source } = &refused else { panic!("{refused}") };
        assert_eq!((path, source.kind()), (&parent, io::ErrorKind::StorageFull), "{refused}");
        assert_eq!(parent.read_dir().unwrap().count(), 0);
        backup_within(from.path(), &to, &space(u64::MAX), &mut || {}).unwrap();
        assert!(to.join(STORE).exists());
    }

    #[test]
    fn a_file_that_grows_is_copied_up_to_some_point() {
        let dir = tempfile::tempdir().unwrap();
        let all: Vec<u8> = (0..20 * PAGE).map(|n| 1 + (n % 251) as u8).collect();
        // At any one of the chances.
        for chance in 0..20 {
            let (from, to) = (dir.path().join(format!("from-{chance}")), dir.path().join(format!("to-{chance}")));
            let file = File::options().read(true).write(true).create_new(true).open(&from).unwrap();
            file.set_len(all.len() as u64).unwrap();
            file.write_all_at(&all[..30_000], 0).unwrap();
            let mut chances = 0..;
            copy(&file, &to, true, &mut || {
                if chances.next() == Some(chance) {
                    file.write_all_at(&all[30_000..60_000], 30_000).unwrap();
                }
            })
            .unwrap();
            let copied = fs::read(&to).unwrap();
            let count = copied.iter().take_while(|byte| **byte != 0).count();
            assert!(count >= 30_000 && copied[..count] == all[..count], "{count} bytes");
            assert!(copied[count..].iter().all(|byte| *byte == 0), "something follows what was not there yet");
        }
    }
}
