//! Frames of the server.

use std::borrow::Cow;

use super::fields::{Entries, Fields};
use super::object::Object;
use super::parts::{
    caps, channel, epoch, messages, name, opt_name, payload, put_caps, put_message, put_payload, put_state,
    put_version, put_view, state, stored, text, user, version, view,
};
use crate::code::ErrorCode;
use crate::codec::DecodeError;
use crate::frame::{
    Acked, Authed, CallResult, Deliver, Dropped, Durability, ErrorFrame, Goaway, GoawayReason, Limits, Members,
    OpenEnum, Page, Ping, Pong, PresenceChange, PresenceChangeKind, PresenceEvents, ProducerGrant, ProducerState,
    Published, Reset, ResetReason, ReusedBy, ServerFrame, Start, Statuses, Subscribed, Unsubscribed, UserStatus,
    Welcome, each_user_once,
};
use crate::types::{ChannelName, ChannelNumber, DeviceId, ProducerId, UserName};

/// Writes the fields of a frame. `packed` has none: it has no JSON form.
#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
pub(super) fn write(frame: &ServerFrame, to: &mut Object<'_>) {
    match frame {
        ServerFrame::Welcome(welcome) => write_welcome(welcome, to),
        ServerFrame::Authed(authed) => {
            to.put("req", authed.req).opt("expires", authed.expires);
        }
        ServerFrame::Subscribed(subscribed) => write_subscribed(subscribed, to),
        ServerFrame::Unsubscribed(unsubscribed) => {
            to.opt("req", unsubscribed.req)
                .put("channel", unsubscribed.channel.as_str())
                .opt("code", unsubscribed.code.as_ref().map(ErrorCode::name));
        }
        ServerFrame::Published(published) => {
            to.put("req", published.req)
                .put("epoch", published.epoch.as_str())
                .opt("offset", published.offset.map(|offset| offset.0))
                .put("duplicate", published.duplicate);
        }
        ServerFrame::Acked(acked) => {
            to.channel(&acked.channel).put("epoch", acked.epoch.as_str()).put("offset", acked.offset.0);
        }
        ServerFrame::Deliver(deliver) => {
            to.channel(&deliver.channel)
                .flag("replay", deliver.replay)
                .opt("more", (deliver.replay || deliver.more).then_some(deliver.more))
                .opt("at", deliver.at.map(|offset| offset.0))
                .list("messages", &deliver.messages, put_message);
        }
        ServerFrame::Packed(_) => {}
        ServerFrame::Reset(reset) => {
            to.channel(&reset.channel)
                .put("epoch", reset.epoch.as_str())
                .put("first", reset.first.0)
                .put("head", reset.head.0)
                .put("from", reset.from.0)
                .put("reason", reset.reason.name());
        }
        ServerFrame::Dropped(dropped) => {
            to.channel(&dropped.channel).put("count", dropped.count);
        }
        ServerFrame::Page(page) => write_page(page, to),
        ServerFrame::Members(members) => {
            to.put("req", members.req).put("channel", members.channel.as_str());
            put_view(&members.view, to);
        }
        ServerFrame::Presence(events) => write_presence(events, to),
        ServerFrame::Statuses(statuses) => write_statuses(statuses, to),
        ServerFrame::Result(result) => {
            to.put("req", result.req);
            put_payload(&result.payload, to);
        }
        ServerFrame::Goaway(goaway) => {
            to.put("after", goaway.after).put("window", goaway.window).put("reason", goaway.reason.name());
        }
        ServerFrame::Ping(ping) => {
            to.put("n", ping.n).opt("next", ping.next);
        }
        ServerFrame::Pong(pong) => {
            to.put("n", pong.n);
        }
        ServerFrame::Error(error) => write_error(error, to),
    }
}

fn write_welcome(welcome: &Welcome, to: &mut Object<'_>) {
    to.put("v", welcome.v)
        .put("session", welcome.session.as_str())
        .opt("user", welcome.user.as_ref().map(UserName::as_str))
        .put("device", welcome.device.as_str())
        .put("time", welcome.time)
        .put("ping", welcome.ping)
        .put("durability", welcome.durability.name());
    if let Some(producer) = &welcome.producer {
        to.object("producer", |to| {
            to.put("id", producer.id.to_string()).put("gen", producer.generation).put("state", producer.state.name());
        });
    }
    to.opt("expires", welcome.expires);
    put_caps(&welcome.caps, to);
    let Limits { message, channels, window, spread } = welcome.limits;
    to.object("limits", |to| {
        to.put("message", message).put("channels", channels).put("window", window).put("spread", spread);
    });
}

