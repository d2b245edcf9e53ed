//! Every way in which a disk can fail, at every call; and every byte that can be wrong.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use super::disk::{Disk, LockedFile, Replace};
use super::log::Log;
use super::record::{self, Entries, HEADER};
use super::schema::{SCHEMA, Schema};
use super::{FileStore, Store};
use crate::store::{StoreBatch, StoreError};

/// Which call fails, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// So many calls from this one on; then the disk is well again.
    Some(usize, usize, Renamed),
    /// This one and all after it: also a power cut, since nothing of what comes later reaches the disk.
    From(usize, Renamed),
}

/// How far a failing `replace` comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renamed {
    Not,
    Perhaps,
}

enum Change {
    Append(usize, Vec<u8>),
    Truncate(usize),
}

/// A disk with a cache, as a crash sees it.
struct Platter {
    calls: usize,
    /// Calls that need room.
    writes: usize,
    fault: Fault,
    /// What a reader sees.
    cached: Option<Vec<u8>>,
    /// The file that changes go to.
    file: usize,
    changes: Vec<Change>,
    /// What may be there after a power cut if no change since the last sync is: files and their content.
    durable: BTreeSet<(usize, Option<Vec<u8>>)>,
}

impl Platter {
    fn new(content: Option<Vec<u8>>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            calls: 0,
            writes: 0,
            fault: Fault::None,
            durable: BTreeSet::from([(0, content.clone())]),
            cached: content,
            file: 0,
            changes: Vec::new(),
        }))
    }

    /// Counts a call; tells whether it fails, and whether it may leave traces.
    fn fails(&mut self) -> Option<(Renamed, bool)> {
        self.calls += 1;
        match self.fault {
            Fault::Some(at, count, renamed) if (at..at + count).contains(&self.calls) => Some((renamed, true)),
            Fault::From(at, renamed) if at == self.calls => Some((renamed, true)),
            Fault::From(at, renamed) if at < self.calls => Some((renamed, false)),
            Fault::None | Fault::Some(..) | Fault::From(..) => None,
        }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.cached, &change);
        self.changes.push(change);
    }

    /// Everything that a power cut can leave: the changes since the last sync up to any point, the last one cut short
    /// or with bytes that were never written.
    fn after_a_power_cut(&self) -> BTreeSet<(usize, Option<Vec<u8>>)> {
        let mut all = self.durable.clone();
        let mut images: Vec<_> = self.durable.iter().filter(|(file, _)| *file == self.file).cloned().collect();
        for change in &self.changes {
            let mut next = Vec::new();
            for (file, image) in images {
                for partial in parts(change) {
                    let mut image = image.clone();
                    apply(&mut image, &partial);
                    all.insert((file, image));
                }
                let mut image = image;
                apply(&mut image, change);
                all.insert((file, image.clone()));
                next.push((file, image));
            }
            images = next;
        }
        all
    }
}

fn parts(change: &Change) -> Vec<Change> {
    let Change::Append(at, bytes) = change else { return Vec::new() };
    let zeros = |from: usize, to: usize| {
        let mut bytes = bytes.clone();
        bytes[from..to].fill(0);
        Change::Append(*at, bytes)
    };
    let half = bytes.len() / 2;
    let mut parts: Vec<_> = [1, 12, half, bytes.len() - 1]
        .into_iter()
        .map(|length| Change::Append(*at, bytes[..length.min(bytes.len())].to_vec()))
        .collect();
    parts.extend([zeros(0, bytes.len()), zeros(0, half)]);
    parts
}

