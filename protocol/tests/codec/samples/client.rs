use bytes::Bytes;
use moorline_protocol::{
    Ack, Auth, Call, ClientFrame, DeviceId, Epoch, Hello, History, HistoryRange, More, Offset, Park, Pause, Payload,
    Ping, Pong, Position, PresenceMode, PresenceOp, PresenceRequest, ProducerId, ProducerRequest, Publish, Push, Qos,
    ResetMode, Run, Since, StatusRequest, Subscribe, Unsubscribe, limits,
};

use super::{
    MAX, Samples, by_name, device, epoch, framed, json, longest, name, numbered, position, producer, room, text, user,
};

/// Frames of the client.
pub(crate) fn client() -> Samples<ClientFrame> {
    let mut all = Samples::new();
    let mut add = |samples: Samples<ClientFrame>| all.extend(samples);
    add(framed(hello(), ClientFrame::Hello));
    add(framed(auth(), ClientFrame::Auth));
    add(framed(subscribe(), ClientFrame::Subscribe));
    add(framed(unsubscribe(), ClientFrame::Unsubscribe));
    add(framed(publish(), ClientFrame::Publish));
    add(framed(payloads(), ClientFrame::Publish));
    add(framed(ack(), ClientFrame::Ack));
    add(framed(more(), ClientFrame::More));
    add(framed(
        vec![("by name", Pause { channel: room() }), ("by number", Pause { channel: numbered() })],
        ClientFrame::Pause,
    ));
    add(framed(history(), ClientFrame::History));
    add(framed(calls(), ClientFrame::Call));
    add(framed(presence(), ClientFrame::Presence));
    add(framed(status(), ClientFrame::Status));
    let park = |ping| Park { ping };
    add(framed(
        vec![
            ("as the server likes", park(None)),
            ("with a wish", park(Some(120_000))),
            ("largest", park(Some(u32::MAX))),
        ],
        ClientFrame::Park,
    ));
    add(framed(vec![("unpark", ClientFrame::Unpark)], |frame| frame));
    let push = |handle: Option<&str>| Push { handle: handle.map(text) };
    add(framed(
        vec![
            ("forget it", push(None)),
            ("a handle", push(Some("fcm:dGhlIHRva2Vu"))),
            ("longest", push(Some(&"h".repeat(limits::PUSH_HANDLE_BYTES)))),
        ],
        ClientFrame::Push,
    ));
    let ping = |n, next| Ping { n, next };
    add(framed(
        vec![
            ("smallest", ping(0, None)),
            ("typical", ping(7, None)),
            ("everything, largest", ping(MAX, Some(u32::MAX))),
        ],
        ClientFrame::Ping,
    ));
    add(framed(vec![("typical", Pong { n: 7 }), ("largest", Pong { n: MAX })], ClientFrame::Pong));
    all
}

fn hello() -> Vec<(&'static str, Hello)> {
    let subscribe = |req, channel, since| Subscribe { since, ..Subscribe::new(req, name(channel)) };
    vec![
        ("smallest", Hello { v: 1, ..Hello::default() }),
        (
            "by hand",
            Hello {
                v: 1,
                token: Some(text("dev:alice")),
                subscribe: vec![subscribe(1, "room:42", Since::Last(3))],
                ..Hello::default()
            },
        ),
        (
            "first connection of a device",
            Hello {
                v: 1,
                token: Some(text("dev:alice")),
                device: Some(device()),
                run: Some(Run { boot: 1, transport: 1 }),
                sdk: Some(text("moorline-rust/0.1.0")),
                producer: Some(ProducerRequest::New),
                caps: Vec::new(),
                subscribe: vec![Subscribe {
                    qos: Qos::ExactlyOnce,
                    durable: true,
                    ..subscribe(1, "room:42", Since::Cursor(None))
                }],
            },
        ),
        (
            "reconnect, everything",
            Hello {
                v: 1,
                token: Some(text("dev:alice")),
                device: Some(device()),
                run: Some(Run { boot: 3, transport: 12 }),
                sdk: Some(text("moorline-rust/0.1.0")),
                producer: Some(ProducerRequest::Resume(producer())),
                caps: vec![text("dict"), text("later")],
                subscribe: vec![
                    subscribe(1, "room:42", Since::Position(position(9))),
                    subscribe(2, "@me", Since::Cursor(Some(position(31)))),
                    subscribe(3, "news", Since::Time(1_767_225_600_000)),
                    subscribe(4, "stocks", Since::First),
                    subscribe(5, "typing", Since::Now),
                ],
            },
        ),
        ("largest numbers, longest texts", largest_hello()),
    ]
}

fn largest_hello() -> Hello {
    Hello {
        v: u32::MAX,
        token: Some(text(&"t".repeat(limits::TOKEN_BYTES))),
        device: Some(DeviceId::new(&"Z_-9".repeat(16)).unwrap()),
        run: Some(Run { boot: MAX, transport: MAX }),
        sdk: Some(text(&"s".repeat(limits::SDK))),
        producer: Some(ProducerRequest::Resume(ProducerId(u128::MAX))),
        caps: vec![text(&"c".repeat(limits::CAP))],
        subscribe: vec![Subscribe::new(0, name(&longest()))],
    }
}

