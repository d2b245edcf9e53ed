//! Old segments go, and a few survivors do not keep them.

use moorline_protocol::Offset;
use moorline_server::engine::log::{Files, LogConfig};
use moorline_server::engine::{Appended, Command, Completion, Open, ReadRange};

use super::{BEGIN, Log, config, keep};
use crate::disk::{Disk, Loss};
use crate::rig::{SECOND, ids, message, offsets, open, owner};

const SEGMENT: u64 = 16 * 1024;

fn setup() -> LogConfig {
    LogConfig { core: keep("short", 5), ..config(SEGMENT) }
}

fn publish(name: &str, id: &str, size: usize) -> Command {
    message(name, id).text(&"x".repeat(size)).command()
}

fn store(log: &mut Log, commands: Vec<Command>) {
    log.now += 6 * SECOND;
    for answer in log.turn(commands).unwrap() {
        assert!(matches!(answer, Some(Ok(Completion::Appended(Appended::Stored(_))))), "{answer:?}");
    }
}

/// Returns the first batches of the segments, and what the newest checkpoint covers.
fn bases(disk: &Disk) -> (Vec<u64>, u64) {
    let hex = |name: &str, prefix: &str, suffix: &str| {
        let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
        u64::from_str_radix(digits, 16).ok()
    };
    let names = disk.names();
    let segments = names.iter().filter_map(|name| hex(name, "segment-", ".log")).collect();
    let covered = names.iter().filter_map(|name| hex(name, "checkpoint-", "")).max();
    (segments, covered.unwrap_or(0))
}

#[test]
fn segments_without_wanted_messages_go_once_a_checkpoint_covers_them() {
    // So many cursors that checkpoints are rare.
    for cursors in [0, 150] {
        let disk = Disk::default();
        let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
        let cursor =
            |n: usize| Open { cursor: Some(owner(&format!("reader-{n}"))), ..open("short", Default::default()) };
        log.turn((0..cursors).map(|n| Command::Open(cursor(n))).collect()).unwrap();
        let mut most = 0;
        for n in 0..300 {
            store(&mut log, vec![publish("short", &format!("m{n}"), 700)]);
            let (segments, covered) = bases(&disk);
            assert!(segments[0] == 0 || segments[0] <= covered, "{segments:?}, {covered}");
            most = most.max(segments.len());
        }
        // Of what was written 5 messages are kept: the segment that is written and what no checkpoint covers yet.
        assert!(most <= if cursors == 0 { 3 } else { 6 }, "{most} segments");
        log.pass(6 * SECOND, 1).unwrap();
        assert_eq!(offsets(&log.all("short").unwrap()), [296, 297, 298, 299, 300]);
    }
}

#[test]
fn a_long_lived_channel_does_not_keep_old_segments() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    for n in 0..40 {
        let mut batch = vec![publish("long", &format!("l{n}"), 50)];
        batch.extend((0..10).map(|m| publish("short", &format!("s{n}-{m}"), 700)));
        store(&mut log, batch);
    }
    log.pass(6 * SECOND, 60).unwrap();
    // 280 KB were written, of which 6 KB are wanted.
    let (segments, _) = bases(&disk);
    assert!(segments.len() <= 4, "{segments:?}");
    let page = log.all("long").unwrap();
    assert_eq!(ids(&page), (0..40).map(|n| format!("l{n}")).collect::<Vec<_>>());
    assert_eq!(offsets(&log.read("long", ReadRange::Before(Offset(21))).unwrap().unwrap()).len(), 20);
    for loss in [Loss::Nothing, Loss::Unsynced] {
        let mut back = Log::open(&disk.after(loss), &setup(), BEGIN).unwrap();
        assert_eq!(back.all("long").unwrap().messages, page.messages);
        // They are still deduplicated, and counted on.
        let again = back.turn(vec![publish("long", "l7", 50), publish("long", "new", 50)]).unwrap();
        let Some(Ok(Completion::Appended(Appended::Duplicate(at)))) = &again[0] else { panic!("{again:?}") };
        assert_eq!(at.offset.0, 8);
        let Some(Ok(Completion::Appended(Appended::Stored(at)))) = &again[1] else { panic!("{again:?}") };
        assert_eq!(at.offset.0, 41);
    }
}

