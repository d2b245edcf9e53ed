//! Sockets and descriptors: whoever does not read costs a bounded room, and everybody else does not notice.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use moorline_server::server::Options;
use serde_json::{Value, json};

use crate::support::program::{Program, command};
use crate::support::{Healthy, Heard, TEXT, Wire, World, frame, upgrade};

const MIB: usize = 1 << 20;

/// Returns how many sockets a process has.
fn sockets(process: u32) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// Returns the most memory a process ever had, in bytes.
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn memory_server(extra: &[&str]) -> Program {
    Program::start(command(["--dev", "--engine", "memory", "--listen", "127.0.0.1:0"]).args(extra))
}

/// Publishes so many messages of 32 KiB to a channel, each after the answer to the one before.
fn publish(wire: &mut Wire, channel: &str, qos: u8, count: usize) {
    for n in 0..count {
        let text = format!("{n}:{}", "x".repeat(32 * 1024));
        let id = format!("{qos}-{channel}-{n}");
        wire.say(&json!({"t": "publish", "channel": channel, "qos": qos, "req": n, "id": id, "text": text}));
        if qos > 0 {
            wire.expect("published");
        }
    }
    wire.say(&json!({"t": "ping", "n": 1}));
    wire.expect("pong");
}

fn subscribe(wire: &mut Wire, channel: &str, qos: u8) {
    wire.say(&json!({"t": "subscribe", "channel": channel, "req": 1, "qos": qos}));
    wire.expect("subscribed");
}

