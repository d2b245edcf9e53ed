//! A disk that is full, and one that fails.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use moorline_protocol::{Offset, ProducerRequest, Run, Since};
use moorline_server::engine::host::EngineThread;
use moorline_server::engine::log::{LogConfig, open_with};
use moorline_server::engine::turn::Fatal;
use moorline_server::engine::{
    Appended, Attach, Attached, Command, Completion, EngineError, Gone, Open, ReadRange, Reply, SessionId, ShardId,
    Ticket,
};

use super::{BEGIN, BOOT, Log, config, keep};
use crate::disk::{Disk, Loss};
use crate::rig::{SECOND, channel, ids, message, open, owner, read_command};

const SEGMENT: u64 = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);

fn setup() -> LogConfig {
    LogConfig { core: keep("short", 3), ..config(SEGMENT) }
}

fn publish(name: &str, id: &str) -> Command {
    message(name, id).text(&"x".repeat(300)).command()
}

/// Publishes until there is no room; returns how many were stored.
fn fill(log: &mut Log, name: &str) -> u64 {
    for n in 1.. {
        assert!(n < 1_000, "it is never full");
        match log.turn(vec![publish(name, &format!("m{n}"))]).unwrap().remove(0) {
            Some(Ok(Completion::Appended(Appended::Stored(_)))) => {}
            Some(Err(EngineError::Full)) => return n - 1,
            other => panic!("{other:?}"),
        }
    }
    0
}

fn attach(producer: ProducerRequest) -> Command {
    let alice = owner("alice");
    Command::Attach(Attach {
        session: SessionId(1),
        app: alice.app,
        user: Some(alice.user),
        device: Some(alice.device),
        run: Run { boot: 1, transport: 1 },
        producer: Some(producer),
        max_connections: 9,
        token_id: None,
        token_issued: None,
    })
}

#[test]
fn a_full_disk_refuses_publishes_and_goes_on_when_there_is_room() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    log.pass(0, 3).unwrap();
    disk.set_capacity(Some(disk.used() + SEGMENT as usize + 2_000));
    let stored = fill(&mut log, "room");
    assert!(stored > 50);
    // Whatever writes nothing is served.
    let commands = vec![
        read_command("room", ReadRange::Newest, 1, usize::MAX),
        Command::Open(open("room", Since::Now)),
        attach(ProducerRequest::New),
        Command::Open(Open { cursor: Some(owner("bob")), ..open("room", Since::Now) }),
        publish("room", "refused"),
    ];
    let answers = log.turn(commands).unwrap();
    assert!(matches!(answers[0], Some(Ok(Completion::Read(_)))));
    assert!(matches!(answers[1], Some(Ok(Completion::Opened(_)))));
    assert!(answers[2..].iter().all(|answer| *answer == Some(Err(EngineError::Full))), "{answers:?}");
    // As long as it takes.
    for _ in 0..200 {
        log.pass(6 * SECOND, 1).unwrap();
    }
    disk.set_capacity(None);
    log.pass(SECOND, 3).unwrap();
    for n in 1..=100 {
        let answer = log.turn(vec![publish("room", &format!("late{n}"))]).unwrap().remove(0);
        assert!(matches!(answer, Some(Ok(Completion::Appended(Appended::Stored(_))))), "{answer:?}");
    }
    drop(log);
    let mut back = Log::open(&disk.after(Loss::Unsynced), &setup(), BEGIN).unwrap();
    assert_eq!(back.all("room").unwrap().messages.len() as u64, stored + 100);
}

#[test]
fn what_a_full_disk_knows_is_resumed() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    let answers = log.turn(vec![attach(ProducerRequest::New)]).unwrap();
    let Some(Ok(Completion::Attached(Attached::Accepted { producer: Some(grant) }))) = &answers[0] else { panic!() };
    log.turn(vec![Command::Open(Open { cursor: Some(owner("bob")), ..open("room", Since::First) })]).unwrap();
    log.pass(0, 3).unwrap();
    disk.set_capacity(Some(disk.used()));
    fill(&mut log, "room");
    let answers = log
        .turn(vec![
            Command::Detach(SessionId(1), Gone::Left),
            attach(ProducerRequest::Resume(grant.id)),
            Command::Open(Open { cursor: Some(owner("bob")), ..open("room", Since::Cursor(None)) }),
        ])
        .unwrap();
    assert!(matches!(answers[1], Some(Ok(Completion::Attached(Attached::Accepted { .. })))), "{answers:?}");
    let Some(Ok(Completion::Opened(opened))) = &answers[2] else { panic!("{answers:?}") };
    assert_eq!(opened.from, Offset::ZERO);
}

