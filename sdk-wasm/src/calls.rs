//! Calls and inputs, as the host writes them into a batch.

use moorline_core::protocol::{
    ChannelName, CloseCode, ErrorCode, HistoryRange, Offset, Payload, Position, PresenceMode, Qos, ResetMode, UserName,
};
use moorline_core::{
    CallOptions, Client, Failure, HistoryQuery, HostSignal, Input, Now, Origin, PublishOptions, StartAt, StoreError,
    SubscribeOptions, SubscriptionId, Ticket, TransportId,
};

use crate::outputs;
use crate::reader::{Malformed, Reader, Result};
use crate::writer::Writer;

pub(crate) fn refusal(code: ErrorCode, message: String) -> Failure {
    Failure::new(code, message, Origin::Client)
}

/// Makes the next call of a batch. What it returns goes to `out`, before what comes of it.
pub(crate) fn call(client: &mut Client, from: &mut Reader<'_>, now: Now, out: &mut Writer) -> Result<()> {
    match from.byte() {
        1 => client.connect(now),
        2 => client.disconnect(now),
        3 => {
            let wipe = from.is_set();
            client.close(from.whole(wipe)?, now);
        }
        op @ (4 | 8..=13) => {
            let channel = from.channel()?;
            on_channel(client, op, &channel, from, now, out)?;
        }
        5 => {
            let (id, forget) = (reader(from), from.is_set());
            client.unsubscribe(from.whole(id)?, forget, now);
        }
        6 => {
            let (id, messages) = (reader(from), from.size());
            client.consumed(from.whole(id)?, messages, now);
        }
        7 => {
            let (id, position) = (reader(from), position(from));
            client.ack(from.whole(id)?, position, now);
        }
        14 => {
            let users = users(from)?;
            outputs::answer(Ok(client.status(users, now).0), out);
        }
        15 => {
            let users = users(from)?;
            outputs::answer(client.watch_status(users, now).map(|()| 0), out);
        }
        16 => outputs::present(client.present(&from.channel()?), out),
        17 => outputs::blackbox(client, out),
        18 => outputs::restored(client, out),
        19 => outputs::stats(client, out),
        20 => outputs::position(client.position(&from.channel()?), out),
        21 => client.handle_timeout(now),
        22 => {
            let (method, payload) = (from.string(), payload(from));
            let options = CallOptions { timeout_ms: from.maybe(Reader::clamped), id: from.maybe(Reader::utf8) };
            let options = from.whole(options)?;
            outputs::answer(Ok(client.call(&method, payload, options, now).0), out);
        }
        op => {
            let input = input(op, from)?;
            client.handle_input(from.whole(input)?, now);
        }
    }
    Ok(())
}

/// The same for calls that begin with a channel.
fn on_channel(
    client: &mut Client,
    op: u8,
    channel: &ChannelName,
    from: &mut Reader<'_>,
    now: Now,
    out: &mut Writer,
) -> Result<()> {
    let answer = match op {
        4 => {
            let options = subscribe_options(from)?;
            let made = client.subscribe(channel, from.whole(options)?, now).map(|id| id.0);
            made.map_err(|error| refusal(error.code(), error.sentence()))
        }
        8 => {
            let (payload, options) = (payload(from), publish_options(from)?);
            let made = client.publish(channel, payload, from.whole(options)?, now).map(|id| id.0);
            made.map_err(|error| refusal(error.code(), error.sentence()))
        }
        9 => {
            let query = HistoryQuery { range: range(from), limit: from.maybe(Reader::clamped) };
            Ok(client.history(channel, from.whole(query)?, now).0)
        }
        10..=12 => {
            let state = from.maybe(Reader::bytes);
            let state = from.whole(state)?;
            let id = match op {
                10 => client.enter(channel, state, now),
                11 => client.update(channel, state, now),
                _ => client.leave(channel, now),
            };
            Ok(id.0)
        }
        _ => {
            let cursor = from.maybe(Reader::utf8);
            Ok(client.members(channel, from.whole(cursor)?, now).0)
        }
    };
    outputs::answer(answer, out);
    Ok(())
}

