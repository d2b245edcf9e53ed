//! Frames of the client. Flags are part of the wire: never change them, only add.

use super::body::Body;
use super::message::{payload_tag, put_headers, take_headers, take_id, take_payload};
use super::parts::{flag, put_caps, put_channel, put_epoch, put_opt, put_position, put_producer, put_text, when};
use super::varint::{put, put_bytes};
use super::{frame, next, unknown};
use crate::Bytes;
use crate::codec::{DecodeError, Decoded};
use crate::frame::{
    Ack, Auth, Call, ClientFrame, Hello, History, HistoryRange, More, Park, Pause, Ping, Pong, PresenceMode,
    PresenceOp, PresenceRequest, ProducerRequest, Publish, Push, ResetMode, Run, Since, StatusRequest, Subscribe,
    Unsubscribe, client_kind as kind, is_method,
};
use crate::limits;
use crate::types::Utf8Bytes;

/// Appends one frame.
#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
pub fn encode_client(value: &ClientFrame, out: &mut Vec<u8>) {
    frame(value.kind().0, out, |out| match value {
        ClientFrame::Hello(hello) => put_hello(hello, out),
        ClientFrame::Auth(auth) => {
            put(flag(&auth.channel, 1), out);
            put(auth.req, out);
            put_bytes(auth.token.as_bytes(), out);
            put_opt(auth.channel.as_ref(), out, |channel, out| put_text(channel.as_str(), out));
        }
        ClientFrame::Subscribe(subscribe) => put_subscribe(subscribe, out),
        ClientFrame::Unsubscribe(unsubscribe) => {
            put(when(unsubscribe.forget, 1), out);
            put(unsubscribe.req, out);
            put_channel(&unsubscribe.channel, out);
        }
        ClientFrame::Publish(publish) => put_publish(publish, out),
        ClientFrame::Ack(ack) => {
            put_channel(&ack.channel, out);
            put_epoch(ack.epoch, out);
            put(ack.offset.0, out);
        }
        ClientFrame::More(more) => {
            put(flag(&more.epoch, 1) | when(more.rewind, 2), out);
            put_channel(&more.channel, out);
            put_opt(more.epoch, out, put_epoch);
            put(more.after.0, out);
        }
        ClientFrame::Pause(pause) => put_channel(&pause.channel, out),
        ClientFrame::History(history) => put_history(history, out),
        ClientFrame::Call(call) => {
            put(u64::from(payload_tag(&call.payload)), out);
            put(call.req, out);
            put_text(&call.id, out);
            put_text(&call.method, out);
            put(u64::from(call.timeout), out);
            put_bytes(call.payload.bytes(), out);
        }
        ClientFrame::Presence(presence) => {
            put(flag(&presence.state, 1) | flag(&presence.cursor, 2), out);
            put(presence.req, out);
            put_channel(&presence.channel, out);
            out.push(presence.op as u8);
            put_opt(presence.state.as_ref(), out, |state, out| put_bytes(state, out));
            put_opt(presence.cursor.as_ref(), out, |cursor, out| put_bytes(cursor.as_bytes(), out));
        }
        ClientFrame::Status(status) => {
            put(when(status.watch, 1), out);
            put(status.req, out);
            put(status.users.len() as u64, out);
            status.users.iter().for_each(|user| put_text(user.as_str(), out));
        }
        ClientFrame::Park(park) => {
            put(flag(&park.ping, 1), out);
            put_opt(park.ping, out, |ping, out| put(u64::from(ping), out));
        }
        ClientFrame::Unpark => {}
        ClientFrame::Push(push) => {
            put(flag(&push.handle, 1), out);
            put_opt(push.handle.as_ref(), out, |handle, out| put_text(handle, out));
        }
        ClientFrame::Ping(ping) => put_ping(*ping, out),
        ClientFrame::Pong(pong) => put(pong.n, out),
    });
}

