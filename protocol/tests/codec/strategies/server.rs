use moorline_protocol::{
    Acked, Authed, CallResult, ChannelNumber, Deliver, Dropped, Durability, ErrorCode, ErrorFrame, Goaway,
    GoawayReason, Limits, Member, Members, MembersView, Offset, Packed, PackedDictionary, Page, Ping, Pong,
    PresenceChange, PresenceChangeKind, PresenceEvents, PresenceVersion, ProducerGrant, ProducerState, Published,
    Reset, ResetReason, ReusedBy, ServerFrame, Start, Statuses, Subscribed, Unsubscribed, UserStatus, Welcome,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    caps, channel, device, epoch, json, message, name, offset, open, payload, positive, producer, safe, small, text,
    user,
};

/// Any frame of the server.
pub(crate) fn server() -> impl Strategy<Value = ServerFrame> {
    prop_oneof![
        welcome().prop_map(ServerFrame::Welcome),
        (safe(), option::of(safe())).prop_map(|(req, expires)| ServerFrame::Authed(Authed { req, expires })),
        subscribed().prop_map(ServerFrame::Subscribed),
        (option::of(safe()), name(), option::of(code()))
            .prop_map(|(req, channel, code)| ServerFrame::Unsubscribed(Unsubscribed { req, channel, code })),
        published().prop_map(ServerFrame::Published),
        (channel(), epoch(), offset()).prop_map(|(channel, epoch, offset)| ServerFrame::Acked(Acked {
            channel,
            epoch,
            offset
        })),
        deliver().prop_map(ServerFrame::Deliver),
        packed().prop_map(ServerFrame::Packed),
        reset().prop_map(ServerFrame::Reset),
        (channel(), safe()).prop_map(|(channel, count)| ServerFrame::Dropped(Dropped { channel, count })),
        page().prop_map(ServerFrame::Page),
        (safe(), name(), view()).prop_map(|(req, channel, view)| ServerFrame::Members(Members { req, channel, view })),
        presence().prop_map(ServerFrame::Presence),
        statuses().prop_map(ServerFrame::Statuses),
        (safe(), payload()).prop_map(|(req, payload)| ServerFrame::Result(CallResult { req, payload })),
        goaway().prop_map(ServerFrame::Goaway),
        (safe(), option::of(small())).prop_map(|(n, next)| ServerFrame::Ping(Ping { n, next })),
        safe().prop_map(|n| ServerFrame::Pong(Pong { n })),
        error().prop_map(ServerFrame::Error),
    ]
}

fn code() -> impl Strategy<Value = ErrorCode> {
    open(ErrorCode::ALL.iter().cloned(), ErrorCode::Other)
}

fn reason() -> impl Strategy<Value = ResetReason> {
    open([ResetReason::Trimmed, ResetReason::Epoch], ResetReason::Other)
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let durability =
        open([Durability::Memory, Durability::Process, Durability::Disk, Durability::Quorum], Durability::Other);
    let state = open([ProducerState::New, ProducerState::Resumed, ProducerState::Expired], ProducerState::Other);
    let producer =
        (producer(), safe(), state).prop_map(|(id, generation, state)| ProducerGrant { id, generation, state });
    let limits = (small(), small(), small(), small()).prop_map(|(message, channels, window, spread)| Limits {
        message,
        channels,
        window,
        spread,
    });
    let who = (text(20), option::of(user()), device());
    let what = (durability, option::of(producer), option::of(safe()), caps(), limits);
    (small(), who, safe(), small(), what).prop_map(|(v, (session, user, device), time, ping, what)| {
        let (durability, producer, expires, caps, limits) = what;
        Welcome { v, session, user, device, time, ping, durability, producer, expires, caps, limits }
    })
}

fn subscribed() -> impl Strategy<Value = Subscribed> {
    let start = open([Start::Live, Start::Replay, Start::Reset], Start::Other);
    let number = small().prop_map(|number| ChannelNumber(number.max(1)));
    let options = (option::of(reason()), option::of(offset()), option::of(safe()), option::of(view()));
    (safe(), name(), number, epoch(), offset(), offset(), start, options).prop_map(
        |(req, channel, number, epoch, head, from, start, (reason, first, expires, members))| Subscribed {
            req,
            channel,
            number,
            epoch,
            head,
            from,
            start,
            reason,
            first,
            expires,
            members,
        },
    )
}

