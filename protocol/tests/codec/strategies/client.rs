use moorline_protocol::{
    Ack, Auth, Call, ClientFrame, Hello, History, HistoryRange, More, Park, Pause, Ping, Pong, PresenceMode,
    PresenceOp, PresenceRequest, ProducerRequest, Publish, Push, ResetMode, Run, Since, StatusRequest, Subscribe,
    Unsubscribe, limits,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    caps, channel, device, epoch, headers, id, json, name, offset, payload, position, positive, producer, qos, safe,
    small, text, user,
};

/// Any frame of the client.
pub(crate) fn client() -> impl Strategy<Value = ClientFrame> {
    prop_oneof![
        hello().prop_map(ClientFrame::Hello),
        (safe(), text(40), option::of(name())).prop_map(|(req, token, channel)| ClientFrame::Auth(Auth {
            req,
            token,
            channel
        })),
        subscribe().prop_map(ClientFrame::Subscribe),
        (safe(), channel(), any::<bool>()).prop_map(|(req, channel, forget)| ClientFrame::Unsubscribe(Unsubscribe {
            req,
            channel,
            forget
        })),
        publish().prop_map(ClientFrame::Publish),
        (channel(), epoch(), offset()).prop_map(|(channel, epoch, offset)| ClientFrame::Ack(Ack {
            channel,
            epoch,
            offset
        })),
        (channel(), option::of(epoch()), offset(), any::<bool>())
            .prop_map(|(channel, epoch, after, rewind)| ClientFrame::More(More { channel, epoch, after, rewind })),
        channel().prop_map(|channel| ClientFrame::Pause(Pause { channel })),
        history().prop_map(ClientFrame::History),
        (safe(), id(), "[A-Za-z0-9_.:/-]{1,128}", small(), payload()).prop_map(
            |(req, id, method, timeout, payload)| {
                ClientFrame::Call(Call { req, id, method: method.into(), timeout, payload })
            }
        ),
        presence().prop_map(ClientFrame::Presence),
        (safe(), vec(user(), 0..6), any::<bool>()).prop_map(|(req, users, watch)| ClientFrame::Status(StatusRequest {
            req,
            users,
            watch
        })),
        option::of(small()).prop_map(|ping| ClientFrame::Park(Park { ping })),
        Just(ClientFrame::Unpark),
        option::of("[ -~]{1,64}").prop_map(|handle| ClientFrame::Push(Push { handle: handle.map(Into::into) })),
        (safe(), option::of(small())).prop_map(|(n, next)| ClientFrame::Ping(Ping { n, next })),
        safe().prop_map(|n| ClientFrame::Pong(Pong { n })),
    ]
}

fn hello() -> impl Strategy<Value = Hello> {
    let run = (safe(), safe()).prop_map(|(boot, transport)| Run { boot, transport });
    let producer = prop_oneof![Just(ProducerRequest::New), producer().prop_map(ProducerRequest::Resume)];
    let fields = (
        small(),
        option::of(text(40)),
        option::of(device()),
        option::of(run),
        option::of(text(limits::SDK)),
        option::of(producer),
        caps(),
        vec(subscribe(), 0..4),
    );
    fields.prop_map(|(v, token, device, run, sdk, producer, caps, subscribe)| Hello {
        v,
        token,
        device,
        run,
        sdk,
        producer,
        caps,
        subscribe,
    })
}

fn subscribe() -> impl Strategy<Value = Subscribe> {
    let since = prop_oneof![
        Just(Since::Now),
        position().prop_map(Since::Position),
        small().prop_map(Since::Last),
        Just(Since::First),
        safe().prop_map(Since::Time),
        option::of(position()).prop_map(Since::Cursor),
    ];
    let reset = prop_oneof![Just(ResetMode::First), Just(ResetMode::Live)];
    let presence = prop_oneof![Just(PresenceMode::None), Just(PresenceMode::Watch), Just(PresenceMode::Join)];
    let fields =
        (safe(), name(), since, reset, qos(), any::<bool>(), presence, option::of(json()), option::of(text(40)));
    fields.prop_map(|(req, channel, since, reset, qos, durable, presence, state, token)| Subscribe {
        req,
        channel,
        since,
        reset,
        qos,
        durable,
        presence,
        state,
        token,
    })
}

fn publish() -> impl Strategy<Value = Publish> {
    let fields = (
        channel(),
        qos(),
        option::of(safe()),
        option::of(id()),
        option::of(positive()),
        option::of(safe()),
        option::of(small()),
        headers(),
        payload(),
    );
    fields.prop_map(|(channel, qos, req, id, seq, generation, ttl, headers, payload)| Publish {
        channel,
        qos,
        req,
        id,
        seq,
        generation,
        ttl,
        headers,
        payload,
    })
}

fn history() -> impl Strategy<Value = History> {
    let range = prop_oneof![
        Just(HistoryRange::Newest),
        offset().prop_map(HistoryRange::After),
        safe().prop_map(HistoryRange::AfterTime),
        offset().prop_map(HistoryRange::Before),
        safe().prop_map(HistoryRange::BeforeTime),
    ];
    (safe(), channel(), range, option::of(small())).prop_map(|(req, channel, range, limit)| History {
        req,
        channel,
        range,
        limit,
    })
}

fn presence() -> impl Strategy<Value = PresenceRequest> {
    let op =
        prop_oneof![Just(PresenceOp::Get), Just(PresenceOp::Enter), Just(PresenceOp::Update), Just(PresenceOp::Leave)];
    (safe(), channel(), op, option::of(json()), option::of(text(40)))
        .prop_map(|(req, channel, op, state, cursor)| PresenceRequest { req, channel, op, state, cursor })
}
