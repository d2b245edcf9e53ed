//! Torn ends, flipped bytes, missing and foreign files.

use moorline_protocol::Offset;
use moorline_server::engine::log::{LogConfig, OpenError};
use moorline_server::engine::{Appended, Command, Completion, EngineError, ReadRange};

use super::{BEGIN, Log, config};
use crate::disk::{Disk, Loss};
use crate::rig::{ids, message};

const ACTIVE: &str = "segment-0000000000000000.log";

fn setup() -> LogConfig {
    config(8 * 1024)
}

fn publish(id: &str, size: usize) -> Command {
    message("room", id).text(&"x".repeat(size)).command()
}

fn store(log: &mut Log, id: &str, size: usize) -> u64 {
    match log.turn(vec![publish(id, size)]).unwrap().remove(0) {
        Some(Ok(Completion::Appended(Appended::Stored(at)))) => at.offset.0,
        other => panic!("{other:?}"),
    }
}

/// Returns the ids that a log finds when it is opened.
fn found(disk: &Disk) -> Result<Vec<String>, OpenError> {
    Log::open(disk, &setup(), BEGIN).map(|mut log| ids(&log.all("room").unwrap()))
}

fn damage(result: Result<impl Sized, OpenError>) -> (String, u64, String) {
    let Err(error) = result else { panic!("it was opened") };
    let text = error.to_string();
    match error {
        OpenError::Damaged { file, position, .. } => (file, position, text),
        other => panic!("{other}"),
    }
}

/// Returns where in the active segment the last frame begins and ends.
fn last_frame(before: &[u8], after: &[u8]) -> (usize, usize) {
    let begin = before.iter().zip(after).position(|(old, new)| old != new).unwrap();
    let end = after.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    (begin / 8 * 8, end)
}

/// Returns a log with three messages, and where the frame of the third stands.
fn three() -> (Disk, usize, usize) {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    store(&mut log, "a", 50);
    store(&mut log, "b", 50);
    let before = disk.bytes(ACTIVE);
    store(&mut log, "c", 200);
    let (begin, end) = last_frame(&before, &disk.bytes(ACTIVE));
    (disk, begin, end)
}

#[test]
fn an_end_that_is_cut_anywhere_is_removed() {
    let (disk, begin, end) = three();
    for cut in begin..end {
        let left = disk.after(Loss::Nothing);
        left.change(ACTIVE, |bytes| bytes[cut..].fill(0));
        let mut log = Log::open(&left, &setup(), BEGIN).unwrap();
        assert_eq!(ids(&log.all("room").unwrap()), ["a", "b"], "cut at {cut} of {begin}..{end}");
        // What comes in its place stays, even if it is shorter or longer.
        for (id, size) in [("d", 3), ("e", 300)] {
            store(&mut log, id, size);
        }
        drop(log);
        assert_eq!(found(&left.after(Loss::Unsynced)).unwrap(), ["a", "b", "d", "e"]);
    }
}

#[test]
fn an_end_of_which_the_beginning_is_missing_is_removed() {
    let (disk, begin, end) = three();
    for cut in (begin..end).step_by(8).skip(1) {
        let left = disk.after(Loss::Nothing);
        left.change(ACTIVE, |bytes| bytes[begin..cut].fill(0));
        let mut log = Log::open(&left, &setup(), BEGIN).unwrap();
        assert_eq!(ids(&log.all("room").unwrap()), ["a", "b"]);
        store(&mut log, "d", 3);
        drop(log);
        assert_eq!(found(&left.after(Loss::Unsynced)).unwrap(), ["a", "b", "d"]);
    }
}

#[test]
fn what_a_lost_batch_left_behind_never_follows_another() {
    // One batch of three frames, of which the first is lost and the others are whole.
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    store(&mut log, "z", 10);
    let before = disk.bytes(ACTIVE);
    log.turn(["a", "b", "c"].map(|id| publish(id, 1_500)).to_vec()).unwrap();
    let (begin, _) = last_frame(&before, &disk.bytes(ACTIVE));
    disk.change(ACTIVE, |bytes| bytes[begin + 100] ^= 1);
    // It was never answered: what follows says that the first was not synced before.
    let left = disk.after(Loss::Nothing);
    let mut log = Log::open(&left, &setup(), BEGIN).unwrap();
    assert_eq!(log.all("room").unwrap().head, Offset(1));
    // Another message of any length takes their place, so that at some length the third frame comes right after it.
    for size in 2_850..3_100 {
        let left = disk.after(Loss::Nothing);
        let mut log = Log::open(&left, &setup(), BEGIN).unwrap();
        store(&mut log, "d", size);
        drop(log);
        assert_eq!(found(&left.after(Loss::Unsynced)).unwrap(), ["z", "d"], "{size} bytes");
    }
}

