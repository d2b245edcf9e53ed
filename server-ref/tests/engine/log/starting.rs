//! What a start may trust: epochs, the boot of the machine, the lock, the directory.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use moorline_protocol::{Epoch, Offset, Position, ProducerRequest, ResetReason, Run, Since};
use moorline_server::engine::log::{Directory, LogConfig, OpenError, open_with};
use moorline_server::engine::{Appended, Attach, Attached, Command, Completion, Open, SessionId};

use super::{BEGIN, BOOT, Log, config};
use crate::disk::{Disk, Loss};
use crate::rig::{ids, message, open, owner};

fn setup(sync: bool) -> LogConfig {
    LogConfig { sync, ..config(32 * 1024) }
}

fn store(log: &mut Log, name: &str, id: &str) -> Position {
    match log.turn(vec![message(name, id).command()]).unwrap().remove(0) {
        Some(Ok(Completion::Appended(Appended::Stored(at)))) => at,
        other => panic!("{other:?}"),
    }
}

fn opened(log: &mut Log, name: &str, since: Since) -> moorline_server::engine::Opened {
    match log.turn(vec![Command::Open(open(name, since))]).unwrap().remove(0) {
        Some(Ok(Completion::Opened(opened))) => opened,
        other => panic!("{other:?}"),
    }
}

fn epoch(log: &mut Log, name: &str) -> Epoch {
    opened(log, name, Since::Now).epoch
}

#[test]
fn epochs_stay_when_nothing_was_lost() {
    for sync in [true, false] {
        for good_end in [true, false] {
            let disk = Disk::default();
            let mut log = Log::open(&disk, &setup(sync), BEGIN).unwrap();
            let at = store(&mut log, "room", "a");
            let unwritten = epoch(&mut log, "unwritten");
            let (left, boot) = if good_end {
                log.turns.close(BEGIN).unwrap();
                // Whatever happens to the machine afterwards.
                (disk.after(Loss::Unsynced), "boot-2")
            } else {
                (disk.after(if sync { Loss::Unsynced } else { Loss::Nothing }), if sync { "boot-2" } else { BOOT })
            };
            let mut log = Log::open_in(&left, &setup(sync), boot, BEGIN).unwrap();
            let again = opened(&mut log, "room", Since::Position(at));
            assert_eq!((again.epoch, again.reset, again.head.0), (at.epoch, None, 1), "{sync} {good_end}");
            assert_eq!(epoch(&mut log, "unwritten"), unwritten);
            assert_eq!(ids(&log.all("room").unwrap()), ["a"]);
        }
    }
}

#[test]
fn a_power_cut_without_syncs_begins_new_epochs() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(false), BEGIN).unwrap();
    let first = store(&mut log, "room", "a");
    let second = store(&mut log, "room", "b");
    for loss in [Loss::Unsynced, Loss::Some(1), Loss::Some(2), Loss::Some(3), Loss::Nothing] {
        // Even if nothing was lost: nobody can know.
        let mut log = Log::open_in(&disk.after(loss), &setup(false), "boot-2", BEGIN).unwrap();
        let page = log.all("room").unwrap();
        assert_ne!(page.epoch, first.epoch);
        assert!(page.head <= second.offset);
        let again = opened(&mut log, "room", Since::Position(first));
        assert_eq!(again.reset, Some(ResetReason::Epoch), "{loss:?}");
        // What is left is a beginning of what was.
        assert_eq!(ids(&page)[..], ["a", "b"][..page.messages.len()]);
    }
}

#[test]
fn an_unknown_boot_counts_as_another() {
    let disk = Disk::default();
    let mut log = Log::open_in(&disk, &setup(false), "", BEGIN).unwrap();
    let at = store(&mut log, "room", "a");
    let mut log = Log::open_in(&disk.after(Loss::Nothing), &setup(false), "", BEGIN).unwrap();
    assert_ne!(epoch(&mut log, "room"), at.epoch);
}

#[test]
fn how_the_last_run_wrote_decides_and_not_how_this_one_will() {
    for (before, after, changes) in [(false, true, true), (true, false, false)] {
        let disk = Disk::default();
        let mut log = Log::open(&disk, &setup(before), BEGIN).unwrap();
        let at = store(&mut log, "room", "a");
        let left = disk.after(if before { Loss::Unsynced } else { Loss::Some(9) });
        let mut log = Log::open_in(&left, &setup(after), "boot-2", BEGIN).unwrap();
        assert_eq!(epoch(&mut log, "room") != at.epoch, changes, "{before} {after}");
    }
}

#[test]
fn an_epoch_never_names_two_lives() {
    // Each time the power fails before anything is synced, and other messages take the same offsets.
    let mut disk = Disk::default();
    let mut seen: Vec<(Epoch, u64, String)> = Vec::new();
    for life in 0..6 {
        let boot = format!("boot-{life}");
        let mut log = Log::open_in(&disk, &setup(false), &boot, BEGIN).unwrap();
        for n in 0..3 {
            let at = store(&mut log, "room", &format!("{life}-{n}"));
            let other = seen.iter().find(|(epoch, offset, _)| *epoch == at.epoch && *offset == at.offset.0);
            assert_eq!(other, None, "life {life}");
            seen.push((at.epoch, at.offset.0, format!("{life}-{n}")));
        }
        disk = disk.after(Loss::Unsynced);
    }
}

