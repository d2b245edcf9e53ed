//! State that outgrows the memory: ids, producers and cursors in tables, and what of them is in memory.

use moorline_protocol::{ErrorCode, Offset, Position, ProducerRequest, ProducerState, ReusedBy, Since};
use moorline_server::engine::core::CoreConfig;
use moorline_server::engine::log::{LogConfig, OpenError};
use moorline_server::engine::{Appended, Command, Completion, CursorAck, EngineError, Gone, Open};

use super::{BEGIN, Log, config, keep};
use crate::disk::{Disk, Loss};
use crate::rig::{DAY, Device, HOUR, MINUTE, Message, SECOND, channel, duplicate, message, open, owner, stored};

/// Memory for state: 128 KiB for what waits for a checkpoint, as much for parts of tables.
const CACHE: usize = 256 << 10;
/// About the bytes of an id, a producer and a cursor that waits.
const ID: usize = 40;
const PRODUCER: usize = 1_024;
const CURSOR: usize = 256;

fn setup() -> LogConfig {
    LogConfig { state_cache: CACHE, ..config(4 << 20) }
}

/// Returns how many ids, producers and cursors are in memory; that parts of tables take no more than they may is
/// checked.
fn in_memory(log: &Log) -> [usize; 3] {
    let tables = log.turns.core().store().table_stats();
    assert!(tables.memory <= CACHE / 2, "{tables:?}");
    assert!(tables.tables <= 8, "{tables:?}");
    let stats = log.turns.core().stats();
    [stats.ids, stats.producers, stats.cursors]
}

fn reads(log: &Log) -> u64 {
    log.turns.core().store().table_stats().reads
}

fn again(disk: &Disk, config: &LogConfig, now: u64) -> Log {
    Log::open(&disk.after(Loss::Unsynced), config, now).unwrap()
}

fn publish(log: &mut Log, messages: impl IntoIterator<Item = Message>) -> Vec<Appended> {
    let answers = log.turn(messages.into_iter().map(Message::command).collect()).unwrap();
    let appended = |answer| match answer {
        Some(Ok(Completion::Appended(appended))) => appended,
        other => panic!("not an answer to an append: {other:?}"),
    };
    answers.into_iter().map(appended).collect()
}

#[test]
fn three_hundred_thousand_ids() {
    const CHANNELS: u64 = 3;
    const EACH: u64 = 100_000;
    const KEPT: u64 = 80_000;
    const BATCH: u64 = 500;
    let core = CoreConfig { ids_per_channel: KEPT as usize, ..CoreConfig::new("") };
    let config = LogConfig { core, ..setup() };
    let disk = Disk::default();
    let mut log = Log::open(&disk, &config, BEGIN).unwrap();
    let room = |n: u64| message(&format!("room{}", n % CHANNELS), &format!("m{}", n / CHANNELS));
    for batch in 0..EACH * CHANNELS / BATCH {
        let answers = publish(&mut log, (batch * BATCH..(batch + 1) * BATCH).map(room));
        assert!(answers.iter().all(|answer| matches!(answer, Appended::Stored(_))));
        let [ids, ..] = in_memory(&log);
        // What waits, and what came while it is written.
        assert!(ids * ID <= CACHE && ids as u64 <= 8 * BATCH + (CACHE / 2 / ID) as u64, "{ids} ids in memory");
    }
    let check = |log: &mut Log| {
        for of in 0..CHANNELS {
            let name = format!("room{of}");
            // The newest 80,000 are known, by number, and others are not.
            for n in (EACH - KEPT..EACH).step_by(1_733).chain([EACH - KEPT, EACH - 1]) {
                assert_eq!(duplicate(&log.publish(message(&name, &format!("m{n}")))), n + 1);
                let other = message(&name, &format!("m{n}")).text("else");
                assert_eq!(log.publish(other), Appended::Reused(ReusedBy::Id));
            }
        }
    };
    check(&mut log);
    let mut log = again(&disk, &config, BEGIN);
    check(&mut log);
    for of in 0..CHANNELS {
        // The oldest that is known is forgotten when another comes.
        let name = format!("room{of}");
        assert_eq!(stored(&log.publish(message(&name, &format!("m{}", EACH - KEPT - 1)))), EACH + 1);
        assert_eq!(stored(&log.publish(message(&name, &format!("m{}", EACH - KEPT)))), EACH + 2);
        assert_eq!(stored(&log.publish(message(&name, "m0"))), EACH + 3);
        assert_eq!(duplicate(&log.publish(message(&name, "m0"))), EACH + 3);
    }
}

