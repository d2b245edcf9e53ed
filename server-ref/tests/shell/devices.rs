//! Connections of the same user and device.

use moorline_server::server::Options;
use serde_json::json;

use crate::support::program::{Program, command};
use crate::support::{Wire, World};

const DEVICE: &str = "device-0123456789";

fn hello(world: &World, device: &str, run: [u64; 2]) -> Wire {
    let mut wire = Wire::open(world.address());
    wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice", "device": device, "run": run, "producer": "new"}));
    wire
}

/// Two connections, the second after the first, on one shard and on several.
fn pairs(first: [u64; 2], second: [u64; 2], check: impl Fn(Wire, Wire)) {
    for shards in [1, 3] {
        let mut world = World::start(Options { shards, ..Options::dev() }, "dev:healthy");
        for n in 0..8 {
            // Each pair has a device of its own: nobody says when the server has noticed that the pair before is gone.
            let device = format!("{DEVICE}-{n}");
            let mut old = hello(&world, &device, first);
            old.expect("welcome");
            check(old, hello(&world, &device, second));
            world.is_well();
        }
    }
}

fn is_alive(wire: &mut Wire) {
    wire.say(&json!({"t": "ping", "n": 5}));
    assert_eq!(wire.expect("pong")["n"], 5);
}

#[test]
fn the_next_connection_of_a_process_replaces_the_one_before() {
    pairs([1, 1], [1, 2], |mut old, mut new| {
        new.expect("welcome");
        old.expect_close(4000);
        is_alive(&mut new);
    });
}

#[test]
fn a_process_started_later_displaces_the_one_before() {
    pairs([1, 9], [2, 1], |mut old, mut new| {
        new.expect("welcome");
        old.expect_close(4504);
        is_alive(&mut new);
    });
}

#[test]
fn a_late_hello_of_an_older_connection_is_turned_away() {
    pairs([2, 7], [2, 6], |mut old, mut new| {
        new.expect_close(4504);
        is_alive(&mut old);
    });
    pairs([2, 1], [1, 9], |mut old, mut new| {
        new.expect_close(4504);
        is_alive(&mut old);
    });
}

#[test]
fn of_two_equal_ones_the_newcomer_stays() {
    pairs([3, 3], [3, 3], |mut old, mut new| {
        new.expect("welcome");
        old.expect_close(4504);
        is_alive(&mut new);
    });
}

#[test]
fn copies_of_a_store_that_throw_each_other_out_are_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Program::start(
        command(["--dev", "--listen", "127.0.0.1:0", "--engine", "memory", "--log-format", "json"]).current_dir(&dir),
    );
    let hello = |device: &str, boot: u64| {
        let mut wire = Wire::open(server.address());
        let run = [boot, 1];
        wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice", "device": device, "run": run}));
        wire.expect("welcome");
        wire
    };
    let mut standing = hello(DEVICE, 1);
    for boot in [1, 2] {
        let newcomer = hello(DEVICE, boot);
        standing.expect_close(4504);
        standing = newcomer;
    }
    for boot in [2, 3, 3] {
        let newcomer = hello(DEVICE, boot);
        let error = standing.expect_error("device.conflict");
        assert!(error["message"].as_str().unwrap().contains("was a store copied?"), "{error}");
        standing.expect_close(4504);
        standing = newcomer;
    }
    let mut late = Wire::open(server.address());
    late.say(&json!({"t": "hello", "v": 1, "token": "dev:alice", "device": DEVICE, "run": [1, 1]}));
    late.expect_end("device.conflict", 4504);
    is_alive(&mut standing);
    let said = server.stop();
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("\"WARN\"")).collect();
    let [warning] = warnings.as_slice() else { panic!("once a minute: {said}") };
    for part in ["\"app\":\"default\"", "\"user\":\"alice\"", &format!("\"device\":\"{DEVICE}\""), "store copied?"] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    assert!(!warning.contains("dev:alice"), "a token: {warning}");
}

#[test]
fn other_devices_and_other_users_live_side_by_side() {
    let mut world = World::dev();
    let mut all: Vec<Wire> = [("alice", DEVICE), ("alice", "device-of-another"), ("bob", DEVICE)]
        .iter()
        .map(|(user, device)| {
            let mut wire = Wire::open(world.address());
            wire.say(&json!({"t": "hello", "v": 1, "token": format!("dev:{user}"), "device": device, "run": [1, 1]}));
            wire.expect("welcome");
            wire
        })
        .collect();
    all.iter_mut().for_each(is_alive);
    world.is_well();
}

#[test]
fn devices_with_bad_names_are_refused() {
    let mut world = World::dev();
    for device in ["", "short", "has a space in it", &"x".repeat(65)] {
        let mut wire = Wire::open(world.address());
        wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice", "device": device}));
        wire.expect_end("request.malformed", 4500);
    }
    world.is_well();
}
