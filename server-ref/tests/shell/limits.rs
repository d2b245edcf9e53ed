//! Too much of what is allowed.

use std::net::IpAddr;

use moorline_server::net::{Front, Network, Proxies};
use moorline_server::server::Options;
use serde_json::json;

use crate::support::{Wire, World, upgrade};

fn publish(wire: &mut Wire, n: u64) {
    wire.say(&json!({"t": "publish", "channel": "room", "req": n, "id": n.to_string(), "data": n}));
}

#[test]
fn who_publishes_too_fast_is_told_when_to_go_on() {
    // One more each second: however slow the machine is, it is not seventeen seconds.
    let options = Options { publish_rate: Some(1), publish_burst: 3, ..Options::dev() };
    let world = World::start(options, "dev:healthy");
    let mut wire = Wire::hello(world.address(), "dev:fast");
    for n in 1..=3 {
        publish(&mut wire, n);
    }
    for n in 4..=20 {
        publish(&mut wire, n);
    }
    let mut refused = Vec::new();
    let mut stored = Vec::new();
    for _ in 1..=20 {
        match wire.hear() {
            crate::support::Heard::Json(error) if error["t"] == "error" => {
                assert_eq!((&error["code"], &error["retry"]), (&json!("limit.rate"), &json!(true)), "{error}");
                assert!((1..=1_000).contains(&error["after"].as_u64().unwrap()), "{error}");
                refused.push(error["req"].as_u64().unwrap());
            }
            crate::support::Heard::Json(published) => stored.push(published["req"].as_u64().unwrap()),
            other => panic!("{other:?}"),
        }
    }
    assert!(stored.starts_with(&[1, 2, 3]) && !refused.is_empty(), "{stored:?} {refused:?}");
    // The connection stays, and what was refused was not stored.
    wire.say(&json!({"t": "history", "channel": "room", "req": 0}));
    let page = wire.expect("page");
    let kept: Vec<u64> = page["messages"].as_array().unwrap().iter().filter_map(|m| m["data"].as_u64()).collect();
    assert_eq!(kept, stored);
}

#[test]
fn a_payload_that_is_too_large_is_refused_and_the_connection_stays() {
    let mut world = World::start(Options { max_message: 100, ..Options::dev() }, "dev:healthy");
    let mut wire = Wire::hello(world.address(), "dev:alice");
    for (n, qos, size) in [(1, 1, 101), (2, 1, 900_000)] {
        wire.say(
            &json!({"t": "publish", "channel": "room", "qos": qos, "req": n, "id": "x", "text": "x".repeat(size)}),
        );
        let error = wire.expect_error("limit.message");
        assert_eq!((&error["req"], &error["retry"]), (&json!(n), &json!(false)), "{error}");
        world.is_well();
    }
    wire.say(&json!({"t": "publish", "channel": "room", "req": 3, "id": "x", "text": "x".repeat(100)}));
    assert_eq!(wire.expect("published")["offset"], 1);
    world.is_well();
}

#[test]
fn a_publish_without_id_or_req_is_told_so() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:alice");
    for publish in [json!({"text": "x"}), json!({"text": "x", "id": "x"}), json!({"text": "x", "req": 1})] {
        let mut ask = publish.clone();
        ask["t"] = json!("publish");
        ask["channel"] = json!("room");
        wire.say(&ask);
        let error = wire.expect_error("request.malformed");
        assert_eq!(error["req"], publish["req"], "{error}");
    }
    wire.say(&json!({"t": "publish", "channel": "room", "qos": 2, "req": 2, "id": "x", "text": "x"}));
    wire.expect_error("request.malformed");
    world.is_well();
}

#[test]
fn a_page_has_256_messages_at_most() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:alice");
    for limit in [0, 257, u32::MAX] {
        wire.say(&json!({"t": "history", "channel": "room", "req": limit, "limit": limit}));
        assert_eq!(wire.expect_error("request.malformed")["req"], limit);
    }
    world.is_well();
}

#[test]
fn a_user_has_so_many_cursors() {
    let mut world = World::start(Options { max_cursors: 2, ..Options::dev() }, "dev:healthy");
    let mut wire = Wire::open(world.address());
    wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice", "device": "device-9876543210"}));
    wire.expect("welcome");
    let durable = |channel: &str, req: u64| json!({"t": "subscribe", "channel": channel, "req": req, "durable": true});
    wire.say(&durable("one", 1));
    wire.say(&durable("two", 2));
    wire.expect("subscribed");
    wire.expect("subscribed");
    wire.say(&durable("three", 3));
    let error = wire.expect_error("limit.channels");
    assert_eq!((&error["req"], &error["channel"], &error["retry"]), (&json!(3), &json!("three"), &json!(false)));
    // It is read without a cursor, or once another one is given up.
    wire.say(&json!({"t": "subscribe", "channel": "three", "req": 4}));
    wire.expect("subscribed");
    wire.say(&json!({"t": "unsubscribe", "channel": "one", "req": 5, "forget": true}));
    wire.expect("unsubscribed");
    wire.say(&durable("four", 6));
    wire.expect("subscribed");
    world.is_well();
}