#[test]
fn a_new_id_costs_no_read() {
    let disk = Disk::default();
    let config = LogConfig { state_cache: 4 << 20, ..config(4 << 20) };
    let mut log = Log::open(&disk, &config, BEGIN).unwrap();
    for batch in 0..20 {
        publish(&mut log, (0..1_000).map(|n| message("room", &format!("m{batch}-{n}"))));
    }
    let now = log.now;
    log.turns.close(now).unwrap();
    let mut log = again(&disk, &config, now);
    let tables = log.turns.core().store().table_stats();
    assert_eq!((tables.entries, log.turns.core().stats().ids), (20_000, 0));
    // The filters are read once.
    publish(&mut log, (0..200).map(|n| message("room", &format!("first-{n}"))));
    let before = reads(&log);
    publish(&mut log, (0..10_000).map(|n| message("room", &format!("new-{n}"))));
    // About one in a hundred seems to be known; the blocks that it is looked for in are soon in the cache.
    assert!(reads(&log) - before < 200, "{} reads", reads(&log) - before);
    let known = publish(&mut log, [message("room", "m7-7")]);
    assert_eq!(duplicate(&known[0]), 7_008);
}

fn by_sequence(device: &Device, seq: u64) -> Message {
    message("room", &format!("{}-{seq}", device.owner.user)).seq(device, seq)
}

#[test]
fn ten_thousand_producers() {
    const COUNT: u64 = 10_000;
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    let name = |n: u64| format!("user{n}");
    let mut devices: Vec<Device> = Vec::new();
    for n in 0..COUNT {
        let device = log.attach(&name(n), n + 1, ProducerRequest::New);
        let messages = [by_sequence(&device, 1), by_sequence(&device, 2).refused(ErrorCode::ChannelDenied)];
        let answers = publish(&mut log, messages);
        assert_eq!(stored(&answers[0]), n + 1);
        log.turn(vec![Command::Detach(device.session, Gone::Left)]).unwrap();
        devices.push(device);
        let [_, producers, _] = in_memory(&log);
        assert!(producers * PRODUCER <= CACHE, "{producers} producers in memory");
    }
    let mut log = again(&disk, &setup(), BEGIN);
    let mut resumed = 0;
    for n in (0..COUNT).step_by(311) {
        let old = &devices[n as usize];
        // One that is not connected publishes under its old generation.
        assert_eq!(log.publish(by_sequence(old, 4)), Appended::Gap { expected: 3 });
        resumed += 1;
        let new = log.attach(&name(n), COUNT + resumed, ProducerRequest::Resume(old.producer.id));
        assert_eq!((new.producer.id, new.producer.state.clone()), (old.producer.id, ProducerState::Resumed));
        assert!(new.producer.generation > old.producer.generation);
        assert_eq!(log.publish(by_sequence(old, 3)), Appended::Fenced);
        assert_eq!(duplicate(&log.publish(by_sequence(&new, 1))), n + 1);
        assert_eq!(log.publish(by_sequence(&new, 2)), Appended::Refused(ErrorCode::ChannelDenied));
        assert_eq!(log.publish(by_sequence(&new, 1).text("else")), Appended::Reused(ReusedBy::Seq));
        assert_eq!(log.publish(by_sequence(&new, 5)), Appended::Gap { expected: 3 });
        assert_eq!(stored(&log.publish(by_sequence(&new, 3))), COUNT + resumed);
        let thief = log.attach("thief", COUNT * 2 + resumed, ProducerRequest::Resume(old.producer.id));
        assert_eq!(thief.producer.state, ProducerState::Expired);
    }
    // Seven days unused, and a day in which a use may not have been written down.
    log.now += 8 * DAY + HOUR;
    let expired = &devices[1];
    assert_eq!(log.publish(by_sequence(expired, 3)), Appended::UnknownProducer);
    let late = log.attach(&name(1), COUNT * 3, ProducerRequest::Resume(expired.producer.id));
    assert_eq!(late.producer.state, ProducerState::Expired);
    assert_ne!(late.producer.id, expired.producer.id);
    // It stays forgotten, even if the clock goes back.
    log.now -= 8 * DAY;
    assert_eq!(log.publish(by_sequence(expired, 3)), Appended::UnknownProducer);
}

