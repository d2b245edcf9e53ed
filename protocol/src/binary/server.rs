//! Frames of the server. Flags are part of the wire: never change them, only add.

use bytes::Bytes;

use super::client::{put_ping, take_ping};
use super::message::{decode_message, encode_message};
use super::parts::{
    flag, put_caps, put_channel, put_epoch, put_open, put_opt, put_producer, put_text, put_version, take_caps,
    take_channel, take_device, take_epoch, take_list, take_name, take_offset, take_open, take_opt, take_positive,
    take_producer, take_state, take_user, take_version, when,
};
use super::varint::{put, put_bytes, take, take_bytes, take_safe, take_text, take_u8, take_u32};
use super::{frame, next, unknown};
use crate::codec::{DecodeError, Decoded};
use crate::frame::{
    Acked, Authed, ChannelRef, Deliver, Dropped, ErrorFrame, Goaway, Limits, Member, Members, MembersView, Packed,
    PackedDictionary, Page, Pong, PresenceChange, PresenceEvents, ProducerGrant, Published, Reset, ReusedBy,
    ServerFrame, Statuses, Subscribed, Unsubscribed, UserStatus, Welcome, each_user_once, server_kind as kind,
};
use crate::limits;
use crate::types::{ChannelNumber, Offset};

/// Appends one frame.
#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
pub fn encode_server(value: &ServerFrame, out: &mut Vec<u8>) {
    frame(value.kind().0, out, |out| match value {
        ServerFrame::Welcome(welcome) => put_welcome(welcome, out),
        ServerFrame::Authed(authed) => {
            put(flag(&authed.expires, 1), out);
            put(authed.req, out);
            put_opt(authed.expires, out, put);
        }
        ServerFrame::Subscribed(subscribed) => put_subscribed(subscribed, out),
        ServerFrame::Unsubscribed(unsubscribed) => {
            put(flag(&unsubscribed.req, 1) | flag(&unsubscribed.code, 2), out);
            put_opt(unsubscribed.req, out, put);
            put_text(unsubscribed.channel.as_str(), out);
            put_opt(unsubscribed.code.as_ref(), out, put_open);
        }
        ServerFrame::Published(published) => {
            put(when(published.duplicate, 1) | flag(&published.offset, 2), out);
            put(published.req, out);
            put_epoch(published.epoch, out);
            put_opt(published.offset, out, |offset, out| put(offset.0, out));
        }
        ServerFrame::Acked(acked) => {
            put_channel(&acked.channel, out);
            put_epoch(acked.epoch, out);
            put(acked.offset.0, out);
        }
        ServerFrame::Deliver(deliver) => {
            put_channel(&deliver.channel, out);
            put_deliver_head(deliver.replay, deliver.more, deliver.at, out);
            deliver.messages.iter().for_each(|message| encode_message(message, out));
        }
        ServerFrame::Packed(packed) => put_packed(packed, out),
        ServerFrame::Reset(reset) => {
            put_channel(&reset.channel, out);
            put_epoch(reset.epoch, out);
            [reset.first, reset.head, reset.from].iter().for_each(|offset| put(offset.0, out));
            put_open(&reset.reason, out);
        }
        ServerFrame::Dropped(dropped) => {
            put_channel(&dropped.channel, out);
            put(dropped.count, out);
        }
        ServerFrame::Page(page) => {
            put(when(page.more, 1), out);
            put(page.req, out);
            put_text(page.channel.as_str(), out);
            put_epoch(page.epoch, out);
            put(page.first.0, out);
            put(page.head.0, out);
            page.messages.iter().for_each(|message| encode_message(message, out));
        }
        ServerFrame::Members(members) => {
            put(members.req, out);
            put_text(members.channel.as_str(), out);
            put_view(&members.view, out);
        }
        ServerFrame::Presence(events) => put_presence(events, out),
        ServerFrame::Statuses(statuses) => put_statuses(statuses, out),
        ServerFrame::Goaway(goaway) => {
            put(u64::from(goaway.after), out);
            put(u64::from(goaway.window), out);
            put_open(&goaway.reason, out);
        }
        ServerFrame::Ping(ping) => put_ping(*ping, out),
        ServerFrame::Pong(pong) => put(pong.n, out),
        ServerFrame::Error(error) => put_error(error, out),
    });
}