/// Takes the next frame; `None` at the end of the WebSocket message.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_client(message: &mut Bytes) -> Result<Option<Decoded<ClientFrame>>, DecodeError> {
    let Some((kind, mut frame)) = next(message)? else { return Ok(None) };
    let body = &mut frame;
    let value = match kind {
        kind::HELLO => ClientFrame::Hello(take_hello(body)),
        kind::AUTH => {
            let flags = body.number();
            let (req, token) = (body.safe(), body.token());
            ClientFrame::Auth(Auth { req, token, channel: body.opt(flags & 1 != 0, Body::channel_name) })
        }
        kind::SUBSCRIBE => ClientFrame::Subscribe(take_subscribe(body)),
        kind::UNSUBSCRIBE => {
            let flags = body.number();
            let (req, channel) = (body.safe(), body.channel());
            ClientFrame::Unsubscribe(Unsubscribe { req, channel, forget: flags & 1 != 0 })
        }
        kind::PUBLISH => ClientFrame::Publish(take_publish(body)),
        kind::ACK => {
            let (channel, epoch) = (body.channel(), body.epoch());
            ClientFrame::Ack(Ack { channel, epoch, offset: body.offset() })
        }
        kind::MORE => {
            let flags = body.number();
            let channel = body.channel();
            let epoch = body.opt(flags & 1 != 0, Body::epoch);
            ClientFrame::More(More { channel, epoch, after: body.offset(), rewind: flags & 2 != 0 })
        }
        kind::PAUSE => ClientFrame::Pause(Pause { channel: body.channel() }),
        kind::HISTORY => ClientFrame::History(take_history(body)),
        kind::CALL => {
            let flags = body.number();
            let (req, id, method) = (body.safe(), take_id(body), body.text());
            body.check("method", is_method(&method));
            let timeout = body.u32();
            let payload = body.within(|body| take_payload((flags & 3) as u8, body));
            ClientFrame::Call(Call { req, id, method, timeout, payload })
        }
        kind::PRESENCE => ClientFrame::Presence(take_presence(body)),
        kind::STATUS => {
            let flags = body.number();
            let (req, users) = (body.safe(), body.few("users", limits::STATUS_USERS, Body::user));
            ClientFrame::Status(StatusRequest { req, users, watch: flags & 1 != 0 })
        }
        kind::PARK => {
            let flags = body.number();
            ClientFrame::Park(Park { ping: body.opt(flags & 1 != 0, Body::u32) })
        }
        kind::UNPARK => ClientFrame::Unpark,
        kind::PUSH => {
            let flags = body.number();
            ClientFrame::Push(Push { handle: body.opt(flags & 1 != 0, take_handle) })
        }
        kind::PING => ClientFrame::Ping(take_ping(body)),
        kind::PONG => ClientFrame::Pong(Pong { n: body.safe() }),
        _ => return Ok(Some(unknown(kind))),
    };
    frame.finish(Some(Decoded::Frame(value)))
}

fn take_handle(body: &mut Body) -> Utf8Bytes {
    let handle = body.short("handle", limits::PUSH_HANDLE_BYTES);
    body.check("handle", !handle.is_empty());
    handle
}

pub(super) fn put_ping(ping: Ping, out: &mut Vec<u8>) {
    put(flag(&ping.next, 1), out);
    put(ping.n, out);
    put_opt(ping.next, out, |next, out| put(u64::from(next), out));
}

pub(super) fn take_ping(body: &mut Body) -> Ping {
    let flags = body.number();
    Ping { n: body.safe(), next: body.opt(flags & 1 != 0, Body::u32) }
}

