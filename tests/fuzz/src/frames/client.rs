use moorline_protocol::{
    Ack, Auth, ClientFrame, Hello, History, HistoryRange, More, Packed, Park, Pause, Ping, Pong, PresenceMode,
    PresenceOp, PresenceRequest, ProducerRequest, Publish, Push, Qos, ResetMode, Run, Since, StatusRequest, Subscribe,
    Unsubscribe, Utf8Bytes,
};

use super::{Aim, channel, device, epoch, headers, offset, payload, position, producer, qos, short, state, user};
use crate::choices::Choices;

/// Kinds of frames that [`client_frame`] makes.
pub(crate) const CLIENT_KINDS: usize = 15;

/// Makes a frame of a kind.
pub(crate) fn client_frame(kind: usize, aim: &Aim<'_>, choices: &mut Choices<'_>) -> ClientFrame {
    let req = choices.safe();
    match kind {
        0 => ClientFrame::Hello(hello(choices)),
        1 => ClientFrame::Auth(Auth { req, token: token(choices), channel: choices.maybe(channel) }),
        2 => ClientFrame::Subscribe(subscribe(req, choices)),
        3 => ClientFrame::Unsubscribe(Unsubscribe { req, channel: aim.channel(choices), forget: choices.chance(50) }),
        4 => ClientFrame::Publish(publish(req, aim, choices)),
        5 => ClientFrame::Ack(Ack { channel: aim.channel(choices), epoch: epoch(choices), offset: offset(choices) }),
        6 => ClientFrame::More(More {
            channel: aim.channel(choices),
            epoch: choices.maybe(epoch),
            after: offset(choices),
            rewind: choices.chance(50),
        }),
        7 => ClientFrame::Pause(Pause { channel: aim.channel(choices) }),
        8 => ClientFrame::History(History {
            req,
            channel: aim.channel(choices),
            range: range(choices),
            limit: choices.maybe(Choices::int),
        }),
        9 => ClientFrame::Presence(PresenceRequest {
            req,
            channel: aim.channel(choices),
            op: choices.pick(&[PresenceOp::Get, PresenceOp::Enter, PresenceOp::Update, PresenceOp::Leave]),
            state: choices.maybe(state),
            cursor: choices.maybe(|choices| short(choices, 64)),
        }),
        10 => {
            let users = choices.list(3, user);
            ClientFrame::Status(StatusRequest { req, users, watch: choices.chance(50) })
        }
        11 => ClientFrame::Park(Park { ping: choices.maybe(Choices::int) }),
        12 if choices.chance(50) => ClientFrame::Push(Push { handle: choices.maybe(|choices| short(choices, 512)) }),
        12 => ClientFrame::Unpark,
        13 => ClientFrame::Ping(Ping { n: choices.safe(), next: choices.maybe(Choices::int) }),
        _ => ClientFrame::Pong(Pong { n: choices.safe() }),
    }
}

/// Makes the body of a `subscribe`.
fn subscribe(req: u64, choices: &mut Choices<'_>) -> Subscribe {
    Subscribe {
        since: since(choices),
        reset: choices.pick(&[ResetMode::First, ResetMode::Live]),
        qos: qos(choices),
        durable: choices.chance(30),
        presence: choices.pick(&[PresenceMode::None, PresenceMode::None, PresenceMode::Watch, PresenceMode::Join]),
        state: choices.maybe(state),
        token: choices.maybe(token),
        ..Subscribe::new(req, channel(choices))
    }
}

fn hello(choices: &mut Choices<'_>) -> Hello {
    Hello {
        v: if choices.chance(90) { 1 } else { choices.int() },
        token: choices.maybe(token),
        device: choices.maybe(device),
        run: choices.maybe(|choices| Run { boot: choices.safe(), transport: choices.safe() }),
        sdk: choices.maybe(|choices| short(choices, 64)),
        producer: choices.maybe(|choices| {
            if choices.chance(50) { ProducerRequest::New } else { ProducerRequest::Resume(producer(choices)) }
        }),
        // Whoever names anything can inflate.
        caps: choices
            .list(2, |choices| short(choices, 32))
            .into_iter()
            .chain([Utf8Bytes::from_static(Packed::CAP)])
            .skip(1)
            .collect(),
        subscribe: choices.list(3, |choices| {
            let req = choices.safe();
            subscribe(req, choices)
        }),
    }
}

/// Tokens of the users of the `node` target, and nonsense.
fn token(choices: &mut Choices<'_>) -> Utf8Bytes {
    match choices.below(4) {
        0 => Utf8Bytes::from("alice"),
        1 => Utf8Bytes::from("bob"),
        2 => Utf8Bytes::from("room"),
        _ => short(choices, 200),
    }
}

fn since(choices: &mut Choices<'_>) -> Since {
    match choices.below(7) {
        0 => Since::Now,
        1 => Since::Position(position(choices)),
        2 => Since::Last(choices.int()),
        3 => Since::First,
        4 => Since::Time(choices.safe()),
        5 => Since::Cursor(None),
        _ => Since::Cursor(Some(position(choices))),
    }
}

fn range(choices: &mut Choices<'_>) -> HistoryRange {
    match choices.below(5) {
        0 => HistoryRange::Newest,
        1 => HistoryRange::After(offset(choices)),
        2 => HistoryRange::AfterTime(choices.safe()),
        3 => HistoryRange::Before(offset(choices)),
        _ => HistoryRange::BeforeTime(choices.safe()),
    }
}

fn publish(req: u64, aim: &Aim<'_>, choices: &mut Choices<'_>) -> Publish {
    let qos = qos(choices);
    let needed = choices.chance(90);
    Publish {
        channel: aim.channel(choices),
        qos,
        req: needed.then_some(req),
        id: if needed { Some(short(choices, 128)) } else { None },
        seq: (qos == Qos::ExactlyOnce).then(|| choices.safe().max(1)),
        generation: (qos == Qos::ExactlyOnce).then(|| choices.safe()),
        ttl: choices.maybe(Choices::int),
        headers: headers(choices),
        payload: payload(choices),
    }
}
