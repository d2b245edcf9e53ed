use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moorline_server::engine::log::{Files, LogFile};

use crate::choices::Choices;

/// The names that a data directory knows.
const NAMES: &[&str] = &[
    "store",
    "state",
    "segment-0000000000000000.log",
    "segment-0000000000000001.log",
    "segment-ffffffffffffffff.log",
    "segment-0000000000000000.index",
    "checkpoint-0000000000000001",
    "checkpoint-ffffffffffffffff",
    "table-0000000000000000",
    "table-ffffffffffffffff",
];

/// A directory in memory.
#[derive(Clone, Default)]
pub(super) struct MemoryFiles(Arc<Mutex<BTreeMap<String, Arc<MemoryFile>>>>);

#[derive(Default)]
struct MemoryFile(Mutex<Vec<u8>>);

impl MemoryFiles {
    /// Puts files with this content into a directory.
    pub(super) fn of(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let file = |bytes: &Vec<u8>| Arc::new(MemoryFile(Mutex::new(bytes.clone())));
        Self(Arc::new(Mutex::new(files.iter().map(|(name, bytes)| (name.clone(), file(bytes))).collect())))
    }

    /// Returns every file's content.
    pub(super) fn content(&self) -> BTreeMap<String, Vec<u8>> {
        self.lock().iter().map(|(name, file)| (name.clone(), file.lock().clone())).collect()
    }

    /// Returns a directory with the same content, for another life.
    pub(super) fn copy(&self) -> Self {
        Self::of(&self.content())
    }

    pub(super) fn shared(&self) -> Arc<dyn Files> {
        Arc::new(self.clone())
    }

    /// Tells whether there is no file.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Returns how many bytes there are.
    pub(super) fn size(&self) -> usize {
        self.lock().values().map(|file| file.lock().len()).sum()
    }

    /// Does one thing to one file.
    pub(super) fn damage(&self, choices: &mut Choices<'_>) {
        let names: Vec<String> = self.lock().keys().cloned().collect();
        let name = choices.pick(&names);
        let kind = choices.below(8);
        if kind >= 6 {
            return self.damage_name(&name, kind, choices);
        }
        let Some(file) = self.lock().get(&name).cloned() else { return };
        let mut bytes = file.lock();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let mut place = || (usize::from(choices.byte()) << 8 | usize::from(choices.byte())) * (used + 64) / 65_536;
        let (at, from) = (place(), place());
        let count = 1 + usize::from(choices.byte());
        match kind {
            0..=2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= choices.byte()),
            3 => bytes.truncate(at),
            4 => bytes.iter_mut().skip(at).take(count * 16).for_each(|byte| *byte = 0),
            _ => {
                let part: Vec<u8> = bytes.iter().skip(from).take(count * 8).copied().collect();
                bytes.iter_mut().skip(at).zip(part).for_each(|(byte, other)| *byte = other);
            }
        }
    }

    fn damage_name(&self, name: &str, kind: usize, choices: &mut Choices<'_>) {
        let mut files = self.lock();
        let Some(file) = files.remove(name) else { return };
        if kind == 7 {
            files.insert((choices.pick(NAMES)).to_owned(), file);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<MemoryFile>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> io::Result<Arc<MemoryFile>> {
        self.lock().get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Arc<MemoryFile> {
        let file = Arc::new(MemoryFile(Mutex::new(bytes)));
        self.lock().insert(name.to_owned(), Arc::clone(&file));
        file
    }
}

/// Makes a directory of files that no log has written.
pub(super) fn foreign(choices: &mut Choices<'_>) -> MemoryFiles {
    let files = MemoryFiles::default();
    if choices.chance(80) {
        files.put("store", b"moorline-log 1\nstore abcdefgh\n".to_vec());
    }
    while !choices.is_over() {
        let name = choices.pick(NAMES);
        files.put(name, choices.bytes().to_vec());
    }
    files
}

impl MemoryFile {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogFile for MemoryFile {
    fn reserve(&self, _size: u64) -> io::Result<()> {
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut file = self.lock();
        let end = at as usize + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[at as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let file = self.lock();
        let end = usize::try_from(at).ok().and_then(|at| at.checked_add(bytes.len()));
        let found = end.and_then(|end| file.get(at as usize..end)).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.lock().len() as u64)
    }
}

impl Files for MemoryFiles {
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(self.put(name, Vec::new()))
    }

    fn open(&self, name: &str, _writable: bool) -> io::Result<Arc<dyn LogFile>> {
        Ok(self.find(name)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.find(from)?;
        let mut files = self.lock();
        files.remove(from);
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
