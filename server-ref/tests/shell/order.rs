//! Frames at the wrong moment, and frames that are none.

use moorline_protocol::{ClientFrame, Codec, Decoded, Hello, ServerFrame};
use serde_json::json;

use crate::support::{BINARY, Heard, TEXT, Wire, World, frame, upgrade};

#[test]
fn everything_before_hello_is_out_of_order() {
    let mut world = World::dev();
    let frames = [
        json!({"t": "publish", "channel": "healthy", "req": 1, "id": "x", "text": "too early"}),
        json!({"t": "publish", "channel": "healthy", "qos": 0, "text": "too early"}),
        json!({"t": "subscribe", "channel": "healthy", "req": 1}),
        json!({"t": "unsubscribe", "channel": "healthy", "req": 1}),
        json!({"t": "auth", "req": 1, "token": "dev:alice"}),
        json!({"t": "ack", "channel": "healthy", "epoch": "x", "offset": 1}),
        json!({"t": "more", "channel": "healthy", "after": 1}),
        json!({"t": "pause", "channel": "healthy"}),
        json!({"t": "history", "channel": "healthy", "req": 1}),
        json!({"t": "presence", "channel": "healthy", "req": 1, "op": "get"}),
        json!({"t": "status", "users": ["bob"], "req": 1}),
        json!({"t": "park"}),
        json!({"t": "ping", "n": 1}),
    ];
    for early in frames {
        let mut wire = Wire::open(world.address());
        wire.say(&early);
        wire.expect_end("request.order", 4500);
        world.is_well();
    }
}

#[test]
fn a_second_hello_is_out_of_order() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:alice");
    wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice"}));
    wire.expect_end("request.order", 4500);
    let mut wire = Wire::open(world.address());
    let hello = json!({"t": "hello", "v": 1, "token": "dev:alice"});
    wire.raw(&frame(true, TEXT, format!("{hello}\n{hello}").as_bytes()));
    wire.expect("welcome");
    wire.expect_end("request.order", 4500);
    world.is_well();
}

#[test]
fn who_says_nothing_is_sent_away() {
    let mut world = World::dev();
    let mut silent = Wire::open(world.address());
    let mut chatty = Wire::open(world.address());
    // Neither unknown frames nor pings of the WebSocket are a `hello`.
    chatty.say(&json!({"t": "later", "crit": false}));
    chatty.raw(&frame(true, 9, b""));
    assert_eq!(chatty.hear(), Heard::Pong(Vec::new()));
    world.is_well();
    silent.expect_end("request.order", 4004);
    chatty.expect_end("request.order", 4004);
    world.is_well();
}

#[test]
fn another_version_is_refused() {
    let mut world = World::dev();
    for version in [0, 2, 4_000_000_000_u32] {
        let mut wire = Wire::open(world.address());
        wire.say(&json!({"t": "hello", "v": version, "token": "dev:alice"}));
        wire.expect_end("request.unsupported", 4501);
    }
    world.is_well();
}

#[test]
fn nothing_after_a_refused_hello_counts() {
    let mut world = World::dev();
    let mut wire = Wire::open(world.address());
    let (hello, publish) = (
        json!({"t": "hello", "v": 1, "token": "forged"}),
        json!({"t": "publish", "channel": "healthy", "req": 1, "id": "x", "text": "not authorised"}),
    );
    wire.raw(&frame(true, TEXT, format!("{hello}\n{publish}").as_bytes()));
    wire.try_raw(&frame(true, TEXT, publish.to_string().as_bytes()));
    wire.expect_end("auth.invalid", 4502);
    // The healthy client reads its channel from the start: it holds nothing else.
    world.is_well();
}

#[test]
fn text_that_is_no_frame_is_malformed() {
    let mut world = World::dev();
    let texts = [
        "",
        "hello",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"t":1}"#,
        r#"{"t":"ping"}"#,
        r#"{"t":"ping","n":-1}"#,
        r#"{"t":"ping","n":9007199254740992}"#,
        r#"{"t":"ping","n":1,"n":2}"#,
        r#"{"t":"ping","t":"ping","n":1}"#,
        r#"{"t":"ping","n":1}}"#,
        r#"{"t":"ping","n":"\ud800"}"#,
        r#"{"t":"subscribe","channel":"x"}"#,
        r#"{"t":"subscribe","req":1,"channel":"x","qos":3}"#,
        r#"{"t":"subscribe","req":1,"channel":"x","since":"yesterday"}"#,
        r#"{"t":"publish","req":1,"id":"x","channel":"x"}"#,
        r#"{"t":"publish","req":1,"id":"x","channel":"x","text":"a","data":1}"#,
        r#"{"t":"publish","req":1,"id":"x","channel":"x","bin":"%%%"}"#,
        r#"{"t":"publish","req":1,"id":"","channel":"x","text":"a"}"#,
        r#"{"t":"history","req":1,"channel":"x","after":1,"before":2}"#,
        r#"{"t":"ack","channel":"x","epoch":"","offset":1}"#,
    ];
    for text in texts {
        let mut wire = Wire::hello(world.address(), "dev:bad");
        wire.raw(&frame(true, TEXT, text.as_bytes()));
        if text.is_empty() {
            // Nothing was said, and nothing is wrong with that.
            wire.say(&json!({"t": "ping", "n": 3}));
            wire.expect("pong");
        } else {
            wire.expect_end("request.malformed", 4500);
        }
        world.is_well();
    }
}

