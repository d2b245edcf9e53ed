use moorline_protocol::{
    Acked, Authed, Deliver, Dropped, Durability, ErrorCode, ErrorFrame, Goaway, GoawayReason, Limits, Member, Members,
    MembersView, Packed, PackedDictionary, Page, Ping, Pong, PresenceChange, PresenceChangeKind, PresenceEvents,
    PresenceVersion, ProducerGrant, ProducerState, Published, Reset, ResetReason, ReusedBy, ServerFrame, Start,
    Statuses, Subscribed, Unsubscribed, UserStatus, Welcome,
};

use super::{Aim, channel, device, epoch, message, offset, producer, short, state, text, user};
use crate::choices::Choices;

/// Kinds of frames that [`server_frame`] makes.
pub(crate) const SERVER_KINDS: usize = 18;

/// Makes a frame of a kind; kind 17 is binary only.
pub(crate) fn server_frame(kind: usize, aim: &Aim<'_>, choices: &mut Choices<'_>) -> ServerFrame {
    let req = aim.request(choices);
    match kind {
        0 => ServerFrame::Welcome(welcome(choices)),
        1 => ServerFrame::Authed(Authed { req, expires: choices.maybe(Choices::safe) }),
        2 => ServerFrame::Subscribed(subscribed(req, aim, choices)),
        3 => ServerFrame::Unsubscribed(Unsubscribed {
            req: choices.maybe(|_| req),
            channel: channel(choices),
            code: choices.maybe(code),
        }),
        4 => ServerFrame::Published(Published {
            req,
            epoch: epoch(choices),
            offset: choices.maybe(offset),
            duplicate: choices.chance(50),
        }),
        5 => {
            ServerFrame::Acked(Acked { channel: aim.channel(choices), epoch: epoch(choices), offset: offset(choices) })
        }
        6 => ServerFrame::Deliver(deliver(aim, choices)),
        7 => ServerFrame::Reset(Reset {
            channel: aim.channel(choices),
            epoch: epoch(choices),
            first: offset(choices),
            head: offset(choices),
            from: offset(choices),
            reason: reason(choices),
        }),
        8 => ServerFrame::Dropped(Dropped { channel: aim.channel(choices), count: choices.safe() }),
        9 => ServerFrame::Page(Page {
            req,
            channel: channel(choices),
            epoch: epoch(choices),
            first: offset(choices),
            head: offset(choices),
            more: choices.chance(50),
            messages: choices.list(3, message),
        }),
        10 => ServerFrame::Members(Members { req, channel: channel(choices), view: view(choices) }),
        11 => ServerFrame::Presence(presence(aim, choices)),
        12 => {
            let req = choices.maybe(|_| req);
            ServerFrame::Statuses(Statuses { req, users: statuses(choices) })
        }
        13 => ServerFrame::Goaway(Goaway {
            after: choices.int(),
            window: choices.int(),
            reason: choices.pick(&[GoawayReason::Move, GoawayReason::Restart, GoawayReason::Other("later".into())]),
        }),
        14 => ServerFrame::Ping(Ping { n: choices.safe(), next: choices.maybe(Choices::int) }),
        15 => ServerFrame::Pong(Pong { n: req }),
        16 => ServerFrame::Error(error(req, choices)),
        _ => ServerFrame::Packed(Packed {
            channel: aim.channel(choices),
            dictionary: choices.maybe(|choices| PackedDictionary { count: choices.byte(), oldest: offset(choices) }),
            length: choices.int(),
            crc: choices.int(),
            data: choices.payload(),
        }),
    }
}

