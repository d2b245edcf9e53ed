use bytes::Bytes;
use moorline_protocol::{
    Acked, Authed, CallResult, ChannelNumber, Deliver, DeviceId, Dropped, Durability, Epoch, ErrorCode, ErrorFrame,
    Goaway, GoawayReason, Limits, Member, Members, MembersView, Message, Offset, Packed, PackedDictionary, Page,
    Payload, Ping, Pong, PresenceChange, PresenceChangeKind, PresenceEvents, PresenceVersion, ProducerGrant,
    ProducerId, ProducerState, Published, Reset, ResetReason, ReusedBy, ServerFrame, Start, Statuses, Subscribed,
    Unsubscribed, UserStatus, Welcome,
};

use super::{
    MAX, NUMBER, Samples, by_name, device, epoch, framed, json, longest, name, numbered, producer, room, text, user,
};

/// Frames of the server.
pub(crate) fn server() -> Samples<ServerFrame> {
    let mut all = Samples::new();
    let mut add = |samples: Samples<ServerFrame>| all.extend(samples);
    add(framed(welcome(), ServerFrame::Welcome));
    let authed = |req, expires| Authed { req, expires };
    add(framed(
        vec![
            ("that expires", authed(8, Some(1_767_229_200_000))),
            ("for ever", authed(8, None)),
            ("largest", authed(MAX, Some(MAX))),
        ],
        ServerFrame::Authed,
    ));
    add(framed(subscribed(), ServerFrame::Subscribed));
    add(framed(unsubscribed(), ServerFrame::Unsubscribed));
    add(framed(published(), ServerFrame::Published));
    let acked = |channel, offset| Acked { channel, epoch: epoch(), offset: Offset(offset) };
    add(framed(
        vec![
            ("by name", acked(room(), 12)),
            ("by number", acked(numbered(), 12)),
            ("largest", acked(by_name(&longest()), MAX)),
        ],
        ServerFrame::Acked,
    ));
    add(framed(deliver(), ServerFrame::Deliver));
    add(framed(packed(), ServerFrame::Packed));
    add(framed(reset(), ServerFrame::Reset));
    let dropped = |channel, count| Dropped { channel, count };
    add(framed(
        vec![("by name", dropped(room(), 3)), ("by number", dropped(numbered(), 3)), ("largest", dropped(room(), MAX))],
        ServerFrame::Dropped,
    ));
    add(framed(page(), ServerFrame::Page));
    add(framed(members(), ServerFrame::Members));
    add(framed(presence(), ServerFrame::Presence));
    add(framed(statuses(), ServerFrame::Statuses));
    add(framed(results(), ServerFrame::Result));
    add(framed(goaway(), ServerFrame::Goaway));
    let ping = |n, next| Ping { n, next };
    add(framed(
        vec![
            ("typical", ping(1, None)),
            ("with a new interval", ping(2, Some(60_000))),
            ("largest", ping(MAX, Some(u32::MAX))),
        ],
        ServerFrame::Ping,
    ));
    add(framed(vec![("typical", Pong { n: 7 }), ("largest", Pong { n: MAX })], ServerFrame::Pong));
    add(framed(errors(), ServerFrame::Error));
    all
}

fn welcome() -> Vec<(&'static str, Welcome)> {
    let smallest = || Welcome {
        v: 1,
        session: text("1"),
        user: None,
        device: device(),
        time: 1_767_225_600_000,
        ping: 25_000,
        durability: Durability::Disk,
        producer: None,
        expires: None,
        caps: Vec::new(),
        limits: Limits { message: 65_536, channels: 256, window: 32, spread: 3_000 },
    };
    let durability = |durability| Welcome { durability, ..smallest() };
    let grant = |state| ProducerGrant { id: producer(), generation: (1 << 20) + 1, state };
    let producer = |state| Welcome { user: Some(user("alice")), producer: Some(grant(state)), ..smallest() };
    vec![
        ("anonymous", smallest()),
        ("of a user", Welcome { user: Some(user("alice")), ..smallest() }),
        ("with a new producer", producer(ProducerState::New)),
        ("with the producer asked for", producer(ProducerState::Resumed)),
        ("with another producer", producer(ProducerState::Expired)),
        ("with a producer of a later version", producer(ProducerState::Other("hologram".into()))),
        ("memory", durability(Durability::Memory)),
        ("process", durability(Durability::Process)),
        ("quorum", durability(Durability::Quorum)),
        ("durability of a later version", durability(Durability::Other("hologram".into()))),
        (
            "everything",
            Welcome {
                user: Some(user("alice")),
                producer: Some(grant(ProducerState::Resumed)),
                expires: Some(1_767_229_200_000),
                caps: vec![text("dict"), text("later")],
                ..smallest()
            },
        ),
        (
            "largest",
            Welcome {
                v: u32::MAX,
                session: text("ffffffffffffffff"),
                user: Some(user(&longest())),
                device: DeviceId::new(&"Z_-9".repeat(16)).unwrap(),
                time: MAX,
                ping: u32::MAX,
                producer: Some(ProducerGrant { id: ProducerId(u128::MAX), generation: MAX, state: ProducerState::New }),
                expires: Some(MAX),
                limits: Limits { message: u32::MAX, channels: u32::MAX, window: u32::MAX, spread: u32::MAX },
                ..smallest()
            },
        ),
    ]
}

