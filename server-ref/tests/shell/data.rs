//! What `inspect` says about a data directory, and on which ones a server does not start.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::Wire;
use crate::support::program::{Program, command, ended, run};

/// A data directory with a few messages.
fn with_messages() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let server = Program::dev(dir.path());
    let mut wire = Wire::hello(server.address(), "dev:alice");
    for n in 1..=50 {
        let text = format!("{n}:{}", "x".repeat(1_000));
        wire.say(&json!({"t": "publish", "channel": "room:1", "req": n, "id": n.to_string(), "text": text}));
        assert_eq!(wire.expect("published")["offset"], n);
    }
    drop(wire);
    server.stop();
    dir
}

fn inspect(dir: &Path) -> (i32, String) {
    run([Path::new("inspect"), dir])
}

fn start(dir: &Path) -> (i32, String) {
    ended(command(["--dev", "--listen", "127.0.0.1:0", "--data"]).arg(dir).output().unwrap())
}

fn segment(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "seg" || ending == "log")).collect();
    segments.sort();
    segments.remove(0)
}

#[test]
fn inspect_shows_what_is_there_and_changes_nothing() {
    let dir = with_messages();
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<_> = entries.map(|entry| (entry.file_name(), entry.metadata().unwrap().len())).collect();
        names.sort();
        names
    };
    let before = names();
    let (code, said) = inspect(dir.path());
    assert_eq!(code, 0, "{said}");
    for word in ["default/room:1", "1..50", "50 messages", "no damage found", dir.path().to_str().unwrap()] {
        assert!(said.contains(word), "`{word}` is not in {said}");
    }
    assert!(!said.contains("xxx"), "no payloads: {said}");
    assert_eq!(names(), before);
    // Also while a server is at work on it.
    let server = Program::dev(dir.path());
    assert_eq!(inspect(dir.path()).0, 0);
    server.stop();
}

#[test]
fn inspect_says_when_there_is_nothing_to_look_at() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "hello").unwrap();
    let missing = dir.path().join("missing");
    for (path, says) in [(dir.path(), "there is no log in it"), (&missing, "No such file"), (&file, "Not a directory")]
    {
        let (code, said) = inspect(path);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(says) && said.contains(path.to_str().unwrap()), "{said}");
    }
    assert!(!missing.exists());
}

#[test]
fn a_log_damaged_in_its_middle_is_not_served() {
    let dir = with_messages();
    let path = segment(dir.path());
    // Without a checkpoint that covers it, the log itself is what there is.
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("checkpoint-") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.windows(3).position(|three| three == b"25:").unwrap();
    bytes[middle + 100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (code, said) = start(dir.path());
    assert_eq!(code, 1, "{said}");
    for word in ["the log is damaged", path.file_name().unwrap().to_str().unwrap(), "inspect", "--restored"] {
        assert!(said.contains(word), "`{word}` is not in {said}");
    }
    let (code, said) = inspect(dir.path());
    assert!(code == 1 && said.contains("DAMAGE"), "{said}");
    // Nothing was changed: the same bytes, repaired, are served again.
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    bytes[middle + 100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    Program::dev(dir.path()).stop();
}

#[test]
fn a_directory_of_a_newer_version_is_left_alone() {
    let dir = with_messages();
    let path = dir.path().join("store");
    let newer = std::fs::read_to_string(&path).unwrap().replace("moorline-log 3", "moorline-log 4");
    std::fs::write(&path, &newer).unwrap();
    let (code, said) = start(dir.path());
    assert!(code == 1 && said.contains("format 4") && said.contains("newer moorline-server"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
}

#[test]
fn a_restored_directory_begins_new_epochs() {
    let dir = with_messages();
    let epoch = |server: &Program| {
        let mut wire = Wire::hello(server.address(), "dev:alice");
        wire.say(&json!({"t": "subscribe", "channel": "room:1", "req": 1}));
        wire.expect("subscribed")["epoch"].clone()
    };
    let server = Program::dev(dir.path());
    let before = epoch(&server);
    server.stop();
    let server = Program::dev(dir.path());
    assert_eq!(epoch(&server), before, "a restart is not a restore");
    server.stop();
    let mut command = command(["--dev", "--restored", "--listen", "127.0.0.1:0", "--data"]);
    let server = Program::start(command.arg(dir.path()));
    assert_ne!(epoch(&server), before);
}

#[test]
fn a_backup_of_a_running_server_is_served_as_another_epoch() {
    let dir = with_messages();
    let server = Program::dev(dir.path());
    let mut wire = Wire::hello(server.address(), "dev:alice");
    wire.say(&json!({"t": "publish", "channel": "room:1", "req": 51, "id": "51", "text": "the last before"}));
    assert_eq!(wire.expect("published")["offset"], 51);
    let copies = tempfile::tempdir().unwrap();
    let to = copies.path().join("today");
    let (code, said) = run([Path::new("backup"), dir.path(), &to]);
    assert!(code == 0 && said.contains("no damage") && said.contains(to.to_str().unwrap()), "{said}");
    wire.say(&json!({"t": "publish", "channel": "room:1", "req": 52, "id": "52", "text": "the first after"}));
    assert_eq!(wire.expect("published")["offset"], 52, "the server goes on");
    let restored = Program::dev(&to);
    let mut wire = Wire::hello(restored.address(), "dev:alice");
    let since = json!({"epoch": "k3v9x2ab.1", "offset": 52});
    wire.say(&json!({"t": "subscribe", "channel": "room:1", "req": 1, "since": since}));
    assert_eq!(wire.expect("subscribed")["reason"], "epoch");
    let mut wire = Wire::hello(restored.address(), "dev:bob");
    wire.say(&json!({"t": "subscribe", "channel": "room:1", "req": 1, "since": {"last": 1}}));
    wire.expect("subscribed");
    assert_eq!(wire.expect("deliver")["messages"][0]["id"], "51", "what was answered before is in it");
    let (code, said) = run([Path::new("backup"), dir.path(), &to]);
    assert!(code == 1 && said.contains("there is something already"), "{said}");
}
