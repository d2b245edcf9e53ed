//! A call's bytes: a kind and its arguments.

use moorline_protocol::{
    Bytes, ChannelName, HistoryRange, Offset, Payload, Position, PresenceMode, PresenceOp, Qos, ResetMode, UserName,
    Utf8Bytes,
};

use super::bytes::{Reader, Writer};
use super::input::{read_input, write_input};
use super::recording::RecordingError;
use super::redact;
use crate::config::{CallOptions, HistoryQuery, PublishOptions, StartAt, SubscribeOptions};
use crate::ids::SubscriptionId;
use crate::io::Input;

/// What a client was told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Call {
    /// [`Client::connect`](crate::Client::connect).
    Connect,
    /// [`Client::disconnect`](crate::Client::disconnect).
    Disconnect,
    /// [`Client::close`](crate::Client::close).
    Close {
        /// Whether it was a logout.
        wipe: bool,
    },
    /// [`Client::subscribe`](crate::Client::subscribe).
    Subscribe {
        /// To what.
        channel: ChannelName,
        /// How.
        options: SubscribeOptions,
    },
    /// [`Client::unsubscribe`](crate::Client::unsubscribe).
    Unsubscribe {
        /// Which reader.
        id: SubscriptionId,
        /// Whether the cursor was to go.
        forget: bool,
    },
    /// [`Client::consumed`](crate::Client::consumed).
    Consumed {
        /// Which reader.
        id: SubscriptionId,
        /// How many messages.
        messages: usize,
    },
    /// [`Client::ack`](crate::Client::ack).
    Ack {
        /// Which reader.
        id: SubscriptionId,
        /// Up to where.
        position: Position,
    },
    /// [`Client::publish`](crate::Client::publish).
    Publish {
        /// Where.
        channel: ChannelName,
        /// A filler of the payload's kind and length.
        payload: Payload,
        /// How, with fillers for the headers' values.
        options: PublishOptions,
    },
    /// [`Client::history`](crate::Client::history).
    History {
        /// Of what.
        channel: ChannelName,
        /// Which part.
        query: HistoryQuery,
    },
    /// [`Client::enter`](crate::Client::enter), [`Client::update`](crate::Client::update) or
    /// [`Client::leave`](crate::Client::leave).
    Presence {
        /// Where.
        channel: ChannelName,
        /// Which of them.
        op: PresenceOp,
        /// A filler of the state's length.
        state: Option<Bytes>,
    },
    /// [`Client::members`](crate::Client::members).
    Members {
        /// Of what.
        channel: ChannelName,
        /// From where on.
        cursor: Option<Utf8Bytes>,
    },
    /// [`Client::status`](crate::Client::status).
    Status {
        /// Whose.
        users: Vec<UserName>,
    },
    /// [`Client::watch_status`](crate::Client::watch_status).
    WatchStatus {
        /// Whose.
        users: Vec<UserName>,
    },
    /// [`Client::set_push_handle`](crate::Client::set_push_handle).
    PushHandle {
        /// A filler of the handle's length.
        handle: Option<Utf8Bytes>,
    },
    /// [`Client::call`](crate::Client::call).
    Call {
        /// What.
        method: Utf8Bytes,
        /// A filler of the payload's kind and length.
        payload: Payload,
        /// How.
        options: CallOptions,
    },
    /// [`Client::handle_timeout`](crate::Client::handle_timeout).
    Timeout,
    /// [`Client::handle_input`](crate::Client::handle_input).
    Input(Input),
}

/// Behind those of inputs.
const PUSH_HANDLE: u64 = 40;
const CALL: u64 = 41;