#[test]
fn thirty_two_verdicts_of_an_idle_producer_come_back() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    let device = log.attach("alice", 1, ProducerRequest::New);
    publish(&mut log, (1..=64).map(|seq| by_sequence(&device, seq)));
    let now = log.now;
    log.turns.close(now).unwrap();
    // Within ten minutes all 64 are there, afterwards 32, whoever looks first.
    for (after, oldest) in [(60 * SECOND, 1), (601 * SECOND, 33)] {
        let mut log = again(&disk, &setup(), now + after);
        if oldest > 1 {
            assert_eq!(log.publish(by_sequence(&device, oldest - 1)), Appended::Reused(ReusedBy::Seq));
        }
        assert_eq!(duplicate(&log.publish(by_sequence(&device, oldest))), oldest);
        assert_eq!(duplicate(&log.publish(by_sequence(&device, 64))), 64);
    }
}

/// Opens a durable subscription; returns where it begins.
fn resume(log: &mut Log, user: &str, since: Since) -> Position {
    let open = Open { cursor: Some(owner(user)), ..open("room", since) };
    match log.turn(vec![Command::Open(open)]).unwrap().remove(0) {
        Some(Ok(Completion::Opened(opened))) => Position { epoch: opened.epoch, offset: opened.from },
        other => panic!("not an answer to an open: {other:?}"),
    }
}

fn ack(user: &str, position: Position) -> Command {
    Command::Ack(CursorAck { owner: owner(user), channel: channel("room"), position })
}

#[test]
fn ten_thousand_cursors() {
    const COUNT: u64 = 10_000;
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    let name = |n: u64| format!("user{n}");
    publish(&mut log, (0..COUNT).map(|n| message("room", &format!("m{n}"))));
    for n in 0..COUNT {
        let position = Position { offset: Offset(n), ..resume(&mut log, &name(n), Since::First) };
        let moved = log.turn(vec![ack(&name(n), position), message("other", &name(n)).command()]).unwrap();
        assert_eq!(moved[0], Some(Ok(Completion::Acked(position))));
        let [.., cursors] = in_memory(&log);
        assert!(cursors * CURSOR <= CACHE, "{cursors} cursors in memory");
    }
    let forget = |n: u64| Command::Forget { owner: owner(&name(n)), channel: channel("room") };
    for n in (7..COUNT).step_by(1_000) {
        assert_eq!(log.turn(vec![forget(n)]).unwrap(), [Some(Ok(Completion::Forgotten))]);
    }
    let check = |log: &mut Log| {
        for n in (0..COUNT).step_by(97).chain((7..COUNT).step_by(1_000)) {
            let expected = if n % 1_000 == 7 { COUNT } else { n };
            let position = resume(log, &name(n), Since::Cursor(None));
            assert_eq!(position.offset.0, expected, "the cursor of {}", name(n));
        }
    };
    check(&mut log);
    let mut log = again(&disk, &setup(), BEGIN);
    check(&mut log);
    // An acknowledgement that moves nothing says how far the cursor is, though it was not in memory.
    let back = Position { offset: Offset(1), ..resume(&mut log, "nobody", Since::First) };
    let answers = log.turn(vec![ack(&name(55), back), message("other", "flush").command()]).unwrap();
    assert_eq!(answers[0], Some(Ok(Completion::Acked(Position { offset: Offset(55), ..back }))));
    // Thirty days unused, and a day in which a use may not have been written down.
    log.now += 31 * DAY;
    log.pass(2 * HOUR, 3).unwrap();
    assert_eq!(resume(&mut log, &name(56), Since::Cursor(None)).offset.0, COUNT);
}

