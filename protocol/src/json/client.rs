//! Frames of the client.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::parts::{JsonPayload, JsonPosition, Pairs, bytes, headers, id, offset, raw, safe, state, token};
use crate::codec::DecodeError;
use crate::frame::{
    Ack, Auth, ChannelRef, ClientFrame, Hello, History, HistoryRange, More, Park, Pause, Ping, Pong, PresenceMode,
    PresenceOp, PresenceRequest, ProducerRequest, Publish, ResetMode, Run, Since, StatusRequest, Subscribe,
    Unsubscribe,
};
use crate::limits;
use crate::types::{ChannelName, DeviceId, Epoch, ProducerId, Qos, UserName};

/// All fields of all client frames; each frame uses its own. One flat shape keeps the text as readable as the tables
/// of `docs/protocol.md`.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(super) struct Json {
    t: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    req: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdk: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    caps: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscribe: Vec<JsonSubscribe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<JsonSince>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forget: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(rename = "gen", skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Pairs>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<OffsetOrTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<OffsetOrTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rewind: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watch: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ping: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// The body of `subscribe`, also inside `hello`.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct JsonSubscribe {
    #[serde(skip_serializing_if = "Option::is_none")]
    req: Option<u64>,
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<JsonSince>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum JsonSince {
    /// `"cursor"`.
    Word(String),
    Cursor {
        cursor: Option<JsonPosition>,
    },
    Position(JsonPosition),
    Last {
        last: u32,
    },
    First {
        first: bool,
    },
    Time {
        time: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OffsetOrTime {
    Offset(u64),
    Time { time: u64 },
}

impl JsonSince {
    fn from(since: Since) -> Option<Self> {
        Some(match since {
            Since::Now => return None,
            Since::Position(position) => Self::Position(position.into()),
            Since::Last(last) => Self::Last { last },
            Since::First => Self::First { first: true },
            Since::Time(time) => Self::Time { time },
            Since::Cursor(position) => Self::Cursor { cursor: position.map(Into::into) },
        })
    }

    fn read(since: Option<Self>) -> Result<Since, DecodeError> {
        Ok(match since {
            None => Since::Now,
            Some(Self::Word(word)) if word == "cursor" => Since::Cursor(None),
            Some(Self::Word(_) | Self::First { first: false }) => return Err(DecodeError::Field("since")),
            Some(Self::Cursor { cursor }) => Since::Cursor(cursor.map(|position| position.read()).transpose()?),
            Some(Self::Position(position)) => Since::Position(position.read()?),
            Some(Self::Last { last }) => Since::Last(last),
            Some(Self::First { first: true }) => Since::First,
            Some(Self::Time { time }) => Since::Time(safe(time)?),
        })
    }
}

impl From<&Subscribe> for JsonSubscribe {
    fn from(subscribe: &Subscribe) -> Self {
        Self {
            req: Some(subscribe.req),
            channel: Some(subscribe.channel.as_str().to_owned()),
            since: JsonSince::from(subscribe.since),
            reset: (subscribe.reset == ResetMode::Live).then(|| "live".to_owned()),
            qos: Some(subscribe.qos.level()),
            durable: subscribe.durable.then_some(true),
            presence: match subscribe.presence {
                PresenceMode::None => None,
                PresenceMode::Watch => Some("watch".to_owned()),
                PresenceMode::Join => Some("join".to_owned()),
            },
            state: subscribe.state.as_ref().and_then(raw),
            token: subscribe.token.as_ref().map(|token| token.as_str().to_owned()),
        }
    }
}

impl JsonSubscribe {
    fn read(self) -> Result<Subscribe, DecodeError> {
        Ok(Subscribe {
            req: safe(self.req.unwrap_or(0))?,
            channel: name(self.channel)?,
            since: JsonSince::read(self.since)?,
            reset: match self.reset.as_deref() {
                None | Some("first") => ResetMode::First,
                Some("live") => ResetMode::Live,
                Some(_) => return Err(DecodeError::Field("reset")),
            },
            qos: qos(self.qos)?,
            durable: self.durable.unwrap_or(false),
            presence: match self.presence.as_deref() {
                None | Some("none") => PresenceMode::None,
                Some("watch") => PresenceMode::Watch,
                Some("join") => PresenceMode::Join,
                Some(_) => return Err(DecodeError::Field("presence")),
            },
            state: state(self.state.as_deref())?,
            token: token(self.token)?,
        })
    }
}

fn name(channel: Option<String>) -> Result<ChannelName, DecodeError> {
    Ok(ChannelName::new(&channel.ok_or(DecodeError::Missing("channel"))?)?)
}

fn qos(level: Option<u8>) -> Result<Qos, DecodeError> {
    level.map_or(Ok(Qos::AtLeastOnce), |level| Qos::from_level(level).ok_or(DecodeError::Field("qos")))
}

fn need<T>(value: Option<T>, field: &'static str) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Missing(field))
}

fn channel_text(channel: &ChannelRef) -> Option<String> {
    match channel {
        ChannelRef::Name(name) => Some(name.as_str().to_owned()),
        // Numbers are the binary form's; there is nothing to say here.
        ChannelRef::Number(_) => None,
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
pub(super) fn to_json(frame: &ClientFrame) -> Json {
    let named = |t: &str| Json { t: t.to_owned(), ..Json::default() };
    match frame {
        ClientFrame::Hello(hello) => hello_json(hello),
        ClientFrame::Auth(auth) => Json {
            req: Some(auth.req),
            token: Some(auth.token.as_str().to_owned()),
            channel: auth.channel.as_ref().map(|channel| channel.as_str().to_owned()),
            ..named("auth")
        },
        ClientFrame::Subscribe(subscribe) => {
            let body = JsonSubscribe::from(subscribe);
            Json {
                req: body.req,
                channel: body.channel,
                since: body.since,
                reset: body.reset,
                qos: body.qos,
                durable: body.durable,
                presence: body.presence,
                state: body.state,
                token: body.token,
                ..named("subscribe")
            }
        }
        ClientFrame::Unsubscribe(unsubscribe) => Json {
            req: Some(unsubscribe.req),
            channel: channel_text(&unsubscribe.channel),
            forget: unsubscribe.forget.then_some(true),
            ..named("unsubscribe")
        },
        ClientFrame::Publish(publish) => publish_json(publish),
        ClientFrame::Ack(ack) => Json {
            channel: channel_text(&ack.channel),
            epoch: Some(ack.epoch.as_str().to_owned()),
            offset: Some(ack.offset.0),
            ..named("ack")
        },
        ClientFrame::More(more) => Json {
            channel: channel_text(&more.channel),
            epoch: more.epoch.map(|epoch| epoch.as_str().to_owned()),
            after: Some(OffsetOrTime::Offset(more.after.0)),
            rewind: more.rewind.then_some(true),
            ..named("more")
        },
        ClientFrame::Pause(pause) => Json { channel: channel_text(&pause.channel), ..named("pause") },
        ClientFrame::History(history) => history_json(history),
        ClientFrame::Presence(presence) => Json {
            req: Some(presence.req),
            channel: channel_text(&presence.channel),
            op: Some(op_name(presence.op).to_owned()),
            state: presence.state.as_ref().and_then(raw),
            cursor: presence.cursor.as_ref().map(|cursor| cursor.as_str().to_owned()),
            ..named("presence")
        },
        ClientFrame::Status(status) => Json {
            req: Some(status.req),
            users: Some(status.users.iter().map(|user| user.as_str().to_owned()).collect()),
            watch: status.watch.then_some(true),
            ..named("status")
        },
        ClientFrame::Park(park) => Json { ping: park.ping, ..named("park") },
        ClientFrame::Unpark => named("unpark"),
        ClientFrame::Ping(ping) => Json { n: Some(ping.n), next: ping.next, ..named("ping") },
        ClientFrame::Pong(pong) => Json { n: Some(pong.n), ..named("pong") },
    }
}

fn hello_json(hello: &Hello) -> Json {
    Json {
        t: "hello".to_owned(),
        v: Some(hello.v),
        token: hello.token.as_ref().map(|token| token.as_str().to_owned()),
        device: hello.device.as_ref().map(|device| device.as_str().to_owned()),
        run: hello.run.map(|run| [run.boot, run.transport]),
        sdk: hello.sdk.as_ref().map(|sdk| sdk.as_str().to_owned()),
        producer: hello.producer.map(|producer| match producer {
            ProducerRequest::New => "new".to_owned(),
            ProducerRequest::Resume(id) => id.to_string(),
        }),
        caps: hello.caps.iter().map(|cap| cap.as_str().to_owned()).collect(),
        subscribe: hello.subscribe.iter().map(Into::into).collect(),
        ..Json::default()
    }
}

fn publish_json(publish: &Publish) -> Json {
    let payload = serde_json::to_value(JsonPayload::from(&publish.payload)).ok();
    let field = |name: &str| payload.as_ref().and_then(|payload| payload.get(name)?.as_str().map(str::to_owned));
    let data = match &publish.payload {
        crate::Payload::Json(json) => raw(json).or_else(|| raw(&::bytes::Bytes::from_static(b"null"))),
        crate::Payload::Text(_) | crate::Payload::Binary(_) => None,
    };
    Json {
        t: "publish".to_owned(),
        channel: channel_text(&publish.channel),
        qos: Some(publish.qos.level()),
        req: publish.req,
        id: publish.id.as_ref().map(|id| id.as_str().to_owned()),
        seq: publish.seq,
        generation: publish.generation,
        ttl: publish.ttl,
        headers: (!publish.headers.is_empty()).then(|| Pairs(publish.headers.clone())),
        data,
        text: field("text"),
        bin: field("bin"),
        ..Json::default()
    }
}

fn history_json(history: &History) -> Json {
    let (after, before) = match history.range {
        HistoryRange::Newest => (None, None),
        HistoryRange::After(offset) => (Some(OffsetOrTime::Offset(offset.0)), None),
        HistoryRange::AfterTime(time) => (Some(OffsetOrTime::Time { time }), None),
        HistoryRange::Before(offset) => (None, Some(OffsetOrTime::Offset(offset.0))),
        HistoryRange::BeforeTime(time) => (None, Some(OffsetOrTime::Time { time })),
    };
    let (req, channel, limit) = (Some(history.req), channel_text(&history.channel), history.limit);
    Json { t: "history".to_owned(), req, channel, after, before, limit, ..Json::default() }
}

fn op_name(op: PresenceOp) -> &'static str {
    match op {
        PresenceOp::Get => "get",
        PresenceOp::Enter => "enter",
        PresenceOp::Update => "update",
        PresenceOp::Leave => "leave",
    }
}

/// Reads a frame; `None` for a type this version does not know.
pub(super) fn from_json(t: &str, text: &str) -> Result<Option<ClientFrame>, DecodeError> {
    const KNOWN: &[&str] = &[
        "hello",
        "auth",
        "subscribe",
        "unsubscribe",
        "publish",
        "ack",
        "more",
        "pause",
        "history",
        "presence",
        "status",
        "park",
        "unpark",
        "ping",
        "pong",
    ];
    if !KNOWN.contains(&t) {
        return Ok(None);
    }
    let json: Json = serde_json::from_str(text).map_err(|_| DecodeError::Json)?;
    frame(t, json).map(Some)
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
fn frame(t: &str, json: Json) -> Result<ClientFrame, DecodeError> {
    let req = json.req.map(safe).transpose()?;
    let channel = |channel| name(channel).map(ChannelRef::Name);
    Ok(match t {
        "hello" => ClientFrame::Hello(hello(json)?),
        "auth" => ClientFrame::Auth(Auth {
            req: need(req, "req")?,
            token: need(token(json.token)?, "token")?,
            channel: json.channel.map(|channel| ChannelName::new(&channel)).transpose()?,
        }),
        "subscribe" => {
            need(req, "req")?;
            let Json { channel, since, reset, qos, durable, presence, state, token, .. } = json;
            let body = JsonSubscribe { req, channel, since, reset, qos, durable, presence, state, token };
            ClientFrame::Subscribe(body.read()?)
        }
        "unsubscribe" => ClientFrame::Unsubscribe(Unsubscribe {
            req: need(req, "req")?,
            channel: channel(json.channel)?,
            forget: json.forget.unwrap_or(false),
        }),
        "publish" => ClientFrame::Publish(publish(json)?),
        "ack" => ClientFrame::Ack(Ack {
            channel: channel(json.channel)?,
            epoch: Epoch::new(&need(json.epoch, "epoch")?)?,
            offset: offset(need(json.offset, "offset")?)?,
        }),
        "more" => ClientFrame::More(More {
            channel: channel(json.channel)?,
            epoch: json.epoch.map(|epoch| Epoch::new(&epoch)).transpose()?,
            after: match need(json.after, "after")? {
                OffsetOrTime::Offset(number) => offset(number)?,
                OffsetOrTime::Time { .. } => return Err(DecodeError::Field("after")),
            },
            rewind: json.rewind.unwrap_or(false),
        }),
        "pause" => ClientFrame::Pause(Pause { channel: channel(json.channel)? }),
        "history" => ClientFrame::History(history(json)?),
        "presence" => ClientFrame::Presence(PresenceRequest {
            req: need(req, "req")?,
            channel: channel(json.channel)?,
            op: match need(json.op, "op")?.as_str() {
                "get" => PresenceOp::Get,
                "enter" => PresenceOp::Enter,
                "update" => PresenceOp::Update,
                "leave" => PresenceOp::Leave,
                _ => return Err(DecodeError::Field("op")),
            },
            state: state(json.state.as_deref())?,
            cursor: json.cursor.map(Into::into),
        }),
        "status" => {
            let users = need(json.users, "users")?;
            if users.len() > limits::STATUS_USERS {
                return Err(DecodeError::Field("users"));
            }
            let users = users.iter().map(|user| UserName::new(user)).collect::<Result<_, _>>()?;
            ClientFrame::Status(StatusRequest { req: need(req, "req")?, users, watch: json.watch.unwrap_or(false) })
        }
        "park" => ClientFrame::Park(Park { ping: json.ping }),
        "unpark" => ClientFrame::Unpark,
        "ping" => ClientFrame::Ping(Ping { n: safe(need(json.n, "n")?)?, next: json.next }),
        _ => ClientFrame::Pong(Pong { n: safe(need(json.n, "n")?)? }),
    })
}

fn hello(json: Json) -> Result<Hello, DecodeError> {
    let run =
        json.run.map(|[boot, transport]| Ok::<_, DecodeError>(Run { boot: safe(boot)?, transport: safe(transport)? }));
    Ok(Hello {
        v: need(json.v, "v")?,
        token: token(json.token)?,
        device: json.device.map(|device| DeviceId::new(&device)).transpose()?,
        run: run.transpose()?,
        sdk: json.sdk.map(Into::into),
        producer: match json.producer.as_deref() {
            None => None,
            Some("new") => Some(ProducerRequest::New),
            Some(id) => Some(ProducerRequest::Resume(ProducerId::parse(id)?)),
        },
        caps: json.caps.into_iter().map(Into::into).collect(),
        subscribe: json.subscribe.into_iter().map(JsonSubscribe::read).collect::<Result<_, _>>()?,
    })
}

fn publish(json: Json) -> Result<Publish, DecodeError> {
    let payload = match (json.data, json.text, json.bin) {
        (Some(data), None, None) => crate::Payload::Json(bytes(&data)),
        (None, Some(text), None) => crate::Payload::Text(text.into()),
        (None, None, Some(bin)) => JsonPayload::binary(bin).read()?,
        (None, None, None) => return Err(DecodeError::Missing("data, text or bin")),
        _ => return Err(DecodeError::Field("data, text or bin: only one of them")),
    };
    Ok(Publish {
        channel: ChannelRef::Name(name(json.channel)?),
        qos: qos(json.qos)?,
        req: json.req.map(safe).transpose()?,
        id: id(json.id)?,
        seq: json.seq.map(safe).transpose()?,
        generation: json.generation.map(safe).transpose()?,
        ttl: json.ttl,
        headers: headers(json.headers.unwrap_or_default())?,
        payload,
    })
}

fn history(json: Json) -> Result<History, DecodeError> {
    let range = match (json.after, json.before) {
        (None, None) => HistoryRange::Newest,
        (Some(OffsetOrTime::Offset(number)), None) => HistoryRange::After(offset(number)?),
        (Some(OffsetOrTime::Time { time }), None) => HistoryRange::AfterTime(safe(time)?),
        (None, Some(OffsetOrTime::Offset(number))) => HistoryRange::Before(offset(number)?),
        (None, Some(OffsetOrTime::Time { time })) => HistoryRange::BeforeTime(safe(time)?),
        (Some(_), Some(_)) => return Err(DecodeError::Field("after and before: only one of them")),
    };
    let (req, channel) = (safe(need(json.req, "req")?)?, ChannelRef::Name(name(json.channel)?));
    Ok(History { req, channel, range, limit: json.limit })
}