fn published() -> impl Strategy<Value = Published> {
    (safe(), epoch(), option::of(positive()), any::<bool>()).prop_map(|(req, epoch, offset, duplicate)| {
        let offset = offset.map(Offset);
        Published { req, epoch, offset, duplicate }
    })
}

fn deliver() -> impl Strategy<Value = Deliver> {
    (channel(), any::<bool>(), any::<bool>(), option::of(offset()), vec(message(), 0..4))
        .prop_map(|(channel, replay, more, at, messages)| Deliver { channel, replay, more, at, messages })
}

fn packed() -> impl Strategy<Value = Packed> {
    let dictionary = (any::<u8>(), offset()).prop_map(|(count, oldest)| PackedDictionary { count, oldest });
    (channel(), option::of(dictionary), small(), any::<u32>(), vec(any::<u8>(), 0..60)).prop_map(
        |(channel, dictionary, length, crc, data)| Packed { channel, dictionary, length, crc, data: data.into() },
    )
}

fn reset() -> impl Strategy<Value = Reset> {
    (channel(), epoch(), offset(), offset(), offset(), reason())
        .prop_map(|(channel, epoch, first, head, from, reason)| Reset { channel, epoch, first, head, from, reason })
}

fn page() -> impl Strategy<Value = Page> {
    (safe(), name(), epoch(), offset(), offset(), any::<bool>(), vec(message(), 0..4)).prop_map(
        |(req, channel, epoch, first, head, more, messages)| Page { req, channel, epoch, first, head, more, messages },
    )
}

fn version() -> impl Strategy<Value = PresenceVersion> {
    (safe(), safe()).prop_map(|(run, n)| PresenceVersion { run, n })
}

fn view() -> impl Strategy<Value = MembersView> {
    let member = (user(), option::of(json()), safe()).prop_map(|(user, state, since)| Member { user, state, since });
    (version(), safe(), vec(member, 0..4), option::of(text(40)))
        .prop_map(|(version, count, members, cursor)| MembersView { version, count, members, cursor })
}

fn presence() -> impl Strategy<Value = PresenceEvents> {
    let known = [
        PresenceChangeKind::Join,
        PresenceChangeKind::Leave,
        PresenceChangeKind::Timeout,
        PresenceChangeKind::Back,
        PresenceChangeKind::Update,
    ];
    let change = (open(known, PresenceChangeKind::Other), user(), option::of(json()))
        .prop_map(|(event, user, state)| PresenceChange { event, user, state });
    (channel(), version(), safe(), vec(change, 0..4)).prop_map(|(channel, version, count, events)| PresenceEvents {
        channel,
        version,
        count,
        events,
    })
}

fn statuses() -> impl Strategy<Value = Statuses> {
    let status = (user(), any::<bool>(), option::of(safe())).prop_map(|(user, online, since)| UserStatus {
        user,
        online,
        since,
    });
    (option::of(safe()), vec(status, 0..6)).prop_map(|(req, mut users)| {
        users.sort_by(|a, b| a.user.cmp(&b.user));
        users.dedup_by(|a, b| a.user == b.user);
        Statuses { req, users }
    })
}

fn goaway() -> impl Strategy<Value = Goaway> {
    (small(), small(), open([GoawayReason::Move, GoawayReason::Restart], GoawayReason::Other))
        .prop_map(|(after, window, reason)| Goaway { after, window, reason })
}

fn error() -> impl Strategy<Value = ErrorFrame> {
    let by = prop_oneof![Just(None), Just(Some(ReusedBy::Id)), Just(Some(ReusedBy::Seq))];
    let about = (option::of(safe()), option::of(name()), code());
    (about, text(40), any::<bool>(), option::of(small()), option::of(safe()), by).prop_map(
        |((req, channel, code), message, retry, after, expected, by)| ErrorFrame {
            req,
            channel,
            code,
            message,
            retry,
            after,
            expected,
            by,
        },
    )
}
