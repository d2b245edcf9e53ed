//! Files of earlier versions, and of later ones.

use std::rc::Rc;

use super::super::disk::LockedFile;
use super::super::log::Log;
use super::super::record::{self, Entries, HEADER};
use super::super::schema::{SCHEMA, Schema};
use super::platter::{Fault, Platter, Renamed};
use super::{batch, file_of, keys, open};
use crate::store::{StoreBatch, StoreError};

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
