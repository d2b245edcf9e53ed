//! Frames of the server.

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::parts::{JsonMessage, JsonVersion, JsonView, messages, offset, raw, safe, state};
use crate::code::ErrorCode;
use crate::codec::DecodeError;
use crate::frame::{
    Acked, Authed, ChannelRef, Deliver, Dropped, Durability, ErrorFrame, Goaway, GoawayReason, Limits, Members,
    OpenEnum, Page, Ping, Pong, PresenceChange, PresenceChangeKind, PresenceEvents, ProducerGrant, ProducerState,
    Published, Reset, ResetReason, ReusedBy, ServerFrame, Start, Statuses, Subscribed, Unsubscribed, UserStatus,
    Welcome,
};
use crate::types::{ChannelName, ChannelNumber, DeviceId, Epoch, Offset, ProducerId, UserName};

/// All fields of all server frames; each frame uses its own.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(super) struct Json {
    t: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    req: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ping: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<JsonProducer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    caps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<JsonLimits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<JsonMessage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<JsonVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<JsonChange>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Users>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct JsonProducer {
    id: String,
    #[serde(rename = "gen")]
    generation: u64,
    state: String,
}

#[derive(Serialize, Deserialize)]
struct JsonLimits {
    message: u32,
    channels: u32,
    window: u32,
    spread: u32,
}

#[derive(Serialize, Deserialize)]
struct JsonChange {
    event: String,
    user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<Box<RawValue>>,
}