#[test]
fn a_full_disk_frees_itself_when_retention_makes_room() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    log.pass(0, 3).unwrap();
    disk.set_capacity(Some(disk.used() + 2 * SEGMENT as usize + 3_000));
    let stored = fill(&mut log, "short");
    // All but three messages go in the next rounds of forgetting, and their segments after the next checkpoint.
    log.pass(6 * SECOND, 10).unwrap();
    log.pass(6 * SECOND, 10).unwrap();
    let answer = log.turn(vec![publish("short", "again")]).unwrap().remove(0);
    assert!(matches!(answer, Some(Ok(Completion::Appended(Appended::Stored(_))))), "{answer:?}");
    let mut back = Log::open(&disk.after(Loss::Unsynced), &setup(), BEGIN).unwrap();
    let page = back.all("short").unwrap();
    assert_eq!((page.messages.len(), page.head.0), (3, stored + 1));
}

#[test]
fn a_checkpoint_or_an_index_without_room_is_put_off() {
    // Room for so much beside the segments: none at all, half an index, an index and half a checkpoint.
    for beside in [0, 300, 900, 1_500, 2_500] {
        let disk = Disk::default();
        let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
        log.pass(0, 3).unwrap();
        disk.set_capacity(Some(disk.used() + 2 * SEGMENT as usize + beside));
        let stored = fill(&mut log, "room");
        for _ in 0..5 {
            log.pass(6 * SECOND, 5).unwrap();
        }
        // Even if the power fails now.
        let left = disk.after(Loss::Unsynced);
        let mut back = Log::open(&left, &setup(), BEGIN).unwrap();
        assert_eq!(back.all("room").unwrap().messages.len() as u64, stored, "{beside} bytes beside");
        disk.set_capacity(None);
        log.pass(6 * SECOND, 10).unwrap();
        assert!(disk.names().iter().any(|name| name.starts_with("checkpoint-")), "{:?}", disk.names());
    }
}

#[test]
fn a_full_disk_ends_in_good_order() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(), BEGIN).unwrap();
    log.pass(0, 3).unwrap();
    disk.set_capacity(Some(disk.used()));
    let stored = fill(&mut log, "room");
    log.turns.close(BEGIN).unwrap_or_else(|fatal| assert!(fatal.to_string().contains("marking the end"), "{fatal}"));
    let mut back = Log::open(&disk.after(Loss::Unsynced), &setup(), BEGIN);
    if let Ok(back) = &mut back {
        assert_eq!(back.all("room").unwrap().messages.len() as u64, stored);
    } else {
        disk.set_capacity(None);
        let mut back = Log::open(&disk.after(Loss::Unsynced), &setup(), BEGIN).unwrap();
        assert_eq!(back.all("room").unwrap().messages.len() as u64, stored);
    }
}

/// Publishes one message after the other; returns those that were answered, and why it ended.
fn publish_until_fatal(disk: &Disk, count: usize) -> (Vec<String>, Option<String>) {
    let mut stored = Vec::new();
    let mut log = match Log::open(disk, &setup(), BEGIN) {
        Ok(log) => log,
        Err(error) => return (stored, Some(error.to_string())),
    };
    for n in 0..count {
        let id = format!("m{n}");
        match log.turn(vec![publish("room", &id)]) {
            Ok(answers) => {
                assert!(matches!(answers[0], Some(Ok(Completion::Appended(Appended::Stored(_))))), "{answers:?}");
                stored.push(id);
            }
            Err(fatal) => return (stored, Some(fatal.to_string())),
        }
    }
    (stored, None)
}

#[test]
fn a_sync_that_fails_ends_the_log_and_is_never_tried_again() {
    let whole = Disk::default();
    let (all, fatal) = publish_until_fatal(&whole, 130);
    assert_eq!((all.len(), fatal), (130, None));
    let is_sync = |step: &&String| step.starts_with("sync ") && *step != "sync the directory";
    let syncs = whole.steps().iter().filter(is_sync).count();
    for good in 0..syncs {
        let disk = Disk::default();
        disk.fail_sync_after(good);
        let (stored, fatal) = publish_until_fatal(&disk, 130);
        // Allocating the segment after the last one is not waited for.
        if let Some(fatal) = fatal {
            let steps = disk.steps();
            let failed = (0..steps.len()).filter(|at| is_sync(&&steps[*at])).nth(good).unwrap();
            let after = &steps[failed + 1..];
            assert!(after.iter().all(|step| step.starts_with("remove ")), "{fatal}; then {after:?}");
        }
        // What was answered is there, whatever became of the rest.
        for loss in [Loss::Unsynced, Loss::Nothing] {
            let mut back = Log::open(&disk.after(loss), &setup(), BEGIN).unwrap();
            let found = ids(&back.all("room").unwrap());
            assert!(found.len() >= stored.len() && found.len() <= stored.len() + 1, "{good}: {}", found.len());
            assert_eq!(found[..stored.len()], stored[..]);
        }
    }
}

