//! Calls to the app's backend: who may make them, what the backend is asked, and whose answer it is.

use std::collections::BTreeMap;

use bytes::Bytes;
use moorline_protocol::{AppName, Codec, ErrorCode, Payload};
use moorline_server::apps::{AppLimits, AppTable};
use moorline_server::node::{
    CallFailure, CalloutId, CalloutKind, CalloutRule, CalloutRules, Claims, OnFailure, Permissions, Terms,
};
use serde_json::{Value, json};

use crate::bench::{Bench, Heard, everything, grant, is};

/// The app has a backend that takes calls.
fn backend() -> CalloutRules {
    let terms = Terms { id: CalloutId(0), within_ms: 30_000, on_failure: OnFailure::Deny, verifies: true };
    let (app, kinds) = (AppName::default_app(), vec![CalloutKind::Rpc]);
    CalloutRules::new(vec![CalloutRule { app, kinds, channels: Vec::new(), terms }])
}

fn bench() -> Bench {
    let bench = Bench::with(|config| config.callouts = backend());
    bench.token("alice", everything("alice"));
    bench
}

/// Alice's phone connects; returns the features of `welcome`.
fn connect(bench: &mut Bench, conn: u32) -> Value {
    bench.hello(conn, json!({"token": "alice", "device": "0123456789abcdef", "caps": ["call", "later"]}));
    bench.frame(conn)["caps"].clone()
}

fn call(req: u64) -> Value {
    json!({"t": "call", "req": req, "id": format!("c{req}"), "method": "cart.add", "timeout": 10_000, "data": {"sku": 7}})
}

fn answer(text: &'static str) -> Result<Payload, CallFailure> {
    Ok(Payload::Json(Bytes::from_static(text.as_bytes())))
}

/// The code with which a frame is refused.
fn refused(bench: &mut Bench, frame: Value) -> String {
    let req = frame["req"].clone();
    bench.say(1, frame);
    let heard = bench.frame(1);
    assert_eq!((heard["t"].as_str(), &heard["req"]), (Some("error"), &req), "{heard}");
    heard["code"].as_str().unwrap().to_owned()
}

