//! Frames of the client.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::Fields;
use super::object::Object;
use super::parts::{
    caps, channel, epoch, headers, id, name, opt_name, payload, position, put_caps, put_headers, put_payload,
    put_position, put_state, safe, short, state, text, token,
};
use crate::codec::DecodeError;
use crate::frame::{
    Ack, Auth, Call, ClientFrame, Hello, History, HistoryRange, More, Park, Pause, Ping, Pong, PresenceMode,
    PresenceOp, PresenceRequest, ProducerRequest, Publish, Push, ResetMode, Run, Since, StatusRequest, Subscribe,
    Unsubscribe, is_method,
};
use crate::limits;
use crate::types::{ChannelName, DeviceId, Epoch, Offset, ProducerId, Qos, UserName};

/// Writes the fields of a frame.
pub(super) fn write(frame: &ClientFrame, to: &mut Object<'_>) {
    match frame {
        ClientFrame::Hello(hello) => write_hello(hello, to),
        ClientFrame::Auth(auth) => {
            let channel = auth.channel.as_ref().map(ChannelName::as_str);
            to.put("req", auth.req).put("token", auth.token.as_str()).opt("channel", channel);
        }
        ClientFrame::Subscribe(subscribe) => write_subscribe(subscribe, to),
        ClientFrame::Unsubscribe(unsubscribe) => {
            to.put("req", unsubscribe.req).channel(&unsubscribe.channel).flag("forget", unsubscribe.forget);
        }
        ClientFrame::Publish(publish) => write_publish(publish, to),
        ClientFrame::Ack(ack) => {
            to.channel(&ack.channel).put("epoch", ack.epoch.as_str()).put("offset", ack.offset.0);
        }
        ClientFrame::More(more) => {
            let epoch = more.epoch.as_ref().map(|epoch| epoch.as_str());
            to.channel(&more.channel).opt("epoch", epoch).put("after", more.after.0).flag("rewind", more.rewind);
        }
        ClientFrame::Pause(pause) => {
            to.channel(&pause.channel);
        }
        ClientFrame::History(history) => write_history(history, to),
        ClientFrame::Call(call) => {
            to.put("req", call.req)
                .put("id", call.id.as_str())
                .put("method", call.method.as_str())
                .put("timeout", call.timeout);
            put_payload(&call.payload, to);
        }
        ClientFrame::Presence(presence) => {
            to.put("req", presence.req).channel(&presence.channel).put("op", op_name(presence.op));
            put_state(presence.state.as_ref(), to);
            to.opt("cursor", presence.cursor.as_deref());
        }
        ClientFrame::Status(status) => {
            let users: Vec<&str> = status.users.iter().map(UserName::as_str).collect();
            to.put("req", status.req).put("users", users).flag("watch", status.watch);
        }
        ClientFrame::Park(park) => {
            to.opt("ping", park.ping);
        }
        ClientFrame::Unpark => {}
        ClientFrame::Push(push) => {
            to.opt("handle", push.handle.as_deref());
        }
        ClientFrame::Ping(ping) => {
            to.put("n", ping.n).opt("next", ping.next);
        }
        ClientFrame::Pong(pong) => {
            to.put("n", pong.n);
        }
    }
}

fn write_hello(hello: &Hello, to: &mut Object<'_>) {
    let producer = hello.producer.map(|producer| match producer {
        ProducerRequest::New => "new".to_owned(),
        ProducerRequest::Resume(id) => id.to_string(),
    });
    to.put("v", hello.v)
        .opt("token", hello.token.as_deref())
        .opt("device", hello.device.as_ref().map(DeviceId::as_str))
        .opt("run", hello.run.map(|run| [run.boot, run.transport]))
        .opt("sdk", hello.sdk.as_deref())
        .opt("producer", producer);
    put_caps(&hello.caps, to);
    if !hello.subscribe.is_empty() {
        to.list("subscribe", &hello.subscribe, write_subscribe);
    }
}

fn write_subscribe(subscribe: &Subscribe, to: &mut Object<'_>) {
    to.put("req", subscribe.req).put("channel", subscribe.channel.as_str());
    write_since(subscribe.since, to);
    to.opt("reset", (subscribe.reset == ResetMode::Live).then_some("live"))
        .put("qos", subscribe.qos.level())
        .flag("durable", subscribe.durable)
        .opt(
            "presence",
            match subscribe.presence {
                PresenceMode::None => None,
                PresenceMode::Watch => Some("watch"),
                PresenceMode::Join => Some("join"),
            },
        );
    put_state(subscribe.state.as_ref(), to);
    to.opt("token", subscribe.token.as_deref());
}

fn write_since(since: Since, to: &mut Object<'_>) {
    if since == Since::Now {
        return;
    }
    to.object("since", |to| {
        match since {
            Since::Now => to,
            Since::Position(position) => put_position(position, to),
            Since::Last(last) => to.put("last", last),
            Since::First => to.put("first", true),
            Since::Time(time) => to.put("time", time),
            Since::Cursor(None) => to.put("cursor", ()),
            Since::Cursor(Some(position)) => to.object("cursor", |to| {
                put_position(position, to);
            }),
        };
    });
}