#[test]
fn a_client_that_never_reads_costs_a_bounded_room() {
    let server = memory_server(&["--shards", "1"]);
    let mut healthy = Healthy::connect(server.address(), "dev:healthy");
    let mut deaf = Wire::hello(server.address(), "dev:deaf");
    // It may be silent for five minutes, however busy the machine is.
    deaf.say(&json!({"t": "park", "ping": 300_000}));
    subscribe(&mut deaf, "stored", 1);
    subscribe(&mut deaf, "passing", 0);
    let mut publisher = Wire::hello(server.address(), "dev:publisher");
    let before = peak(server.id());
    for _ in 0..4 {
        publish(&mut publisher, "passing", 0, 250);
        healthy.beat();
    }
    let grown = peak(server.id()) - before;
    assert!(grown < 16 * MIB, "{} MiB for 32 MiB that nobody read", grown / MIB);
    publish(&mut publisher, "stored", 1, 100);
    healthy.beat();
    // It reads at last: what was stored comes whole and in order, what passed is counted.
    let (mut stored, mut passed, mut dropped) = (0, 0, 0);
    while stored < 100 {
        match deaf.hear() {
            Heard::Json(frame) if frame["t"] == "dropped" => dropped += frame["count"].as_u64().unwrap(),
            Heard::Json(frame) if frame["channel"] == "passing" => passed += messages(&frame).len() as u64,
            Heard::Json(frame) if frame["t"] == "deliver" => {
                for message in messages(&frame) {
                    stored += 1;
                    assert_eq!(message["offset"], stored);
                }
                if frame["more"] == true {
                    deaf.say(&json!({"t": "more", "channel": "stored", "after": stored}));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    deaf.say(&json!({"t": "ping", "n": 2}));
    while passed + dropped < 1_000 {
        match deaf.hear() {
            Heard::Json(frame) if frame["t"] == "dropped" => dropped += frame["count"].as_u64().unwrap(),
            Heard::Json(frame) if frame["channel"] == "passing" => passed += messages(&frame).len() as u64,
            Heard::Json(frame) => assert_eq!(frame["t"], "pong"),
            other => panic!("{other:?}"),
        }
    }
    assert!(passed + dropped == 1_000 && dropped > 0 && passed > 0, "{passed} came, {dropped} were dropped");
    // And it is live again.
    publish(&mut publisher, "passing", 0, 1);
    loop {
        match deaf.hear() {
            Heard::Json(frame) if frame["t"] == "pong" => {}
            Heard::Json(frame) => {
                assert_eq!((frame["t"].as_str(), frame["channel"].as_str()), (Some("deliver"), Some("passing")));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    healthy.beat();
}

fn messages(frame: &Value) -> &Vec<Value> {
    frame["messages"].as_array().unwrap()
}

#[test]
fn answers_that_nobody_reads_stop_the_questions() {
    let server = memory_server(&["--shards", "1"]);
    let mut healthy = Healthy::connect(server.address(), "dev:healthy");
    let mut publisher = Wire::hello(server.address(), "dev:publisher");
    publish(&mut publisher, "stored", 1, 100);
    let before = peak(server.id());
    // Each question is small, each answer has 256 KiB.
    let question = json!({"t": "history", "channel": "stored", "req": 1}).to_string();
    let message = frame(true, TEXT, vec![question; 1_000].join("\n").as_bytes());
    let mut deaf = Wire::hello(server.address(), "dev:deaf");
    deaf.give_up_writing();
    let mut asked = 0;
    while asked < 1_000 && deaf.try_raw(&message) {
        asked += 1;
        healthy.beat();
    }
    let grown = peak(server.id()) - before;
    assert!(asked < 1_000 && grown < 64 * MIB, "{asked} messages taken, {} MiB", grown / MIB);
}

#[test]
fn the_socket_of_a_client_that_never_reads_goes_with_its_connection() {
    let server = memory_server(&["--shards", "1"]);
    let mut publisher = Wire::hello(server.address(), "dev:publisher");
    let hello = json!({"t": "hello", "v": 1, "token": "dev:deaf", "device": "device-0123456789"});
    let open = |run: u64| {
        let mut wire = Wire::open(server.address());
        let mut hello = hello.clone();
        hello["run"] = json!([1, run]);
        wire.say(&hello);
        wire.expect("welcome");
        subscribe(&mut wire, "passing", 0);
        wire
    };
    let at_rest = sockets(server.id());
    let mut deaf = Vec::new();
    for run in 1..=5 {
        deaf.push(open(run));
        publish(&mut publisher, "passing", 0, 400);
    }
    // Each but the last was displaced while its queue was full: the server says goodbye, waits a moment, and closes.
    while sockets(server.id()) > at_rest + 1 {
        std::thread::yield_now();
    }
    assert_eq!(deaf.len(), 5);
    publish(&mut publisher, "passing", 0, 1);
}

#[test]
fn without_descriptors_newcomers_are_refused_and_nobody_else_notices() {
    let mut shell = Command::new("sh");
    let program: PathBuf = env!("CARGO_BIN_EXE_moorline-server").into();
    let dir = tempfile::tempdir().unwrap();
    shell.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]).arg(program);
    shell.args(["--dev", "--listen", "127.0.0.1:0", "--data"]).arg(dir.path());
    let server = Program::start(&mut shell);
    let mut healthy = Healthy::connect(server.address(), "dev:healthy");
    let (mut taken, mut refused) = (Vec::new(), 0);
    for n in 0..300 {
        let mut wire = Wire::dial(server.address());
        if !wire.try_raw(upgrade("/ws", "").as_bytes()) {
            continue;
        }
        match wire.response() {
            answer if answer.starts_with("HTTP/1.1 101 ") => {
                // Whoever says nothing is sent away after ten seconds, and its descriptor is free again.
                wire.say(&json!({"t": "hello", "v": 1, "token": format!("dev:taken-{n}")}));
                wire.expect("welcome");
                wire.say(&json!({"t": "park", "ping": 300_000}));
                taken.push(wire);
            }
            answer => {
                assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("open files"), "{answer}");
                refused += 1;
            }
        }
    }
    assert!(taken.len() > 100 && refused > 0, "{} taken, {refused} refused", taken.len());
    healthy.beat();
    drop(taken);
    loop {
        let answer = Wire::dial(server.address()).request(&upgrade("/ws", ""));
        if answer.starts_with("HTTP/1.1 101 ") {
            break;
        }
    }
    healthy.beat();
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_gives_up_a_peer_that_confirms_nothing() {
    let world = World::start(Options { tcp_user_timeout_ms: 17_000, ..Options::dev() }, "dev:healthy");
    let wire = Wire::hello(world.address(), "dev:alice");
    let accepted = end_of_connection(|own| own == world.address(), |other| other == wire.local_address());
    assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(Duration::from_secs(17)));
    assert!(accepted.keepalive().unwrap() && accepted.tcp_nodelay().unwrap());
    // No probe wakes a device in the background, which is pinged every 300 s at the longest.
    assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(310));
}

/// Returns a copy of this process's own end of a connection, found by the addresses of both ends.
#[cfg(target_os = "linux")]
fn end_of_connection(own: impl Fn(SocketAddr) -> bool, other: impl Fn(SocketAddr) -> bool) -> socket2::Socket {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let process = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers = descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let copies = numbers.filter_map(|fd: i32| pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).ok());
    let is_it = |socket: &socket2::Socket| {
        let address = |address: std::io::Result<socket2::SockAddr>| address.ok().and_then(|it| it.as_socket());
        address(socket.local_addr()).is_some_and(&own) && address(socket.peer_addr()).is_some_and(&other)
    };
    copies.map(socket2::Socket::from).find(is_it).unwrap()
}