fn write_subscribed(subscribed: &Subscribed, to: &mut Object<'_>) {
    to.put("req", subscribed.req)
        .put("channel", subscribed.channel.as_str())
        .put("number", subscribed.number.0)
        .put("epoch", subscribed.epoch.as_str())
        .put("head", subscribed.head.0)
        .put("from", subscribed.from.0)
        .put("start", subscribed.start.name())
        .opt("reason", subscribed.reason.as_ref().map(ResetReason::name))
        .opt("first", subscribed.first.map(|offset| offset.0))
        .opt("expires", subscribed.expires);
    if let Some(members) = &subscribed.members {
        to.object("members", |to| put_view(members, to));
    }
}

fn write_page(page: &Page, to: &mut Object<'_>) {
    to.put("req", page.req)
        .put("channel", page.channel.as_str())
        .put("epoch", page.epoch.as_str())
        .put("first", page.first.0)
        .put("head", page.head.0)
        .put("more", page.more)
        .list("messages", &page.messages, put_message);
}

fn write_presence(events: &PresenceEvents, to: &mut Object<'_>) {
    to.channel(&events.channel);
    put_version(events.version, to);
    to.put("count", events.count).list("events", &events.events, |change, to| {
        to.put("event", change.event.name()).put("user", change.user.as_str());
        put_state(change.state.as_ref(), to);
    });
}

fn write_statuses(statuses: &Statuses, to: &mut Object<'_>) {
    to.opt("req", statuses.req).object("users", |to| {
        for status in &statuses.users {
            to.object(status.user.as_str(), |to| {
                to.put("online", status.online).opt("since", status.since);
            });
        }
    });
}

fn write_error(error: &ErrorFrame, to: &mut Object<'_>) {
    let by = error.by.map(|by| match by {
        ReusedBy::Id => "id",
        ReusedBy::Seq => "seq",
    });
    to.opt("req", error.req)
        .opt("channel", error.channel.as_ref().map(ChannelName::as_str))
        .put("code", error.code.name())
        .put("message", error.message.as_str())
        .put("retry", error.retry)
        .opt("after", error.after)
        .opt("expected", error.expected)
        .opt("by", by);
}

/// Reads a frame; `None` for a type this version does not know.
pub(super) fn read(t: &str, fields: &Fields<'_>) -> Result<Option<ServerFrame>, DecodeError> {
    Ok(Some(match t {
        "welcome" => ServerFrame::Welcome(welcome(fields)?),
        "authed" => ServerFrame::Authed(Authed { req: fields.safe("req")?, expires: fields.opt_safe("expires")? }),
        "subscribed" => ServerFrame::Subscribed(subscribed(fields)?),
        "unsubscribed" => ServerFrame::Unsubscribed(Unsubscribed {
            req: fields.opt_safe("req")?,
            channel: name(fields)?,
            code: fields.opt::<String>("code")?.map(|code| ErrorCode::from_name(&code)),
        }),
        "published" => ServerFrame::Published(Published {
            req: fields.safe("req")?,
            epoch: epoch(fields)?,
            offset: stored(fields)?,
            duplicate: fields.flag("duplicate")?,
        }),
        "acked" => ServerFrame::Acked(Acked {
            channel: channel(fields)?,
            epoch: epoch(fields)?,
            offset: fields.offset("offset")?,
        }),
        "deliver" => ServerFrame::Deliver(Deliver {
            channel: channel(fields)?,
            replay: fields.flag("replay")?,
            more: fields.flag("more")?,
            at: fields.opt_offset("at")?,
            messages: messages(fields)?,
        }),
        "reset" => ServerFrame::Reset(reset(fields)?),
        "dropped" => ServerFrame::Dropped(Dropped { channel: channel(fields)?, count: fields.safe("count")? }),
        "page" => ServerFrame::Page(page(fields)?),
        "members" => {
            ServerFrame::Members(Members { req: fields.safe("req")?, channel: name(fields)?, view: view(fields)? })
        }
        "presence" => ServerFrame::Presence(presence(fields)?),
        "statuses" => ServerFrame::Statuses(statuses(fields)?),
        "result" => ServerFrame::Result(CallResult { req: fields.safe("req")?, payload: payload(fields)? }),
        "goaway" => ServerFrame::Goaway(Goaway {
            after: fields.need("after")?,
            window: fields.need("window")?,
            reason: GoawayReason::from_name(&fields.need::<String>("reason")?),
        }),
        "ping" => ServerFrame::Ping(Ping { n: fields.safe("n")?, next: fields.opt("next")? }),
        "pong" => ServerFrame::Pong(Pong { n: fields.safe("n")? }),
        "error" => ServerFrame::Error(error(fields)?),
        _ => return Ok(None),
    }))
}

