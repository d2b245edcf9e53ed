//! When a file is to be read again. What is done then: [`Server::reload`](crate::server::Server::reload).
//!
//! Files are looked at, not waited for: that works where a file is replaced by a rename, where a directory in between is
//! a link that changes (as with Kubernetes), and on file systems of other machines.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::File;

/// What tells one state of a file from another: device, inode, size, and the times of its content and of itself.
type Stamp = Option<[i128; 4]>;

fn stamp(path: &Path) -> Stamp {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let of = |file: Metadata| {
        let inode = i128::from(file.dev()) << 64 | i128::from(file.ino());
        let times = (nanos(file.mtime(), file.mtime_nsec()), nanos(file.ctime(), file.ctime_nsec()));
        [inode, file.size().into(), times.0, times.1]
    };
    std::fs::metadata(path).ok().map(of)
}

/// Files that a configuration rests on.
#[derive(Debug)]
pub struct Watch {
    files: Vec<PathBuf>,
    /// As they were when they were last read.
    read: Vec<Stamp>,
    /// As they were when they were last looked at.
    seen: Vec<Stamp>,
}

impl Watch {
    /// Begins to watch. To be called before the files are read.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let read: Vec<Stamp> = files.iter().map(|file| stamp(file)).collect();
        Self { seen: read.clone(), files, read }
    }

    /// Tells whether files are others than those that were read, and have not changed since the last look: then nobody
    /// is in the middle of writing them.
    pub fn has_changed(&mut self) -> bool {
        let now: Vec<Stamp> = self.files.iter().map(|file| stamp(file)).collect();
        let has_changed = now == self.seen && now != self.read;
        self.seen = now;
        has_changed
    }

    /// The files are about to be read, whatever comes of it.
    pub fn begin(&mut self) {
        self.read = self.files.iter().map(|file| stamp(file)).collect();
        self.seen.clone_from(&self.read);
    }

    /// They were read, and the configuration rests on these from now on. Those that were watched before keep what is
    /// known of them.
    pub fn follow(&mut self, files: Vec<PathBuf>) {
        let known = |file: &PathBuf| self.files.iter().position(|other| other == file);
        let read = files.iter().map(|file| known(file).and_then(|at| self.read.get(at).copied()));
        self.read = read.zip(&files).map(|(known, file)| known.unwrap_or_else(|| stamp(file))).collect();
        self.seen.clone_from(&self.read);
        self.files = files;
    }
}

/// Returns the files that a configuration names, and that are read with it. Relative paths begin at `dir`.
pub fn files(file: &File, dir: &Path) -> Vec<PathBuf> {
    let keys = file.apps.iter().flat_map(|app| &app.keys).filter_map(|key| key.public_key_file.as_ref());
    let hooks = file.hooks.iter().filter_map(|hook| hook.ca_file.as_ref());
    let callouts = file.callouts.iter().filter_map(|callout| callout.ca_file.as_ref());
    let issuers = file.apps.iter().flat_map(|app| &app.jwks).filter_map(|jwks| jwks.ca_file.as_ref());
    let tls = file.server.tls.iter().map(|tls| tls.files(dir)).flat_map(|files| [files.cert, files.key]);
    keys.chain(hooks).chain(callouts).chain(issuers).map(|path| dir.join(path)).chain(tls).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_not_while_it_is_being_made() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&file, "one").unwrap();
        let mut watch = Watch::new(vec![file.clone(), other.clone()]);
        assert!(!watch.has_changed());
        std::fs::write(&file, "two!").unwrap();
        assert!(!watch.has_changed(), "it may not be whole");
        std::fs::write(&file, "two!!").unwrap();
        assert!(!watch.has_changed(), "it was not");
        assert!(watch.has_changed());
        watch.begin();
        assert!(!watch.has_changed());
        std::fs::write(&other, "new").unwrap();
        assert!(!watch.has_changed());
        assert!(watch.has_changed(), "a file that was not there");
        std::fs::rename(&other, &file).unwrap();
        assert!(!watch.has_changed());
        assert!(watch.has_changed(), "a file that was replaced");
        watch.begin();
        watch.follow(vec![file.clone()]);
        std::fs::write(&other, "nobody asks").unwrap();
        assert!(!watch.has_changed() && !watch.has_changed());
        std::fs::remove_file(&file).unwrap();
        assert!(!watch.has_changed());
        assert!(watch.has_changed(), "a file that is gone");
    }
}