#[test]
fn frames_before_a_malformed_one_count() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:alice");
    wire.raw(&frame(
        true,
        TEXT,
        b"{\"t\":\"ping\",\"n\":1}\n\n{\"t\":\"ping\",\"n\":2}\nnonsense\n{\"t\":\"ping\",\"n\":3}",
    ));
    assert_eq!(wire.expect("pong")["n"], 1);
    assert_eq!(wire.expect("pong")["n"], 2);
    wire.expect_end("request.malformed", 4500);
    world.is_well();
}

#[test]
fn json_may_be_nested_but_not_without_end() {
    let mut world = World::dev();
    let publish = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"t":"publish","channel":"deep","req":{depth},"id":"{depth}","data":{open}{close}}}"#)
    };
    let mut wire = Wire::hello(world.address(), "dev:alice");
    wire.raw(&frame(true, TEXT, publish(63).as_bytes()));
    assert_eq!(wire.expect("published")["req"], 63);
    for text in [publish(100), publish(200_000), "[".repeat(900_000), r#"{"t":"#.repeat(100_000)] {
        let mut wire = Wire::hello(world.address(), "dev:alice");
        wire.try_raw(&frame(true, TEXT, text.as_bytes()));
        wire.expect_end("request.malformed", 4500);
        world.is_well();
    }
}

#[test]
fn what_is_unknown_is_ignored_or_refused_and_the_connection_stays() {
    let mut world = World::dev();
    let mut wire = Wire::hello(world.address(), "dev:alice");
    wire.say(&json!({"t": "later", "crit": false, "req": 1}));
    wire.say(&json!({"t": "later", "req": 2}));
    assert_eq!(wire.expect_error("request.unsupported")["req"], 2);
    wire.say(&json!({"t": "ping", "n": 3, "colour": {"of": ["the", "frame"]}, "null": null}));
    assert_eq!(wire.expect("pong")["n"], 3);
    world.is_well();
}

#[test]
fn unknown_binary_frames_are_ignored_or_refused_by_their_bit() {
    let mut world = World::dev();
    let mut wire = Wire::dial(world.address());
    let answer = wire.request(&upgrade("/ws", "Sec-WebSocket-Protocol: moorline.v1.bin\r\n"));
    assert!(answer.contains("moorline.v1.bin"), "{answer}");
    let mut hello = Vec::new();
    let token = Some("dev:alice".into());
    Codec::Binary.encode_client(&ClientFrame::Hello(Hello { v: 1, token, ..Hello::default() }), &mut hello);
    wire.raw(&frame(true, BINARY, &hello));
    assert!(matches!(binary(&mut wire), ServerFrame::Welcome(_)));
    // A frame of a later version that may be ignored, and one that may not.
    wire.raw(&frame(true, BINARY, &[2, 0xff, 1]));
    wire.raw(&frame(true, BINARY, &[2, 0x7f, 1]));
    let ServerFrame::Error(error) = binary(&mut wire) else { panic!("an error") };
    assert_eq!(error.code.name(), "request.unsupported");
    for bad in [&[0x05, 1][..], &[0xff; 12], &[1, 2], &[3, 3, 0xff, 0xff], &[0]] {
        let mut wire = Wire::dial(world.address());
        wire.request(&upgrade("/ws", "Sec-WebSocket-Protocol: moorline.v1.bin\r\n"));
        wire.raw(&frame(true, BINARY, &hello));
        assert!(matches!(binary(&mut wire), ServerFrame::Welcome(_)));
        wire.raw(&frame(true, BINARY, bad));
        let ServerFrame::Error(error) = binary(&mut wire) else { panic!("an error") };
        assert_eq!(error.code.name(), "request.malformed", "{bad:?}");
        wire.expect_close(4500);
        world.is_well();
    }
    world.is_well();
}

fn binary(wire: &mut Wire) -> ServerFrame {
    let Heard::Binary(message) = wire.hear() else { panic!("a binary message") };
    match Codec::Binary.decode_server(&mut message.into()) {
        Ok(Some(Decoded::Frame(frame))) => frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_and_statuses_come_as_they_change() {
    let mut world = World::dev();
    let mut carol = Wire::hello(world.address(), "dev:carol");
    carol.say(&json!({"t": "subscribe", "channel": "x", "req": 1, "presence": "watch"}));
    assert_eq!(carol.expect("subscribed")["members"]["count"], 0);
    carol.say(&json!({"t": "status", "users": ["bob", "carol"], "req": 2, "watch": true}));
    let statuses = carol.expect("statuses");
    assert_eq!(
        (&statuses["users"]["bob"], &statuses["users"]["carol"]["online"]),
        (&json!({"online": false}), &json!(true))
    );
    let mut bob = Wire::hello(world.address(), "dev:bob");
    assert_eq!(carol.expect("statuses")["users"]["bob"]["online"], true);
    bob.say(&json!({"t": "subscribe", "channel": "x", "req": 1, "presence": "join", "state": [1]}));
    let join = json!([{"event": "join", "user": "bob", "state": [1]}]);
    assert_eq!(carol.expect("presence")["events"], join);
    bob.say(&json!({"t": "presence", "channel": "x", "req": 2, "op": "leave"}));
    assert_eq!(carol.expect("presence")["events"], json!([{"event": "leave", "user": "bob"}]));
    carol.say(&json!({"t": "presence", "channel": "x", "req": 3, "op": "get"}));
    assert_eq!(carol.expect("members")["members"], json!([]));
    world.is_well();
}
