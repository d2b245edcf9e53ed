//! Pings, silence, deadlines, and clocks that jump.

use moorline_protocol::Codec;
use moorline_server::node::{Claims, ConnId, Permissions};
use serde_json::json;

use crate::bench::{Bench, Heard, START, everything, grant, is};

#[test]
fn a_client_that_answers_stays() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    for n in 1..100 {
        bench.pass(24_999);
        assert_eq!(bench.hear(1), []);
        bench.pass(1);
        assert_eq!(bench.frame(1), json!({"t": "ping", "n": n}));
        bench.say(1, json!({"t": "pong", "n": n}));
    }
}

#[test]
fn a_silent_client_is_dropped_after_ping_and_ten_seconds() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.pass(34_999);
    assert_eq!(bench.frame(1)["t"], "ping");
    bench.pass(1);
    assert_eq!(bench.hear(1), [Heard::Closed(4001)]);
    assert_eq!(bench.node.connections(), 0);
    assert_eq!(bench.node.poll_timeout(), None);
}

#[test]
fn any_byte_counts_as_a_sign_of_life() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    for _ in 0..10 {
        bench.pass(30_000);
        bench.node.handle_activity(ConnId(1), bench.now());
    }
    assert!(bench.hear(1).iter().all(|heard| is(heard, "ping")));
    bench.pass(35_000);
    assert_eq!(bench.hear(1).last(), Some(&Heard::Closed(4001)));
}

#[test]
fn who_says_no_hello_is_closed_after_ten_seconds() {
    let mut bench = Bench::new();
    bench.open(1, Codec::Json);
    bench.pass(9_999);
    bench.node.handle_activity(ConnId(1), bench.now());
    assert_eq!(bench.hear(1), []);
    bench.pass(1);
    bench.was_ended(1, "request.order", 4004);
}

#[test]
fn a_parked_client_is_pinged_less_often() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    for (wish, interval) in [(json!(null), 60_000), (json!(100_000), 100_000), (json!(1), 25_000)] {
        bench.say(1, json!({"t": "park", "ping": wish}));
        assert_eq!(bench.frame(1)["next"], interval);
        bench.pass(interval - 1);
        assert_eq!(bench.hear(1), []);
        bench.pass(1);
        assert_eq!(bench.frame(1)["t"], "ping");
    }
    bench.say(1, json!({"t": "park", "ping": 4_000_000_000_u32}));
    assert_eq!(bench.frame(1)["next"], 300_000);
    bench.say(1, json!({"t": "unpark"}));
    assert_eq!(bench.frame(1)["next"], 25_000);
    bench.pass(35_000);
    assert_eq!(bench.hear(1).last(), Some(&Heard::Closed(4001)));
}

#[test]
fn a_node_that_slept_asks_before_it_drops_anybody() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.join(2, "bob");
    bench.pass(1_000);
    // The machine was suspended: what the clients sent is still on its way.
    bench.sleep(3_600_000);
    assert_eq!(bench.frame(1)["t"], "ping");
    assert_eq!(bench.frame(2)["t"], "ping");
    bench.say(1, json!({"t": "pong", "n": 1}));
    bench.pass(9_999);
    assert_eq!(bench.hear(2), []);
    bench.pass(1);
    assert_eq!(bench.hear(2), [Heard::Closed(4001)]);
    assert_eq!(bench.hear(1), []);
}

#[test]
fn a_jump_of_the_wall_clock_drops_nobody() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    for jump in [-86_400_000_i64, 86_400_000, 3_600_000] {
        bench.set_clock(jump);
        bench.pass(25_000);
        let ping = bench.frame(1);
        assert_eq!(ping["t"], "ping");
        bench.say(1, json!({"t": "pong", "n": ping["n"]}));
    }
}

#[test]
fn a_token_that_ran_out_has_thirty_seconds_of_grace() {
    let mut bench = Bench::new();
    bench.token("old", Claims { expires: Some(START + 60_000), ..everything("alice") });
    bench.hello(1, json!({"token": "old", "subscribe": [{"req": 1, "channel": "room"}]}));
    bench.join(2, "bob");
    // Parked: no ping falls near the moment that counts.
    bench.say(1, json!({"t": "park", "ping": 300_000}));
    bench.say(2, json!({"t": "park", "ping": 300_000}));
    bench.pass(89_999);
    bench.hear(1);
    bench.publish(2, "room", "a", "within the grace");
    assert_eq!(bench.frame(1)["t"], "deliver");
    bench.pass(1);
    bench.was_ended(1, "auth.expired", 4100);
    bench.publish(2, "room", "b", "after it");
    assert_eq!(bench.hear(1), []);
}

#[test]
fn a_fresh_token_ends_the_grace() {
    let mut bench = Bench::new();
    bench.token("old", Claims { expires: Some(START + 60_000), ..everything("alice") });
    bench.token("new", Claims { expires: Some(START + 100_000), ..everything("alice") });
    bench.hello(1, json!({"token": "old"}));
    bench.say(1, json!({"t": "park", "ping": 300_000}));
    bench.pass(80_000);
    bench.hear(1);
    // The old one is of no use any more, and refusing it changes nothing.
    bench.say(1, json!({"t": "auth", "req": 1, "token": "old"}));
    assert_eq!(bench.frame(1)["code"], "auth.expired");
    bench.say(1, json!({"t": "auth", "req": 2, "token": "new"}));
    assert_eq!(bench.frame(1), json!({"t": "authed", "req": 2, "expires": START + 100_000}));
    bench.pass(49_999);
    assert_eq!(bench.hear(1), []);
    bench.pass(1);
    bench.was_ended(1, "auth.expired", 4100);
}

#[test]
fn the_end_of_a_token_is_a_moment_of_the_wall_clock() {
    let mut bench = Bench::new();
    bench.token("old", Claims { expires: Some(START + 3_600_000), ..everything("alice") });
    bench.hello(1, json!({"token": "old"}));
    bench.hear(1);
    bench.set_clock(3_630_000);
    bench.pass(25_000);
    assert!(bench.hear(1).contains(&Heard::Closed(4100)));
}

#[test]
fn a_channels_own_token_runs_out_with_the_same_grace() {
    let mut bench = Bench::new();
    bench.token("alice", Claims { grants: Vec::new(), ..everything("alice") });
    let own =
        Claims { expires: Some(START + 60_000), grants: vec![grant("room", Permissions::ALL)], ..everything("alice") };
    bench.token("own", own);
    bench.hello(1, json!({"token": "alice"}));
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "token": "own"}));
    bench.say(1, json!({"t": "park", "ping": 300_000}));
    bench.pass(89_999);
    bench.hear(1);
    bench.publish(1, "room", "a", "within the grace");
    assert_eq!(bench.frames(1).iter().map(|frame| frame["t"].clone()).collect::<Vec<_>>(), ["deliver", "published"]);
    bench.pass(1);
    assert_eq!(bench.frame(1), json!({"t": "unsubscribed", "channel": "room", "code": "channel.denied"}));
    bench.publish(1, "room", "b", "after it");
    assert_eq!(bench.frame(1)["code"], "channel.denied");
}
