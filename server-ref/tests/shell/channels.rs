//! Channels that are not allowed, not there, or too many.

use moorline_server::server::Options;
use serde_json::json;

use crate::support::{Wire, World};

#[test]
fn names_that_no_channel_has_are_told_the_rule() {
    let mut world = World::dev();
    let long = "x".repeat(129);
    for name in ["", "*", "chat:*", "a\u{7}b", "a\nb", "\u{7f}", "\u{85}", &long] {
        let frames = [
            json!({"t": "subscribe", "channel": name, "req": 1}),
            json!({"t": "unsubscribe", "channel": name, "req": 1}),
            json!({"t": "publish", "channel": name, "req": 1, "id": "x", "text": "x"}),
            json!({"t": "publish", "channel": name, "qos": 0, "text": "x"}),
            json!({"t": "history", "channel": name, "req": 1}),
            json!({"t": "auth", "channel": name, "req": 1, "token": "dev:alice"}),
        ];
        for ask in frames {
            let mut wire = Wire::hello(world.address(), "dev:alice");
            wire.say(&ask);
            let error = wire.expect_error("request.malformed");
            assert!(error["message"].as_str().unwrap().contains("1 to 128 bytes"), "{error}");
            wire.expect_close(4500);
        }
        world.is_well();
    }
    let mut wire = Wire::open(world.address());
    wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice", "subscribe": [{"req": 1, "channel": "*"}]}));
    wire.expect_end("request.malformed", 4500);
    let mut wire = Wire::hello(world.address(), "dev:alice");
    for longest in ["y".repeat(128), "\u{4f60}".repeat(42)] {
        wire.say(&json!({"t": "subscribe", "channel": longest, "req": 1}));
        assert_eq!(wire.expect("subscribed")["channel"], longest);
    }
    world.is_well();
}

#[test]
fn an_inbox_is_its_users_alone() {
    let mut world = World::dev();
    let mut alice = Wire::hello(world.address(), "dev:alice");
    for (n, ask) in ["subscribe", "history"].into_iter().enumerate() {
        alice.say(&json!({"t": ask, "channel": "@bob", "req": n}));
        assert_eq!(alice.expect_error("channel.denied")["req"], n);
    }
    alice.say(&json!({"t": "subscribe", "channel": "@me", "req": 2}));
    assert_eq!(alice.expect("subscribed")["channel"], "@alice");
    let mut bob = Wire::hello(world.address(), "dev:bob");
    bob.say(&json!({"t": "publish", "channel": "@alice", "req": 1, "id": "x", "text": "for you"}));
    bob.expect("published");
    assert_eq!(alice.expect("deliver")["channel"], "@alice");
    world.is_well();
}

#[test]
fn what_needs_a_subscription_says_so() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:alice");
    let asks = [
        json!({"t": "unsubscribe", "channel": "room", "req": 1}),
        json!({"t": "more", "channel": "room", "after": 1}),
        json!({"t": "pause", "channel": "room"}),
        json!({"t": "ack", "channel": "room", "epoch": "x", "offset": 1}),
    ];
    for ask in asks {
        wire.say(&ask);
        let error = wire.expect_error("channel.not_subscribed");
        assert_eq!((&error["req"], &error["channel"]), (&ask["req"], &ask["channel"]), "{error}");
    }
    world.is_well();
}

#[test]
fn a_channel_is_subscribed_to_once() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:alice");
    for (channel, again) in [("room", "room"), ("@me", "@alice")] {
        wire.say(&json!({"t": "subscribe", "channel": channel, "req": 1}));
        wire.expect("subscribed");
        wire.say(&json!({"t": "subscribe", "channel": again, "req": 2}));
        assert_eq!(wire.expect_error("channel.already_subscribed")["req"], 2);
    }
    wire.say(&json!({"t": "publish", "channel": "room", "req": 3, "id": "x", "text": "once"}));
    wire.expect("deliver");
    wire.expect("published");
    wire.say(&json!({"t": "unsubscribe", "channel": "room", "req": 4}));
    wire.expect("unsubscribed");
    wire.say(&json!({"t": "subscribe", "channel": "room", "req": 5}));
    wire.expect("subscribed");
    world.is_well();
}

#[test]
fn the_257th_channel_is_one_too_many() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:alice");
    let names = |n: u32| format!("room:{n}");
    for n in 1..=256 {
        wire.say(&json!({"t": "subscribe", "channel": names(n), "req": n}));
        assert_eq!(wire.expect("subscribed")["req"], n);
    }
    wire.say(&json!({"t": "subscribe", "channel": names(257), "req": 257}));
    let error = wire.expect_error("limit.channels");
    assert_eq!((&error["req"], &error["channel"]), (&json!(257), &json!("room:257")));
    wire.say(&json!({"t": "unsubscribe", "channel": names(1), "req": 258}));
    wire.expect("unsubscribed");
    wire.say(&json!({"t": "subscribe", "channel": names(257), "req": 259}));
    wire.expect("subscribed");
    world.is_well();
}

#[test]
fn too_many_channels_in_a_hello_are_refused_one_by_one() {
    let mut world = World::start(Options { max_channels: 2, ..Options::dev() }, "dev:healthy");
    let mut wire = Wire::open(world.address());
    let subscribe: Vec<_> = (1..=4).map(|n| json!({"req": n, "channel": format!("room:{n}")})).collect();
    wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice", "subscribe": subscribe}));
    wire.expect("welcome");
    assert_eq!(wire.expect_error("limit.channels")["channel"], "room:3");
    assert_eq!(wire.expect_error("limit.channels")["channel"], "room:4");
    assert_eq!(wire.expect("subscribed")["req"], 1);
    assert_eq!(wire.expect("subscribed")["req"], 2);
    world.is_well();
}

#[test]
fn an_anonymous_connection_has_nothing_durable() {
    let options = Options { name_anonymous: false, ..Options::dev() };
    let mut world = World::start(options, "dev:healthy");
    let mut wire = Wire::open(world.address());
    wire.say(&json!({"t": "hello", "v": 1, "producer": "new", "device": "0123456789abcdef"}));
    assert_eq!(wire.expect("welcome")["user"], json!(null));
    wire.expect_error("feature.disabled");
    wire.say(&json!({"t": "subscribe", "channel": "room", "req": 1, "durable": true}));
    wire.expect_error("channel.not_durable");
    wire.say(&json!({"t": "subscribe", "channel": "@me", "req": 2}));
    wire.expect_error("channel.invalid");
    wire.say(
        &json!({"t": "publish", "channel": "room", "req": 3, "id": "x", "text": "x", "qos": 2, "seq": 1, "gen": 1}),
    );
    wire.expect_error("publish.unknown_producer");
    world.is_well();
}