fn apply(image: &mut Option<Vec<u8>>, change: &Change) {
    let Some(image) = image else { return };
    match change {
        Change::Append(at, bytes) => {
            image.resize(image.len().max(at + bytes.len()), 0);
            image[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Change::Truncate(length) => image.truncate(*length),
    }
}

impl Disk for Rc<RefCell<Platter>> {
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.borrow().cached.clone())
    }

    fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.borrow_mut();
        platter.writes += 1;
        match platter.fails() {
            None => platter.change(Change::Append(at as usize, bytes.to_vec())),
            Some((_, traces)) => {
                if traces {
                    platter.change(Change::Append(at as usize, bytes[..bytes.len() - 1].to_vec()));
                }
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut platter = self.borrow_mut();
        if platter.fails().is_some() {
            return Err(io::Error::other("truncate"));
        }
        platter.change(Change::Truncate(length as usize));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut platter = self.borrow_mut();
        if platter.fails().is_some() {
            // The system forgets that it has not written them.
            platter.durable = platter.after_a_power_cut();
            platter.changes.clear();
            return Err(io::Error::other("sync"));
        }
        let (file, changes) = (platter.file, std::mem::take(&mut platter.changes));
        let synced = std::mem::take(&mut platter.durable).into_iter().map(|(of, mut image)| {
            changes.iter().filter(|_| of == file).for_each(|change| apply(&mut image, change));
            (of, image)
        });
        platter.durable = synced.collect();
        Ok(())
    }

    fn replace(&mut self, content: &[u8]) -> Result<(), Replace> {
        let mut platter = self.borrow_mut();
        platter.writes += 1;
        let failed = platter.fails();
        if let Some((_, false) | (Renamed::Not, true)) = failed {
            return Err(Replace::Not(io::ErrorKind::StorageFull.into()));
        }
        let before = if failed.is_some() { platter.after_a_power_cut() } else { BTreeSet::new() };
        platter.changes.clear();
        platter.file += 1;
        platter.cached = Some(content.to_vec());
        platter.durable = before;
        let new = (platter.file, platter.cached.clone());
        platter.durable.insert(new);
        if failed.is_some() { Err(Replace::Perhaps(io::Error::other("folder"))) } else { Ok(()) }
    }
}

fn key(n: usize) -> Vec<u8> {
    format!("e{n:016x}").into_bytes()
}

/// Batch `n` puts one entry and removes an earlier one; the entries are large enough for the log to be written anew
/// on the way.
fn batch(n: usize, size: usize) -> StoreBatch {
    let deletes = n.checked_sub(2).map(key).into_iter().collect();
    StoreBatch { clear: false, deletes, puts: vec![(key(n), vec![n as u8; size])] }
}

/// Returns the keys that are there when these batches were committed.
fn keys(committed: &[bool]) -> BTreeSet<Vec<u8>> {
    let mut keys = BTreeSet::new();
    for (n, _) in committed.iter().enumerate().filter(|(_, committed)| **committed) {
        keys.extend(batch(n, 0).puts.into_iter().map(|(key, _)| key));
        batch(n, 0).deletes.iter().for_each(|key| _ = keys.remove(key));
    }
    keys
}

/// Everything that may be there, given what the log said of each batch.
fn possible(results: &[Result<(), StoreError>]) -> Vec<BTreeSet<Vec<u8>>> {
    let mut all = vec![Vec::new()];
    for result in results {
        let choices: &[bool] = match result {
            Ok(()) => &[true],
            Err(StoreError::Uncertain(_)) => &[true, false],
            Err(_) => &[false],
        };
        let longer = |before: Vec<bool>| choices.iter().map(move |choice| [before.as_slice(), &[*choice]].concat());
        all = all.into_iter().flat_map(longer).collect();
    }
    all.iter().map(|committed| keys(committed)).collect()
}

fn open(content: Option<Vec<u8>>) -> Result<Entries, StoreError> {
    Log::open(Platter::new(content)).map(|log| log.entries().clone())
}

const BATCHES: usize = 9;
const SIZE: usize = 40 << 10;

/// Runs the script; returns what the log said of each batch.
fn run(disk: &Rc<RefCell<Platter>>) -> Vec<Result<(), StoreError>> {
    let Ok(mut log) = Log::open(Rc::clone(disk)) else { return Vec::new() };
    let results: Vec<_> = (0..BATCHES).map(|n| log.commit(batch(n, SIZE))).collect();
    let now = log.entries().keys().cloned().collect();
    assert!(possible(&results).contains(&now), "what it says it holds");
    results
}

#[test]
fn no_failure_at_any_call_makes_the_log_lie() {
    let sound = Platter::new(None);
    assert!(run(&sound).iter().all(Result::is_ok));
    let calls = sound.borrow().calls;
    assert!(calls > 2 * BATCHES, "commits, a new file on the way, and the mark at the end");
    let mut doubts = 0;
    for at in 1..=calls {
        for renamed in [Renamed::Not, Renamed::Perhaps] {
            for fault in [Fault::Some(at, 1, renamed), Fault::Some(at, 2, renamed), Fault::From(at, renamed)] {
                let disk = Platter::new(None);
                disk.borrow_mut().fault = fault;
                let results = run(&disk);
                let possible = possible(&results);
                doubts += results.iter().filter(|result| matches!(result, Err(StoreError::Uncertain(_)))).count();
                let platter = disk.borrow();
                let killed = (platter.file, platter.cached.clone());
                for (_, image) in platter.after_a_power_cut().into_iter().chain([killed]) {
                    let found = open(image).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
                    assert!(possible.contains(&found.into_keys().collect()), "{fault:?}: {results:?}");
                }
                if let Fault::Some(_, count, _) = fault {
                    let failed = results.iter().filter(|result| result.is_err()).count();
                    assert!(failed <= count, "{fault:?}: it goes on when the disk does: {results:?}");
                }
            }
        }
    }
    assert!(doubts > 0, "some failures cannot be settled");
}

/// Commits each batch to a new file; returns it and where each record ends.
fn file_of(batches: usize, closed: bool) -> (Vec<u8>, Vec<usize>) {
    let disk = Platter::new(None);
    let mut log = Log::open(Rc::clone(&disk)).unwrap();
    let mut ends = Vec::new();
    for n in 0..batches {
        log.commit(batch(n, 10)).unwrap();
        ends.push(disk.borrow().cached.as_ref().unwrap().len());
    }
    let open = disk.borrow().cached.clone().unwrap();
    drop(log);
    let closed_file = disk.borrow().cached.clone().unwrap();
    (if closed { closed_file } else { open }, ends)
}

#[test]
fn a_file_cut_anywhere_holds_the_commits_before_the_cut() {
    let (file, ends) = file_of(6, true);
    for cut in 0..=file.len() {
        let found = open(Some(file[..cut].to_vec()));
        if cut < HEADER {
            assert!(matches!(found, Err(StoreError::Corrupt(_))), "cut at {cut}");
        } else {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(found.unwrap().into_keys().collect::<BTreeSet<_>>(), keys(&vec![true; whole]), "cut at {cut}");
        }
    }
}

#[test]
fn a_changed_byte_is_noticed() {
    let (closed, ends) = file_of(6, true);
    let (open_end, all) = (ends[5], keys(&[true; 6]));
    for at in 0..closed.len() {
        for bit in 0..8 {
            let mut changed = closed.clone();
            changed[at] ^= 1 << bit;
            let found = open(Some(changed.clone()));
            if at < open_end {
                assert!(matches!(found, Err(StoreError::Corrupt(_))), "byte {at} of a closed file");
            } else {
                assert_eq!(
                    found.unwrap().into_keys().collect::<BTreeSet<_>>(),
                    all,
                    "byte {at}: only the mark is lost"
                );
            }
            // Without the mark, the last commit looks like one that a power cut cut short.
            changed.truncate(open_end);
            if at < ends[4] {
                assert!(matches!(open(Some(changed)), Err(StoreError::Corrupt(_))), "byte {at} of an open file");
            } else if at < open_end {
                let found = open(Some(changed)).unwrap().into_keys().collect::<BTreeSet<_>>();
                assert_eq!(found, keys(&[true; 5]), "byte {at} of the last commit");
            }
        }
    }
}

#[test]
fn what_a_crash_left_is_overwritten() {
    let (mut file, _) = file_of(4, false);
    file.extend_from_slice(&[0xff; 100]);
    let disk = Platter::new(Some(file));
    let mut log = Log::open(Rc::clone(&disk)).unwrap();
    log.commit(batch(4, 10)).unwrap();
    drop(log);
    let found = open(disk.borrow().cached.clone()).unwrap();
    assert_eq!(found.into_keys().collect::<BTreeSet<_>>(), keys(&[true; 5]));
}

#[test]
fn a_later_version_is_refused_and_left_as_it_is() {
    let known = SCHEMA.version();
    let file = [record::header(known + 1), b"whatever".to_vec()].concat();
    let disk = Platter::new(Some(file.clone()));
    let refused = Log::open(Rc::clone(&disk)).map(|_| ()).unwrap_err();
    assert_eq!(refused, StoreError::NewerSchema { found: known + 1, known });
    assert_eq!(disk.borrow().cached, Some(file));
    let text = refused.to_string();
    assert!(text.contains(&format!("schema {}", known + 1)) && text.contains("use the newer version again"), "{text}");
}

/// Two versions after the first: in the second each value has a mark, in the third each key, too.
const LATER: Schema = Schema(&[
    |entries| Ok(entries.into_iter().map(|(key, value)| (key, [b"2", value.as_slice()].concat())).collect()),
    |entries| Ok(entries.into_iter().map(|(key, value)| ([b"3", key.as_slice()].concat(), value)).collect()),
]);

/// Batches `0..count` as the third version has them.
fn migrated(count: usize) -> Entries {
    let of_now = keys(&vec![true; count]).into_iter().map(|key| {
        let n = (0..count).find(|n| batch(*n, 10).puts[0].0 == key).unwrap();
        ([b"3", key.as_slice()].concat(), [b"2".to_vec(), vec![n as u8; 10]].concat())
    });
    of_now.collect()
}

#[test]
fn an_earlier_version_becomes_the_newest_step_by_step() {
    // Closed, killed, and killed in the middle of a commit.
    let torn = [file_of(4, false).0, b"a commit cut short".to_vec()].concat();
    for file in [file_of(4, true).0, file_of(4, false).0, torn] {
        let disk = Platter::new(Some(file));
        let mut log = Log::open_as(Rc::clone(&disk), LATER).unwrap();
        assert_eq!(*log.entries(), migrated(4));
        log.commit(StoreBatch { puts: vec![(b"3new".to_vec(), b"2new".to_vec())], ..StoreBatch::default() }).unwrap();
        drop(log);
        let found = disk.borrow().cached.clone().unwrap();
        assert_eq!(record::version(&found, 3), Ok(3));
        assert_eq!(open(Some(found.clone())).unwrap_err(), StoreError::NewerSchema { found: 3, known: 1 });
        let again = Log::open_as(Platter::new(Some(found)), LATER).unwrap();
        assert_eq!(again.entries().len(), migrated(4).len() + 1, "and no step is taken twice");
    }
    // From the second version only the second step is taken.
    let record = record::encode(HEADER as u64, [], [(&b"k"[..], &b"2v"[..])]);
    let second = Platter::new(Some([record::header(2), record].concat()));
    let log = Log::open_as(second, LATER).unwrap();
    assert_eq!(*log.entries(), Entries::from([(b"3k".to_vec(), b"2v".to_vec())]));
}

#[test]
fn a_migration_that_fails_or_is_cut_anywhere_leaves_the_earlier_file_or_the_new_one() {
    let file = file_of(4, false).0;
    let whole = Platter::new(Some(file.clone()));
    drop(Log::open_as(Rc::clone(&whole), LATER).unwrap());
    let calls = whole.borrow().calls;
    assert!(calls >= 3, "a new file, and the mark at its end");
    for at in 1..=calls {
        for renamed in [Renamed::Not, Renamed::Perhaps] {
            for fault in [Fault::Some(at, 1, renamed), Fault::From(at, renamed)] {
                let disk = Platter::new(Some(file.clone()));
                disk.borrow_mut().fault = fault;
                match Log::open_as(Rc::clone(&disk), LATER) {
                    Ok(log) => assert_eq!(*log.entries(), migrated(4), "{fault:?}"),
                    Err(error) => {
                        assert_eq!(error, StoreError::Full, "{fault:?}");
                        assert_eq!(disk.borrow().cached.as_ref(), Some(&file), "{fault:?}: it is as it was");
                    }
                }
                let platter = disk.borrow();
                let killed = (platter.file, platter.cached.clone());
                for (_, image) in platter.after_a_power_cut().into_iter().chain([killed]) {
                    let version = record::version(image.as_ref().unwrap(), 3).unwrap();
                    assert!(version == 3 || image.as_ref() == Some(&file), "{fault:?}: neither the one nor the other");
                    let log = Log::open_as(Platter::new(image), LATER).unwrap();
                    assert_eq!(*log.entries(), migrated(4), "{fault:?}");
                }
            }
        }
    }
    // A step that cannot take what it finds changes nothing.
    let refuses = Schema(&[|_| Err(StoreError::Corrupt("nothing to migrate"))]);
    let disk = Platter::new(Some(file.clone()));
    assert!(Log::open_as(Rc::clone(&disk), refuses).is_err());
    assert_eq!(disk.borrow().cached, Some(file));
}

#[test]
fn a_process_killed_while_it_migrates_does_so_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alice.moor");
    let (earlier, _) = file_of(4, true);
    std::fs::write(&path, &earlier).unwrap();
    let migrate = || Log::open_as(LockedFile::open(&path).unwrap(), LATER).map(|log| log.entries().clone());
    migrate().unwrap();
    let later = std::fs::read(&path).unwrap();
    // The new file as far as it had been written, and the earlier one still in its place.
    for cut in 0..=later.len() {
        std::fs::write(&path, &earlier).unwrap();
        std::fs::write(dir.path().join("alice.moor.new"), &later[..cut]).unwrap();
        assert_eq!(migrate().unwrap(), migrated(4), "cut at {cut}");
        assert!(!dir.path().join("alice.moor.new").exists());
        assert_eq!(record::version(&std::fs::read(&path).unwrap(), 3), Ok(3));
    }
}