#[test]
fn the_backend_is_asked_and_its_answer_goes_to_who_asked() {
    let mut bench = bench();
    assert_eq!(connect(&mut bench, 1), json!(["call"]));
    bench.say(1, call(1));
    bench
        .say(1, json!({"t": "call", "req": 2, "id": "c2", "method": "cart.show", "timeout": 4_000_000, "bin": "AP8="}));
    let asked = std::mem::take(&mut bench.calling);
    let [(first, one), (second, two)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((one.app.as_str(), one.user.as_ref().unwrap().as_str()), ("default", "alice"));
    assert_eq!((one.device.as_str(), &*one.id, &*one.method), ("0123456789abcdef", "c1", "cart.add"));
    assert_eq!((one.payload.bytes().as_ref(), one.timeout_ms), (&br#"{"sku":7}"#[..], 10_000));
    assert_eq!((two.payload.clone(), two.timeout_ms), (Payload::Binary(Bytes::from_static(&[0, 255])), 30_000));
    // In the order of the answers.
    bench.called(*second, answer("[]"));
    let refusal = CallFailure { code: ErrorCode::from_name("call.refused.sold_out"), message: "none left".into() };
    bench.called(*first, Err(refusal));
    let refused =
        json!({"t": "error", "req": 1, "code": "call.refused.sold_out", "message": "none left", "retry": false});
    assert_eq!(bench.frames(1), [json!({"t": "result", "req": 2, "data": []}), refused]);
    // A second answer is nobody's.
    bench.called(*first, answer("1"));
    assert!(bench.hear(1).is_empty());
    assert_eq!(bench.node.stats().calls, 0);
}

#[test]
fn a_backend_s_error_code_is_told_apart_in_both_codecs() {
    let mut bench = bench();
    connect(&mut bench, 1);
    for (code, retry) in [(ErrorCode::CallUnavailable, true), (ErrorCode::CallTimeout, false)] {
        bench.say(1, call(7));
        let (id, _) = bench.calling.pop().unwrap();
        bench.called(id, Err(CallFailure { code: code.clone(), message: "why".into() }));
        let heard = bench.frame(1);
        assert_eq!((heard["code"].as_str(), heard["retry"].as_bool()), (Some(code.name()), Some(retry)));
    }
}

#[test]
fn without_a_backend_or_the_feature_the_client_is_told_so() {
    let mut none = Bench::new();
    none.token("alice", everything("alice"));
    assert_eq!(connect(&mut none, 1), Value::Null);
    assert_eq!(refused(&mut none, call(1)), "request.unsupported");
    let mut bench = bench();
    bench.open(1, Codec::Json);
    bench.say(1, json!({"t": "hello", "v": 1, "token": "alice"}));
    assert_eq!(bench.frame(1)["caps"], Value::Null);
    assert_eq!(refused(&mut bench, call(1)), "request.unsupported");
    assert!(bench.calling.is_empty());
}

#[test]
fn a_method_needs_a_grant_for_it() {
    let mut bench = bench();
    let grants =
        vec![grant("cart.*", Permissions::CALL), grant("*", Permissions::PUBLISH), grant("ping", Permissions::CALL)];
    bench.token("alice", Claims { grants, ..everything("alice") });
    connect(&mut bench, 1);
    for (method, granted) in
        [("cart.add", true), ("ping", true), ("pings", false), ("cart", false), ("order.all", false)]
    {
        let mut frame = call(1);
        frame["method"] = method.into();
        if granted {
            bench.say(1, frame);
            assert!(bench.hear(1).is_empty(), "{method}");
            assert_eq!(&*bench.calling.pop().unwrap().1.method, method);
        } else {
            assert_eq!(refused(&mut bench, frame), "call.denied", "{method}");
        }
    }
    assert!(bench.calling.is_empty());
}

#[test]
fn what_is_too_large_or_too_much_is_refused() {
    let mut bench = Bench::with(|config| {
        config.callouts = backend();
        config.max_message = 100;
        (config.publish_rate, config.publish_burst) = (Some(1), 40);
    });
    bench.token("alice", everything("alice"));
    connect(&mut bench, 1);
    let mut large = call(1);
    large["data"] = "x".repeat(99).into();
    assert_eq!(refused(&mut bench, large), "limit.message");
    (1..=32).for_each(|req| bench.say(1, call(req)));
    assert_eq!((bench.calling.len(), bench.hear(1).len()), (32, 0));
    assert_eq!(refused(&mut bench, call(33)), "limit.calls");
    // An answer makes room for another call; one that is too large is none.
    let (id, _) = bench.calling.remove(0);
    bench.called(id, Ok(Payload::Text("x".repeat(101).into())));
    assert_eq!(bench.frame(1)["code"], "call.failed");
    bench.say(1, call(34));
    assert_eq!((bench.calling.len(), bench.hear(1).len()), (32, 0));
    // They count as publishes do.
    (0..5).for_each(|_| assert_eq!(refused(&mut bench, call(35)), "limit.calls"));
    assert_eq!(refused(&mut bench, call(36)), "limit.rate");
}

#[test]
fn arguments_and_answers_go_by_the_limit_of_their_app() {
    let mut bench = bench();
    connect(&mut bench, 1);
    let of_all = AppLimits {
        message: 65_536,
        channels: 256,
        connections: None,
        connections_per_user: 20,
        cursors_per_user: 1_000,
        publish_rate: None,
        publish_burst: 100,
        api_rate: None,
        api_burst: 4_000,
    };
    let own = BTreeMap::from([(AppName::default_app(), AppLimits { message: 100, ..of_all })]);
    bench.node.begin_with(AppTable::new(own));
    let mut large = call(1);
    large["data"] = "x".repeat(99).into();
    assert_eq!(refused(&mut bench, large), "limit.message");
    for (length, t) in [(100, "result"), (101, "error")] {
        bench.say(1, call(2));
        let (id, _) = bench.calling.pop().unwrap();
        bench.called(id, Ok(Payload::Text("x".repeat(length).into())));
        assert_eq!(bench.frame(1)["t"], t, "{length} bytes");
    }
}

#[test]
fn the_calls_of_a_connection_that_is_gone_are_given_up() {
    let mut bench = bench();
    connect(&mut bench, 1);
    bench.say(1, call(1));
    bench.say(1, call(2));
    let ids: Vec<_> = bench.calling.iter().map(|(id, _)| *id).collect();
    bench.called(ids[0], answer("1"));
    bench.cut(1);
    assert_eq!(bench.uncalled, ids[1..]);
    bench.called(ids[1], answer("2"));
    // The next connection under this number hears nothing of it.
    bench.open(1, Codec::Json);
    bench.hear(1);
    connect(&mut bench, 2);
    assert!(bench.hear(2).is_empty());
    assert_eq!(bench.node.stats().calls, 0);
}

#[test]
fn a_drain_waits_for_answers_and_takes_no_more_calls() {
    let mut bench = bench();
    connect(&mut bench, 1);
    bench.say(1, call(1));
    bench.drain(500, 1_000);
    assert_eq!(bench.frame(1)["t"], "goaway");
    assert_eq!(refused(&mut bench, call(2)), "call.unavailable");
    assert!(!bench.drained);
    let (id, _) = bench.calling.pop().unwrap();
    bench.called(id, answer("1"));
    let heard = bench.hear(1);
    assert!(is(&heard[0], "result") && heard[1] == Heard::Closed(4000), "{heard:?}");
    assert!(bench.drained);
}
