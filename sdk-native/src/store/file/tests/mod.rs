//! Every way in which a disk can fail, at every call; and every byte that can be wrong.

mod files;
mod migrations;
mod platter;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use self::platter::{Fault, Platter, Renamed};
use super::log::Log;
use super::record::{Entries, HEADER};
use crate::store::{StoreBatch, StoreError};

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
