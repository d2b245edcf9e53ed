//! Members and statuses: who may see them, at which moment they change, and what a slow client gets.

use moorline_server::node::{Claims, Permissions, Pressure};
use serde_json::{Value, json};

use crate::bench::{Bench, Heard, everything, grant};

fn watching(bench: &mut Bench, conn: u32, user: &str, presence: &str) {
    bench.join(conn, user);
    bench.say(conn, json!({"t": "subscribe", "req": 1, "channel": "room", "presence": presence}));
}

/// Returns the changes a client was told, as `event user`.
fn told(bench: &mut Bench, conn: u32) -> Vec<String> {
    let frames = bench.hear(conn).into_iter().filter_map(|heard| match heard {
        Heard::Frame(frame) if frame["t"] == "presence" => Some(frame),
        _ => None,
    });
    let events = frames.flat_map(|frame| frame["events"].as_array().cloned().unwrap_or_default());
    events.map(|event| format!("{} {}", event["event"].as_str().unwrap(), event["user"].as_str().unwrap())).collect()
}

fn alive(bench: &mut Bench, conns: &[u32]) {
    for conn in conns {
        bench.say(*conn, json!({"t": "pong", "n": 1}));
    }
}

/// Time passes while some clients are alive.
fn pass(bench: &mut Bench, ms: u64, conns: &[u32]) {
    let mut left = ms;
    while left > 0 {
        let step = left.min(5_000);
        bench.pass(step);
        alive(bench, conns);
        left -= step;
    }
}

#[test]
fn a_subscription_shows_the_members_and_then_what_changes() {
    let mut bench = Bench::new();
    watching(&mut bench, 1, "carol", "watch");
    let subscribed = bench.frames(1).remove(0);
    assert_eq!((&subscribed["members"]["count"], &subscribed["members"]["members"]), (&json!(0), &json!([])));
    bench.join(2, "alice");
    bench.say(2, json!({"t": "subscribe", "req": 1, "channel": "room", "presence": "join", "state": {"nick": "Al"}}));
    let frame = bench.frame(1);
    let (n, run) = (subscribed["members"]["version"]["n"].as_u64().unwrap(), &subscribed["members"]["version"]["run"]);
    let join = json!([{"event": "join", "user": "alice", "state": {"nick": "Al"}}]);
    assert_eq!((&frame["events"], &frame["count"]), (&join, &json!(1)));
    assert_eq!(frame["version"], json!({"run": run, "n": n + 1}));
    bench.pass(100);
    bench.say(2, json!({"t": "presence", "req": 2, "channel": "room", "op": "update", "state": {"nick": "Ali"}}));
    bench.say(2, json!({"t": "unsubscribe", "req": 3, "channel": "room"}));
    bench.pass(100);
    assert_eq!(told(&mut bench, 1), ["update alice", "leave alice"]);
}

#[test]
fn a_silent_member_is_gone_35_s_after_its_last_byte_and_may_be_back() {
    let mut bench = Bench::new();
    watching(&mut bench, 1, "carol", "watch");
    watching(&mut bench, 2, "alice", "join");
    assert_eq!(told(&mut bench, 1), ["join alice"]);
    pass(&mut bench, 34_900, &[1]);
    assert_eq!(told(&mut bench, 1), Vec::<String>::new());
    pass(&mut bench, 100, &[1]);
    assert_eq!(told(&mut bench, 1), ["timeout alice"]);
    pass(&mut bench, 14_000, &[1]);
    watching(&mut bench, 3, "alice", "join");
    assert_eq!(told(&mut bench, 1), ["back alice"]);
}

