//! A disk of which something is kept back, and what gives room back.

use moorline_protocol::{Offset, Position, ProducerRequest, Since};
use moorline_server::engine::core::{CoreConfig, RetentionRule, RetentionRules};
use moorline_server::engine::log::{LogConfig, Space};
use moorline_server::engine::{Appended, Command, Completion, CursorAck, EngineError, Open};

use super::{BEGIN, Log, config};
use crate::disk::{Disk, Loss};
use crate::rig::{HOUR, SECOND, channel, message, open, owner};

const SEGMENT: u64 = 16 * 1024;
const RESERVE: u64 = 1_000_000;

fn setup() -> LogConfig {
    LogConfig { reserve: Some(RESERVE), ..config(SEGMENT) }
}

fn space(free: u64) -> Space {
    Space { free, total: 100 * RESERVE }
}

/// Publishes; returns whether it was stored.
fn publish(log: &mut Log, id: &str) -> bool {
    match log.turn(vec![message("room", id).text(&"x".repeat(300)).command()]).unwrap().remove(0) {
        Some(Ok(Completion::Appended(Appended::Stored(_)))) => true,
        Some(Err(EngineError::Full)) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn publishes_leave_the_reserve_free_and_all_else_goes_on() {
    let disk = Disk::default();
    disk.set_space(space(RESERVE));
    let setup = setup();
    let mut log = Log::open(&disk, &setup, BEGIN).unwrap();
    for n in 0..10 {
        assert!(publish(&mut log, &format!("m{n}")));
    }
    assert_eq!(setup.disk.numbers(), Some((RESERVE, RESERVE)));
    disk.set_space(space(RESERVE - 1));
    log.pass(SECOND, 1).unwrap();
    assert!(!publish(&mut log, "refused") && setup.disk.is_low());
    // New clients, durable cursors and what they acknowledge are written down.
    log.attach("bob", 2, ProducerRequest::New);
    let cursor = |since| Command::Open(Open { cursor: Some(owner("bob")), ..open("room", since) });
    let opened = log.turn(vec![cursor(Since::First)]).unwrap().remove(0);
    let Some(Ok(Completion::Opened(opened))) = opened else { panic!("{opened:?}") };
    let position = Position { epoch: opened.epoch, offset: Offset(7) };
    let ack = CursorAck { owner: owner("bob"), channel: channel("room"), position };
    // It is answered once it is written, or at once if it is refused.
    assert_eq!(log.turn(vec![Command::Ack(ack)]).unwrap(), [None]);
    log.pass(SECOND, 2).unwrap();
    // It is neither there and gone at the edge, nor forgotten by a crash.
    disk.set_space(space(RESERVE + RESERVE / 8 - 1));
    log.pass(SECOND, 1).unwrap();
    assert!(!publish(&mut log, "still refused"));
    disk.set_space(space(RESERVE + RESERVE / 8));
    log.pass(SECOND, 1).unwrap();
    assert!(publish(&mut log, "m10") && !setup.disk.is_low());
    drop(log);
    let mut back = Log::open(&disk.after(Loss::Unsynced), &setup, BEGIN).unwrap();
    assert_eq!(back.all("room").unwrap().messages.len(), 11);
    let again = back.turn(vec![cursor(Since::Cursor(None))]);
    let Some(Ok(Completion::Opened(opened))) = again.unwrap().remove(0) else { panic!("the cursor is gone") };
    assert_eq!(opened.from, Offset(7));
}

#[test]
fn a_reserve_of_zero_is_none() {
    let disk = Disk::default();
    disk.set_space(space(0));
    let setup = LogConfig { reserve: Some(0), ..setup() };
    let mut log = Log::open(&disk, &setup, BEGIN).unwrap();
    assert!(publish(&mut log, "m") && !setup.disk.is_low());
}

/// Nobody writes or reads any more, on a disk whose reserve is reached or not.
#[test]
fn messages_that_are_too_old_give_their_room_back_without_another_write() {
    for free in [RESERVE - 1, 2 * RESERVE] {
        let disk = Disk::default();
        disk.set_space(space(2 * RESERVE));
        let rule = RetentionRule { prefix: String::new(), max_age_ms: Some(HOUR), max_bytes: None, max_count: None };
        let core = CoreConfig { retention: RetentionRules::new(vec![rule]), ..CoreConfig::new("") };
        let setup = LogConfig { core, ..setup() };
        let mut log = Log::open(&disk, &setup, BEGIN).unwrap();
        for n in 0..500 {
            assert!(publish(&mut log, &format!("m{n}")));
        }
        log.pass(SECOND, 10).unwrap();
        let before = disk.used();
        assert!(before as u64 > 12 * SEGMENT, "{before}");
        disk.set_space(space(free));
        for _ in 0..5 {
            log.pass(HOUR, 10).unwrap();
        }
        let segments =
            disk.names().iter().filter(|name| name.starts_with("segment-") && name.ends_with(".log")).count();
        assert!(segments <= 2, "{free}: {:?}", disk.names());
        assert!(log.all("room").unwrap().messages.is_empty());
    }
}