fn input(op: u8, from: &mut Reader<'_>) -> Result<Input> {
    Ok(match op {
        32 => Input::TransportOpened { id: transport(from) },
        33 => Input::Message { id: transport(from), bytes: from.bytes() },
        34 => Input::Activity { id: transport(from) },
        35 => Input::Buffered { id: transport(from), bytes: from.size() },
        36 => {
            let id = transport(from);
            let code = from.maybe(Reader::number).and_then(|code| u16::try_from(code).ok());
            Input::TransportClosed { id, code: code.map(CloseCode) }
        }
        37 => Input::TransportFailed { id: transport(from), failure: from.failure() },
        38 => Input::Token(Ok(from.maybe(Reader::string))),
        39 => Input::Token(Err(from.failure())),
        40 => Input::Persisted { ticket: Ticket(from.number()), result: stored(from) },
        41 => Input::Host(match from.byte() {
            0 => HostSignal::Online,
            1 => HostSignal::Offline,
            2 => HostSignal::Foreground,
            3 => HostSignal::Background,
            4 => HostSignal::Wake,
            _ => HostSignal::Network(from.number()),
        }),
        _ => return Err(Malformed),
    })
}

fn stored(from: &mut Reader<'_>) -> std::result::Result<(), StoreError> {
    Err(match from.byte() {
        0 => return Ok(()),
        1 => StoreError::Full,
        2 => StoreError::Locked,
        3 => StoreError::Uncertain(from.string()),
        _ => StoreError::Io(from.string()),
    })
}

fn payload(from: &mut Reader<'_>) -> Payload {
    match from.byte() {
        0 => Payload::Json(from.bytes()),
        1 => Payload::Text(from.utf8()),
        _ => Payload::Binary(from.bytes()),
    }
}

fn publish_options(from: &mut Reader<'_>) -> Result<PublishOptions> {
    Ok(PublishOptions {
        qos: from.maybe(qos).transpose()?,
        id: from.maybe(Reader::utf8),
        ttl: from.maybe(Reader::clamped),
        headers: from.list(|from| (from.utf8(), from.utf8())),
    })
}

fn subscribe_options(from: &mut Reader<'_>) -> Result<SubscribeOptions> {
    Ok(SubscribeOptions {
        since: from.maybe(start),
        reset: from.maybe(|from| if from.is_set() { ResetMode::Live } else { ResetMode::First }),
        qos: from.maybe(qos).transpose()?,
        durable: from.maybe(Reader::is_set),
        auto_ack: from.maybe(Reader::is_set),
        presence: from.maybe(|from| match from.byte() {
            0 => PresenceMode::None,
            1 => PresenceMode::Watch,
            _ => PresenceMode::Join,
        }),
        state: from.maybe(Reader::bytes),
    })
}

fn start(from: &mut Reader<'_>) -> StartAt {
    match from.byte() {
        0 => StartAt::Resume,
        1 => StartAt::Live,
        2 => StartAt::Cursor,
        3 => StartAt::First,
        4 => StartAt::Last(from.clamped()),
        5 => StartAt::Position(position(from)),
        _ => StartAt::Time(from.number()),
    }
}

fn range(from: &mut Reader<'_>) -> HistoryRange {
    match from.byte() {
        0 => HistoryRange::Newest,
        1 => HistoryRange::After(Offset(from.number())),
        2 => HistoryRange::Before(Offset(from.number())),
        3 => HistoryRange::AfterTime(from.number()),
        _ => HistoryRange::BeforeTime(from.number()),
    }
}

fn qos(from: &mut Reader<'_>) -> Result<Qos> {
    Qos::from_level(from.byte()).ok_or(Malformed)
}

fn users(from: &mut Reader<'_>) -> Result<Vec<UserName>> {
    let names = from.list(Reader::text);
    from.whole(names)?.into_iter().map(|name| UserName::new(name).map_err(|_| Malformed)).collect()
}

fn reader(from: &mut Reader<'_>) -> SubscriptionId {
    SubscriptionId(from.number())
}

fn transport(from: &mut Reader<'_>) -> TransportId {
    TransportId(from.number())
}

fn position(from: &mut Reader<'_>) -> Position {
    Position { epoch: from.epoch(), offset: Offset(from.number()) }
}
