//! A disk without room, and one that is read-only. These tests need a file system of their own, so they need root.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use serde_json::{Value, json};

use crate::http::Http;
use crate::support::program::{Program, command, ended};
use crate::support::{Healthy, Heard, TEXT, Wire, frame};

/// What has not changed by then does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file system in memory with so much room; gone when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this process may not mount anything: only root can give a disk a size.
    fn new(mib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = std::ffi::CString::new(format!("size={mib}M")).unwrap();
        match mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), size.as_c_str()) {
            Ok(()) => Some(Self(dir)),
            Err(error) => {
                println!("not checked: a file system of a size cannot be mounted ({error})");
                None
            }
        }
    }

    fn resize(&self, mib: u32, flags: MountFlags) {
        mount_remount(self.0.path(), flags, std::ffi::CString::new(format!("size={mib}M")).unwrap().as_c_str())
            .unwrap();
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}

/// A publish of 60 KB.
fn line(n: u64) -> String {
    format!(r#"{{"t":"publish","channel":"room","req":{n},"id":"{n}","text":"{n}:{}"}}"#, "x".repeat(60_000))
}

/// Publishes 60 KB. Returns the offset, or the error.
fn publish(wire: &mut Wire, n: u64) -> Result<u64, Value> {
    wire.raw(&frame(true, TEXT, line(n).as_bytes()));
    match wire.hear() {
        Heard::Json(frame) if frame["t"] == "published" => Ok(frame["offset"].as_u64().unwrap()),
        Heard::Json(frame) if frame["t"] == "error" => Err(frame),
        other => panic!("{other:?}"),
    }
}

/// Publishes until the disk is full. Returns how much was stored.
fn fill(wire: &mut Wire) -> u64 {
    for n in 1.. {
        match publish(wire, n) {
            Ok(offset) => assert_eq!(offset, n),
            Err(error) => {
                assert_eq!((&error["code"], &error["retry"]), (&json!("storage.full"), &json!(true)), "{error}");
                assert!(error["after"].is_u64(), "{error}");
                return n - 1;
            }
        }
    }
    unreachable!()
}

/// Everything up to here is in the log, and nothing else.
fn holds(wire: &mut Wire, count: u64) {
    let mut seen = 0;
    while seen < count {
        wire.say(&json!({"t": "history", "channel": "room", "req": 1, "after": seen, "limit": 256}));
        let page = wire.expect("page");
        assert_eq!(page["head"], count);
        for message in page["messages"].as_array().unwrap() {
            seen += 1;
            assert_eq!(message["offset"], seen);
            assert!(message["text"].as_str().unwrap().starts_with(&format!("{seen}:")));
        }
    }
}

#[test]
fn a_full_disk_refuses_publishes_until_there_is_room() {
    let Some(disk) = Disk::new(100) else { return };
    let server = Program::dev(&disk.data());
    let mut reader = Healthy::connect(server.address(), "dev:healthy");
    reader.beat();
    let mut wire = Wire::hello(server.address(), "dev:alice");
    let stored = fill(&mut wire);
    assert!(stored > 500, "{stored}");
    for n in stored + 1..stored + 5 {
        assert_eq!(publish(&mut wire, n).unwrap_err()["code"], "storage.full");
    }
    // Everything that writes nothing goes on.
    holds(&mut wire, stored);
    wire.say(&json!({"t": "subscribe", "channel": "room", "req": 2}));
    assert_eq!(wire.expect("subscribed")["head"], stored);
    wire.say(&json!({"t": "publish", "channel": "room", "qos": 0, "text": "passing"}));
    assert_eq!(wire.expect("deliver")["messages"][0]["text"], "passing");
    wire.say(&json!({"t": "unsubscribe", "channel": "room", "req": 3}));
    wire.expect("unsubscribed");
    // What needs a record says so, and the client comes again.
    let hello = json!({"t": "hello", "v": 1, "token": "dev:bob", "device": "device-0123456789", "producer": "new"});
    let mut newcomer = Wire::open(server.address());
    newcomer.say(&hello);
    newcomer.expect_end("storage.full", 4003);
    let mut durable = Wire::open(server.address());
    durable.say(&json!({"t": "hello", "v": 1, "token": "dev:bob", "device": "device-9876543210"}));
    durable.expect("welcome");
    durable.say(&json!({"t": "subscribe", "channel": "room", "req": 4, "durable": true}));
    assert_eq!(durable.expect_error("storage.full")["channel"], "room");
    // Room comes back.
    disk.resize(400, MountFlags::empty());
    let mut head = stored;
    while head < stored + 10 {
        match publish(&mut wire, head + 1) {
            Ok(offset) => {
                head += 1;
                assert_eq!(offset, head);
            }
            Err(error) => assert_eq!(error["code"], "storage.full"),
        }
    }
    reader.beat();
    let mut newcomer = Wire::open(server.address());
    newcomer.say(&hello);
    newcomer.expect("welcome");
    drop((wire, reader, newcomer, durable));
    server.stop();
    let server = Program::dev(&disk.data());
    holds(&mut Wire::hello(server.address(), "dev:alice"), head);
}

#[test]
fn a_server_stopped_on_a_full_disk_has_lost_nothing() {
    let Some(disk) = Disk::new(100) else { return };
    let server = Program::dev(&disk.data());
    let mut wire = Wire::hello(server.address(), "dev:alice");
    let stored = fill(&mut wire);
    // Not a byte is left, not even for the small files of a stop in good order.
    let ballast = disk.0.path().join("ballast");
    let mut rest = std::fs::File::create(&ballast).unwrap();
    std::io::copy(&mut std::io::repeat(0), &mut rest).unwrap_err();
    drop((wire, rest));
    server.signal(rustix::process::Signal::TERM);
    let (status, said) = server.wait();
    assert!(matches!(status.code(), Some(0 | 1)) && !said.contains("panicked"), "{status} {said}");
    // It may have given back a segment that it had begun to allocate.
    let mut rest = std::fs::File::options().append(true).open(&ballast).unwrap();
    std::io::copy(&mut std::io::repeat(0), &mut rest).unwrap_err();
    drop(rest);
    // It cannot start without room, and says so; with room, everything is there.
    let data = disk.data();
    let found = ended(command(["--dev", "--listen", "127.0.0.1:0", "--data"]).arg(&data).output().unwrap());
    assert!(found.0 == 1 && found.1.contains("No space left"), "{found:?}");
    std::fs::remove_file(ballast).unwrap();
    disk.resize(400, MountFlags::empty());
    let server = Program::dev(&disk.data());
    let mut wire = Wire::hello(server.address(), "dev:alice");
    holds(&mut wire, stored);
    assert_eq!(publish(&mut wire, stored + 1), Ok(stored + 1));
}

#[test]
fn a_disk_too_small_for_a_log_is_named() {
    let Some(disk) = Disk::new(10) else { return };
    let found = start_fails(&disk.data());
    for word in ["No space left", "128 MiB", "--data", disk.data().to_str().unwrap()] {
        assert!(found.contains(word), "`{word}` is not in {found}");
    }
}

#[test]
fn a_read_only_disk_is_named() {
    let Some(disk) = Disk::new(200) else { return };
    let server = Program::dev(&disk.data());
    let mut wire = Wire::hello(server.address(), "dev:alice");
    assert_eq!(publish(&mut wire, 1), Ok(1));
    drop(wire);
    server.stop();
    disk.resize(200, MountFlags::RDONLY);
    let found = start_fails(&disk.data());
    assert!(found.contains("Read-only file system") && found.contains("--data"), "{found}");
    disk.resize(200, MountFlags::empty());
    let server = Program::dev(&disk.data());
    holds(&mut Wire::hello(server.address(), "dev:alice"), 1);
}

/// A server that leaves 100 MiB free, and keeps messages of `short` for a second.
fn with_reserve(disk: &Disk) -> Program {
    let config = disk.0.path().join("moorline.toml");
    let text = "[server]\ndisk_reserve = \"100MiB\"\n[[channels]]\nprefix = \"short\"\nmax_age = \"1s\"\n";
    std::fs::write(&config, text).unwrap();
    Program::start(command(["--dev", "--listen", "127.0.0.1:0", "--config"]).arg(config).arg("--data").arg(disk.data()))
}

/// Publishes one message after the other until the answer is this one. Returns how many were stored.
///
/// # Panics
/// If the answer does not come: the server looks at its disk every second, or every five.
fn publish_until(wire: &mut Wire, mut n: u64, refused: bool) -> u64 {
    let began = Instant::now();
    loop {
        let wanted = if refused { "refused" } else { "stored" };
        assert!(began.elapsed() < PATIENCE, "no publish was {wanted} within {PATIENCE:?}, after {n} messages");
        wire.say(&json!({"t": "publish", "channel": "room", "req": n + 1, "id": (n + 1).to_string(), "text": format!("{}:", n + 1)}));
        match wire.hear() {
            Heard::Json(frame) if frame["t"] == "published" => {
                n += 1;
                assert_eq!(frame["offset"], n);
                if !refused {
                    return n;
                }
            }
            Heard::Json(frame) if frame["t"] == "error" => {
                assert_eq!((&frame["code"], &frame["retry"]), (&json!("storage.full"), &json!(true)), "{frame}");
                assert!(frame["after"].is_u64(), "{frame}");
                if refused {
                    return n;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_disk_that_is_nearly_full_refuses_publishes_alone_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new(300) else { return };
    let server = with_reserve(&disk);
    let ready = || Wire::dial(server.address()).request("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    let metrics = || Http::new(server.address(), "").bare("GET", "/metrics", &[], None).text();
    let mut wire = Wire::hello(server.address(), "dev:alice");
    let stored = publish_until(&mut wire, 0, false);
    assert!(ready().ends_with("\r\n\r\nready\n"));
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 80 << 20]).unwrap();
    let stored = publish_until(&mut wire, stored, true);
    let found = ready();
    assert!(found.starts_with("HTTP/1.1 200 ") && found.contains("degraded: the disk is nearly full"), "{found}");
    assert!(metrics().contains("moorline_disk_low 1\n"));
    // Clients come, read, acknowledge and are present.
    holds(&mut wire, stored);
    let mut bob = Wire::open(server.address());
    bob.say(&json!({"t": "hello", "v": 1, "token": "dev:bob", "device": "device-0123456789", "producer": "new"}));
    bob.expect("welcome");
    bob.say(&json!({"t": "subscribe", "channel": "room", "req": 1, "durable": true, "presence": "join"}));
    let subscribed = bob.expect("subscribed");
    bob.say(&json!({"t": "ack", "channel": "room", "epoch": subscribed["epoch"], "offset": stored}));
    let acked = loop {
        match bob.hear() {
            Heard::Json(frame) if frame["t"] == "presence" => {}
            Heard::Json(frame) if frame["t"] == "acked" => break frame,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(acked["offset"], stored);
    // By itself, and with nothing lost.
    std::fs::remove_file(ballast).unwrap();
    let stored = publish_until(&mut wire, stored, false);
    assert!(ready().ends_with("\r\n\r\nready\n"));
    holds(&mut wire, stored);
    drop((wire, bob));
    let said = server.stop();
    for line in ["the disk is nearly full", "the disk has room again"] {
        assert_eq!(said.matches(line).count(), 1, "`{line}` once in {said}");
    }
    let server = with_reserve(&disk);
    holds(&mut Wire::hello(server.address(), "dev:alice"), stored);
}

/// The server does not start on this directory; returns what it says.
fn start_fails(data: &Path) -> String {
    let found = ended(command(["--dev", "--listen", "127.0.0.1:0", "--data"]).arg(data).output().unwrap());
    assert_eq!(found.0, 1, "{}", found.1);
    found.1
}
