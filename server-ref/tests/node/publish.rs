//! What the node decides about a publish before the log does.

use bytes::Bytes;
use moorline_protocol::{
    ChannelName, ChannelRef, ClientFrame, Codec, DeviceId, ErrorCode, Hello, Offset, Payload, ProducerRequest, Publish,
    Qos, ServerFrame,
};
use moorline_server::engine::Command;
use moorline_server::node::Claims;
use serde_json::json;

use crate::bench::Bench;

#[test]
fn unanswered_publishes_are_bounded() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.slow_engine = true;
    let text = "x".repeat(60_000);
    for n in 0..100 {
        bench.say(1, json!({"t": "publish", "channel": "room", "req": n, "id": n.to_string(), "text": text}));
    }
    assert!(bench.asked.len() <= 17, "{} MiB wait", (bench.asked.len() * 60_000) >> 20);
    let refused = bench.frames(1);
    assert!(refused.iter().all(|error| error["code"] == "limit.rate" && error["after"].is_u64()), "{refused:?}");
    bench.engine();
    assert_eq!(bench.frames(1).len() + refused.len(), 100);
    bench.say(1, json!({"t": "publish", "channel": "room", "req": 100, "id": "100", "text": text}));
    assert_eq!(bench.asked.len(), 1);
}

#[test]
fn level_0_is_dropped_while_too_much_is_unanswered() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.slow_engine = true;
    let passing = json!({"t": "publish", "channel": "room", "qos": 0, "text": "x".repeat(30_000)});
    bench.say(1, passing.clone());
    assert!(matches!(bench.asked.pop_front(), Some((_, Command::Broadcast(_)))));
    for n in 0..20 {
        let text = "x".repeat(60_000);
        bench.say(1, json!({"t": "publish", "channel": "room", "req": n, "id": n.to_string(), "text": text}));
    }
    let waiting = bench.asked.len();
    bench.hear(1);
    bench.say(1, passing);
    assert_eq!((bench.asked.len(), bench.hear(1)), (waiting, vec![]));
}

#[test]
fn an_inbox_of_nobody_is_no_channel() {
    let mut bench = Bench::new();
    let grants = crate::bench::everything("x").grants;
    bench.token("guest", Claims { user: None, grants, ..Claims::default() });
    bench.hello(1, json!({"token": "guest"}));
    bench.hear(1);
    for t in ["subscribe", "history"] {
        bench.say(1, json!({"t": t, "channel": "@me", "req": 1}));
        assert_eq!(bench.frame(1)["code"], "channel.invalid", "{t}");
    }
    bench.publish(1, "@me", "x", "x");
    assert_eq!(bench.frame(1)["code"], "channel.invalid");
}

#[test]
fn what_is_said_before_welcome_is_bounded() {
    let mut bench = Bench::new();
    bench.slow_engine = true;
    bench.token("alice", crate::bench::everything("alice"));
    bench.hello(1, json!({"token": "alice"}));
    // Many small messages take more room than their bytes.
    for _ in 0..100_000 {
        bench.bytes(1, "\n".into());
    }
    bench.was_ended(1, "limit.rate", 4002);
}

#[test]
fn the_rate_is_per_connection_and_fills_up_again() {
    let mut bench = Bench::with(|config| (config.publish_rate, config.publish_burst) = (Some(10), 5));
    bench.join(1, "alice");
    bench.join(2, "bob");
    let publish = |bench: &mut Bench, conn| {
        bench.publish(conn, "room", "x", "x");
        let answer = bench.frame(conn);
        answer["after"].as_u64()
    };
    for _ in 0..5 {
        assert_eq!(publish(&mut bench, 1), None);
    }
    assert_eq!(publish(&mut bench, 1), Some(100));
    assert_eq!(publish(&mut bench, 2), None);
    bench.pass(99);
    assert_eq!(publish(&mut bench, 1), Some(1));
    bench.pass(1);
    assert_eq!(publish(&mut bench, 1), None);
    bench.pass(20_000);
    for _ in 0..5 {
        assert_eq!(publish(&mut bench, 1), None);
    }
    assert!(publish(&mut bench, 1).is_some());
}