impl Call {
    #[expect(clippy::too_many_lines, reason = "one arm for each kind")]
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Connect => out.write_u64(1),
            Self::Disconnect => out.write_u64(2),
            Self::Close { wipe } => {
                out.write_u64(3);
                out.write_flag(*wipe);
            }
            Self::Subscribe { channel, options } => {
                out.write_u64(4);
                out.write_text(channel.as_str());
                write_subscribe(options, out);
            }
            Self::Unsubscribe { id, forget } => {
                out.write_u64(5);
                out.write_u64(id.0);
                out.write_flag(*forget);
            }
            Self::Consumed { id, messages } => {
                out.write_u64(6);
                out.write_u64(id.0);
                out.write_u64(*messages as u64);
            }
            Self::Ack { id, position } => {
                out.write_u64(7);
                out.write_u64(id.0);
                out.write_position(*position);
            }
            Self::Publish { channel, payload, options } => {
                out.write_u64(8);
                out.write_text(channel.as_str());
                write_payload(payload, out);
                write_publish(options, out);
            }
            Self::History { channel, query } => {
                out.write_u64(9);
                out.write_text(channel.as_str());
                write_query(query, out);
            }
            Self::Timeout => out.write_u64(10),
            Self::Presence { channel, op, state } => {
                out.write_u64(11);
                out.write_text(channel.as_str());
                out.write_u64(number_of(*op));
                write_state(state.as_ref(), out);
            }
            Self::Members { channel, cursor } => {
                out.write_u64(12);
                out.write_text(channel.as_str());
                write_text(cursor.as_ref(), out);
            }
            Self::Status { users } => write_users(13, users, out),
            Self::WatchStatus { users } => write_users(14, users, out),
            Self::PushHandle { handle } => {
                out.write_u64(PUSH_HANDLE);
                write_text(handle.as_ref().map(redact::mark_text).as_ref(), out);
            }
            Self::Call { method, payload, options } => {
                out.write_u64(CALL);
                out.write_text(method);
                write_payload(payload, out);
                out.write_option(options.timeout_ms.map(u64::from));
                write_text(options.id.as_ref(), out);
            }
            Self::Input(input) => write_input(input, out),
        }
    }

    pub(super) fn read(reader: &mut Reader) -> Result<Self, RecordingError> {
        Ok(match reader.u64()? {
            1 => Self::Connect,
            2 => Self::Disconnect,
            3 => Self::Close { wipe: reader.flag()? },
            4 => Self::Subscribe { channel: reader.channel()?, options: read_subscribe(reader)? },
            5 => Self::Unsubscribe { id: SubscriptionId(reader.u64()?), forget: reader.flag()? },
            6 => Self::Consumed { id: SubscriptionId(reader.u64()?), messages: reader.usize()? },
            7 => Self::Ack { id: SubscriptionId(reader.u64()?), position: reader.position()? },
            8 => Self::Publish {
                channel: reader.channel()?,
                payload: redact::fill_payload(&read_payload(reader)?),
                options: read_publish(reader)?,
            },
            9 => {
                let channel = reader.channel()?;
                let (kind, value) = (reader.u64()?, reader.u64()?);
                let range = match kind {
                    0 => HistoryRange::Newest,
                    1 => HistoryRange::After(Offset(value)),
                    2 => HistoryRange::AfterTime(value),
                    3 => HistoryRange::Before(Offset(value)),
                    4 => HistoryRange::BeforeTime(value),
                    _ => return Err(RecordingError::Damaged),
                };
                let limit = reader.option()?.and_then(|limit| u32::try_from(limit).ok());
                Self::History { channel, query: HistoryQuery { range, limit } }
            }
            10 => Self::Timeout,
            11 => {
                let channel = reader.channel()?;
                let op = match reader.u64()? {
                    0 => PresenceOp::Get,
                    1 => PresenceOp::Enter,
                    2 => PresenceOp::Update,
                    3 => PresenceOp::Leave,
                    _ => return Err(RecordingError::Damaged),
                };
                Self::Presence { channel, op, state: read_state(reader)? }
            }
            12 => {
                let channel = reader.channel()?;
                Self::Members { channel, cursor: read_text(reader)? }
            }
            13 => Self::Status { users: read_users(reader)? },
            14 => Self::WatchStatus { users: read_users(reader)? },
            PUSH_HANDLE => Self::PushHandle { handle: read_text(reader)?.as_ref().map(redact::fill_text) },
            CALL => {
                let (method, payload) = (reader.text()?, redact::fill_payload(&read_payload(reader)?));
                let timeout_ms = reader.option()?.and_then(|ms| u32::try_from(ms).ok());
                Self::Call { method, payload, options: CallOptions { timeout_ms, id: read_text(reader)? } }
            }
            kind => Self::Input(read_input(kind, reader)?),
        })
    }
}

fn write_subscribe(options: &SubscribeOptions, out: &mut Vec<u8>) {
    match options.since {
        None => out.write_u64(0),
        Some(StartAt::Resume) => out.write_u64(1),
        Some(StartAt::Live) => out.write_u64(2),
        Some(StartAt::Cursor) => out.write_u64(3),
        Some(StartAt::First) => out.write_u64(4),
        Some(StartAt::Last(count)) => {
            out.write_u64(5);
            out.write_u64(u64::from(count));
        }
        Some(StartAt::Position(position)) => {
            out.write_u64(6);
            out.write_position(position);
        }
        Some(StartAt::Time(time)) => {
            out.write_u64(7);
            out.write_u64(time);
        }
    }
    out.write_option(options.reset.map(|reset| u64::from(reset == ResetMode::Live)));
    out.write_option(options.qos.map(|qos| u64::from(qos.level())));
    out.write_option(options.durable.map(u64::from));
    out.write_option(options.auto_ack.map(u64::from));
    out.write_option(options.presence.map(|presence| match presence {
        PresenceMode::None => 0,
        PresenceMode::Watch => 1,
        PresenceMode::Join => 2,
    }));
    write_state(options.state.as_ref(), out);
}