/// Takes the next frame; `None` at the end of the WebSocket message.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_server(message: &mut Bytes) -> Result<Option<Decoded<ServerFrame>>, DecodeError> {
    let Some((kind, mut body)) = next(message)? else { return Ok(None) };
    let body = &mut body;
    let value = match kind {
        kind::WELCOME => ServerFrame::Welcome(take_welcome(body)?),
        kind::AUTHED => {
            let flags = take(body)?;
            ServerFrame::Authed(Authed { req: take_safe(body)?, expires: take_opt(flags, 1, body, take_safe)? })
        }
        kind::SUBSCRIBED => ServerFrame::Subscribed(take_subscribed(body)?),
        kind::UNSUBSCRIBED => {
            let flags = take(body)?;
            let req = take_opt(flags, 1, body, take_safe)?;
            let channel = take_name(body)?;
            ServerFrame::Unsubscribed(Unsubscribed { req, channel, code: take_opt(flags, 2, body, take_open)? })
        }
        kind::PUBLISHED => {
            let flags = take(body)?;
            let (req, epoch) = (take_safe(body)?, take_epoch(body)?);
            let offset = take_opt(flags, 2, body, |body| take_positive(body, "offset"))?.map(Offset);
            ServerFrame::Published(Published { req, epoch, offset, duplicate: flags & 1 != 0 })
        }
        kind::ACKED => {
            let (channel, epoch) = (take_channel(body)?, take_epoch(body)?);
            ServerFrame::Acked(Acked { channel, epoch, offset: take_offset(body)? })
        }
        kind::DELIVER => ServerFrame::Deliver(take_deliver(body)?),
        kind::PACKED => ServerFrame::Packed(take_packed(body)?),
        kind::RESET => {
            let (channel, epoch) = (take_channel(body)?, take_epoch(body)?);
            let (first, head, from) = (take_offset(body)?, take_offset(body)?, take_offset(body)?);
            ServerFrame::Reset(Reset { channel, epoch, first, head, from, reason: take_open(body)? })
        }
        kind::DROPPED => ServerFrame::Dropped(Dropped { channel: take_channel(body)?, count: take_safe(body)? }),
        kind::PAGE => ServerFrame::Page(take_page(body)?),
        kind::MEMBERS => {
            let (req, channel) = (take_safe(body)?, take_name(body)?);
            ServerFrame::Members(Members { req, channel, view: take_view(body)? })
        }
        kind::PRESENCE => ServerFrame::Presence(take_presence(body)?),
        kind::STATUSES => ServerFrame::Statuses(take_statuses(body)?),
        kind::GOAWAY => {
            let (after, window) = (take_u32(body)?, take_u32(body)?);
            ServerFrame::Goaway(Goaway { after, window, reason: take_open(body)? })
        }
        kind::PING => ServerFrame::Ping(take_ping(body)?),
        kind::PONG => ServerFrame::Pong(Pong { n: take_safe(body)? }),
        kind::ERROR => ServerFrame::Error(take_error(body)?),
        _ => return Ok(Some(unknown(kind))),
    };
    Ok(Some(Decoded::Frame(value)))
}

fn put_welcome(welcome: &Welcome, out: &mut Vec<u8>) {
    put(flag(&welcome.user, 1) | flag(&welcome.producer, 2) | flag(&welcome.expires, 4), out);
    put(u64::from(welcome.v), out);
    put_bytes(welcome.session.as_bytes(), out);
    put_opt(welcome.user.as_ref(), out, |user, out| put_text(user.as_str(), out));
    put_text(welcome.device.as_str(), out);
    put(welcome.time, out);
    put(u64::from(welcome.ping), out);
    put_open(&welcome.durability, out);
    put_opt(welcome.producer.as_ref(), out, |producer, out| {
        put_producer(producer.id, out);
        put(producer.generation, out);
        put_open(&producer.state, out);
    });
    put_opt(welcome.expires, out, put);
    put_caps(&welcome.caps, out);
    let limits = [welcome.limits.message, welcome.limits.channels, welcome.limits.window, welcome.limits.spread];
    limits.iter().for_each(|limit| put(u64::from(*limit), out));
}

fn take_welcome(body: &mut Bytes) -> Result<Welcome, DecodeError> {
    let flags = take(body)?;
    Ok(Welcome {
        v: take_u32(body)?,
        session: take_text(body)?,
        user: take_opt(flags, 1, body, take_user)?,
        device: take_device(body)?,
        time: take_safe(body)?,
        ping: take_u32(body)?,
        durability: take_open(body)?,
        producer: take_opt(flags, 2, body, |body| {
            let (id, generation) = (take_producer(body)?, take_safe(body)?);
            Ok(ProducerGrant { id, generation, state: take_open(body)? })
        })?,
        expires: take_opt(flags, 4, body, take_safe)?,
        caps: take_caps(body)?,
        limits: Limits {
            message: take_u32(body)?,
            channels: take_u32(body)?,
            window: take_u32(body)?,
            spread: take_u32(body)?,
        },
    })
}