#[test]
fn a_segment_that_is_a_quarter_full_stays() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    for n in 0..60 {
        let batch = vec![publish("long", &format!("l{n}"), 400), publish("short", &format!("s{n}"), 800)];
        store(&mut log, batch);
    }
    log.pass(6 * SECOND, 20).unwrap();
    // A third of each is wanted: none is copied.
    let (segments, _) = bases(&disk);
    assert_eq!(segments[0], 0);
    assert!(!disk.steps().iter().any(|step| step.starts_with("remove segment-")));
}

#[test]
fn copying_goes_on_in_small_parts_beside_the_batches() {
    let disk = Disk::default();
    let config = LogConfig { core: keep("short", 1), ..config(4 << 20) };
    let mut log = Log::open(&disk, &config, BEGIN).unwrap();
    // Two segments, of which a fifth is wanted: more than is copied in one turn.
    for n in 0..260 {
        let batch = vec![publish("long", &format!("l{n}"), 5_000), publish("short", &format!("s{n}"), 27_000)];
        store(&mut log, batch);
    }
    let before = disk.steps().len();
    let mut turns = 0;
    while disk.names().iter().any(|name| name == "segment-0000000000000000.log") {
        log.pass(0, 1).unwrap();
        turns += 1;
        assert!(turns < 100, "it is never copied");
    }
    let written = |step: &String| {
        let bytes = step.strip_prefix("write ")?.split(' ').next()?.parse::<usize>().ok()?;
        step.contains(".log at").then_some(bytes)
    };
    let steps = disk.steps();
    let sizes: Vec<usize> = steps[before..].iter().filter_map(written).collect();
    assert!(sizes.iter().all(|bytes| *bytes < 300_000), "{sizes:?}");
    assert_eq!(log.all("long").unwrap().messages.len(), 260);
}

#[test]
fn what_has_expired_is_copied_without_its_bytes() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    for n in 0..30 {
        let brief = message("long", &format!("b{n}")).text(&"y".repeat(200)).ttl(3_600).command();
        let mut batch = vec![publish("long", &format!("l{n}"), 50), brief];
        batch.extend((0..10).map(|m| publish("short", &format!("s{n}-{m}"), 700)));
        store(&mut log, batch);
        if n == 10 {
            log.now += 2 * 3_600 * SECOND;
        }
    }
    log.now += 2 * 3_600 * SECOND;
    log.pass(6 * SECOND, 30).unwrap();
    let page = log.all("long").unwrap();
    assert_eq!(ids(&page), (0..30).map(|n| format!("l{n}")).collect::<Vec<_>>());
    assert_eq!((page.first.0, page.head.0, page.reached.0), (1, 60, 60));
    let text = "y".repeat(200);
    let segments: Vec<String> = disk.names().into_iter().filter(|name| name.ends_with(".log")).collect();
    let held: usize = segments
        .iter()
        .map(|name| disk.bytes(name).windows(200).filter(|window| *window == text.as_bytes()).count())
        .sum();
    assert!(held < 15, "{held} of 30 expired messages still take room");
    let mut back = Log::open(&disk.after(Loss::Unsynced), &setup(), log.now).unwrap();
    assert_eq!(back.all("long").unwrap().messages, page.messages);
}

#[test]
fn a_reader_that_was_asked_before_keeps_what_it_reads() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    for n in 0..40 {
        let mut batch = vec![publish("long", &format!("l{n}"), 50)];
        batch.extend((0..10).map(|m| publish("short", &format!("s{n}-{m}"), 700)));
        store(&mut log, batch);
        // Reads in every state that the segments go through.
        assert_eq!(log.all("long").unwrap().messages.len(), n + 1);
    }
}

#[test]
fn a_segment_that_cannot_be_read_stays_as_it_is() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    store(&mut log, vec![publish("long", "damaged", 50)]);
    disk.change("segment-0000000000000000.log", |bytes| {
        let at = bytes.windows(20).position(|window| window == [b'x'; 20]).unwrap();
        bytes[at] = b'z';
    });
    for n in 0..60 {
        store(&mut log, (0..5).map(|m| publish("short", &format!("s{n}-{m}"), 700)).collect());
    }
    log.pass(6 * SECOND, 20).unwrap();
    let (segments, _) = bases(&disk);
    assert!(segments[0] == 0 && segments.len() <= 4, "{segments:?}");
    assert!(disk.list().unwrap().contains(&"segment-0000000000000000.log".to_owned()));
}
