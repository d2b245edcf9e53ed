//! Calls and inputs, as the host writes them into a batch.

use moorline_core::protocol::{
    CloseCode, ErrorCode, HistoryRange, Offset, Payload, Position, PresenceMode, Qos, ResetMode, UserName,
};
use moorline_core::{
    Client, Failure, HistoryQuery, HostSignal, Input, Now, Origin, PublishOptions, StartAt, StoreError,
    SubscribeOptions, SubscriptionId, Ticket, TransportId,
};

use crate::outputs;
use crate::reader::{Malformed, Reader, Result};
use crate::writer::Writer;

pub(crate) fn refusal(code: ErrorCode, message: String) -> Failure {
    Failure { code, message, origin: Origin::Client }
}

/// Makes the next call of a batch. What it returns goes to `out`, before what comes of it.
pub(crate) fn call(client: &mut Client, from: &mut Reader<'_>, now: Now, out: &mut Writer) -> Result<()> {
    match from.byte()? {
        1 => client.connect(now),
        2 => client.disconnect(now),
        3 => client.close(from.is_set()?, now),
        4 => {
            let channel = from.channel()?;
            let options = subscribe_options(from)?;
            let made = client.subscribe(&channel, options, now).map(|id| id.0);
            outputs::answer(made.map_err(|error| refusal(error.code(), error.sentence())), out);
        }
        5 => client.unsubscribe(reader(from)?, from.is_set()?, now),
        6 => client.consumed(reader(from)?, from.size()?, now),
        7 => client.ack(reader(from)?, position(from)?, now),
        8 => publish(client, from, now, out)?,
        9 => {
            let channel = from.channel()?;
            let query = HistoryQuery { range: range(from)?, limit: from.maybe(Reader::number)?.map(clamped) };
            outputs::answer(Ok(client.history(&channel, query, now).0), out);
        }
        op @ 10..=12 => {
            let channel = from.channel()?;
            let state = from.maybe(Reader::bytes)?;
            let id = match op {
                10 => client.enter(&channel, state, now),
                11 => client.update(&channel, state, now),
                _ => client.leave(&channel, now),
            };
            outputs::answer(Ok(id.0), out);
        }
        13 => {
            let channel = from.channel()?;
            let cursor = from.maybe(Reader::utf8)?;
            outputs::answer(Ok(client.members(&channel, cursor, now).0), out);
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
        op => client.handle_input(input(op, from)?, now),
    }
    Ok(())
}

fn input(op: u8, from: &mut Reader<'_>) -> Result<Input> {
    Ok(match op {
        32 => Input::TransportOpened { id: transport(from)? },
        33 => Input::Message { id: transport(from)?, bytes: from.bytes()? },
        34 => Input::Activity { id: transport(from)? },
        35 => Input::Buffered { id: transport(from)?, bytes: from.size()? },
        36 => {
            let id = transport(from)?;
            let code = from.maybe(Reader::number)?.and_then(|code| u16::try_from(code).ok());
            Input::TransportClosed { id, code: code.map(CloseCode) }
        }
        37 => Input::TransportFailed { id: transport(from)?, failure: from.failure()? },
        38 => Input::Token(Ok(from.maybe(Reader::text)?.map(str::to_owned))),
        39 => Input::Token(Err(from.failure()?)),
        40 => Input::Persisted { ticket: Ticket(from.number()?), result: stored(from)? },
        41 => Input::Host(match from.byte()? {
            0 => HostSignal::Online,
            1 => HostSignal::Offline,
            2 => HostSignal::Foreground,
            3 => HostSignal::Background,
            4 => HostSignal::Wake,
            _ => HostSignal::Network(from.number()?),
        }),
        _ => return Err(Malformed),
    })
}

fn stored(from: &mut Reader<'_>) -> Result<std::result::Result<(), StoreError>> {
    Ok(Err(match from.byte()? {
        0 => return Ok(Ok(())),
        1 => StoreError::Full,
        2 => StoreError::Locked,
        3 => StoreError::Uncertain(from.text()?.to_owned()),
        _ => StoreError::Io(from.text()?.to_owned()),
    }))
}

fn publish(client: &mut Client, from: &mut Reader<'_>, now: Now, out: &mut Writer) -> Result<()> {
    let channel = from.channel()?;
    let payload = match from.byte()? {
        0 => Payload::Json(from.bytes()?),
        1 => Payload::Text(from.utf8()?),
        _ => Payload::Binary(from.bytes()?),
    };
    let options = PublishOptions {
        qos: from.maybe(qos)?,
        id: from.maybe(Reader::utf8)?,
        ttl: from.maybe(Reader::number)?.map(clamped),
        headers: from.list(|from| Ok((from.utf8()?, from.utf8()?)))?,
    };
    let made = client.publish(&channel, payload, options, now).map(|id| id.0);
    outputs::answer(made.map_err(|error| refusal(error.code(), error.sentence())), out);
    Ok(())
}

fn subscribe_options(from: &mut Reader<'_>) -> Result<SubscribeOptions> {
    Ok(SubscribeOptions {
        since: from.maybe(start)?,
        reset: from.maybe(|from| Ok(if from.is_set()? { ResetMode::Live } else { ResetMode::First }))?,
        qos: from.maybe(qos)?,
        durable: from.maybe(Reader::is_set)?,
        auto_ack: from.maybe(Reader::is_set)?,
        presence: from.maybe(|from| {
            Ok(match from.byte()? {
                0 => PresenceMode::None,
                1 => PresenceMode::Watch,
                _ => PresenceMode::Join,
            })
        })?,
        state: from.maybe(Reader::bytes)?,
    })
}

fn start(from: &mut Reader<'_>) -> Result<StartAt> {
    Ok(match from.byte()? {
        0 => StartAt::Resume,
        1 => StartAt::Live,
        2 => StartAt::Cursor,
        3 => StartAt::First,
        4 => StartAt::Last(clamped(from.number()?)),
        5 => StartAt::Position(position(from)?),
        _ => StartAt::Time(from.number()?),
    })
}

fn range(from: &mut Reader<'_>) -> Result<HistoryRange> {
    Ok(match from.byte()? {
        0 => HistoryRange::Newest,
        1 => HistoryRange::After(Offset(from.number()?)),
        2 => HistoryRange::Before(Offset(from.number()?)),
        3 => HistoryRange::AfterTime(from.number()?),
        _ => HistoryRange::BeforeTime(from.number()?),
    })
}

fn qos(from: &mut Reader<'_>) -> Result<Qos> {
    Qos::from_level(from.byte()?).ok_or(Malformed)
}

fn users(from: &mut Reader<'_>) -> Result<Vec<UserName>> {
    from.list(|from| UserName::new(from.text()?).map_err(|_| Malformed))
}

fn reader(from: &mut Reader<'_>) -> Result<SubscriptionId> {
    from.number().map(SubscriptionId)
}

fn transport(from: &mut Reader<'_>) -> Result<TransportId> {
    from.number().map(TransportId)
}

fn position(from: &mut Reader<'_>) -> Result<Position> {
    Ok(Position { epoch: from.epoch()?, offset: Offset(from.number()?) })
}

fn clamped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
