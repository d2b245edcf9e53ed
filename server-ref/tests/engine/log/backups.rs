//! Copies of a data directory that a running engine writes to.

use std::path::Path;

use moorline_server::engine::core::RetentionRule;
use moorline_server::engine::log::{BackupError, LogConfig, backup, backup_while, inspect, open};

use crate::rig::{Kind, Rig, Setup, message};

/// Copies that are taken one after the other.
const COPIES: usize = 8;

/// The epoch of a channel, its newest offset, and how many messages it has, as `inspect` says.
fn channel(dir: &Path) -> (String, u64, u64) {
    let report = inspect(dir).unwrap();
    assert!(report.damage.is_none(), "{report}");
    let text = report.to_string();
    let line = text.lines().find(|line| line.contains("/kept ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, _, epoch, _, range, count, ..] = words.as_slice() else { panic!("{line}") };
    ((*epoch).to_owned(), range.split_once("..").unwrap().1.parse().unwrap(), count.parse().unwrap())
}

/// An engine of whose messages most are not kept, so that segments come and go.
struct Busy {
    rig: Rig,
    answered: u64,
}

impl Busy {
    fn new() -> Self {
        let rule = |prefix: &str, max_count| RetentionRule {
            prefix: prefix.into(),
            max_age_ms: None,
            max_bytes: None,
            max_count,
        };
        let setup = Setup { rules: vec![rule("", None), rule("short", Some(3))], ..Setup::default() };
        Self { rig: Rig::new(Kind::Log { sync: false }, false, setup), answered: 0 }
    }

    fn work(&mut self) {
        let n = self.answered;
        self.rig.store(message("kept", &n.to_string()).text(&"x".repeat(3_000)));
        self.answered += 1;
        self.rig.store(message("short", &n.to_string()).text(&"x".repeat(3_000)));
        self.rig.pass(1_000);
    }
}

#[test]
fn a_copy_of_a_directory_that_is_written_has_everything_that_was_answered_before() {
    let mut busy = Busy::new();
    (0..40).for_each(|_| busy.work());
    let (from, copies) = (busy.rig.directory().to_owned(), tempfile::tempdir().unwrap());
    for n in 0..COPIES {
        let (before, to) = (busy.answered, copies.path().join(n.to_string()));
        // The engine works at every chance but some, which are others each time.
        let mut chance = n;
        backup_while(&from, &to, &mut || {
            chance += 1;
            if chance % 4 != 0 {
                busy.work();
            }
        })
        .unwrap();
        let (_, head, count) = channel(&to);
        assert!(head >= before && count == head, "{count} messages up to {head}, and {before} were answered");
    }
    let to = copies.path().join("0");
    let epoch = || {
        drop(open(&LogConfig { threads: false, ..LogConfig::new(&to) }).unwrap());
        channel(&to).0
    };
    let copied = epoch();
    assert_ne!(copied, channel(&from).0, "offsets after the copy stand for other messages");
    assert_eq!(copied, epoch(), "once");
}

#[test]
fn nothing_is_copied_over_something_or_from_nothing() {
    let rig = Rig::new(Kind::Log { sync: true }, false, Setup::default());
    let (dir, from) = (tempfile::tempdir().unwrap(), rig.directory());
    assert!(matches!(backup(from, dir.path()), Err(BackupError::Exists(_))));
    let to = dir.path().join("copy");
    assert!(matches!(backup(dir.path(), &to), Err(BackupError::Source(_))));
    assert!(!to.exists());
    backup(from, &to).unwrap();
    assert!(to.join("store").exists() && !dir.path().join("copy.new").exists());
    assert!(
        matches!(backup(from, &to.join("store").join("deeper")), Err(BackupError::Target { .. })),
        "that is a file"
    );
    backup(from, &dir.path().join("a").join("b").join("c")).unwrap();
    assert!(dir.path().join("a").join("b").join("c").join("store").exists());
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    let rig = Rig::new(Kind::Log { sync: true }, false, Setup::default());
    let (dir, from) = (tempfile::tempdir().unwrap(), rig.directory());
    let (to, partial) = (dir.path().join("copy"), dir.path().join("copy.new"));
    let names: Vec<_> = from.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    // Somebody else writes there.
    let failed = backup_while(from, &to, &mut || {
        if partial.exists() {
            names.iter().for_each(|name| std::fs::write(partial.join(name), "").unwrap());
        }
    });
    assert!(matches!(failed, Err(BackupError::Source(_))), "{failed:?}");
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    backup(from, &to).unwrap();
}