#[test]
fn the_file_stays_short_while_messages_come_and_go() {
    let disk = Platter::new(None);
    let mut log = Log::open(Rc::clone(&disk)).unwrap();
    let length = || disk.borrow().cached.as_ref().unwrap().len();
    let mut longest = 0;
    for n in 0..10_000 {
        log.commit(batch(n, 200)).unwrap();
        longest = longest.max(length());
    }
    assert!(longest < (256 << 10) + 1_000, "{longest} bytes");
    // A full outbox, and then an empty one.
    for n in 0..1_000 {
        log.commit(StoreBatch { puts: vec![(key(n), vec![1; 8_192])], ..StoreBatch::default() }).unwrap();
    }
    assert!((8_192_000..3 * 8_192_000).contains(&length()), "{} bytes", length());
    for n in 0..1_000 {
        log.commit(StoreBatch { deletes: vec![key(n)], ..StoreBatch::default() }).unwrap();
    }
    assert!(length() < 512 << 10, "{} bytes", length());
}

#[test]
fn a_logout_leaves_nothing_even_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alice.moor");
    let mut store = FileStore::open(&path).unwrap();
    let secret = b"a secret that nobody else may read".to_vec();
    store.commit(StoreBatch { puts: vec![(key(1), secret.clone())], ..StoreBatch::default() }).unwrap();
    let holds = || std::fs::read(&path).unwrap().windows(secret.len()).any(|window| window == secret);
    assert!(holds());
    store.commit(StoreBatch { clear: true, ..StoreBatch::default() }).unwrap();
    assert!(!holds());
    drop(store);
    assert!(FileStore::open(&path).unwrap().load().unwrap().is_empty());

    let disk = Platter::new(None);
    let mut log = Log::open(Rc::clone(&disk)).unwrap();
    log.commit(batch(1, 10)).unwrap();
    let before = disk.borrow().writes;
    log.commit(StoreBatch { clear: true, ..StoreBatch::default() }).unwrap();
    assert_eq!(disk.borrow().writes, before, "it needs no room");
}

