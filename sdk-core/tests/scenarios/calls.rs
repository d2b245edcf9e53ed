//! Calls of the app's backend: sent once at most, ended once, and within their time.

use moorline_core::protocol::{
    Bytes, Call, CallResult, ClientFrame, ErrorCode, Payload, ProducerState, ServerFrame, Utf8Bytes,
};
use moorline_core::{CallOptions, Event, Origin, RequestId};

use crate::host::{Host, welcome};

fn greet(host: &mut Host, takes_calls: bool) {
    let mut greeting = welcome(ProducerState::New);
    greeting.caps = takes_calls.then(|| Utf8Bytes::from_static(Call::CAP)).into_iter().collect();
    host.send(ServerFrame::Welcome(greeting));
}

fn online() -> Host {
    let mut host = Host::new();
    host.connect();
    host.open();
    greet(&mut host, true);
    host.take_frames();
    host
}

fn json(text: &'static str) -> Payload {
    Payload::Json(Bytes::copy_from_slice(text.as_bytes()))
}

fn call(host: &mut Host, options: CallOptions) -> RequestId {
    let id = host.client.call("cart.add", json("7"), options, host.now());
    host.drain();
    id
}

/// Calls that the server got.
fn sent(host: &mut Host) -> Vec<Call> {
    let frames = host.take_frames().into_iter();
    frames.filter_map(|frame| if let ClientFrame::Call(call) = frame { Some(call) } else { None }).collect()
}

/// How a call ended: with a payload, or a code and who says so.
type Ended = (RequestId, Result<Payload, (ErrorCode, Origin)>);

fn ended(host: &mut Host) -> Vec<Ended> {
    let ended = |event| match event {
        Event::CallFinished { id, result } => Some((id, result.map_err(|failure| (failure.code, failure.origin)))),
        _ => None,
    };
    host.take_events().into_iter().filter_map(ended).collect()
}

fn failed(id: RequestId, code: ErrorCode, origin: Origin) -> Ended {
    (id, Err((code, origin)))
}

#[test]
fn answers_come_in_any_order_and_each_ends_its_call_once() {
    let mut host = online();
    let (one, two) = (call(&mut host, CallOptions::new().id("c1")), call(&mut host, CallOptions::new()));
    let frames = sent(&mut host);
    let [first, second] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((&*first.id, &*first.method, first.timeout, &first.payload), ("c1", "cart.add", 10_000, &json("7")));
    assert!(second.id.len() == 22 && second.req != first.req, "a name of its own");
    let answer = |call: &Call| ServerFrame::Result(CallResult { req: call.req, payload: json("true") });
    host.send(answer(second));
    host.refuse(first.req, ErrorCode::from_name("call.refused.sold_out"), |_| {});
    let refused = failed(one, ErrorCode::Other("call.refused.sold_out".into()), Origin::Server);
    assert_eq!(ended(&mut host), [(two, Ok(json("true"))), refused]);
    host.send(answer(second));
    host.send(answer(first));
    host.pass(60_000);
    assert_eq!(ended(&mut host), []);
}

#[test]
fn what_was_sent_is_uncertain_when_the_connection_ends_and_is_not_sent_again() {
    let mut host = online();
    let id = call(&mut host, CallOptions::new());
    assert_eq!(sent(&mut host).len(), 1);
    host.cut(None);
    assert_eq!(ended(&mut host), [failed(id, ErrorCode::CallUncertain, Origin::Transport)]);
    host.reopen();
    greet(&mut host, true);
    assert!(sent(&mut host).is_empty());
    // So it is when the app hangs up, or closes the client.
    let id = call(&mut host, CallOptions::new());
    host.client.disconnect(host.now());
    host.drain();
    assert_eq!(ended(&mut host), [failed(id, ErrorCode::CallUncertain, Origin::Transport)]);
    host.client.connect(host.now());
    host.drain();
    host.open();
    greet(&mut host, true);
    let id = call(&mut host, CallOptions::new());
    host.client.close(false, host.now());
    host.drain();
    assert_eq!(ended(&mut host), [failed(id, ErrorCode::CallUncertain, Origin::Transport)]);
    let id = call(&mut host, CallOptions::new());
    assert_eq!(ended(&mut host), [failed(id, ErrorCode::ClientClosed, Origin::Client)]);
}

#[test]
fn a_call_waits_for_a_connection_and_its_wait_counts() {
    let mut host = Host::new();
    host.connect();
    let short = call(&mut host, CallOptions::new().timeout_ms(1_000));
    let long = call(&mut host, CallOptions::new().timeout_ms(30_000));
    host.pass(1_000);
    assert_eq!(ended(&mut host), [failed(short, ErrorCode::RequestTimeout, Origin::Transport)]);
    host.open();
    greet(&mut host, true);
    let frames = sent(&mut host);
    assert_eq!(frames.iter().map(|call| call.timeout).collect::<Vec<_>>(), [29_000]);
    host.pass(28_999);
    assert_eq!(ended(&mut host), []);
    host.pass(1);
    assert_eq!(ended(&mut host), [failed(long, ErrorCode::CallTimeout, Origin::Transport)]);
}

#[test]
fn a_server_without_the_feature_gets_no_call() {
    let mut host = Host::new();
    let early = call(&mut host, CallOptions::new());
    host.connect();
    host.open();
    greet(&mut host, false);
    let late = call(&mut host, CallOptions::new());
    let unsupported = |id| failed(id, ErrorCode::RequestUnsupported, Origin::Server);
    assert_eq!(ended(&mut host), [unsupported(early), unsupported(late)]);
    assert!(sent(&mut host).is_empty());
}

#[test]
fn what_cannot_be_is_refused_on_the_spot() {
    let mut host = online();
    let refused = |host: &mut Host, method: &str, payload, options| {
        let id = host.client.call(method, payload, options, host.now());
        host.drain();
        match &ended(host)[..] {
            [(ended, Err((code, Origin::Client)))] if *ended == id => code.clone(),
            other => panic!("{other:?}"),
        }
    };
    let long = "m".repeat(129);
    for method in ["", "a b", "ä", "a*", "@me", &long] {
        assert_eq!(refused(&mut host, method, json("1"), CallOptions::new()), ErrorCode::RequestMalformed, "{method}");
    }
    for options in [CallOptions::new().timeout_ms(0), CallOptions::new().timeout_ms(30_001), CallOptions::new().id("")]
    {
        assert_eq!(refused(&mut host, "m", json("1"), options), ErrorCode::RequestMalformed);
    }
    let large = Payload::Binary(vec![0; 65_537].into());
    assert_eq!(refused(&mut host, "m", large, CallOptions::new()), ErrorCode::LimitMessage);
    for _ in 0..32 {
        call(&mut host, CallOptions::new());
    }
    assert_eq!(refused(&mut host, "m", json("1"), CallOptions::new()), ErrorCode::LimitCalls);
    // An answer makes room.
    let req = sent(&mut host)[5].req;
    host.send(ServerFrame::Result(CallResult { req, payload: json("1") }));
    call(&mut host, CallOptions::new());
    assert_eq!((sent(&mut host).len(), ended(&mut host).len()), (1, 1));
}
