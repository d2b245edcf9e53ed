//! Frames of the server. Flags are part of the wire: never change them, only add.

use super::body::Body;
use super::client::{put_ping, take_ping};
use super::message::{encode_message, payload_tag, take_message, take_payload};
use super::parts::{
    flag, put_caps, put_channel, put_epoch, put_open, put_opt, put_producer, put_text, put_version, when,
};
use super::varint::{put, put_bytes};
use super::{frame, next, unknown};
use crate::Bytes;
use crate::codec::{DecodeError, Decoded};
use crate::frame::{
    Acked, Authed, CallResult, ChannelRef, Deliver, Dropped, ErrorFrame, Goaway, Limits, Member, Members, MembersView,
    Packed, PackedDictionary, Page, Pong, PresenceChange, PresenceEvents, ProducerGrant, Published, Reset, ReusedBy,
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
        ServerFrame::Result(result) => {
            put(u64::from(payload_tag(&result.payload)), out);
            put(result.req, out);
            put_bytes(result.payload.bytes(), out);
        }
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
    let Some((kind, mut frame)) = next(message)? else { return Ok(None) };
    let body = &mut frame;
    let value = match kind {
        kind::WELCOME => ServerFrame::Welcome(take_welcome(body)),
        kind::AUTHED => {
            let flags = body.number();
            ServerFrame::Authed(Authed { req: body.safe(), expires: body.opt(flags & 1 != 0, Body::safe) })
        }
        kind::SUBSCRIBED => ServerFrame::Subscribed(take_subscribed(body)),
        kind::UNSUBSCRIBED => {
            let flags = body.number();
            let req = body.opt(flags & 1 != 0, Body::safe);
            let channel = body.channel_name();
            ServerFrame::Unsubscribed(Unsubscribed { req, channel, code: body.opt(flags & 2 != 0, Body::open) })
        }
        kind::PUBLISHED => {
            let flags = body.number();
            let (req, epoch) = (body.safe(), body.epoch());
            let offset = body.opt(flags & 2 != 0, |body| Offset(body.positive("offset")));
            ServerFrame::Published(Published { req, epoch, offset, duplicate: flags & 1 != 0 })
        }
        kind::ACKED => {
            let (channel, epoch) = (body.channel(), body.epoch());
            ServerFrame::Acked(Acked { channel, epoch, offset: body.offset() })
        }
        kind::DELIVER => ServerFrame::Deliver(take_deliver(body)),
        kind::PACKED => ServerFrame::Packed(take_packed(body)),
        kind::RESET => {
            let (channel, epoch) = (body.channel(), body.epoch());
            let (first, head, from) = (body.offset(), body.offset(), body.offset());
            ServerFrame::Reset(Reset { channel, epoch, first, head, from, reason: body.open() })
        }
        kind::DROPPED => ServerFrame::Dropped(Dropped { channel: body.channel(), count: body.safe() }),
        kind::PAGE => ServerFrame::Page(take_page(body)),
        kind::MEMBERS => {
            let (req, channel) = (body.safe(), body.channel_name());
            ServerFrame::Members(Members { req, channel, view: take_view(body) })
        }
        kind::PRESENCE => ServerFrame::Presence(take_presence(body)),
        kind::STATUSES => ServerFrame::Statuses(take_statuses(body)),
        kind::RESULT => {
            let flags = body.number();
            let req = body.safe();
            let payload = body.within(|body| take_payload((flags & 3) as u8, body));
            ServerFrame::Result(CallResult { req, payload })
        }
        kind::GOAWAY => {
            let (after, window) = (body.u32(), body.u32());
            ServerFrame::Goaway(Goaway { after, window, reason: body.open() })
        }
        kind::PING => ServerFrame::Ping(take_ping(body)),
        kind::PONG => ServerFrame::Pong(Pong { n: body.safe() }),
        kind::ERROR => ServerFrame::Error(take_error(body)),
        _ => return Ok(Some(unknown(kind))),
    };
    frame.finish(Some(Decoded::Frame(value)))
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

fn take_welcome(body: &mut Body) -> Welcome {
    let flags = body.number();
    Welcome {
        v: body.u32(),
        session: body.text(),
        user: body.opt(flags & 1 != 0, Body::user),
        device: body.device(),
        time: body.safe(),
        ping: body.u32(),
        durability: body.open(),
        producer: body.opt(flags & 2 != 0, |body| {
            let (id, generation) = (body.producer(), body.safe());
            ProducerGrant { id, generation, state: body.open() }
        }),
        expires: body.opt(flags & 4 != 0, Body::safe),
        caps: body.caps(),
        limits: Limits { message: body.u32(), channels: body.u32(), window: body.u32(), spread: body.u32() },
    }
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

fn take_subscribed(body: &mut Body) -> Subscribed {
    let flags = body.number();
    Subscribed {
        req: body.safe(),
        channel: body.channel_name(),
        number: ChannelNumber(take_channel_number(body)),
        epoch: body.epoch(),
        head: body.offset(),
        from: body.offset(),
        start: body.open(),
        reason: body.opt(flags & 1 != 0, Body::open),
        first: body.opt(flags & 2 != 0, Body::offset),
        expires: body.opt(flags & 4 != 0, Body::safe),
        members: body.opt(flags & 8 != 0, take_view),
    }
}

fn take_channel_number(body: &mut Body) -> u32 {
    let number = body.u32();
    body.check("number", number > 0);
    number
}

/// Flags: replay 1, more 2, at 4.
pub(super) fn put_deliver_head(replay: bool, more: bool, at: Option<Offset>, out: &mut Vec<u8>) {
    put(when(replay, 1) | when(more, 2) | flag(&at, 4), out);
    put_opt(at, out, |at, out| put(at.0, out));
}

fn take_deliver(body: &mut Body) -> Deliver {
    let channel = body.channel();
    take_deliver_body(channel, body, usize::MAX)
}

/// Takes the body of a `deliver` frame without its channel, to its end: what a `packed` frame inflates to. It holds
/// no more messages than a page, since few bytes inflate to many.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_deliver_body(channel: ChannelRef, body: &mut Bytes) -> Result<Deliver, DecodeError> {
    let mut body = Body::new(std::mem::take(body));
    let deliver = take_deliver_body(channel, &mut body, limits::PAGE_MESSAGES);
    body.finish(deliver)
}

fn take_deliver_body(channel: ChannelRef, body: &mut Body, most: usize) -> Deliver {
    let flags = body.number();
    let at = body.opt(flags & 4 != 0, Body::offset);
    Deliver { channel, replay: flags & 1 != 0, more: flags & 2 != 0, at, messages: take_messages(body, most) }
}

fn take_messages(body: &mut Body, most: usize) -> Vec<crate::Message> {
    let mut messages = Vec::new();
    while !body.is_empty() {
        body.check("messages", messages.len() < most);
        messages.push(body.within(take_message));
    }
    messages
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

fn take_packed(body: &mut Body) -> Packed {
    let flags = body.number();
    let channel = body.channel();
    let dictionary = body.opt(flags & 1 != 0, |body| PackedDictionary { count: body.byte(), oldest: body.offset() });
    let length = body.u32();
    let crc = u32::from_be_bytes(body.array());
    Packed { channel, dictionary, length, crc, data: body.bytes() }
}

fn take_page(body: &mut Body) -> Page {
    let flags = body.number();
    Page {
        req: body.safe(),
        channel: body.channel_name(),
        epoch: body.epoch(),
        first: body.offset(),
        head: body.offset(),
        more: flags & 1 != 0,
        messages: take_messages(body, usize::MAX),
    }
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

fn take_view(body: &mut Body) -> MembersView {
    let flags = body.number();
    let (version, count) = (body.version(), body.safe());
    let members = body.list(|body| {
        let flags = body.number();
        let user = body.user();
        Member { user, state: body.opt(flags & 1 != 0, Body::state), since: body.safe() }
    });
    MembersView { version, count, members, cursor: body.opt(flags & 1 != 0, Body::text) }
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

fn take_presence(body: &mut Body) -> PresenceEvents {
    let (channel, version, count) = (body.channel(), body.version(), body.safe());
    let events = body.list(|body| {
        let flags = body.number();
        let (event, user) = (body.open(), body.user());
        PresenceChange { event, user, state: body.opt(flags & 1 != 0, Body::state) }
    });
    PresenceEvents { channel, version, count, events }
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

fn take_statuses(body: &mut Body) -> Statuses {
    let flags = body.number();
    let req = body.opt(flags & 1 != 0, Body::safe);
    let users = body.list(|body| {
        let flags = body.number();
        let user = body.user();
        UserStatus { user, online: flags & 1 != 0, since: body.opt(flags & 2 != 0, Body::safe) }
    });
    body.check("users", each_user_once(&users));
    Statuses { req, users }
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

fn take_error(body: &mut Body) -> ErrorFrame {
    let flags = body.number();
    let by = match (flags >> 5) & 3 {
        0 => None,
        1 => Some(ReusedBy::Id),
        2 => Some(ReusedBy::Seq),
        _ => {
            body.check("by", false);
            None
        }
    };
    ErrorFrame {
        req: body.opt(flags & 1 != 0, Body::safe),
        channel: body.opt(flags & 2 != 0, Body::channel_name),
        code: body.open(),
        message: body.text(),
        retry: flags & 4 != 0,
        after: body.opt(flags & 8 != 0, Body::u32),
        expected: body.opt(flags & 16 != 0, Body::safe),
        by,
    }
}