fn subscribed() -> Vec<(&'static str, Subscribed)> {
    let live = || Subscribed {
        req: 1,
        channel: name("room:42"),
        number: ChannelNumber(NUMBER),
        epoch: epoch(),
        head: Offset(12),
        from: Offset(12),
        start: Start::Live,
        reason: None,
        first: None,
        expires: None,
        members: None,
    };
    let reset = |reason, first, from| Subscribed {
        start: Start::Reset,
        reason: Some(reason),
        first: Some(Offset(first)),
        from: Offset(from),
        ..live()
    };
    vec![
        ("live", live()),
        ("live, empty", Subscribed { head: Offset(0), from: Offset(0), ..live() }),
        ("replay", Subscribed { from: Offset(9), start: Start::Replay, ..live() }),
        ("reset: trimmed, replay follows", reset(ResetReason::Trimmed, 5, 4)),
        ("reset: epoch, live", reset(ResetReason::Epoch, 1, 12)),
        ("reset of a later version", reset(ResetReason::Other("hologram".into()), 1, 12)),
        ("start of a later version", Subscribed { start: Start::Other("hologram".into()), ..live() }),
        ("the caller's inbox, by its canonical name", Subscribed { channel: name("@alice"), ..live() }),
        (
            "everything",
            Subscribed { expires: Some(1_767_229_200_000), members: Some(view()), ..reset(ResetReason::Trimmed, 5, 4) },
        ),
        (
            "largest",
            Subscribed {
                req: MAX,
                channel: name(&longest()),
                number: ChannelNumber(u32::MAX),
                epoch: Epoch::new("~!@#$%^&*()_+16c").unwrap(),
                head: Offset(MAX),
                expires: Some(MAX),
                ..reset(ResetReason::Epoch, MAX, MAX)
            },
        ),
    ]
}

fn unsubscribed() -> Vec<(&'static str, Unsubscribed)> {
    let ended = |code| Unsubscribed { req: None, channel: name("room:42"), code: Some(code) };
    vec![
        ("the answer", Unsubscribed { req: Some(4), channel: name("room:42"), code: None }),
        ("the server ended it", ended(ErrorCode::ChannelDenied)),
        ("the server ended it, of a later version", ended(ErrorCode::Other("channel.moved".into()))),
        (
            "everything",
            Unsubscribed { req: Some(MAX), channel: name(&longest()), code: Some(ErrorCode::LimitChannels) },
        ),
    ]
}

fn published() -> Vec<(&'static str, Published)> {
    let published = |offset, duplicate| Published { req: 3, epoch: epoch(), offset, duplicate };
    vec![
        ("stored", Published { req: 2, ..published(Some(Offset(13)), false) }),
        ("a duplicate", published(Some(Offset(13)), true)),
        ("an old duplicate", published(None, true)),
        ("largest", Published { req: MAX, ..published(Some(Offset(MAX)), false) }),
    ]
}

fn message(offset: u64) -> Message {
    Message {
        offset: Some(Offset(offset)),
        prev: None,
        id: text(&format!("m-{offset}")),
        user: Some(text("alice")),
        time: 1_767_225_600_000 + offset,
        headers: Vec::new(),
        payload: Payload::Text(text("hi")),
    }
}