fn welcome(fields: &Fields<'_>) -> Result<Welcome, DecodeError> {
    let limits: Fields<'_> = fields.need("limits")?;
    let producer = |fields: Fields<'_>| {
        Ok::<_, DecodeError>(ProducerGrant {
            id: ProducerId::parse(&fields.need::<String>("id")?)?,
            generation: fields.safe("gen")?,
            state: ProducerState::from_name(&fields.need::<String>("state")?),
        })
    };
    Ok(Welcome {
        v: fields.need("v")?,
        session: fields.need::<String>("session")?.into(),
        user: fields.opt::<String>("user")?.map(|user| UserName::new(&user)).transpose()?,
        device: DeviceId::new(&fields.need::<String>("device")?)?,
        time: fields.safe("time")?,
        ping: fields.need("ping")?,
        durability: Durability::from_name(&fields.need::<String>("durability")?),
        producer: fields.opt("producer")?.map(producer).transpose()?,
        expires: fields.opt_safe("expires")?,
        caps: caps(fields)?,
        limits: Limits {
            message: limits.need("message")?,
            channels: limits.need("channels")?,
            window: limits.need("window")?,
            spread: limits.need("spread")?,
        },
    })
}

fn subscribed(fields: &Fields<'_>) -> Result<Subscribed, DecodeError> {
    Ok(Subscribed {
        req: fields.safe("req")?,
        channel: name(fields)?,
        number: match fields.need("number")? {
            0 => return Err(DecodeError::Field("number")),
            number => ChannelNumber(number),
        },
        epoch: epoch(fields)?,
        head: fields.offset("head")?,
        from: fields.offset("from")?,
        start: Start::from_name(&fields.need::<String>("start")?),
        reason: fields.opt::<String>("reason")?.map(|reason| ResetReason::from_name(&reason)),
        first: fields.opt_offset("first")?,
        expires: fields.opt_safe("expires")?,
        members: fields.opt::<Fields<'_>>("members")?.map(|members| view(&members)).transpose()?,
    })
}

fn reset(fields: &Fields<'_>) -> Result<Reset, DecodeError> {
    Ok(Reset {
        channel: channel(fields)?,
        epoch: epoch(fields)?,
        first: fields.offset("first")?,
        head: fields.offset("head")?,
        from: fields.offset("from")?,
        reason: ResetReason::from_name(&fields.need::<String>("reason")?),
    })
}

fn page(fields: &Fields<'_>) -> Result<Page, DecodeError> {
    Ok(Page {
        req: fields.safe("req")?,
        channel: name(fields)?,
        epoch: epoch(fields)?,
        first: fields.offset("first")?,
        head: fields.offset("head")?,
        more: fields.flag("more")?,
        messages: messages(fields)?,
    })
}

fn presence(fields: &Fields<'_>) -> Result<PresenceEvents, DecodeError> {
    let change = |fields: &Fields<'_>| {
        let event = PresenceChangeKind::from_name(&fields.need::<String>("event")?);
        Ok(PresenceChange { event, user: user(fields)?, state: state(fields)? })
    };
    let events = fields.opt::<Vec<Fields<'_>>>("events")?.unwrap_or_default();
    Ok(PresenceEvents {
        channel: channel(fields)?,
        version: version(fields)?,
        count: fields.safe("count")?,
        events: events.iter().map(change).collect::<Result<_, DecodeError>>()?,
    })
}

fn statuses(fields: &Fields<'_>) -> Result<Statuses, DecodeError> {
    let Entries(users) = fields.need::<Entries<'_, Fields<'_>>>("users")?;
    let status = |(name, fields): (Cow<'_, str>, Fields<'_>)| -> Result<_, DecodeError> {
        let user = UserName::new(&name)?;
        Ok(UserStatus { user, online: fields.need("online")?, since: fields.opt_safe("since")? })
    };
    let users = users.into_iter().map(status).collect::<Result<Vec<_>, _>>()?;
    if !each_user_once(&users) {
        return Err(DecodeError::Field("users"));
    }
    Ok(Statuses { req: fields.opt_safe("req")?, users })
}

fn error(fields: &Fields<'_>) -> Result<ErrorFrame, DecodeError> {
    Ok(ErrorFrame {
        req: fields.opt_safe("req")?,
        channel: opt_name(fields)?,
        code: ErrorCode::from_name(&fields.need::<String>("code")?),
        message: text(fields, "message")?.ok_or(DecodeError::Missing("message"))?,
        retry: fields.flag("retry")?,
        after: fields.opt("after")?,
        expected: fields.opt_safe("expected")?,
        by: match fields.opt::<String>("by")?.as_deref() {
            None => None,
            Some("id") => Some(ReusedBy::Id),
            Some("seq") => Some(ReusedBy::Seq),
            Some(_) => return Err(DecodeError::Field("by")),
        },
    })
}