fn read_subscribe(reader: &mut Reader) -> Result<SubscribeOptions, RecordingError> {
    let since = match reader.u64()? {
        0 => None,
        1 => Some(StartAt::Resume),
        2 => Some(StartAt::Live),
        3 => Some(StartAt::Cursor),
        4 => Some(StartAt::First),
        5 => Some(StartAt::Last(u32::try_from(reader.u64()?).map_err(|_| RecordingError::Damaged)?)),
        6 => Some(StartAt::Position(reader.position()?)),
        7 => Some(StartAt::Time(reader.u64()?)),
        _ => return Err(RecordingError::Damaged),
    };
    Ok(SubscribeOptions {
        since,
        reset: reader.option()?.map(|live| if live == 0 { ResetMode::First } else { ResetMode::Live }),
        qos: read_qos(reader)?,
        durable: reader.option()?.map(|flag| flag != 0),
        auto_ack: reader.option()?.map(|flag| flag != 0),
        presence: reader.option()?.map(|presence| match presence {
            0 => PresenceMode::None,
            1 => PresenceMode::Watch,
            _ => PresenceMode::Join,
        }),
        state: read_state(reader)?,
    })
}

fn write_text(text: Option<&Utf8Bytes>, out: &mut Vec<u8>) {
    out.write_flag(text.is_some());
    text.iter().for_each(|text| out.write_text(text));
}

fn read_text(reader: &mut Reader) -> Result<Option<Utf8Bytes>, RecordingError> {
    if reader.flag()? { reader.text().map(Some) } else { Ok(None) }
}

fn number_of(op: PresenceOp) -> u64 {
    match op {
        PresenceOp::Get => 0,
        PresenceOp::Enter => 1,
        PresenceOp::Update => 2,
        PresenceOp::Leave => 3,
    }
}

fn write_query(query: &HistoryQuery, out: &mut Vec<u8>) {
    let (kind, value) = match query.range {
        HistoryRange::Newest => (0, 0),
        HistoryRange::After(offset) => (1, offset.0),
        HistoryRange::AfterTime(time) => (2, time),
        HistoryRange::Before(offset) => (3, offset.0),
        HistoryRange::BeforeTime(time) => (4, time),
    };
    out.write_u64(kind);
    out.write_u64(value);
    out.write_option(query.limit.map(u64::from));
}

fn write_state(state: Option<&Bytes>, out: &mut Vec<u8>) {
    out.write_option(state.map(|state| state.len() as u64));
}

fn read_state(reader: &mut Reader) -> Result<Option<Bytes>, RecordingError> {
    Ok(reader.option()?.map(|length| redact::fill_bytes(&length.to_string().into())))
}

fn write_users(kind: u64, users: &[UserName], out: &mut Vec<u8>) {
    out.write_u64(kind);
    out.write_u64(users.len() as u64);
    users.iter().for_each(|user| out.write_text(user.as_str()));
}

fn read_users(reader: &mut Reader) -> Result<Vec<UserName>, RecordingError> {
    let count = reader.u64()?;
    (0..count).map(|_| UserName::new(&reader.text()?).map_err(|_| RecordingError::Damaged)).collect()
}

fn read_qos(reader: &mut Reader) -> Result<Option<Qos>, RecordingError> {
    let Some(level) = reader.option()? else { return Ok(None) };
    let qos = u8::try_from(level).ok().and_then(Qos::from_level);
    qos.map(Some).ok_or(RecordingError::Damaged)
}

fn write_payload(payload: &Payload, out: &mut Vec<u8>) {
    out.write_u64(match payload {
        Payload::Json(_) => 0,
        Payload::Text(_) => 1,
        Payload::Binary(_) => 2,
    });
    out.write_bytes(redact::mark_payload(payload).bytes());
}

fn read_payload(reader: &mut Reader) -> Result<Payload, RecordingError> {
    Ok(match reader.u64()? {
        0 => Payload::Json(reader.bytes()?),
        1 => Payload::Text(reader.text()?),
        _ => Payload::Binary(reader.bytes()?),
    })
}

fn write_publish(options: &PublishOptions, out: &mut Vec<u8>) {
    out.write_option(options.qos.map(|qos| u64::from(qos.level())));
    write_text(options.id.as_ref(), out);
    out.write_option(options.ttl.map(u64::from));
    let headers = redact::mark_headers(&options.headers);
    out.write_u64(headers.len() as u64);
    for (name, value) in &headers {
        out.write_text(name);
        out.write_text(value);
    }
}

fn read_publish(reader: &mut Reader) -> Result<PublishOptions, RecordingError> {
    let qos = read_qos(reader)?;
    let id = read_text(reader)?;
    let ttl = reader.option()?.and_then(|ttl| u32::try_from(ttl).ok());
    let headers = (0..reader.u64()?).map(|_| Ok((reader.text()?, reader.text()?)));
    let headers = redact::fill_headers(&headers.collect::<Result<_, RecordingError>>()?);
    Ok(PublishOptions { qos, id, ttl, headers })
}