#[test]
fn a_byte_that_flips_in_the_middle_is_refused() {
    let (disk, last, _) = three();
    let whole = disk.bytes(ACTIVE);
    let end = last_frame(&[0; 8 * 1024], &whole).1;
    for at in (0..last).step_by(7) {
        let left = disk.after(Loss::Nothing);
        left.change(ACTIVE, |bytes| bytes[at] ^= 0x10);
        if left.bytes(ACTIVE) == whole {
            continue;
        }
        let before: Vec<_> = left.names().iter().map(|name| (name.clone(), left.bytes(name))).collect();
        // Zeros at the end of a frame are no part of it.
        match Log::open(&left, &setup(), BEGIN) {
            Ok(mut log) => assert_eq!(ids(&log.all("room").unwrap()), ["a", "b", "c"], "at {at}"),
            Err(error) => {
                let (file, position, text) = damage(Err::<(), _>(error));
                assert_eq!(file, ACTIVE);
                assert!(position <= at as u64 && position + 600 > at as u64, "{position} for {at}");
                assert!(text.contains("inspect") && text.contains("--restored"), "{text}");
                let after: Vec<_> = left.names().iter().map(|name| (name.clone(), left.bytes(name))).collect();
                assert!(before == after, "something was changed");
            }
        }
    }
    assert!(end > last);
}

#[test]
fn a_byte_that_flips_in_the_last_batch_is_noticed_after_a_good_end() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    store(&mut log, "a", 50);
    let before = disk.bytes(ACTIVE);
    store(&mut log, "b", 50);
    let (begin, end) = last_frame(&before, &disk.bytes(ACTIVE));
    log.turns.close(BEGIN).unwrap();
    for at in begin..end {
        let left = disk.after(Loss::Nothing);
        left.change(ACTIVE, |bytes| bytes[at] ^= 1);
        assert_eq!(damage(found(&left)).0, ACTIVE, "at {at}");
    }
}

/// Returns a log of several segments, all but the last covered by a checkpoint.
fn long() -> (Disk, usize) {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    for n in 0..60 {
        store(&mut log, &format!("m{n}"), 500);
    }
    log.turns.close(BEGIN).unwrap();
    assert!(disk.names().iter().filter(|name| name.ends_with(".log")).count() >= 4);
    (disk, 60)
}

fn segments(disk: &Disk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.ends_with(".log")).collect()
}

#[test]
fn a_byte_that_flips_in_an_old_message_is_not_delivered() {
    let (disk, _) = long();
    disk.change(ACTIVE, |bytes| {
        let at = bytes.windows(20).position(|window| window == [b'x'; 20]).unwrap();
        bytes[at] = b'y';
    });
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    let first = log.read("room", ReadRange::Before(Offset(2))).unwrap();
    assert_eq!(first.unwrap_err(), EngineError::Unavailable);
    // Everything else is readable.
    let rest = log.read("room", ReadRange::After(Offset(1))).unwrap().unwrap();
    assert_eq!(rest.messages.len(), 59);
}

#[test]
fn an_index_that_is_damaged_or_missing_is_made_anew() {
    let (disk, count) = long();
    let indexes: Vec<String> = disk.names().into_iter().filter(|name| name.ends_with(".index")).collect();
    assert!(indexes.len() >= 3);
    let size = disk.bytes(&indexes[0]).len();
    for at in (0..32 + 40).chain([size]) {
        let left = disk.after(Loss::Nothing);
        for index in &indexes {
            left.change(index, |bytes| if at < bytes.len() { bytes[at] ^= 1 } else { bytes.truncate(at / 2) });
        }
        assert_eq!(found(&left).unwrap().len(), count, "byte {at}");
    }
    for index in &indexes {
        disk.lose(index);
    }
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    assert_eq!(log.all("room").unwrap().messages.len(), count);
    log.pass(0, 9).unwrap();
    assert!(indexes.iter().all(|index| disk.names().contains(index)), "they are back");
}