#[test]
fn who_closes_without_a_word_is_gone_after_15_s_or_40_s_after_its_last_byte() {
    for (silent, counts) in [(1_000, 15_000), (24_900, 15_000), (30_000, 10_000)] {
        let mut bench = Bench::new();
        watching(&mut bench, 1, "carol", "watch");
        watching(&mut bench, 2, "alice", "join");
        bench.pass(100);
        bench.hear(1);
        alive(&mut bench, &[2]);
        pass(&mut bench, silent, &[1]);
        bench.cut(2);
        pass(&mut bench, counts - 200, &[1]);
        assert_eq!(told(&mut bench, 1), Vec::<String>::new(), "{silent}");
        pass(&mut bench, 400, &[1]);
        assert_eq!(told(&mut bench, 1), ["leave alice"], "{silent}");
    }
}

#[test]
fn a_reconnect_within_the_grace_is_no_event() {
    let mut bench = Bench::new();
    watching(&mut bench, 1, "carol", "watch");
    bench.token("alice", everything("alice"));
    let hello = |n: u32| {
        let subscribe = json!([{"req": 1, "channel": "room", "presence": "join", "state": 1}]);
        json!({"token": "alice", "device": "device-of-alice-1", "run": [1, n], "subscribe": subscribe})
    };
    bench.hello(2, hello(1));
    assert_eq!(told(&mut bench, 1), ["join alice"]);
    bench.cut(2);
    pass(&mut bench, 14_000, &[1]);
    bench.hello(3, hello(2));
    pass(&mut bench, 60_000, &[1, 3]);
    assert_eq!(told(&mut bench, 1), Vec::<String>::new());
}

#[test]
fn members_are_for_those_with_the_grant() {
    let mut bench = Bench::new();
    let grants = vec![grant("room", Permissions::SUBSCRIBE), grant("open", Permissions::ALL)];
    bench.token("bob", Claims { grants, ..everything("bob") });
    bench.hello(1, json!({"token": "bob"}));
    bench.hear(1);
    let denied = |bench: &mut Bench, frame: Value| {
        bench.say(1, frame);
        let heard = bench.frame(1);
        assert_eq!((&heard["code"], &heard["req"]), (&json!("channel.denied"), &json!(1)));
    };
    for presence in ["watch", "join"] {
        denied(&mut bench, json!({"t": "subscribe", "req": 1, "channel": "room", "presence": presence}));
    }
    denied(&mut bench, json!({"t": "presence", "req": 1, "channel": "room", "op": "get"}));
    denied(&mut bench, json!({"t": "status", "req": 1, "users": ["alice"]}));
    bench.say(1, json!({"t": "presence", "req": 2, "channel": "open", "op": "get"}));
    assert_eq!(bench.frame(1)["t"], "members");
    // An inbox is its user's, whatever a grant says.
    bench.token("carol", everything("carol"));
    bench.hello(2, json!({"token": "carol"}));
    bench.hear(2);
    for op in ["get", "enter", "leave"] {
        bench.say(2, json!({"t": "presence", "req": 3, "channel": "@bob", "op": op}));
        let heard = bench.frame(2);
        assert_eq!((&heard["code"], &heard["req"]), (&json!("channel.denied"), &json!(3)), "{op}");
    }
    bench.say(2, json!({"t": "presence", "req": 4, "channel": "@me", "op": "get"}));
    assert_eq!(bench.frame(2)["t"], "members");
    // One's own inbox needs no grant, and so neither does one's own status.
    bench.say(1, json!({"t": "status", "req": 2, "users": ["bob"]}));
    assert_eq!(bench.frame(1)["users"]["bob"]["online"], true);
}