fn welcome(choices: &mut Choices<'_>) -> Welcome {
    let state = [ProducerState::New, ProducerState::Resumed, ProducerState::Expired, ProducerState::Other("x".into())];
    Welcome {
        v: 1,
        session: short(choices, 64),
        user: choices.maybe(user),
        device: device(choices),
        time: choices.safe(),
        ping: choices.int(),
        durability: choices.pick(&[Durability::Disk, Durability::Memory, Durability::Other("tape".into())]),
        producer: choices.maybe(|choices| ProducerGrant {
            id: producer(choices),
            generation: choices.safe(),
            state: choices.pick(&state),
        }),
        expires: choices.maybe(Choices::safe),
        caps: choices.list(2, |choices| short(choices, 32)),
        limits: Limits {
            message: choices.int(),
            channels: choices.int(),
            window: choices.int(),
            spread: choices.int(),
        },
    }
}

fn subscribed(req: u64, aim: &Aim<'_>, choices: &mut Choices<'_>) -> Subscribed {
    Subscribed {
        req,
        channel: channel(choices),
        number: aim.number(choices),
        epoch: epoch(choices),
        head: offset(choices),
        from: offset(choices),
        start: choices.pick(&[Start::Live, Start::Replay, Start::Reset, Start::Other("x".into())]),
        reason: choices.maybe(reason),
        first: choices.maybe(offset),
        expires: choices.maybe(Choices::safe),
        members: choices.maybe(view),
    }
}

fn deliver(aim: &Aim<'_>, choices: &mut Choices<'_>) -> Deliver {
    Deliver {
        channel: aim.channel(choices),
        replay: choices.chance(50),
        more: choices.chance(50),
        at: choices.maybe(offset),
        messages: choices.list(4, message),
    }
}

fn reason(choices: &mut Choices<'_>) -> ResetReason {
    choices.pick(&[ResetReason::Trimmed, ResetReason::Epoch, ResetReason::Other("x".into())])
}

fn code(choices: &mut Choices<'_>) -> ErrorCode {
    if choices.chance(95) { choices.pick(ErrorCode::ALL) } else { ErrorCode::Other("later.code".into()) }
}

fn error(req: u64, choices: &mut Choices<'_>) -> ErrorFrame {
    ErrorFrame {
        req: if choices.chance(80) { Some(req) } else { None },
        channel: choices.maybe(channel),
        code: code(choices),
        message: text(choices),
        retry: choices.chance(50),
        after: choices.maybe(Choices::int),
        expected: choices.maybe(Choices::safe),
        by: choices.maybe(|choices| choices.pick(&[ReusedBy::Id, ReusedBy::Seq])),
    }
}

fn version(choices: &mut Choices<'_>) -> PresenceVersion {
    PresenceVersion { run: choices.safe(), n: choices.safe() }
}

fn view(choices: &mut Choices<'_>) -> MembersView {
    MembersView {
        version: version(choices),
        count: choices.safe(),
        members: choices.list(3, |choices| Member {
            user: user(choices),
            state: choices.maybe(state),
            since: choices.safe(),
        }),
        cursor: choices.maybe(|choices| short(choices, 64)),
    }
}

fn presence(aim: &Aim<'_>, choices: &mut Choices<'_>) -> PresenceEvents {
    let kinds = [PresenceChangeKind::Join, PresenceChangeKind::Timeout, PresenceChangeKind::Other("x".into())];
    PresenceEvents {
        channel: aim.channel(choices),
        version: version(choices),
        count: choices.safe(),
        events: choices.list(3, |choices| PresenceChange {
            event: choices.pick(&kinds),
            user: user(choices),
            state: choices.maybe(state),
        }),
    }
}

fn statuses(choices: &mut Choices<'_>) -> Vec<UserStatus> {
    // Each user once: in JSON the list is an object.
    let names = ["alice", "bob"];
    let count = choices.below(names.len() + 1);
    let status = |name: &&str, choices: &mut Choices<'_>| UserStatus {
        user: moorline_protocol::UserName::new(name).expect("a user's name"),
        online: choices.chance(50),
        since: choices.maybe(Choices::safe),
    };
    names.iter().take(count).map(|name| status(name, choices)).collect()
}