#[test]
fn after_a_failed_sync_nobody_is_answered() {
    let disk = Disk::default();
    let core = open_with(&LogConfig { threads: true, ..setup() }, Arc::new(disk.clone()), BOOT, BEGIN).unwrap();
    let (fatals, fatal) = mpsc::channel::<Fatal>();
    let thread = EngineThread::spawn(core, || BEGIN, move |fatal| drop(fatals.send(fatal))).unwrap();
    let (sender, replies) = mpsc::channel::<Vec<Reply>>();
    thread.handle().register(ShardId(0), Box::new(move |batch| drop(sender.send(batch))));
    let submit = |ticket, id| thread.handle().submit(ShardId(0), [(Ticket(ticket), publish("room", id))]);
    submit(1, "a");
    assert!(matches!(replies.recv_timeout(PATIENCE).unwrap()[0], Reply::Completed(Ticket(1), Ok(_))));
    // The next segment is allocated, so that the next sync is that of the log.
    disk.wait_for("segment.next");
    disk.fail_sync_after(0);
    submit(2, "b");
    let fatal = fatal.recv_timeout(PATIENCE).unwrap();
    assert!(fatal.to_string().contains("fdatasync of the log failed"), "{fatal}");
    submit(3, "c");
    thread.close();
    assert_eq!(replies.try_iter().count(), 0, "nothing was answered any more");
    let mut back = Log::open(&disk.after(Loss::Unsynced), &setup(), BEGIN).unwrap();
    assert_eq!(ids(&back.all("room").unwrap()), ["a"]);
}

#[test]
fn an_answer_waits_for_the_sync_and_so_does_the_event() {
    let disk = Disk::default();
    let core = open_with(&LogConfig { threads: true, ..config(1 << 20) }, Arc::new(disk.clone()), BOOT, BEGIN).unwrap();
    let thread = EngineThread::spawn(core, || BEGIN, |fatal| panic!("{fatal}")).unwrap();
    let (sender, replies) = mpsc::channel::<Vec<Reply>>();
    thread.handle().register(ShardId(0), Box::new(move |batch| drop(sender.send(batch))));
    let submit = |ticket, command| thread.handle().submit(ShardId(0), [(Ticket(ticket), command)]);
    submit(1, Command::Open(open("room", Since::Now)));
    replies.recv_timeout(PATIENCE).unwrap();
    // The next segment is allocated, so that the next sync is that of the log.
    disk.wait_for("segment.next");
    disk.hold_syncs();
    thread.handle().submit(
        ShardId(0),
        [
            (Ticket(2), publish("room", "a")),
            (Ticket(3), publish("room", "a")),
            (Ticket(4), read_command("room", ReadRange::Newest, 9, usize::MAX)),
            (Ticket(5), Command::Open(open("room", Since::Now))),
        ],
    );
    disk.wait_for_held_sync();
    assert_eq!(replies.try_iter().count(), 0, "neither the message, nor its duplicate, nor the new head");
    // What comes meanwhile waits for its own sync.
    submit(6, publish("room", "b"));
    assert_eq!(replies.try_iter().count(), 0);
    disk.let_one_sync_go();
    let first = replies.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(first[0], Reply::Event(_)));
    assert_eq!(first.len(), 5, "{first:?}");
    disk.wait_for_held_sync();
    assert_eq!(replies.try_iter().count(), 0, "what came meanwhile waits");
    disk.release_syncs();
    assert!(matches!(&replies.recv_timeout(PATIENCE).unwrap()[..], [Reply::Event(_), Reply::Completed(Ticket(6), _)]));
    assert_eq!(channel("room").name.as_str(), "room");
    thread.close();
}

#[test]
fn a_cursor_is_forgotten_when_that_is_synced() {
    let disk = Disk::default();
    let core = open_with(&LogConfig { threads: true, ..config(1 << 20) }, Arc::new(disk.clone()), BOOT, BEGIN).unwrap();
    let thread = EngineThread::spawn(core, || BEGIN, |fatal| panic!("{fatal}")).unwrap();
    let (sender, replies) = mpsc::channel::<Vec<Reply>>();
    thread.handle().register(ShardId(0), Box::new(move |batch| drop(sender.send(batch))));
    let submit = |ticket, command| thread.handle().submit(ShardId(0), [(Ticket(ticket), command)]);
    submit(1, Command::Open(Open { cursor: Some(owner("bob")), ..open("room", Since::First) }));
    replies.recv_timeout(PATIENCE).unwrap();
    // The next segment is allocated, so that the next sync is that of the log.
    disk.wait_for("segment.next");
    disk.hold_syncs();
    submit(2, Command::Forget { owner: owner("bob"), channel: channel("room") });
    disk.wait_for_held_sync();
    assert_eq!(replies.try_iter().count(), 0, "a power cut now would bring it back");
    disk.release_syncs();
    let answers = replies.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(answers[..], [Reply::Completed(Ticket(2), Ok(Completion::Forgotten))]), "{answers:?}");
    thread.close();
}