fn put_subscribed(subscribed: &Subscribed, out: &mut Vec<u8>) {
    let reset = flag(&subscribed.reason, 1) | flag(&subscribed.first, 2);
    put(reset | flag(&subscribed.expires, 4) | flag(&subscribed.members, 8), out);
    put(subscribed.req, out);
    put_text(subscribed.channel.as_str(), out);
    put(u64::from(subscribed.number.0), out);
    put_epoch(subscribed.epoch, out);
    put(subscribed.head.0, out);
    put(subscribed.from.0, out);
    put_open(&subscribed.start, out);
    put_opt(subscribed.reason.as_ref(), out, put_open);
    put_opt(subscribed.first, out, |first, out| put(first.0, out));
    put_opt(subscribed.expires, out, put);
    put_opt(subscribed.members.as_ref(), out, put_view);
}

fn take_subscribed(body: &mut Bytes) -> Result<Subscribed, DecodeError> {
    let flags = take(body)?;
    Ok(Subscribed {
        req: take_safe(body)?,
        channel: take_name(body)?,
        number: match take_u32(body)? {
            0 => return Err(DecodeError::Field("number")),
            number => ChannelNumber(number),
        },
        epoch: take_epoch(body)?,
        head: take_offset(body)?,
        from: take_offset(body)?,
        start: take_open(body)?,
        reason: take_opt(flags, 1, body, take_open)?,
        first: take_opt(flags, 2, body, take_offset)?,
        expires: take_opt(flags, 4, body, take_safe)?,
        members: take_opt(flags, 8, body, take_view)?,
    })
}

/// Flags: replay 1, more 2, at 4.
pub(super) fn put_deliver_head(replay: bool, more: bool, at: Option<Offset>, out: &mut Vec<u8>) {
    put(when(replay, 1) | when(more, 2) | flag(&at, 4), out);
    put_opt(at, out, |at, out| put(at.0, out));
}

fn take_deliver(body: &mut Bytes) -> Result<Deliver, DecodeError> {
    let channel = take_channel(body)?;
    take_deliver_body(channel, body, usize::MAX)
}

/// Takes the body of a `deliver` frame without its channel, to its end: what a `packed` frame inflates to. It holds
/// no more messages than a page, since few bytes inflate to many.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_deliver_body(channel: ChannelRef, body: &mut Bytes) -> Result<Deliver, DecodeError> {
    take_deliver_body(channel, body, limits::PAGE_MESSAGES)
}

fn take_deliver_body(channel: ChannelRef, body: &mut Bytes, most: usize) -> Result<Deliver, DecodeError> {
    let flags = take(body)?;
    let at = take_opt(flags, 4, body, take_offset)?;
    Ok(Deliver { channel, replay: flags & 1 != 0, more: flags & 2 != 0, at, messages: take_messages(body, most)? })
}

fn take_messages(body: &mut Bytes, most: usize) -> Result<Vec<crate::Message>, DecodeError> {
    let mut messages = Vec::new();
    while !body.is_empty() {
        if messages.len() >= most {
            return Err(DecodeError::Field("messages"));
        }
        messages.push(decode_message(body)?);
    }
    Ok(messages)
}

fn put_packed(packed: &Packed, out: &mut Vec<u8>) {
    put(flag(&packed.dictionary, 1), out);
    put_channel(&packed.channel, out);
    put_opt(packed.dictionary, out, |dictionary, out| {
        out.push(dictionary.count);
        put(dictionary.oldest.0, out);
    });
    put(u64::from(packed.length), out);
    out.extend_from_slice(&packed.crc.to_be_bytes());
    put_bytes(&packed.data, out);
}

fn take_packed(body: &mut Bytes) -> Result<Packed, DecodeError> {
    let flags = take(body)?;
    let channel = take_channel(body)?;
    let dictionary =
        take_opt(flags, 1, body, |body| Ok(PackedDictionary { count: take_u8(body)?, oldest: take_offset(body)? }))?;
    let length = take_u32(body)?;
    let crc = body.get(..4).and_then(|bytes| bytes.try_into().ok()).ok_or(DecodeError::Truncated)?;
    let _ = body.split_to(4);
    Ok(Packed { channel, dictionary, length, crc: u32::from_be_bytes(crc), data: take_bytes(body)? })
}

fn take_page(body: &mut Bytes) -> Result<Page, DecodeError> {
    let flags = take(body)?;
    Ok(Page {
        req: take_safe(body)?,
        channel: take_name(body)?,
        epoch: take_epoch(body)?,
        first: take_offset(body)?,
        head: take_offset(body)?,
        more: flags & 1 != 0,
        messages: take_messages(body, usize::MAX)?,
    })
}