#[test]
fn a_store_in_use_is_locked_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alice.moor");
    let mut first = FileStore::open(&path).unwrap();
    first.commit(batch(1, 10)).unwrap();
    let second = FileStore::open(&path).map(|_| ()).unwrap_err();
    assert_eq!(second.code(), "client.store_locked");
    assert!(second.to_string().contains("alice.moor"), "{second}");
    drop(first);
    assert_eq!(FileStore::open(&path).unwrap().load().unwrap().len(), 1);
}

#[test]
fn what_the_system_refuses_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let missing = FileStore::open(dir.path().join("missing").join("alice.moor")).map(|_| ()).unwrap_err();
    assert_eq!((missing.code(), missing.is_retryable()), ("storage.unavailable", true));
    let path = dir.path().join("strange.moor");
    std::fs::write(&path, b"").unwrap();
    assert_eq!(FileStore::open(&path).map(|_| ()).unwrap_err().code(), "client.store_corrupt");
    std::fs::write(&path, b"this is somebody else's file").unwrap();
    assert_eq!(FileStore::open(&path).map(|_| ()).unwrap_err().code(), "client.store_corrupt");
    std::fs::write(&path, record::header(2)).unwrap();
    assert_eq!(FileStore::open(&path).map(|_| ()).unwrap_err().code(), "client.store_newer");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(dir.path().join("strange.moor.new"), b"left by a crash").unwrap();
    FileStore::open(&path).unwrap();
    assert!(!dir.path().join("strange.moor.new").exists());
}