/// A message with every field, and one with as few as there can be.
fn messages() -> [Message; 2] {
    let full = Message {
        prev: Some(Offset(4)),
        headers: vec![(text("type"), text("greeting")), (text("langue"), text("français"))],
        payload: Payload::Json(json(r#"{ "text" : "hi" }"#)),
        ..message(9)
    };
    let bare = Message { offset: None, id: text("e"), user: None, time: 0, ..message(1) };
    [full, Message { payload: Payload::Binary(Bytes::from_static(b"\xff")), ..bare }]
}

fn deliver() -> Vec<(&'static str, Deliver)> {
    let live = |messages| Deliver { channel: numbered(), replay: false, more: false, at: None, messages };
    let page = |messages, more| Deliver { replay: true, more, ..live(messages) };
    let largest = Message {
        offset: Some(Offset(MAX)),
        prev: Some(Offset(MAX - 2)),
        id: text(&longest()),
        user: Some(text(&longest())),
        time: MAX,
        ..message(1)
    };
    vec![
        ("live", live(vec![message(13)])),
        ("live, several", live(vec![message(13), message(14), message(15)])),
        ("live, by name", Deliver { channel: room(), ..live(vec![message(13)]) }),
        ("every field, and hardly any", live(messages().into())),
        ("a replay page", page(vec![message(10), message(11)], true)),
        ("the last replay page", page(vec![message(10), message(11), message(12)], false)),
        ("after expired messages", page(vec![Message { prev: Some(Offset(9)), ..message(12) }], false)),
        ("the tail has expired", Deliver { at: Some(Offset(12)), ..page(vec![message(10)], false) }),
        ("everything has expired", Deliver { at: Some(Offset(12)), ..page(Vec::new(), false) }),
        ("largest", Deliver { channel: by_name(&longest()), at: Some(Offset(MAX)), ..page(vec![largest], true) }),
    ]
}

fn packed() -> Vec<(&'static str, Packed)> {
    let packed = |dictionary| Packed {
        channel: numbered(),
        dictionary,
        length: 300,
        crc: 0x0102_0304,
        data: Bytes::from_static(b"\x03\x00"),
    };
    vec![
        ("a page", packed(None)),
        ("a live message", packed(Some(PackedDictionary { count: 16, oldest: Offset(3) }))),
        (
            "largest",
            Packed {
                channel: by_name(&longest()),
                length: u32::MAX,
                crc: u32::MAX,
                ..packed(Some(PackedDictionary { count: u8::MAX, oldest: Offset(MAX) }))
            },
        ),
    ]
}

fn reset() -> Vec<(&'static str, Reset)> {
    let reset = |channel, reason| Reset {
        channel,
        epoch: epoch(),
        first: Offset(5),
        head: Offset(12),
        from: Offset(4),
        reason,
    };
    let max = Offset(MAX);
    vec![
        ("trimmed", reset(room(), ResetReason::Trimmed)),
        ("trimmed, by number", reset(numbered(), ResetReason::Trimmed)),
        ("epoch", reset(room(), ResetReason::Epoch)),
        ("of a later version", reset(room(), ResetReason::Other("hologram".into()))),
        ("largest", Reset { first: max, head: max, from: max, ..reset(by_name(&longest()), ResetReason::Epoch) }),
    ]
}

fn page() -> Vec<(&'static str, Page)> {
    let page = |messages, more| Page {
        req: 5,
        channel: name("room:42"),
        epoch: epoch(),
        first: Offset(5),
        head: Offset(12),
        more,
        messages,
    };
    vec![
        ("a page", page(vec![message(10), message(11)], true)),
        ("every field, and hardly any", page(messages().into(), false)),
        ("nothing there", Page { first: Offset(1), head: Offset(0), ..page(Vec::new(), false) }),
        ("largest", Page { req: MAX, first: Offset(MAX), head: Offset(MAX), ..page(Vec::new(), false) }),
    ]
}

fn view() -> MembersView {
    let member = |name, state| Member { user: user(name), state, since: 1_767_225_600_000 };
    MembersView {
        version: PresenceVersion { run: 1, n: 7 },
        count: 2,
        members: vec![member("alice", Some(json(r#"{"nick":"Al"}"#))), member("bob", None)],
        cursor: None,
    }
}

fn members() -> Vec<(&'static str, Members)> {
    let members = |view| Members { req: 6, channel: name("room:42"), view };
    let nobody = PresenceVersion { run: 1, n: 0 };
    let largest = MembersView {
        version: PresenceVersion { run: MAX, n: MAX },
        count: MAX,
        members: vec![Member { user: user(&longest()), state: Some(json("null")), since: MAX }],
        cursor: Some(text("p2 \"\\\n")),
    };
    vec![
        ("all", members(view())),
        ("the first of many", members(MembersView { count: 900, cursor: Some(text("p2")), ..view() })),
        ("nobody", members(MembersView { version: nobody, count: 0, members: Vec::new(), cursor: None })),
        ("largest", Members { req: MAX, ..members(largest) }),
    ]
}

fn presence() -> Vec<(&'static str, PresenceEvents)> {
    let version = PresenceVersion { run: 1, n: 8 };
    let presence = |events| PresenceEvents { channel: numbered(), version, count: 2, events };
    let change = |event, state| PresenceChange { event, user: user("alice"), state };
    let state = || Some(json(r#"{"nick":"Al"}"#));
    vec![
        ("join", presence(vec![change(PresenceChangeKind::Join, state())])),
        ("by name", PresenceEvents { channel: room(), ..presence(vec![change(PresenceChangeKind::Leave, None)]) }),
        (
            "every change",
            presence(vec![
                change(PresenceChangeKind::Join, None),
                change(PresenceChangeKind::Update, state()),
                change(PresenceChangeKind::Timeout, None),
                change(PresenceChangeKind::Back, state()),
                change(PresenceChangeKind::Leave, None),
                change(PresenceChangeKind::Other("hologram".into()), None),
            ]),
        ),
        ("the count alone", presence(Vec::new())),
        (
            "largest",
            PresenceEvents { version: PresenceVersion { run: MAX, n: MAX }, count: MAX, ..presence(Vec::new()) },
        ),
    ]
}

fn statuses() -> Vec<(&'static str, Statuses)> {
    let status = |name: &str, online, since| UserStatus { user: user(name), online, since };
    let both = || vec![status("alice", true, Some(1_767_225_600_000)), status("bob", false, None)];
    vec![
        ("the answer", Statuses { req: Some(7), users: both() }),
        ("a change", Statuses { req: None, users: both() }),
        ("nobody", Statuses { req: Some(7), users: Vec::new() }),
        ("largest", Statuses { req: Some(MAX), users: vec![status(&longest(), true, Some(MAX))] }),
    ]
}

fn results() -> Vec<(&'static str, CallResult)> {
    let result = |payload| CallResult { req: 6, payload };
    vec![
        ("JSON", result(Payload::Json(Bytes::from_static(br#"{"total":3}"#)))),
        ("text", result(Payload::Text(text("ok")))),
        ("bytes", result(Payload::Binary(Bytes::from_static(&[0, 255])))),
        ("largest", CallResult { req: MAX, payload: Payload::Json(Bytes::from_static(b"null")) }),
    ]
}

fn goaway() -> Vec<(&'static str, Goaway)> {
    let goaway = |reason| Goaway { after: 500, window: 3_000, reason };
    vec![
        ("restart", goaway(GoawayReason::Restart)),
        ("move", goaway(GoawayReason::Move)),
        ("of a later version", goaway(GoawayReason::Other("hologram".into()))),
        ("smallest", Goaway { after: 0, window: 0, ..goaway(GoawayReason::Restart) }),
        ("largest", Goaway { after: u32::MAX, window: u32::MAX, ..goaway(GoawayReason::Restart) }),
    ]
}

fn errors() -> Vec<(String, ErrorFrame)> {
    let error = |code: &ErrorCode| ErrorFrame::new(code.clone(), code.meaning());
    let every = ErrorCode::ALL.iter().map(|code| (code.name().to_owned(), ErrorFrame { req: Some(3), ..error(code) }));
    let later = ErrorFrame::new(ErrorCode::Other("publish.moved".into()), "a code of a later version");
    let gap = ErrorFrame { req: Some(3), expected: Some(2), ..error(&ErrorCode::PublishGap) };
    let reused = |by| ErrorFrame { req: Some(3), by: Some(by), ..error(&ErrorCode::PublishReused) };
    let special = [
        ("of the connection", error(&ErrorCode::AuthExpired)),
        ("a gap", gap.clone()),
        ("reused, by id", reused(ReusedBy::Id)),
        ("reused, by sequence", reused(ReusedBy::Seq)),
        ("too fast", ErrorFrame { req: Some(3), after: Some(200), ..error(&ErrorCode::LimitRate) }),
        (
            "a subscription refused",
            ErrorFrame { req: Some(1), channel: Some(name("room:42")), ..error(&ErrorCode::ChannelDenied) },
        ),
        ("of a later version", later),
        (
            "everything, largest",
            ErrorFrame {
                req: Some(MAX),
                channel: Some(name(&longest())),
                after: Some(u32::MAX),
                expected: Some(MAX),
                by: Some(ReusedBy::Seq),
                message: text(""),
                ..gap
            },
        ),
    ];
    special.map(|(name, error)| (name.to_owned(), error)).into_iter().chain(every).collect()
}