#[test]
fn a_cursor_that_is_read_with_stays() {
    let disk = Disk::default();
    let config = LogConfig { core: keep("other", 100), ..setup() };
    let mut log = Log::open(&disk, &config, BEGIN).unwrap();
    publish(&mut log, (0..9).map(|n| message("room", &format!("m{n}"))));
    let device = log.attach("alice", 1, ProducerRequest::New);
    let begins = resume(&mut log, "alice", Since::First);
    publish(&mut log, [by_sequence(&device, 1)]);
    for day in 0..40 {
        log.now += DAY;
        // Checkpoints come and go.
        publish(&mut log, (0..4_000).map(|n| message("other", &format!("{day}-{n}"))));
        log.pass(6 * SECOND, 3).unwrap();
    }
    assert_eq!(resume(&mut log, "alice", Since::Cursor(None)), begins);
    assert_eq!(stored(&log.publish(by_sequence(&device, 2))), 11);
    let mut log = again(&disk, &config, log.now);
    assert_eq!(resume(&mut log, "alice", Since::Cursor(None)), begins);
}

#[test]
fn what_is_over_leaves_the_tables() {
    const MINUTES: u64 = 120;
    const EACH: u64 = 1_000;
    let core = CoreConfig { ids_ms: 10 * MINUTE, ..CoreConfig::new("") };
    let config = LogConfig { core, ..setup() };
    let disk = Disk::default();
    let mut log = Log::open(&disk, &config, BEGIN).unwrap();
    let mut most = 0;
    for minute in 0..MINUTES {
        log.now += MINUTE;
        publish(&mut log, (0..EACH).map(|n| message("room", &format!("{minute}-{n}"))));
        log.pass(0, 3).unwrap();
        most = most.max(log.turns.core().store().table_stats().entries);
    }
    assert!(most > 10 * EACH && most < MINUTES * EACH / 2, "{most} entries");
    let files = disk.names().iter().filter(|name| name.starts_with("table-")).count();
    assert!(files <= 12, "{files} files");
    let last = log.publish(message("room", &format!("{}-7", MINUTES - 1)));
    assert_eq!(duplicate(&last), (MINUTES - 1) * EACH + 8);
}

/// Publishes by id and by sequence, each turn with a checkpoint, until everything is done or the process dies. Returns
/// what was answered, and the producer.
fn busy(disk: &Disk, config: &LogConfig) -> (u64, Option<Device>) {
    let Ok(mut log) = Log::open(disk, config, BEGIN) else { return (0, None) };
    let Ok(device) = log.try_attach("alice", 1, ProducerRequest::New) else { return (0, None) };
    for n in 1..=TURNS {
        let messages = [message("ids", &format!("m{n}")), by_sequence(&device, n)];
        if log.turn(messages.map(Message::command).into()).is_err() {
            return (n - 1, Some(device));
        }
    }
    (TURNS, Some(device))
}

const TURNS: u64 = 40;

#[test]
fn killed_at_every_step_of_writing_and_merging_tables() {
    // A checkpoint each turn, and merges that end while one is written.
    let config = LogConfig { state_cache: 0, ..config(64 << 10) };
    let whole = Disk::default();
    assert_eq!(busy(&whole, &config).0, TURNS);
    let steps = whole.steps();
    for part in ["write", "sync", "rename", "remove"] {
        assert!(steps.iter().filter(|step| step.starts_with(part) && step.contains("table-")).count() > 10, "{part}");
    }
    for step in 0..steps.len() {
        let disk = Disk::default();
        disk.die_at(step);
        let (done, device) = busy(&disk, &config);
        for loss in [Loss::Nothing, Loss::Unsynced, Loss::Some(step as u64)] {
            let left = disk.after(loss);
            let mut log = Log::open(&left, &config, BEGIN).unwrap();
            for n in 1..=done {
                assert_eq!(duplicate(&log.publish(message("ids", &format!("m{n}")))), n, "{step} {loss:?}");
            }
            let Some(old) = &device else { continue };
            let new = log.attach("alice", 2, ProducerRequest::Resume(old.producer.id));
            assert_eq!(new.producer.state, ProducerState::Resumed);
            for seq in 1..=done {
                assert_eq!(duplicate(&log.publish(by_sequence(&new, seq))), seq, "{step} {loss:?}");
            }
            // What is on the disk is named, or was swept.
            let tables = left.names().iter().filter(|name| name.starts_with("table-")).count();
            assert!(tables <= 12, "{tables} tables");
        }
    }
}