#[test]
fn a_new_file_that_cannot_be_made_or_put_in_place_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alice.moor");
    let new = dir.path().join("alice.moor.new");
    let mut store = FileStore::open(&path).unwrap();
    store.commit(batch(1, 10)).unwrap();
    // To replace everything needs a new file.
    let replace = StoreBatch { clear: true, ..batch(2, 10) };
    let before = std::fs::read(&path).unwrap();
    std::fs::create_dir(&new).unwrap();
    assert!(matches!(store.commit(replace.clone()), Err(StoreError::Io(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    store.commit(batch(3, 10)).unwrap();
    std::fs::remove_dir(&new).unwrap();
    // Made, and then something stands in its place that is no file.
    let aside = dir.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    std::fs::create_dir_all(path.join("below")).unwrap();
    assert!(matches!(store.commit(replace.clone()), Err(StoreError::Io(_))));
    assert!(!new.exists(), "nothing is left behind");
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    store.commit(batch(4, 10)).unwrap();
    let held = store.load().unwrap().into_iter().map(|(key, _)| key).collect::<BTreeSet<_>>();
    assert_eq!(held, BTreeSet::from([key(3), key(4)]), "batch 3 removes 1, and the refused ones did nothing");
    store.commit(replace).unwrap();
    drop(store);
    let held = FileStore::open(&path).unwrap().load().unwrap();
    assert_eq!(held.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), [key(2)]);
}