fn auth() -> Vec<(&'static str, Auth)> {
    let auth = |req, channel| Auth { req, token: text("dev:alice"), channel };
    vec![
        ("the connection's", auth(8, None)),
        ("a channel's own", auth(9, Some(name("room:42")))),
        ("smallest", Auth { token: text(""), ..auth(0, None) }),
        ("largest", auth(MAX, Some(name(&longest())))),
    ]
}

fn subscribe() -> Vec<(&'static str, Subscribe)> {
    let plain = || Subscribe::new(1, name("room:42"));
    let since = |since| Subscribe { since, ..plain() };
    let largest = Position { epoch: Epoch::new("~!@#$%^&*()_+16c").unwrap(), offset: Offset(MAX) };
    vec![
        ("from now", plain()),
        ("since a position", since(Since::Position(position(9)))),
        ("since before the first", since(Since::Position(position(0)))),
        ("since the largest position", since(Since::Position(largest))),
        ("the last 10", since(Since::Last(10))),
        ("the last, largest", since(Since::Last(u32::MAX))),
        ("everything kept", since(Since::First)),
        ("since a time", since(Since::Time(1_767_225_600_000))),
        ("since the cursor, which the client never had", since(Since::Cursor(None))),
        ("since the cursor, with the client's own", since(Since::Cursor(Some(position(31))))),
        ("live after a reset", Subscribe { reset: ResetMode::Live, ..since(Since::Position(position(9))) }),
        ("QoS 0", Subscribe { qos: Qos::AtMostOnce, ..plain() }),
        ("QoS 2, durable", Subscribe { qos: Qos::ExactlyOnce, durable: true, ..since(Since::Cursor(None)) }),
        ("watching presence", Subscribe { presence: PresenceMode::Watch, ..plain() }),
        (
            "everything",
            Subscribe {
                req: MAX,
                channel: name(&longest()),
                since: Since::Cursor(Some(position(31))),
                reset: ResetMode::Live,
                qos: Qos::ExactlyOnce,
                durable: true,
                presence: PresenceMode::Join,
                state: Some(json(r#"{"nick":"Al","away":null}"#)),
                token: Some(text("channel-token")),
            },
        ),
    ]
}

fn unsubscribe() -> Vec<(&'static str, Unsubscribe)> {
    let unsubscribe = |channel, forget| Unsubscribe { req: 4, channel, forget };
    vec![
        ("by name", unsubscribe(room(), false)),
        ("by number", unsubscribe(numbered(), false)),
        ("and forget the cursor", unsubscribe(room(), true)),
        ("largest", Unsubscribe { req: MAX, ..unsubscribe(by_name(&longest()), true) }),
    ]
}

fn plain(payload: Payload) -> Publish {
    Publish {
        channel: room(),
        qos: Qos::AtMostOnce,
        req: None,
        id: None,
        seq: None,
        generation: None,
        ttl: None,
        headers: Vec::new(),
        payload,
    }
}

fn publish() -> Vec<(&'static str, Publish)> {
    let hi = || Payload::Text(text("hi"));
    let first = Publish { req: Some(2), id: Some(text("m-13")), qos: Qos::AtLeastOnce, ..plain(hi()) };
    let second = Publish {
        qos: Qos::ExactlyOnce,
        req: Some(3),
        id: Some(text("m-14")),
        seq: Some(1),
        generation: Some((1 << 20) + 1),
        ..plain(Payload::Json(json(r#"{"text":"hi"}"#)))
    };
    let headers = |count: usize| (0..count).map(|n| (text(&format!("h{n}")), text("v"))).collect();
    vec![
        ("QoS 0", plain(hi())),
        ("QoS 0 with an id and an answer to errors", Publish { req: Some(1), id: Some(text("e-1")), ..plain(hi()) }),
        ("QoS 1", first.clone()),
        ("QoS 2", second.clone()),
        ("QoS 2 by number", Publish { channel: numbered(), ..second.clone() }),
        (
            "QoS 2, everything",
            Publish {
                ttl: Some(3_600),
                headers: vec![(text("type"), text("greeting")), (text("langue"), text("français"))],
                ..second.clone()
            },
        ),
        (
            "largest numbers, longest texts",
            Publish {
                channel: by_name(&longest()),
                req: Some(MAX),
                id: Some(text(&longest())),
                seq: Some(MAX),
                generation: Some(MAX),
                ttl: Some(u32::MAX),
                headers: vec![(text("n"), text(&"v".repeat(limits::HEADER_BYTES - 1)))],
                ..second
            },
        ),
        ("as many headers as there may be", Publish { headers: headers(limits::HEADERS), ..first }),
    ]
}

fn payloads() -> Vec<(&'static str, Publish)> {
    let data = |text| plain(Payload::Json(json(text)));
    let string = |content| plain(Payload::Text(text(content)));
    let bytes = |content: &'static [u8]| plain(Payload::Binary(Bytes::from_static(content)));
    vec![
        ("data: null", data("null")),
        ("data: a boolean", data("false")),
        ("data: numbers as they are written", data("[0,-0,1.0,1e3,12345678901234567890]")),
        ("data: a string with escapes", data(r#""\u00e9 \" \\ \n \ud83e\udd80""#)),
        ("data: an empty object", data("{}")),
        ("data: white space and repeated keys stay", data(r#"{ "b" : [ 1 ,2 ] , "a":{}, "a":[] }"#)),
        ("text: empty", string("")),
        (
            "text: of every kind",
            string("quote \" backslash \\ slash / tab \t line \n return \r null \0 é 語 🦀 \u{2028}"),
        ),
        ("bin: empty", bytes(b"")),
        ("bin: one byte", bytes(b"\xff")),
        ("bin: two bytes", bytes(b"\xfb\xef")),
        ("bin: three bytes", bytes(b"\x00\x10\x83")),
        ("bin: not UTF-8", bytes(b"\xc3\x28\xf0\x9f")),
    ]
}

fn ack() -> Vec<(&'static str, Ack)> {
    let ack = |channel, offset| Ack { channel, epoch: epoch(), offset: Offset(offset) };
    vec![("by name", ack(room(), 12)), ("by number", ack(numbered(), 12)), ("largest", ack(by_name(&longest()), MAX))]
}

fn more() -> Vec<(&'static str, More)> {
    let more = |channel, after, rewind| More { channel, epoch: Some(epoch()), after: Offset(after), rewind };
    vec![
        ("confirmation", more(room(), 12, false)),
        ("confirmation by number", more(numbered(), 12, false)),
        ("rewind", more(room(), 9, true)),
        ("rewind by number", more(numbered(), 9, true)),
        ("by hand", More { epoch: None, ..more(room(), 0, false) }),
        ("largest", more(by_name(&longest()), MAX, true)),
    ]
}

fn calls() -> Vec<(&'static str, Call)> {
    let call = |payload| {
        let (id, method) = (text("c-01hz8q4m"), text("cart.add"));
        Call { req: 6, id, method, timeout: 10_000, payload }
    };
    let json = || Payload::Json(Bytes::from_static(br#"{"sku":7}"#));
    vec![
        ("JSON", call(json())),
        ("text", call(Payload::Text(text("hi")))),
        ("bytes", call(Payload::Binary(Bytes::from_static(&[0, 1, 254, 255])))),
        ("no time", Call { timeout: 0, ..call(json()) }),
        (
            "largest",
            Call {
                req: MAX,
                id: text(&"i".repeat(128)),
                method: text(&format!("a-Z_0.:/{}", "m".repeat(120))),
                timeout: u32::MAX,
                payload: json(),
            },
        ),
    ]
}

fn history() -> Vec<(&'static str, History)> {
    let history = |range, limit| History { req: 5, channel: room(), range, limit };
    vec![
        ("the newest", history(HistoryRange::Newest, None)),
        ("the newest 10", history(HistoryRange::Newest, Some(10))),
        ("after an offset", history(HistoryRange::After(Offset(9)), Some(256))),
        ("after a time", history(HistoryRange::AfterTime(1_767_225_600_000), None)),
        ("before an offset", history(HistoryRange::Before(Offset(13)), None)),
        ("before a time", history(HistoryRange::BeforeTime(1_767_225_600_000), Some(1))),
        ("by number", History { channel: numbered(), ..history(HistoryRange::Newest, None) }),
        ("largest", History { req: MAX, ..history(HistoryRange::After(Offset(MAX)), Some(u32::MAX)) }),
    ]
}

fn presence() -> Vec<(&'static str, PresenceRequest)> {
    let presence = |op| PresenceRequest { req: 6, channel: room(), op, state: None, cursor: None };
    let state = || Some(json(r#"{"nick":"Al"}"#));
    vec![
        ("get", presence(PresenceOp::Get)),
        ("get the next page", PresenceRequest { cursor: Some(text("p2")), ..presence(PresenceOp::Get) }),
        ("enter", PresenceRequest { state: state(), ..presence(PresenceOp::Enter) }),
        ("update", PresenceRequest { state: state(), ..presence(PresenceOp::Update) }),
        ("leave", presence(PresenceOp::Leave)),
        ("by number", PresenceRequest { channel: numbered(), ..presence(PresenceOp::Get) }),
        (
            "everything",
            PresenceRequest { req: MAX, state: state(), cursor: Some(text("p2")), ..presence(PresenceOp::Get) },
        ),
    ]
}

fn status() -> Vec<(&'static str, StatusRequest)> {
    let status =
        |users: &[&str], watch| StatusRequest { req: 7, users: users.iter().map(|name| user(name)).collect(), watch };
    let most: Vec<String> = (0..limits::STATUS_USERS).map(|n| format!("u{n}")).collect();
    let most: Vec<&str> = most.iter().map(String::as_str).collect();
    vec![
        ("once", status(&["alice", "bob"], false)),
        ("and watch", status(&["alice"], true)),
        ("nobody: the watch ends", status(&[], true)),
        ("as many users as there may be", status(&most, false)),
        ("largest", StatusRequest { req: MAX, ..status(&[&longest()], true) }),
    ]
}