fn put_view(view: &MembersView, out: &mut Vec<u8>) {
    put(flag(&view.cursor, 1), out);
    put_version(view.version, out);
    put(view.count, out);
    put(view.members.len() as u64, out);
    for member in &view.members {
        put(flag(&member.state, 1), out);
        put_text(member.user.as_str(), out);
        put_opt(member.state.as_ref(), out, |state, out| put_bytes(state, out));
        put(member.since, out);
    }
    put_opt(view.cursor.as_ref(), out, |cursor, out| put_bytes(cursor.as_bytes(), out));
}

fn take_view(body: &mut Bytes) -> Result<MembersView, DecodeError> {
    let flags = take(body)?;
    let (version, count) = (take_version(body)?, take_safe(body)?);
    let members = take_list(body, |body| {
        let flags = take(body)?;
        let user = take_user(body)?;
        Ok(Member { user, state: take_opt(flags, 1, body, take_state)?, since: take_safe(body)? })
    })?;
    Ok(MembersView { version, count, members, cursor: take_opt(flags, 1, body, take_text)? })
}

fn put_presence(events: &PresenceEvents, out: &mut Vec<u8>) {
    put_channel(&events.channel, out);
    put_version(events.version, out);
    put(events.count, out);
    put(events.events.len() as u64, out);
    for change in &events.events {
        put(flag(&change.state, 1), out);
        put_open(&change.event, out);
        put_text(change.user.as_str(), out);
        put_opt(change.state.as_ref(), out, |state, out| put_bytes(state, out));
    }
}

fn take_presence(body: &mut Bytes) -> Result<PresenceEvents, DecodeError> {
    let (channel, version, count) = (take_channel(body)?, take_version(body)?, take_safe(body)?);
    let events = take_list(body, |body| {
        let flags = take(body)?;
        let (event, user) = (take_open(body)?, take_user(body)?);
        Ok(PresenceChange { event, user, state: take_opt(flags, 1, body, take_state)? })
    })?;
    Ok(PresenceEvents { channel, version, count, events })
}

fn put_statuses(statuses: &Statuses, out: &mut Vec<u8>) {
    put(flag(&statuses.req, 1), out);
    put_opt(statuses.req, out, put);
    put(statuses.users.len() as u64, out);
    for status in &statuses.users {
        put(when(status.online, 1) | flag(&status.since, 2), out);
        put_text(status.user.as_str(), out);
        put_opt(status.since, out, put);
    }
}

fn take_statuses(body: &mut Bytes) -> Result<Statuses, DecodeError> {
    let flags = take(body)?;
    let req = take_opt(flags, 1, body, take_safe)?;
    let users = take_list(body, |body| {
        let flags = take(body)?;
        let user = take_user(body)?;
        Ok(UserStatus { user, online: flags & 1 != 0, since: take_opt(flags, 2, body, take_safe)? })
    })?;
    if each_user_once(&users) { Ok(Statuses { req, users }) } else { Err(DecodeError::Field("users")) }
}

fn put_error(error: &ErrorFrame, out: &mut Vec<u8>) {
    let by = match error.by {
        None => 0,
        Some(ReusedBy::Id) => 32,
        Some(ReusedBy::Seq) => 64,
    };
    let fields = flag(&error.req, 1) | flag(&error.channel, 2) | when(error.retry, 4) | flag(&error.after, 8);
    put(fields | flag(&error.expected, 16) | by, out);
    put_opt(error.req, out, put);
    put_opt(error.channel.as_ref(), out, |channel, out| put_text(channel.as_str(), out));
    put_open(&error.code, out);
    put_bytes(error.message.as_bytes(), out);
    put_opt(error.after, out, |after, out| put(u64::from(after), out));
    put_opt(error.expected, out, put);
}

fn take_error(body: &mut Bytes) -> Result<ErrorFrame, DecodeError> {
    let flags = take(body)?;
    let by = match (flags >> 5) & 3 {
        0 => None,
        1 => Some(ReusedBy::Id),
        2 => Some(ReusedBy::Seq),
        _ => return Err(DecodeError::Field("by")),
    };
    Ok(ErrorFrame {
        req: take_opt(flags, 1, body, take_safe)?,
        channel: take_opt(flags, 2, body, take_name)?,
        code: take_open(body)?,
        message: take_text(body)?,
        retry: flags & 4 != 0,
        after: take_opt(flags, 8, body, take_u32)?,
        expected: take_opt(flags, 16, body, take_safe)?,
        by,
    })
}