#[test]
fn a_subscription_rests_on_the_grant_presence_if_it_takes_part() {
    let mut bench = Bench::new();
    watching(&mut bench, 1, "carol", "watch");
    watching(&mut bench, 2, "alice", "join");
    bench.pass(100);
    bench.hear(2);
    bench.hear(1);
    bench.token("less", Claims { grants: vec![grant("room", Permissions::SUBSCRIBE)], ..everything("alice") });
    bench.say(2, json!({"t": "auth", "req": 5, "token": "less"}));
    let frames = bench.frames(2);
    assert_eq!(frames[1], json!({"t": "unsubscribed", "channel": "room", "code": "channel.denied"}));
    assert_eq!(told(&mut bench, 1), ["leave alice"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    let asks = [
        (json!({"t": "presence", "req": 1, "channel": "room", "op": "enter"}), "channel.not_subscribed"),
        (json!({"t": "presence", "req": 1, "channel": "seen", "op": "update", "state": 1}), "request.order"),
        (json!({"t": "presence", "req": 1, "channel": "seen", "op": "get", "cursor": "\u{1}"}), "request.malformed"),
    ];
    bench.say(1, json!({"t": "subscribe", "req": 9, "channel": "seen", "presence": "watch"}));
    bench.hear(1);
    for (ask, code) in asks {
        bench.say(1, ask.clone());
        assert_eq!(bench.frame(1)["code"], code, "{ask}");
    }
}

#[test]
fn a_slow_client_misses_changes_and_learns_that_it_did() {
    let mut bench = Bench::new();
    watching(&mut bench, 1, "carol", "watch");
    bench.hear(1);
    bench.pressure(1, Pressure::High);
    watching(&mut bench, 2, "alice", "join");
    bench.pass(1_000);
    assert_eq!(bench.hear(1), []);
    bench.pressure(1, Pressure::Elevated);
    assert_eq!(bench.hear(1), []);
    bench.pressure(1, Pressure::Low);
    // A version of no run: whoever has a list fetches a new one.
    let frame = bench.frame(1);
    assert_eq!((&frame["version"], &frame["count"]), (&json!({"run": 0, "n": 0}), &json!(1)));
    bench.say(1, json!({"t": "presence", "req": 2, "channel": "room", "op": "get"}));
    assert_eq!(bench.frame(1)["members"][0]["user"], "alice");
    bench.say(2, json!({"t": "presence", "req": 2, "channel": "room", "op": "leave"}));
    bench.pass(100);
    assert_eq!(told(&mut bench, 1), ["leave alice"]);
}

#[test]
fn all_watchers_of_a_codec_get_the_same_bytes_once_per_100_ms() {
    let mut bench = Bench::new();
    for conn in 1..=50 {
        watching(&mut bench, conn, &format!("watcher{conn}"), "watch");
        bench.hear(conn);
    }
    for conn in 100..160 {
        watching(&mut bench, conn, &format!("member{conn}"), "join");
    }
    bench.pass(100);
    let first = bench.hear(1);
    // The first is told at once, the others together.
    assert_eq!(first.len(), 2);
    for conn in 2..=50 {
        assert_eq!(bench.hear(conn), first);
    }
}

#[test]
fn statuses_are_asked_in_bulk_and_followed() {
    let mut bench = Bench::new();
    bench.join(1, "carol");
    bench.join(2, "alice");
    bench.say(1, json!({"t": "status", "req": 1, "users": ["alice", "bob"], "watch": true}));
    let frame = bench.frame(1);
    assert_eq!((&frame["users"]["alice"]["online"], &frame["users"]["bob"]), (&json!(true), &json!({"online": false})));
    bench.join(3, "bob");
    bench.pass(100);
    let frame = bench.frame(1);
    assert!(frame.get("req").is_none() && frame["users"]["bob"]["online"] == true, "{frame}");
    // A later list replaces this one.
    bench.say(1, json!({"t": "status", "req": 2, "users": ["alice"], "watch": true}));
    bench.hear(1);
    bench.cut(3);
    bench.pass(100);
    assert_eq!(bench.hear(1), []);
    bench.cut(2);
    bench.pass(100);
    assert_eq!(bench.frame(1)["users"], json!({"alice": {"online": false}}));
    let many: Vec<String> = (0..501).map(|n| format!("user{n}")).collect();
    bench.say(1, json!({"t": "status", "req": 3, "users": many}));
    assert!(bench.hear(1).iter().any(|heard| matches!(heard, Heard::Closed(4500))));
}