#[test]
fn an_index_entry_that_is_wrong_is_noticed() {
    let (disk, _) = long();
    let index = "segment-0000000000000000.index";
    disk.change(index, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    assert_eq!(log.read("room", ReadRange::After(Offset::ZERO)).unwrap().unwrap_err(), EngineError::Unavailable);
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let (disk, _) = long();
    let name = disk.names().into_iter().find(|name| name.starts_with("checkpoint-")).unwrap();
    let size = disk.bytes(&name).len();
    for at in (0..size).step_by(11) {
        let left = disk.after(Loss::Nothing);
        left.change(&name, |bytes| bytes[at] ^= 1);
        assert_eq!(damage(found(&left)).0, name);
        left.change(&name, |bytes| bytes.truncate(at));
        assert_eq!(damage(found(&left)).0, name);
    }
}

#[test]
fn without_its_checkpoint_a_log_whose_beginning_is_gone_is_refused() {
    let (disk, count) = long();
    let checkpoint = disk.names().into_iter().find(|name| name.starts_with("checkpoint-")).unwrap();
    let left = disk.after(Loss::Nothing);
    left.lose(&checkpoint);
    // As long as all segments are there, nothing is lost with it.
    assert_eq!(found(&left.after(Loss::Nothing)).unwrap().len(), count);
    left.lose(ACTIVE);
    assert_eq!(damage(found(&left)).0, segments(&disk)[1]);
}

#[test]
fn a_segment_that_is_gone_is_refused() {
    let (disk, _) = long();
    for name in segments(&disk) {
        let left = disk.after(Loss::Nothing);
        left.lose(&name);
        let error = found(&left).expect_err("a segment is gone").to_string();
        assert!(error.contains("--restored"), "{error}");
        assert!(error.contains("messages") || error.contains("batches"), "{name}: {error}");
    }
    for name in segments(&disk) {
        disk.lose(&name);
    }
    assert!(damage(found(&disk)).2.contains("all segments are gone"));
}

#[test]
fn a_segment_that_is_cut_short_is_refused() {
    let (disk, ..) = three();
    for size in [0, 10, 63, 64, 200, 8 * 1024 - 1] {
        let left = disk.after(Loss::Nothing);
        left.change(ACTIVE, |bytes| bytes.truncate(size));
        assert_eq!(damage(found(&left)).0, ACTIVE);
    }
}

#[test]
fn a_foreign_or_newer_store_is_refused() {
    let (disk, ..) = three();
    let left = disk.after(Loss::Nothing);
    left.lose("store");
    assert!(damage(found(&left)).2.contains("`store`"));
    for (text, what) in [("", "name a store"), ("something else", "name a store"), ("moorline-log 1\n", "name a store")]
    {
        let left = disk.after(Loss::Nothing);
        left.change("store", |bytes| *bytes = text.into());
        assert!(damage(found(&left)).2.contains(what));
    }
    disk.change("store", |bytes| bytes[13] = b'7');
    let error = found(&disk).expect_err("a newer format");
    assert!(matches!(error, OpenError::Newer { found: 7, known: 3 }), "{error}");
    assert!(error.to_string().contains("newer moorline-server"));
}

#[test]
fn what_a_crash_left_behind_is_swept() {
    let (disk, count) = long();
    let files = std::sync::Arc::new(disk.clone());
    let create = |name: &str| {
        moorline_server::engine::log::Files::create(files.as_ref(), name).unwrap().write_at(b"left", 0).unwrap();
    };
    create("checkpoint-0000000000000001");
    create("checkpoint-00000000000000ff.new");
    create("segment.next.new");
    create("table-00000000000000ff");
    create("table-00000000000000aa.new");
    create("segment-00000000000000aa.index");
    create("not-ours");
    assert_eq!(found(&disk).unwrap().len(), count);
    let names = disk.names();
    for gone in [
        "checkpoint-0000000000000001",
        "checkpoint-00000000000000ff.new",
        "segment-00000000000000aa.index",
        "table-00000000000000ff",
        "table-00000000000000aa.new",
    ] {
        assert!(!names.iter().any(|name| name == gone), "{gone} is still there");
    }
    assert!(names.iter().any(|name| name == "not-ours"));
}