#[test]
fn a_refusal_for_ever_consumes_its_sequence_and_one_for_now_does_not() {
    let mut bench = Bench::with(|config| (config.publish_rate, config.publish_burst) = (Some(1), 3));
    bench.token("alice", crate::bench::everything("alice"));
    bench.hello(1, json!({"token": "alice", "device": "device-0123456789", "producer": "new"}));
    let generation = bench.frame(1)["producer"]["gen"].clone();
    let publish = |bench: &mut Bench, seq: u64, text: &str| {
        let id = format!("id-{seq}");
        let publish = json!({"t": "publish", "channel": "room", "qos": 2, "req": seq, "id": id, "seq": seq,
            "gen": generation, "text": text});
        bench.say(1, publish);
        bench.frame(1)
    };
    let large = "x".repeat(70_000);
    assert_eq!(publish(&mut bench, 1, &large)["code"], "limit.message");
    assert_eq!(publish(&mut bench, 1, &large)["code"], "limit.message", "the same answer, not another");
    assert_eq!(publish(&mut bench, 2, "small")["offset"], 1);
    assert_eq!(publish(&mut bench, 3, "too fast")["code"], "limit.rate");
    bench.pass(1_000);
    assert_eq!(publish(&mut bench, 3, "in time")["offset"], 2);
}

#[test]
fn ids_of_nobody_are_not_remembered_over_a_restart() {
    // Anonymous connections of two starts of a server have nothing to do with one another.
    let publish = |bench: &mut Bench| {
        let grants = crate::bench::everything("x").grants;
        bench.token("guest", Claims { user: None, grants, ..Claims::default() });
        bench.hello(1, json!({"token": "guest"}));
        bench.hear(1);
        bench.publish(1, "room", "my-first-message", "hello");
        bench.frame(1)
    };
    let mut first = Bench::new();
    assert_eq!(publish(&mut first)["offset"], 1);
    let mut second = Bench::after(first, [8; 32]);
    let published = publish(&mut second);
    assert_eq!((&published["offset"], &published["duplicate"]), (&json!(2), &json!(false)), "{published}");
}

#[test]
fn a_payload_that_is_no_json_is_refused_and_consumes_its_sequence() {
    let mut bench = Bench::new();
    bench.join(9, "bob");
    bench.say(9, json!({"t": "subscribe", "channel": "room", "req": 1}));
    bench.hear(9);
    bench.token("alice", crate::bench::everything("alice"));
    bench.open(1, Codec::Binary);
    let device = DeviceId::new("device-0123456789").ok();
    let hello =
        Hello { v: 1, token: Some("alice".into()), device, producer: Some(ProducerRequest::New), ..Hello::default() };
    bench.say_binary(1, &ClientFrame::Hello(hello));
    let [ServerFrame::Welcome(welcome)] = &bench.binary_frames(1)[..] else { panic!("no welcome") };
    let generation = welcome.producer.as_ref().map(|producer| producer.generation);
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let payloads = ["{\"a\":", "{} {}", "nul", "\"\u{1}\"", &deep(65), &deep(64)];
    for (seq, payload) in (1..).zip(payloads) {
        let publish = Publish {
            channel: ChannelRef::Name(ChannelName::new("room").unwrap()),
            qos: Qos::ExactlyOnce,
            req: Some(seq),
            id: Some(format!("id-{seq}").as_str().into()),
            seq: Some(seq),
            generation,
            ttl: None,
            headers: Vec::new(),
            payload: Payload::Json(Bytes::from(payload.to_owned())),
        };
        bench.say_binary(1, &ClientFrame::Publish(publish));
        match &bench.binary_frames(1)[..] {
            [ServerFrame::Error(error)] if seq < 6 => {
                assert_eq!((error.req, &error.code), (Some(seq), &ErrorCode::RequestMalformed), "{payload}");
                assert_eq!(bench.hear(9), []);
            }
            // The connection stays, and the sequences of what was refused are used up.
            [ServerFrame::Published(published)] if seq == 6 => assert_eq!(published.offset, Some(Offset(1))),
            other => panic!("{payload}: {other:?}"),
        }
    }
    assert_eq!(crate::bench::offsets(&bench.frames(9)), [1]);
}