#[test]
fn a_user_has_so_many_connections() {
    let mut world = World::start(Options { max_connections: 2, ..Options::dev() }, "dev:healthy");
    let first = Wire::hello(world.address(), "dev:alice");
    let _second = Wire::hello(world.address(), "dev:alice");
    let mut third = Wire::open(world.address());
    third.say(&json!({"t": "hello", "v": 1, "token": "dev:alice"}));
    third.expect_end("limit.connections", 4002);
    world.is_well();
    drop(first);
    // The server hears of it in its own time; whoever is refused may come again.
    loop {
        let mut again = Wire::open(world.address());
        again.say(&json!({"t": "hello", "v": 1, "token": "dev:alice"}));
        match again.hear() {
            crate::support::Heard::Json(welcome) if welcome["t"] == "welcome" => break,
            crate::support::Heard::Json(error) => assert_eq!(error["code"], "limit.connections"),
            other => panic!("{other:?}"),
        }
    }
    world.is_well();
}

#[test]
fn an_acknowledgement_counts_up_to_what_was_delivered() {
    let mut world = World::dev();
    let mut wire = Wire::open(world.address());
    wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice", "device": "device-0123456789"}));
    wire.expect("welcome");
    wire.say(&json!({"t": "subscribe", "channel": "plain", "req": 1}));
    let epoch = wire.expect("subscribed")["epoch"].clone();
    wire.say(&json!({"t": "ack", "channel": "plain", "epoch": epoch, "offset": 0}));
    wire.expect_error("channel.not_durable");
    wire.say(&json!({"t": "subscribe", "channel": "room", "req": 1, "durable": true}));
    let epoch = wire.expect("subscribed")["epoch"].clone();
    publish(&mut wire, 1);
    wire.expect("deliver");
    wire.expect("published");
    wire.say(&json!({"t": "ack", "channel": "room", "epoch": epoch, "offset": 2}));
    wire.expect_error("request.order");
    wire.say(&json!({"t": "ack", "channel": "room", "epoch": "another", "offset": 2}));
    wire.say(&json!({"t": "ack", "channel": "room", "epoch": epoch, "offset": 1}));
    assert_eq!(wire.expect("acked")["offset"], 1);
    world.is_well();
}

/// Returns the seconds after which a client that was sent away may try again.
fn sent_away(answer: &str) -> Option<u64> {
    let seconds = answer.lines().find_map(|line| line.strip_prefix("Retry-After: "));
    answer.starts_with("HTTP/1.1 503 ").then(|| seconds.unwrap().parse().unwrap())
}

#[test]
fn who_comes_too_fast_is_sent_away_and_nobody_else_notices() {
    // One each second: however slow the machine is, twenty do not take nineteen seconds.
    let mut world = World::start(Options { accept_rate: Some(1), ..Options::dev() }, "dev:healthy");
    let answers: Vec<String> = (0..20).map(|_| Wire::dial(world.address()).request(&upgrade("/ws", ""))).collect();
    let away: Vec<u64> = answers.iter().filter_map(|answer| sent_away(answer)).collect();
    assert!(!away.is_empty() && away.iter().all(|seconds| *seconds == 1), "{answers:?}");
    for path in ["/healthz", "/readyz"] {
        let answer = Wire::dial(world.address()).request(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
    world.healthy().beat();
}

#[test]
fn an_address_has_so_many_connections_without_a_hello() {
    let limit = |proxies: Vec<IpAddr>| {
        let proxies = Proxies::new(proxies.into_iter().map(Network::from).collect());
        let front = Front { proxies, ..Front::default() };
        Options { handshakes_per_address: Some(2), front, ..Options::dev() }
    };
    let mut world = World::start(limit(Vec::new()), "dev:healthy");
    let known: Vec<Wire> = (0..5).map(|_| Wire::hello(world.address(), "dev:alice")).collect();
    let mut silent = Wire::open(world.address());
    let half = Wire::dial(world.address());
    // It is not even asked what it wants: its head would be waited for.
    let answer = Wire::dial(world.address()).response();
    assert_eq!(sent_away(&answer), Some(1), "{answer}");
    world.healthy().beat();
    silent.say(&json!({"t": "hello", "v": 1, "token": "dev:bob"}));
    silent.expect("welcome");
    drop((Wire::open(world.address()), half, known));
    // Many come from a proxy.
    let world = World::start(limit(vec!["127.0.0.1".parse().unwrap()]), "dev:healthy");
    let all: Vec<Wire> = (0..9).map(|_| Wire::open(world.address())).collect();
    drop(all);
}