fn write_publish(publish: &Publish, to: &mut Object<'_>) {
    to.opt("req", publish.req)
        .channel(&publish.channel)
        .put("qos", publish.qos.level())
        .opt("id", publish.id.as_deref())
        .opt("seq", publish.seq)
        .opt("gen", publish.generation)
        .opt("ttl", publish.ttl);
    put_headers(&publish.headers, to);
    put_payload(&publish.payload, to);
}

fn write_history(history: &History, to: &mut Object<'_>) {
    let (after, before) = match history.range {
        HistoryRange::Newest => (None, None),
        HistoryRange::After(offset) => (Some(Place::Offset(offset.0)), None),
        HistoryRange::AfterTime(time) => (Some(Place::Time { time }), None),
        HistoryRange::Before(offset) => (None, Some(Place::Offset(offset.0))),
        HistoryRange::BeforeTime(time) => (None, Some(Place::Time { time })),
    };
    to.put("req", history.req).channel(&history.channel);
    to.opt("after", after).opt("before", before).opt("limit", history.limit);
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
pub(super) fn read(t: &str, fields: &Fields<'_>) -> Result<Option<ClientFrame>, DecodeError> {
    Ok(Some(match t {
        "hello" => ClientFrame::Hello(hello(fields)?),
        "auth" => ClientFrame::Auth(Auth {
            req: fields.safe("req")?,
            token: token(fields)?.ok_or(DecodeError::Missing("token"))?,
            channel: opt_name(fields)?,
        }),
        "subscribe" => ClientFrame::Subscribe(Subscribe { req: fields.safe("req")?, ..subscribe(fields)? }),
        "unsubscribe" => ClientFrame::Unsubscribe(Unsubscribe {
            req: fields.safe("req")?,
            channel: channel(fields)?,
            forget: fields.flag("forget")?,
        }),
        "publish" => ClientFrame::Publish(publish(fields)?),
        "ack" => {
            ClientFrame::Ack(Ack { channel: channel(fields)?, epoch: epoch(fields)?, offset: fields.offset("offset")? })
        }
        "more" => ClientFrame::More(More {
            channel: channel(fields)?,
            epoch: fields.opt::<String>("epoch")?.map(|epoch| Epoch::new(&epoch)).transpose()?,
            after: fields.offset("after")?,
            rewind: fields.flag("rewind")?,
        }),
        "pause" => ClientFrame::Pause(Pause { channel: channel(fields)? }),
        "history" => ClientFrame::History(history(fields)?),
        "call" => ClientFrame::Call(call(fields)?),
        "presence" => ClientFrame::Presence(presence(fields)?),
        "status" => ClientFrame::Status(status(fields)?),
        "park" => ClientFrame::Park(Park { ping: fields.opt("ping")? }),
        "unpark" => ClientFrame::Unpark,
        "push" => ClientFrame::Push(push(fields)?),
        "ping" => ClientFrame::Ping(Ping { n: fields.safe("n")?, next: fields.opt("next")? }),
        "pong" => ClientFrame::Pong(Pong { n: fields.safe("n")? }),
        _ => return Ok(None),
    }))
}

fn call(fields: &Fields<'_>) -> Result<Call, DecodeError> {
    let method: String = fields.need("method")?;
    if !is_method(&method) {
        return Err(DecodeError::Field("method"));
    }
    Ok(Call {
        req: fields.safe("req")?,
        id: id(fields)?.ok_or(DecodeError::Missing("id"))?,
        method: method.into(),
        timeout: fields.need("timeout")?,
        payload: payload(fields)?,
    })
}

fn push(fields: &Fields<'_>) -> Result<Push, DecodeError> {
    let handle = short(fields, "handle", limits::PUSH_HANDLE_BYTES)?;
    let is_empty = handle.as_ref().is_some_and(|handle| handle.is_empty());
    if is_empty { Err(DecodeError::Field("handle")) } else { Ok(Push { handle }) }
}

fn hello(fields: &Fields<'_>) -> Result<Hello, DecodeError> {
    let run =
        |[boot, transport]: [u64; 2]| Ok::<_, DecodeError>(Run { boot: safe(boot)?, transport: safe(transport)? });
    let subscriptions: Vec<Fields<'_>> = fields.opt("subscribe")?.unwrap_or_default();
    if subscriptions.len() > limits::HELLO_SUBSCRIPTIONS {
        return Err(DecodeError::Field("subscribe"));
    }
    Ok(Hello {
        v: fields.need("v")?,
        token: token(fields)?,
        device: fields.opt::<String>("device")?.map(|device| DeviceId::new(&device)).transpose()?,
        run: fields.opt("run")?.map(run).transpose()?,
        sdk: short(fields, "sdk", limits::SDK)?,
        producer: match fields.opt::<String>("producer")?.as_deref() {
            None => None,
            Some("new") => Some(ProducerRequest::New),
            Some(id) => Some(ProducerRequest::Resume(ProducerId::parse(id)?)),
        },
        caps: caps(fields)?,
        subscribe: subscriptions.iter().map(subscribe).collect::<Result<_, _>>()?,
    })
}

/// The body of `subscribe`, also inside `hello`, where `req` may be absent.
fn subscribe(fields: &Fields<'_>) -> Result<Subscribe, DecodeError> {
    Ok(Subscribe {
        req: fields.opt_safe("req")?.unwrap_or(0),
        channel: name(fields)?,
        since: since(fields)?,
        reset: match fields.opt::<String>("reset")?.as_deref() {
            None | Some("first") => ResetMode::First,
            Some("live") => ResetMode::Live,
            Some(_) => return Err(DecodeError::Field("reset")),
        },
        qos: qos(fields)?,
        durable: fields.flag("durable")?,
        presence: match fields.opt::<String>("presence")?.as_deref() {
            None | Some("none") => PresenceMode::None,
            Some("watch") => PresenceMode::Watch,
            Some("join") => PresenceMode::Join,
            Some(_) => return Err(DecodeError::Field("presence")),
        },
        state: state(fields)?,
        token: token(fields)?,
    })
}

/// Exactly one of a position, `last`, `first`, `time` and `cursor`; or the word `"cursor"`.
fn since(fields: &Fields<'_>) -> Result<Since, DecodeError> {
    let Some(raw) = fields.raw("since").map(RawValue::get) else { return Ok(Since::Now) };
    match raw {
        "null" => return Ok(Since::Now),
        "\"cursor\"" => return Ok(Since::Cursor(None)),
        _ => {}
    }
    let since: Fields<'_> = fields.need("since")?;
    let forms = ["epoch", "last", "first", "time", "cursor"];
    let mut forms = forms.into_iter().filter(|form| since.raw(form).is_some());
    let (form, None) = (forms.next(), forms.next()) else { return Err(DecodeError::Field("since")) };
    match form {
        Some("epoch") => position(&since).map(Since::Position),
        Some("last") => since.need("last").map(Since::Last),
        Some("first") if since.flag("first")? => Ok(Since::First),
        Some("time") => since.safe("time").map(Since::Time),
        Some("cursor") => {
            let cursor = since.opt::<Fields<'_>>("cursor")?;
            cursor.map(|cursor| position(&cursor)).transpose().map(Since::Cursor)
        }
        _ => Err(DecodeError::Field("since")),
    }
}

fn qos(fields: &Fields<'_>) -> Result<Qos, DecodeError> {
    match fields.opt("qos")? {
        Some(level) => Qos::from_level(level).ok_or(DecodeError::Field("qos")),
        None => Ok(Qos::AtLeastOnce),
    }
}

fn publish(fields: &Fields<'_>) -> Result<Publish, DecodeError> {
    Ok(Publish {
        channel: channel(fields)?,
        qos: qos(fields)?,
        req: fields.opt_safe("req")?,
        id: id(fields)?,
        seq: match fields.opt_safe("seq")? {
            Some(0) => return Err(DecodeError::Field("seq")),
            seq => seq,
        },
        generation: fields.opt_safe("gen")?,
        ttl: fields.opt("ttl")?,
        headers: headers(fields)?,
        payload: payload(fields)?,
    })
}

fn history(fields: &Fields<'_>) -> Result<History, DecodeError> {
    let range = match (fields.opt("after")?, fields.opt("before")?) {
        (None, None) => HistoryRange::Newest,
        (Some(Place::Offset(offset)), None) => HistoryRange::After(Offset(safe(offset)?)),
        (Some(Place::Time { time }), None) => HistoryRange::AfterTime(safe(time)?),
        (None, Some(Place::Offset(offset))) => HistoryRange::Before(Offset(safe(offset)?)),
        (None, Some(Place::Time { time })) => HistoryRange::BeforeTime(safe(time)?),
        (Some(_), Some(_)) => return Err(DecodeError::Field("before")),
    };
    Ok(History { req: fields.safe("req")?, channel: channel(fields)?, range, limit: fields.opt("limit")? })
}

/// A place in a log: an offset or `{time}`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Place {
    Offset(u64),
    Time { time: u64 },
}

fn presence(fields: &Fields<'_>) -> Result<PresenceRequest, DecodeError> {
    Ok(PresenceRequest {
        req: fields.safe("req")?,
        channel: channel(fields)?,
        op: match fields.need::<String>("op")?.as_str() {
            "get" => PresenceOp::Get,
            "enter" => PresenceOp::Enter,
            "update" => PresenceOp::Update,
            "leave" => PresenceOp::Leave,
            _ => return Err(DecodeError::Field("op")),
        },
        state: state(fields)?,
        cursor: text(fields, "cursor")?,
    })
}

fn status(fields: &Fields<'_>) -> Result<StatusRequest, DecodeError> {
    let users: Vec<String> = fields.need("users")?;
    if users.len() > limits::STATUS_USERS {
        return Err(DecodeError::Field("users"));
    }
    let users = users.iter().map(|user| UserName::new(user)).collect::<Result<_, _>>()?;
    Ok(StatusRequest { req: fields.safe("req")?, users, watch: fields.flag("watch")? })
}