fn put_hello(hello: &Hello, out: &mut Vec<u8>) {
    let producer = match hello.producer {
        None => 0,
        Some(ProducerRequest::New) => 16,
        Some(ProducerRequest::Resume(_)) => 32,
    };
    put(flag(&hello.token, 1) | flag(&hello.device, 2) | flag(&hello.run, 4) | flag(&hello.sdk, 8) | producer, out);
    put(u64::from(hello.v), out);
    put_opt(hello.token.as_ref(), out, |token, out| put_bytes(token.as_bytes(), out));
    put_opt(hello.device.as_ref(), out, |device, out| put_text(device.as_str(), out));
    put_opt(hello.run, out, |run, out| {
        put(run.boot, out);
        put(run.transport, out);
    });
    put_opt(hello.sdk.as_ref(), out, |sdk, out| put_bytes(sdk.as_bytes(), out));
    if let Some(ProducerRequest::Resume(id)) = hello.producer {
        put_producer(id, out);
    }
    put_caps(&hello.caps, out);
    put(hello.subscribe.len() as u64, out);
    for subscribe in &hello.subscribe {
        let at = out.len();
        put_subscribe(subscribe, out);
        super::message::prefix_length(at, out);
    }
}

fn take_hello(body: &mut Body) -> Hello {
    let flags = body.number();
    let v = body.u32();
    let token = body.opt(flags & 1 != 0, Body::token);
    let device = body.opt(flags & 2 != 0, Body::device);
    let run = body.opt(flags & 4 != 0, |body| Run { boot: body.safe(), transport: body.safe() });
    let sdk = body.opt(flags & 8 != 0, |body| body.short("sdk", limits::SDK));
    let producer = match (flags >> 4) & 3 {
        0 => None,
        1 => Some(ProducerRequest::New),
        2 => Some(ProducerRequest::Resume(body.producer())),
        _ => {
            body.check("producer", false);
            None
        }
    };
    let caps = body.caps();
    let subscribe = body.few("subscribe", limits::HELLO_SUBSCRIPTIONS, |body| body.within(take_subscribe));
    Hello { v, token, device, run, sdk, producer, caps, subscribe }
}

/// Since: 0 now, 1 position, 2 last, 3 first, 4 time, 5 cursor, 6 cursor with the client's own position.
fn put_since(since: Since, out: &mut Vec<u8>) {
    match since {
        Since::Now => out.push(0),
        Since::Position(position) => {
            out.push(1);
            put_position(position, out);
        }
        Since::Last(count) => {
            out.push(2);
            put(u64::from(count), out);
        }
        Since::First => out.push(3),
        Since::Time(time) => {
            out.push(4);
            put(time, out);
        }
        Since::Cursor(None) => out.push(5),
        Since::Cursor(Some(position)) => {
            out.push(6);
            put_position(position, out);
        }
    }
}

fn take_since(body: &mut Body) -> Since {
    match body.byte() {
        0 => Since::Now,
        1 => Since::Position(body.position()),
        2 => Since::Last(body.u32()),
        3 => Since::First,
        4 => Since::Time(body.safe()),
        5 => Since::Cursor(None),
        6 => Since::Cursor(Some(body.position())),
        _ => {
            body.check("since", false);
            Since::Now
        }
    }
}

fn put_subscribe(subscribe: &Subscribe, out: &mut Vec<u8>) {
    let presence = match subscribe.presence {
        PresenceMode::None => 0,
        PresenceMode::Watch => 4,
        PresenceMode::Join => 8,
    };
    let live = when(subscribe.reset == ResetMode::Live, 2);
    put(when(subscribe.durable, 1) | live | presence | flag(&subscribe.state, 16) | flag(&subscribe.token, 32), out);
    put(subscribe.req, out);
    put_text(subscribe.channel.as_str(), out);
    put_since(subscribe.since, out);
    out.push(subscribe.qos.level());
    put_opt(subscribe.state.as_ref(), out, |state, out| put_bytes(state, out));
    put_opt(subscribe.token.as_ref(), out, |token, out| put_bytes(token.as_bytes(), out));
}

fn take_subscribe(body: &mut Body) -> Subscribe {
    let flags = body.number();
    let req = body.safe();
    let channel = body.channel_name();
    let since = take_since(body);
    let qos = body.qos();
    let presence = match (flags >> 2) & 3 {
        0 => PresenceMode::None,
        1 => PresenceMode::Watch,
        2 => PresenceMode::Join,
        _ => {
            body.check("presence", false);
            PresenceMode::None
        }
    };
    let reset = if flags & 2 == 0 { ResetMode::First } else { ResetMode::Live };
    let state = body.opt(flags & 16 != 0, Body::state);
    let token = body.opt(flags & 32 != 0, Body::token);
    Subscribe { req, channel, since, reset, qos, durable: flags & 1 != 0, presence, state, token }
}

