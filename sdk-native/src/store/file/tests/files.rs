//! The store in a real file.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::super::log::Log;
use super::super::{FileStore, Store, record};
use super::platter::Platter;
use super::{batch, key};
use crate::store::{StoreBatch, StoreError};

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
