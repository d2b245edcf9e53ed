//! A directory that an earlier layout wrote: everything is found, and from then on it is one of this layout.
//!
//! `layout-1` is what a killed server left: 40 messages of `room`, `m1` to `m40`, each other one of them by the sequence
//! of alice's producer; bob's cursor at 15; a checkpoint before the last of them.

use moorline_protocol::{ProducerId, ProducerRequest, ProducerState, Since};
use moorline_server::engine::{Appended, Command, Completion, Open};

use super::{BEGIN, Log, config};
use crate::disk::{Disk, Loss};
use crate::rig::{SECOND, duplicate, ids, message, open, owner, stored};

const PRODUCER: ProducerId = ProducerId(0x22ad_8002_3b7b_b8cc_3f5d_3547_9d2d_ef79);

const FILES: &[(&str, &[u8])] = &[
    ("checkpoint-000000000000001e", include_bytes!("layout-1/checkpoint-000000000000001e.bin")),
    ("segment-0000000000000000.index", include_bytes!("layout-1/segment-0000000000000000.index.bin")),
    ("segment-0000000000000000.log", include_bytes!("layout-1/segment-0000000000000000.log.bin")),
    ("segment-000000000000000f.index", include_bytes!("layout-1/segment-000000000000000f.index.bin")),
    ("segment-000000000000000f.log", include_bytes!("layout-1/segment-000000000000000f.log.bin")),
    ("segment-000000000000001d.log", include_bytes!("layout-1/segment-000000000000001d.log.bin")),
    ("state", include_bytes!("layout-1/state.bin")),
    ("store", include_bytes!("layout-1/store.bin")),
];

/// Checks that everything is there, and adds a message.
fn check(log: &mut Log, round: u64) {
    let page = log.all("room").unwrap();
    assert_eq!(page.messages.len() as u64, 40 + round);
    assert_eq!(ids(&page)[..2], ["m1", "m2"]);
    let text = "x".repeat(200);
    for n in [1, 15, 39] {
        assert_eq!(duplicate(&log.publish(message("room", &format!("m{n}")).text(&text))), n);
    }
    let alice = log.attach("alice", 10 + round, ProducerRequest::Resume(PRODUCER));
    assert_eq!((alice.producer.id, alice.producer.state.clone()), (PRODUCER, ProducerState::Resumed));
    let by_sequence =
        |seq: u64| message("room", &format!("m{}", 2 * seq)).scope("someone").text(&text).seq(&alice, seq);
    assert_eq!(duplicate(&log.publish(by_sequence(20))), 40);
    assert_eq!(duplicate(&log.publish(by_sequence(1))), 2);
    assert_eq!(log.publish(by_sequence(23 + round)), Appended::Gap { expected: 21 + round });
    assert_eq!(stored(&log.publish(message("room", &format!("n{round}")).seq(&alice, 21 + round))), 41 + round);
    let cursor = Open { cursor: Some(owner("bob")), ..open("room", Since::Cursor(None)) };
    match log.turn(vec![Command::Open(cursor)]).unwrap().remove(0) {
        Some(Ok(Completion::Opened(opened))) => assert_eq!((opened.from.0, opened.reset), (15, None)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_of_layout_1_is_taken_over() {
    let disk = Disk::default();
    FILES.iter().for_each(|(name, bytes)| disk.put(name, bytes));
    assert!(disk.bytes("store").starts_with(b"moorline-log 1\n"));
    let mut log = Log::open(&disk, &config(4096), BEGIN + 10 * SECOND).unwrap();
    // An earlier version refuses it from now on, and says why.
    assert!(disk.bytes("store").starts_with(b"moorline-log 3\n"));
    check(&mut log, 0);
    // Nothing was handed over to tables yet; now it is.
    assert_eq!(log.turns.core().store().table_stats().tables, 0);
    let now = log.now;
    log.turns.close(now).unwrap();
    let mut log = Log::open(&disk.after(Loss::Unsynced), &config(4096), now).unwrap();
    let stats = log.turns.core().stats();
    assert_eq!((stats.ids, stats.producers, stats.cursors), (0, 0, 0));
    assert_eq!(log.turns.core().store().table_stats().tables, 1);
    check(&mut log, 1);
}

#[test]
fn killed_at_every_step_of_taking_it_over() {
    let life = |disk: &Disk| -> Result<(), String> {
        let log = Log::open(disk, &config(4096), BEGIN + 10 * SECOND).map_err(|error| error.to_string())?;
        log.turns.close(log.now).map_err(|error| error.to_string())
    };
    let before = || {
        let disk = Disk::default();
        FILES.iter().for_each(|(name, bytes)| disk.put(name, bytes));
        disk
    };
    let whole = before();
    life(&whole).unwrap();
    for step in 0..whole.steps().len() {
        let disk = before();
        disk.die_at(step);
        life(&disk).unwrap_err();
        for loss in [Loss::Nothing, Loss::Unsynced, Loss::Some(step as u64)] {
            check(&mut Log::open(&disk.after(loss), &config(4096), BEGIN + 10 * SECOND).unwrap(), 0);
        }
    }
}