#[derive(Serialize, Deserialize)]
struct JsonStatus {
    online: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

/// `{name: {online, since?}}`, in order.
struct Users(Vec<(String, JsonStatus)>);

impl Serialize for Users {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, status) in &self.0 {
            map.serialize_entry(name, status)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Users;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of users")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Users, A::Error> {
                let mut users = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    users.push(entry);
                }
                Ok(Users(users))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

fn channel_text(channel: &ChannelRef) -> Option<String> {
    match channel {
        ChannelRef::Name(name) => Some(name.as_str().to_owned()),
        ChannelRef::Number(_) => None,
    }
}

fn epoch_text(epoch: Epoch) -> Option<String> {
    Some(epoch.as_str().to_owned())
}

/// Returns the JSON form; `None` for `packed`, which has none.
#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
pub(super) fn to_json(frame: &ServerFrame) -> Option<Json> {
    let named = |t: &str| Json { t: t.to_owned(), ..Json::default() };
    Some(match frame {
        ServerFrame::Welcome(welcome) => welcome_json(welcome),
        ServerFrame::Authed(authed) => Json { req: Some(authed.req), expires: authed.expires, ..named("authed") },
        ServerFrame::Subscribed(subscribed) => subscribed_json(subscribed),
        ServerFrame::Unsubscribed(unsubscribed) => Json {
            req: unsubscribed.req,
            channel: Some(unsubscribed.channel.as_str().to_owned()),
            code: unsubscribed.code.as_ref().map(|code| code.name().to_owned()),
            ..named("unsubscribed")
        },
        ServerFrame::Published(published) => Json {
            req: Some(published.req),
            epoch: epoch_text(published.epoch),
            offset: published.offset.map(|offset| offset.0),
            duplicate: Some(published.duplicate),
            ..named("published")
        },
        ServerFrame::Acked(acked) => Json {
            channel: channel_text(&acked.channel),
            epoch: epoch_text(acked.epoch),
            offset: Some(acked.offset.0),
            ..named("acked")
        },
        ServerFrame::Deliver(deliver) => Json {
            channel: channel_text(&deliver.channel),
            replay: deliver.replay.then_some(true),
            more: (deliver.replay || deliver.more).then_some(deliver.more),
            at: deliver.at.map(|offset| offset.0),
            messages: Some(deliver.messages.iter().map(Into::into).collect()),
            ..named("deliver")
        },
        ServerFrame::Packed(_) => return None,
        ServerFrame::Reset(reset) => Json {
            channel: channel_text(&reset.channel),
            epoch: epoch_text(reset.epoch),
            first: Some(reset.first.0),
            head: Some(reset.head.0),
            from: Some(reset.from.0),
            reason: Some(reset.reason.name().to_owned()),
            ..named("reset")
        },
        ServerFrame::Dropped(dropped) => {
            Json { channel: channel_text(&dropped.channel), count: Some(dropped.count), ..named("dropped") }
        }
        ServerFrame::Page(page) => Json {
            req: Some(page.req),
            channel: Some(page.channel.as_str().to_owned()),
            epoch: epoch_text(page.epoch),
            first: Some(page.first.0),
            head: Some(page.head.0),
            more: Some(page.more),
            messages: Some(page.messages.iter().map(Into::into).collect()),
            ..named("page")
        },
        ServerFrame::Members(members) => members_json(members),
        ServerFrame::Presence(events) => presence_json(events),
        ServerFrame::Statuses(statuses) => statuses_json(statuses),
        ServerFrame::Goaway(goaway) => Json {
            after: Some(goaway.after),
            window: Some(goaway.window),
            reason: Some(goaway.reason.name().to_owned()),
            ..named("goaway")
        },
        ServerFrame::Ping(ping) => Json { n: Some(ping.n), next: ping.next, ..named("ping") },
        ServerFrame::Pong(pong) => Json { n: Some(pong.n), ..named("pong") },
        ServerFrame::Error(error) => error_json(error),
    })
}

fn welcome_json(welcome: &Welcome) -> Json {
    let Limits { message, channels, window, spread } = welcome.limits;
    Json {
        t: "welcome".to_owned(),
        v: Some(welcome.v),
        session: Some(welcome.session.as_str().to_owned()),
        user: welcome.user.as_ref().map(|user| user.as_str().to_owned()),
        device: Some(welcome.device.as_str().to_owned()),
        time: Some(welcome.time),
        ping: Some(welcome.ping),
        durability: Some(welcome.durability.name().to_owned()),
        producer: welcome.producer.as_ref().map(|producer| JsonProducer {
            id: producer.id.to_string(),
            generation: producer.generation,
            state: producer.state.name().to_owned(),
        }),
        expires: welcome.expires,
        caps: welcome.caps.iter().map(|cap| cap.as_str().to_owned()).collect(),
        limits: Some(JsonLimits { message, channels, window, spread }),
        ..Json::default()
    }
}

fn subscribed_json(subscribed: &Subscribed) -> Json {
    Json {
        t: "subscribed".to_owned(),
        req: Some(subscribed.req),
        channel: Some(subscribed.channel.as_str().to_owned()),
        number: Some(subscribed.number.0),
        epoch: epoch_text(subscribed.epoch),
        head: Some(subscribed.head.0),
        from: Some(subscribed.from.0),
        start: Some(subscribed.start.name().to_owned()),
        reason: subscribed.reason.as_ref().map(|reason| reason.name().to_owned()),
        first: subscribed.first.map(|offset| offset.0),
        expires: subscribed.expires,
        members: subscribed
            .members
            .as_ref()
            .and_then(|view| serde_json::value::to_raw_value(&JsonView::from(view)).ok()),
        ..Json::default()
    }
}

fn members_json(members: &Members) -> Json {
    let view = &members.view;
    let list = serde_json::to_value(JsonView::from(view)).ok();
    let list = list.and_then(|view| serde_json::value::to_raw_value(view.get("members")?).ok());
    Json {
        t: "members".to_owned(),
        req: Some(members.req),
        channel: Some(members.channel.as_str().to_owned()),
        version: Some(view.version.into()),
        count: Some(view.count),
        members: list,
        cursor: view.cursor.as_ref().map(|cursor| cursor.as_str().to_owned()),
        ..Json::default()
    }
}

fn presence_json(events: &PresenceEvents) -> Json {
    let change = |change: &PresenceChange| JsonChange {
        event: change.event.name().to_owned(),
        user: change.user.as_str().to_owned(),
        state: change.state.as_ref().and_then(raw),
    };
    Json {
        t: "presence".to_owned(),
        channel: channel_text(&events.channel),
        version: Some(events.version.into()),
        count: Some(events.count),
        events: Some(events.events.iter().map(change).collect()),
        ..Json::default()
    }
}

fn statuses_json(statuses: &Statuses) -> Json {
    let status = |status: &UserStatus| {
        (status.user.as_str().to_owned(), JsonStatus { online: status.online, since: status.since })
    };
    let users = Some(Users(statuses.users.iter().map(status).collect()));
    Json { t: "statuses".to_owned(), req: statuses.req, users, ..Json::default() }
}

fn error_json(error: &ErrorFrame) -> Json {
    Json {
        t: "error".to_owned(),
        req: error.req,
        channel: error.channel.as_ref().map(|channel| channel.as_str().to_owned()),
        code: Some(error.code.name().to_owned()),
        message: Some(error.message.as_str().to_owned()),
        retry: Some(error.retry),
        after: error.after,
        expected: error.expected,
        by: error.by.map(|by| if by == ReusedBy::Id { "id".to_owned() } else { "seq".to_owned() }),
        ..Json::default()
    }
}

fn need<T>(value: Option<T>, field: &'static str) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Missing(field))
}

fn name(channel: Option<String>) -> Result<ChannelName, DecodeError> {
    Ok(ChannelName::new(&need(channel, "channel")?)?)
}

fn channel(text: Option<String>) -> Result<ChannelRef, DecodeError> {
    name(text).map(ChannelRef::Name)
}

fn epoch(text: Option<String>) -> Result<Epoch, DecodeError> {
    Ok(Epoch::new(&need(text, "epoch")?)?)
}

fn at(number: Option<u64>, field: &'static str) -> Result<Offset, DecodeError> {
    offset(need(number, field)?)
}

/// Reads a frame; `None` for a type this version does not know.
pub(super) fn from_json(t: &str, text: &str) -> Result<Option<ServerFrame>, DecodeError> {
    const KNOWN: &[&str] = &[
        "welcome",
        "authed",
        "subscribed",
        "unsubscribed",
        "published",
        "acked",
        "deliver",
        "reset",
        "dropped",
        "page",
        "members",
        "presence",
        "statuses",
        "goaway",
        "ping",
        "pong",
        "error",
    ];
    if !KNOWN.contains(&t) {
        return Ok(None);
    }
    let json: Json = serde_json::from_str(text).map_err(|_| DecodeError::Json)?;
    frame(t, json).map(Some)
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
fn frame(t: &str, json: Json) -> Result<ServerFrame, DecodeError> {
    let req = json.req.map(safe).transpose()?;
    Ok(match t {
        "welcome" => ServerFrame::Welcome(welcome(json)?),
        "authed" => {
            ServerFrame::Authed(Authed { req: need(req, "req")?, expires: json.expires.map(safe).transpose()? })
        }
        "subscribed" => ServerFrame::Subscribed(subscribed(json)?),
        "unsubscribed" => ServerFrame::Unsubscribed(Unsubscribed {
            req,
            channel: name(json.channel)?,
            code: json.code.map(|code| ErrorCode::from_name(&code)),
        }),
        "published" => ServerFrame::Published(Published {
            req: need(req, "req")?,
            epoch: epoch(json.epoch)?,
            offset: json.offset.map(offset).transpose()?,
            duplicate: json.duplicate.unwrap_or(false),
        }),
        "acked" => ServerFrame::Acked(Acked {
            channel: channel(json.channel)?,
            epoch: epoch(json.epoch)?,
            offset: at(json.offset, "offset")?,
        }),
        "deliver" => ServerFrame::Deliver(Deliver {
            channel: channel(json.channel)?,
            replay: json.replay.unwrap_or(false),
            more: json.more.unwrap_or(false),
            at: json.at.map(offset).transpose()?,
            messages: messages(json.messages.unwrap_or_default())?,
        }),
        "reset" => ServerFrame::Reset(Reset {
            channel: channel(json.channel)?,
            epoch: epoch(json.epoch)?,
            first: at(json.first, "first")?,
            head: at(json.head, "head")?,
            from: at(json.from, "from")?,
            reason: ResetReason::from_name(&need(json.reason, "reason")?),
        }),
        "dropped" => {
            ServerFrame::Dropped(Dropped { channel: channel(json.channel)?, count: safe(need(json.count, "count")?)? })
        }
        "page" => ServerFrame::Page(Page {
            req: need(req, "req")?,
            channel: name(json.channel)?,
            epoch: epoch(json.epoch)?,
            first: at(json.first, "first")?,
            head: at(json.head, "head")?,
            more: json.more.unwrap_or(false),
            messages: messages(json.messages.unwrap_or_default())?,
        }),
        "members" => ServerFrame::Members(members(json)?),
        "presence" => ServerFrame::Presence(presence(json)?),
        "statuses" => ServerFrame::Statuses(statuses(json)?),
        "goaway" => ServerFrame::Goaway(Goaway {
            after: need(json.after, "after")?,
            window: need(json.window, "window")?,
            reason: GoawayReason::from_name(&need(json.reason, "reason")?),
        }),
        "ping" => ServerFrame::Ping(Ping { n: safe(need(json.n, "n")?)?, next: json.next }),
        "pong" => ServerFrame::Pong(Pong { n: safe(need(json.n, "n")?)? }),
        _ => ServerFrame::Error(error(json)?),
    })
}

fn welcome(json: Json) -> Result<Welcome, DecodeError> {
    let limits = need(json.limits, "limits")?;
    let producer = json.producer.map(|producer| {
        let (id, generation) = (ProducerId::parse(&producer.id)?, safe(producer.generation)?);
        Ok::<_, DecodeError>(ProducerGrant { id, generation, state: ProducerState::from_name(&producer.state) })
    });
    Ok(Welcome {
        v: need(json.v, "v")?,
        session: need(json.session, "session")?.into(),
        user: json.user.map(|user| UserName::new(&user)).transpose()?,
        device: DeviceId::new(&need(json.device, "device")?)?,
        time: safe(need(json.time, "time")?)?,
        ping: need(json.ping, "ping")?,
        durability: Durability::from_name(&need(json.durability, "durability")?),
        producer: producer.transpose()?,
        expires: json.expires.map(safe).transpose()?,
        caps: json.caps.into_iter().map(Into::into).collect(),
        limits: Limits {
            message: limits.message,
            channels: limits.channels,
            window: limits.window,
            spread: limits.spread,
        },
    })
}

fn view(raw: &RawValue) -> Result<crate::MembersView, DecodeError> {
    serde_json::from_str::<JsonView>(raw.get()).map_err(|_| DecodeError::Json)?.read()
}

fn subscribed(json: Json) -> Result<Subscribed, DecodeError> {
    Ok(Subscribed {
        req: safe(need(json.req, "req")?)?,
        channel: name(json.channel)?,
        number: ChannelNumber(need(json.number, "number")?),
        epoch: epoch(json.epoch)?,
        head: at(json.head, "head")?,
        from: at(json.from, "from")?,
        start: Start::from_name(&need(json.start, "start")?),
        reason: json.reason.as_deref().map(ResetReason::from_name),
        first: json.first.map(offset).transpose()?,
        expires: json.expires.map(safe).transpose()?,
        members: json.members.as_deref().map(view).transpose()?,
    })
}

fn members(json: Json) -> Result<Members, DecodeError> {
    let list = need(json.members, "members")?;
    let version = serde_json::to_string(&need(json.version, "version")?).map_err(|_| DecodeError::Json)?;
    let cursor = json.cursor.map(|cursor| serde_json::Value::from(cursor).to_string());
    let cursor = cursor.map(|cursor| format!(",\"cursor\":{cursor}")).unwrap_or_default();
    let count = need(json.count, "count")?;
    let whole = format!("{{\"version\":{version},\"count\":{count},\"members\":{}{cursor}}}", list.get());
    let whole = RawValue::from_string(whole).map_err(|_| DecodeError::Json)?;
    Ok(Members { req: safe(need(json.req, "req")?)?, channel: name(json.channel)?, view: view(&whole)? })
}

fn presence(json: Json) -> Result<PresenceEvents, DecodeError> {
    let change = |change: JsonChange| {
        let (event, user) = (PresenceChangeKind::from_name(&change.event), UserName::new(&change.user)?);
        Ok(PresenceChange { event, user, state: state(change.state.as_deref())? })
    };
    Ok(PresenceEvents {
        channel: channel(json.channel)?,
        version: need(json.version, "version")?.read()?,
        count: safe(need(json.count, "count")?)?,
        events: json.events.unwrap_or_default().into_iter().map(change).collect::<Result<_, DecodeError>>()?,
    })
}

fn statuses(json: Json) -> Result<Statuses, DecodeError> {
    let status = |(name, status): (String, JsonStatus)| {
        let (user, since) = (UserName::new(&name)?, status.since.map(safe).transpose()?);
        Ok(UserStatus { user, online: status.online, since })
    };
    let users = need(json.users, "users")?.0.into_iter().map(status).collect::<Result<_, DecodeError>>()?;
    Ok(Statuses { req: json.req.map(safe).transpose()?, users })
}

fn error(json: Json) -> Result<ErrorFrame, DecodeError> {
    Ok(ErrorFrame {
        req: json.req.map(safe).transpose()?,
        channel: json.channel.map(|channel| ChannelName::new(&channel)).transpose()?,
        code: ErrorCode::from_name(&need(json.code, "code")?),
        message: need(json.message, "message")?.into(),
        retry: json.retry.unwrap_or(false),
        after: json.after,
        expected: json.expected.map(safe).transpose()?,
        by: match json.by.as_deref() {
            None => None,
            Some("id") => Some(ReusedBy::Id),
            Some("seq") => Some(ReusedBy::Seq),
            Some(_) => return Err(DecodeError::Field("by")),
        },
    })
}