/// Returns a disk with a table, which is not in memory, and the table's name.
fn with_table() -> (Disk, String) {
    let disk = Disk::default();
    let log = {
        let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
        let device = log.attach("alice", 1, ProducerRequest::New);
        publish(&mut log, (0..2_000).map(|n| message("room", &format!("m{n}"))));
        publish(&mut log, [by_sequence(&device, 1)]);
        resume(&mut log, "alice", Since::First);
        log
    };
    let now = log.now;
    log.turns.close(now).unwrap();
    let name = disk.names().into_iter().find(|name| name.starts_with("table-")).unwrap();
    (disk.after(Loss::Nothing), name)
}

#[test]
fn a_table_that_is_gone_cut_or_changed_at_its_end_is_refused() {
    let (disk, name) = with_table();
    let refused = |left: &Disk| match Log::open(left, &setup(), BEGIN) {
        Err(error @ OpenError::Damaged { .. }) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it is opened"),
    };
    let gone = disk.after(Loss::Nothing);
    gone.lose(&name);
    let error = refused(&gone);
    assert!(error.contains(&name) && error.contains("it is gone") && error.contains("restore a backup"), "{error}");
    let length = disk.bytes(&name).len();
    for cut in [0, 1, 40, 48, 100, length / 2, length - 1] {
        let left = disk.after(Loss::Nothing);
        left.change(&name, |bytes| bytes.truncate(cut));
        assert!(refused(&left).contains(&name));
    }
    // The foot, and the index before it.
    for back in 1..300 {
        let left = disk.after(Loss::Nothing);
        left.change(&name, |bytes| bytes[length - back] ^= 1);
        assert!(refused(&left).contains(&name), "{back} bytes before the end");
    }
}

#[test]
fn a_part_of_a_table_that_is_changed_is_noticed_by_who_needs_it() {
    let (disk, name) = with_table();
    // Blocks and filters: whatever is asked for is answered rightly or not at all.
    let bytes = disk.bytes(&name);
    let index = u64::from_le_bytes(bytes[bytes.len() - 24..bytes.len() - 16].try_into().unwrap()) as usize;
    let mut unanswered = 0;
    for at in (0..index).step_by(index / 40) {
        let left = disk.after(Loss::Nothing);
        left.change(&name, |bytes| bytes[at] ^= 0x10);
        let mut log = Log::open(&left, &setup(), BEGIN).unwrap();
        let commands = (0..2_000).step_by(50).map(|n| message("room", &format!("m{n}")).command());
        for (n, answer) in (0..2_000).step_by(50).zip(log.turn(commands.collect()).unwrap()) {
            match answer {
                Some(Ok(Completion::Appended(appended))) => assert_eq!(duplicate(&appended), n + 1),
                Some(Err(EngineError::Unavailable)) => unanswered += 1,
                other => panic!("{other:?}"),
            }
        }
        // Others go on.
        assert_eq!(stored(&log.publish(message("new", "m"))), 1);
    }
    assert!(unanswered > 40, "{unanswered}");
}

#[test]
fn producers_and_cursors_that_cannot_be_read_are_not_taken_for_new_ones() {
    let (disk, name) = with_table();
    let left = disk.after(Loss::Nothing);
    left.change(&name, |bytes| (0..bytes.len() - 1_000).step_by(64).for_each(|at| bytes[at] ^= 1));
    let mut log = Log::open(&left, &setup(), BEGIN).unwrap();
    let alice = owner("alice");
    let cursor = Open { cursor: Some(alice.clone()), ..open("room", Since::Cursor(None)) };
    let epoch = log.all("room").unwrap().epoch;
    let position = Position { epoch, offset: Offset(9) };
    let ack = CursorAck { owner: alice.clone(), channel: channel("room"), position };
    let forget = Command::Forget { owner: alice, channel: channel("room") };
    let mut stranger = message("room", "m");
    stranger.0.producer =
        Some(moorline_server::engine::ProducerSequence { id: moorline_protocol::ProducerId(1), generation: 1, seq: 1 });
    let commands = vec![Command::Open(cursor), Command::Ack(ack), forget, stranger.command()];
    for answer in log.turn(commands).unwrap() {
        assert_eq!(answer, Some(Err(EngineError::Unavailable)));
    }
    // Nothing of it took effect.
    assert_eq!(log.turns.core().stats().cursors, 0);
}