#[test]
fn a_restored_directory_begins_new_epochs_and_keeps_everything_else() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(true), BEGIN).unwrap();
    let at = store(&mut log, "room", "a");
    let alice = owner("alice");
    let attach = |request| Attach {
        session: SessionId(1),
        app: owner("alice").app,
        user: Some(owner("alice").user),
        device: Some(owner("alice").device),
        run: Run { boot: 1, transport: 1 },
        producer: Some(request),
        max_connections: 9,
        token_id: None,
        token_issued: None,
    };
    let answers = log.turn(vec![Command::Attach(attach(ProducerRequest::New))]).unwrap();
    let Some(Ok(Completion::Attached(Attached::Accepted { producer: Some(grant) }))) = &answers[0] else { panic!() };
    let cursor = |since| Command::Open(Open { cursor: Some(alice.clone()), ..open("room", since) });
    log.turn(vec![cursor(Since::First)]).unwrap();
    log.turns.close(BEGIN).unwrap();
    let restored = LogConfig { restored: true, ..setup(true) };
    let mut epochs = vec![at.epoch];
    for _ in 0..2 {
        // Twice the same backup.
        let mut log = Log::open(&disk.after(Loss::Nothing), &restored, BEGIN).unwrap();
        let new = epoch(&mut log, "room");
        assert!(!epochs.contains(&new) && !epochs.contains(&epoch(&mut log, "unwritten")));
        epochs.push(new);
        let again = opened(&mut log, "room", Since::Position(at));
        assert_eq!((again.from.0, again.reset), (0, Some(ResetReason::Epoch)));
        assert_eq!(ids(&log.all("room").unwrap()), ["a"]);
        let answers = log
            .turn(vec![
                message("room", "a").command(),
                message("room", "b").command(),
                Command::Attach(attach(ProducerRequest::Resume(grant.id))),
                cursor(Since::Cursor(None)),
            ])
            .unwrap();
        // Ids are remembered, offsets count on.
        let Some(Ok(Completion::Appended(Appended::Duplicate(first)))) = &answers[0] else { panic!("{answers:?}") };
        assert_eq!(*first, Position { epoch: new, offset: Offset(1) });
        let Some(Ok(Completion::Appended(Appended::Stored(second)))) = &answers[1] else { panic!("{answers:?}") };
        assert_eq!(*second, Position { epoch: new, offset: Offset(2) });
        let Some(Ok(Completion::Attached(Attached::Accepted { producer: Some(resumed) }))) = &answers[2] else {
            panic!("{answers:?}")
        };
        assert_eq!(resumed.id, grant.id);
        let Some(Ok(Completion::Opened(cursor))) = &answers[3] else { panic!("{answers:?}") };
        assert_eq!(cursor.reset, Some(ResetReason::Epoch));
    }
}

#[test]
fn new_epochs_are_begun_even_if_the_start_is_killed() {
    let disk = Disk::default();
    let mut log = Log::open(&disk, &setup(false), BEGIN).unwrap();
    let at = store(&mut log, "room", "a");
    store(&mut log, "other", "a");
    let cut = disk.after(Loss::Nothing);
    for restored in [false, true] {
        let config = LogConfig { restored, ..setup(false) };
        let boot = if restored { BOOT } else { "boot-2" };
        let whole = cut.after(Loss::Nothing);
        Log::open_in(&whole, &config, boot, BEGIN).unwrap();
        for step in 0..whole.steps().len() {
            let dying = cut.after(Loss::Nothing);
            dying.die_at(step);
            Log::open_in(&dying, &config, boot, BEGIN).err().expect("it dies");
            for loss in [Loss::Nothing, Loss::Unsynced, Loss::Some(step as u64)] {
                let left = dying.after(loss);
                // If the first step never came to be, a restored directory has to be named as such again.
                let named = left.bytes("store") != cut.bytes("store");
                let config = LogConfig { restored: restored && !named, ..setup(false) };
                let mut log = Log::open_in(&left, &config, boot, BEGIN).unwrap();
                for name in ["room", "other"] {
                    assert_ne!(epoch(&mut log, name), at.epoch, "{name}, step {step}, {loss:?}");
                }
                assert_eq!(ids(&log.all("room").unwrap()), ["a"]);
            }
        }
    }
}

#[test]
fn a_directory_belongs_to_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 1 << 20, ..LogConfig::new(dir.path()) };
    let first = moorline_server::engine::log::open(&config).unwrap();
    let error = moorline_server::engine::log::open(&config).err().expect("it is in use");
    assert!(matches!(error, OpenError::Locked { .. }));
    assert!(error.to_string().contains(&dir.path().display().to_string()) && error.to_string().contains("--data"));
    drop(first);
    moorline_server::engine::log::open(&config).unwrap();
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |config: &LogConfig| {
        let error = moorline_server::engine::log::open(config).err().expect("it cannot be used");
        assert!(matches!(error, OpenError::Directory { .. }), "{error}");
        assert!(error.to_string().contains("--data"), "{error}");
    };
    // Where a file stands in its place, whoever asks.
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    refused(&LogConfig::new(&file));
    refused(&LogConfig::new(file.join("below")));
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Nothing is closed to a superuser.
    if std::fs::write(closed.join("probe"), "").is_err() {
        refused(&LogConfig::new(&closed));
    }
}

#[test]
fn a_log_is_opened_again_in_the_same_process_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 1 << 20, ..LogConfig::new(dir.path()) };
    for n in 0..5 {
        // Dropped in the middle of allocating the next segment.
        let core = open_with(&config, Arc::new(Directory::new(dir.path())), BOOT, BEGIN).unwrap();
        assert_eq!(core.stats().channels, 0, "{n}");
        drop(core);
    }
}
