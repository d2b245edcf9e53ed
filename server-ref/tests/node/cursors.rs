//! Durable cursors: whose word counts, the client's or the server's.

use moorline_server::engine::EngineError;
use moorline_server::node::ConnId;
use serde_json::{Value, json};

use crate::bench::{Bench, everything, offsets};

/// Alice's phone comes back and reads the room, with its own position as it has it.
fn resume(bench: &mut Bench, conn: u32, own: &Value) -> Vec<Value> {
    bench.token("alice", everything("alice"));
    bench.hello(conn, json!({"token": "alice", "device": "0123456789abcdef"}));
    bench.hear(conn);
    let since = json!({"cursor": own});
    bench.say(conn, json!({"t": "subscribe", "channel": "room", "req": 1, "durable": true, "since": since}));
    bench.frames(conn)
}

/// Bob has published twenty messages, and Alice's phone acknowledged the tenth. Returns a position of the room.
fn acknowledged(bench: &mut Bench) -> impl Fn(u64) -> Value + use<> {
    let subscribed = resume(bench, 1, &json!(null)).remove(0);
    bench.join(9, "bob");
    for n in 1..=20 {
        bench.publish(9, "room", &n.to_string(), "hello");
    }
    let epoch = subscribed["epoch"].clone();
    bench.say(1, json!({"t": "ack", "channel": "room", "epoch": epoch, "offset": 10}));
    assert_eq!(bench.frames(1).pop().unwrap()["t"], "acked");
    move |offset| json!({"epoch": epoch, "offset": offset})
}

#[test]
fn the_further_of_two_cursors_counts_and_is_kept() {
    let mut bench = Bench::new();
    let at = acknowledged(&mut bench);
    assert_eq!(offsets(&resume(&mut bench, 2, &at(5))), Vec::from_iter(11..=20), "the server's is further");
    assert_eq!(offsets(&resume(&mut bench, 3, &at(15))), Vec::from_iter(16..=20), "the client's is further");
    assert_eq!(offsets(&resume(&mut bench, 4, &json!(null))), Vec::from_iter(16..=20), "and the server keeps it");
}

#[test]
fn a_cursor_of_this_life_of_the_log_beats_an_older_one() {
    let mut bench = Bench::new();
    let at = acknowledged(&mut bench);
    let other = json!({"epoch": "another", "offset": 99});
    let heard = resume(&mut bench, 2, &other);
    assert_eq!((&heard[0]["start"], offsets(&heard)), (&json!("replay"), Vec::from_iter(11..=20)));
    // The log begins a new life, in which the phone's last acknowledgement was not heard.
    let mut bench = Bench::after(bench, [8; 32]);
    let now = bench.now().unix;
    bench.core.begin(true, now);
    let subscribed = resume(&mut bench, 3, &at(10)).remove(0);
    assert_eq!((&subscribed["start"], &subscribed["reason"]), (&json!("reset"), &json!("epoch")));
    bench.join(9, "bob");
    bench.publish(9, "room", "21", "hello");
    bench.publish(9, "room", "22", "hello");
    let own = json!({"epoch": subscribed["epoch"], "offset": 21});
    let heard = resume(&mut bench, 4, &own);
    assert_eq!((&heard[0]["start"], offsets(&heard)), (&json!("replay"), vec![22]));
}

#[test]
fn a_cursor_beyond_the_head_is_a_break_not_a_silence() {
    let mut bench = Bench::new();
    let at = acknowledged(&mut bench);
    let subscribed = resume(&mut bench, 2, &at(25)).remove(0);
    assert_eq!((&subscribed["start"], &subscribed["reason"]), (&json!("reset"), &json!("epoch")));
    let subscribed = resume(&mut bench, 3, &at(10)).remove(0);
    assert_eq!((&subscribed["start"], &subscribed["from"]), (&json!("replay"), &json!(10)), "it was not kept");
}

#[test]
fn a_cursor_is_forgotten_without_reading() {
    let mut bench = Bench::new();
    let _ = acknowledged(&mut bench);
    bench.hello(2, json!({"token": "alice", "device": "0123456789abcdef"}));
    bench.hear(2);
    bench.say(2, json!({"t": "unsubscribe", "channel": "room", "req": 5, "forget": true}));
    assert_eq!(bench.frame(2), json!({"t": "unsubscribed", "channel": "room", "req": 5}));
    bench.say(2, json!({"t": "unsubscribe", "channel": "never", "req": 6, "forget": true}));
    assert_eq!(bench.frame(2)["t"], "unsubscribed", "also where there is none");
    bench.say(2, json!({"t": "unsubscribe", "channel": "room", "req": 7}));
    assert_eq!(bench.frame(2)["code"], "channel.not_subscribed");
    let subscribed = resume(&mut bench, 3, &json!(null)).remove(0);
    assert_eq!((&subscribed["start"], &subscribed["from"]), (&json!("live"), &json!(20)), "it begins anew");
}