/// Flags: 3 bits QoS and payload tag (qos | tag << 2), then req, id, seq, gen, ttl, headers.
fn put_publish(publish: &Publish, out: &mut Vec<u8>) {
    let kind = u64::from(publish.qos.level()) | u64::from(payload_tag(&publish.payload)) << 2;
    let fields = flag(&publish.req, 16)
        | flag(&publish.id, 32)
        | flag(&publish.seq, 64)
        | flag(&publish.generation, 128)
        | flag(&publish.ttl, 256)
        | when(!publish.headers.is_empty(), 512);
    put(kind | fields, out);
    put_channel(&publish.channel, out);
    put_opt(publish.req, out, put);
    put_opt(publish.id.as_ref(), out, |id, out| put_bytes(id.as_bytes(), out));
    put_opt(publish.seq, out, put);
    put_opt(publish.generation, out, put);
    put_opt(publish.ttl, out, |ttl, out| put(u64::from(ttl), out));
    put_headers(&publish.headers, out);
    put_bytes(publish.payload.bytes(), out);
}

fn take_publish(body: &mut Body) -> Publish {
    let flags = body.number();
    let qos = body.level((flags & 3) as u8);
    let channel = body.channel();
    let req = body.opt(flags & 16 != 0, Body::safe);
    let id = body.opt(flags & 32 != 0, take_id);
    let seq = body.opt(flags & 64 != 0, |body| body.positive("seq"));
    let generation = body.opt(flags & 128 != 0, Body::safe);
    let ttl = body.opt(flags & 256 != 0, Body::u32);
    let headers = body.opt(flags & 512 != 0, take_headers).unwrap_or_default();
    let payload = body.within(|body| take_payload(((flags >> 2) & 3) as u8, body));
    Publish { channel, qos, req, id, seq, generation, ttl, headers, payload }
}

/// Range: 0 newest, 1 after offset, 2 after time, 3 before offset, 4 before time.
fn put_history(history: &History, out: &mut Vec<u8>) {
    put(flag(&history.limit, 1), out);
    put(history.req, out);
    put_channel(&history.channel, out);
    let (tag, value) = match history.range {
        HistoryRange::Newest => (0, None),
        HistoryRange::After(offset) => (1, Some(offset.0)),
        HistoryRange::AfterTime(time) => (2, Some(time)),
        HistoryRange::Before(offset) => (3, Some(offset.0)),
        HistoryRange::BeforeTime(time) => (4, Some(time)),
    };
    out.push(tag);
    put_opt(value, out, put);
    put_opt(history.limit, out, |limit, out| put(u64::from(limit), out));
}

fn take_history(body: &mut Body) -> History {
    let flags = body.number();
    let (req, channel) = (body.safe(), body.channel());
    let range = match body.byte() {
        0 => HistoryRange::Newest,
        1 => HistoryRange::After(body.offset()),
        2 => HistoryRange::AfterTime(body.safe()),
        3 => HistoryRange::Before(body.offset()),
        4 => HistoryRange::BeforeTime(body.safe()),
        _ => {
            body.check("range", false);
            HistoryRange::Newest
        }
    };
    History { req, channel, range, limit: body.opt(flags & 1 != 0, Body::u32) }
}

fn take_presence(body: &mut Body) -> PresenceRequest {
    let flags = body.number();
    let (req, channel) = (body.safe(), body.channel());
    let op = match body.byte() {
        0 => PresenceOp::Get,
        1 => PresenceOp::Enter,
        2 => PresenceOp::Update,
        3 => PresenceOp::Leave,
        _ => {
            body.check("op", false);
            PresenceOp::Get
        }
    };
    let state = body.opt(flags & 1 != 0, Body::state);
    PresenceRequest { req, channel, op, state, cursor: body.opt(flags & 2 != 0, Body::text) }
}