#[test]
fn what_is_forgotten_is_answered_when_that_is_durable() {
    // A channel that is read, and one that is not.
    for conn in [1, 2] {
        let mut bench = Bench::new();
        let _ = acknowledged(&mut bench);
        if conn == 2 {
            bench.hello(2, json!({"token": "alice", "device": "0123456789abcdef", "run": [0, 1]}));
        }
        bench.hear(conn);
        bench.slow_engine = true;
        bench.say(conn, json!({"t": "unsubscribe", "channel": "room", "req": 5, "forget": true}));
        assert_eq!(bench.hear(conn), [], "the log has not written it");
        bench.engine();
        assert_eq!(bench.frame(conn), json!({"t": "unsubscribed", "channel": "room", "req": 5}));
        // The log has no room: the cursor is still there, and the client knows that it has to say it again.
        bench.say(conn, json!({"t": "unsubscribe", "channel": "other", "req": 6, "forget": true}));
        bench.fail(EngineError::Full);
        let refused = bench.frame(conn);
        let found = (&refused["t"], &refused["code"], &refused["req"], &refused["channel"], &refused["retry"]);
        assert_eq!(found, (&json!("error"), &json!("storage.full"), &json!(6), &json!("other"), &json!(true)));
        // Whoever is gone meanwhile hears nothing, and nobody else does.
        bench.say(conn, json!({"t": "unsubscribe", "channel": "room", "req": 7, "forget": true}));
        bench.node.handle_closed(ConnId(conn), bench.now());
        bench.engine();
        assert_eq!(bench.hear(conn), []);
    }
}

#[test]
fn nobody_has_no_cursor_to_forget() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.hear(1);
    bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 5, "forget": true}));
    assert_eq!(bench.frame(1)["code"], "channel.not_durable", "no device was named");
}

#[test]
fn a_rewind_does_not_lower_what_was_delivered() {
    let mut bench = Bench::new();
    let at = acknowledged(&mut bench);
    let epoch = &at(0)["epoch"];
    // In one message, so that nothing has been read again: what was sent before stays sent.
    let rewind = json!({"t": "more", "channel": "room", "after": 12, "rewind": true});
    let ack = json!({"t": "ack", "channel": "room", "epoch": epoch, "offset": 20});
    bench.bytes(1, format!("{rewind}\n{rewind}\n{ack}").into());
    let acked = json!({"t": "acked", "channel": "room", "epoch": epoch, "offset": 20});
    assert!(bench.frames(1).contains(&acked));
    bench.say(1, json!({"t": "ack", "channel": "room", "epoch": epoch, "offset": 21}));
    assert_eq!(bench.frame(1)["code"], "request.order", "what was never sent cannot be acknowledged");
}

#[test]
fn changes_of_cursors_that_wait_are_bounded() {
    let mut bench = Bench::with(|config| config.max_channels = 2);
    let at = acknowledged(&mut bench);
    bench.slow_engine = true;
    let ack = |offset: u64| json!({"t": "ack", "channel": "room", "epoch": at(offset)["epoch"], "offset": offset});
    for _ in 0..1_024 {
        bench.say(1, ack(11));
    }
    assert_eq!(bench.frames(1), Vec::<Value>::new());
    let asked = bench.asked.len();
    bench.say(1, ack(12));
    let error = bench.frame(1);
    assert_eq!((&error["code"], &error["channel"]), (&json!("limit.rate"), &json!("room")));
    for channel in ["room", "elsewhere"] {
        bench.say(1, json!({"t": "unsubscribe", "req": 7, "channel": channel, "forget": true}));
        let error = bench.frame(1);
        assert_eq!((&error["code"], &error["req"]), (&json!("limit.rate"), &json!(7)));
    }
    assert!(error["after"].as_u64().is_some_and(|after| after > 0), "{error}");
    assert_eq!(bench.asked.len(), asked, "nothing of it was asked");
    // Others do not notice, and with the answers there is room again.
    bench.slow_engine = false;
    bench.engine();
    bench.frames(1);
    for _ in 0..3 {
        bench.say(1, ack(13));
        assert_eq!(bench.frame(1)["t"], "acked");
    }
    for n in 0..2_000 {
        bench.say(1, json!({"t": "unsubscribe", "req": n, "channel": "elsewhere", "forget": true}));
        assert_eq!(bench.frame(1)["t"], "unsubscribed");
    }
}
