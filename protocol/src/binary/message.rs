use super::body::Body;
use super::varint::{put, put_bytes, take_bytes};
use crate::Bytes;
use crate::codec::DecodeError;
use crate::limits;
use crate::message::{Headers, Message, Payload};
use crate::types::{Offset, Utf8Bytes};

const OFFSET: u8 = 0x04;
const PREV: u8 = 0x08;
const USER: u8 = 0x10;
const HEADERS: u8 = 0x20;

/// Appends a message as it stands inside a `deliver` frame: self-delimiting, so that a log can keep these bytes and
/// a page is a concatenation of them.
pub fn encode_message(message: &Message, out: &mut Vec<u8>) {
    let at = out.len();
    let mut flags = payload_tag(&message.payload);
    flags |= if message.offset.is_some() { OFFSET } else { 0 };
    flags |= if message.prev.is_some() { PREV } else { 0 };
    flags |= if message.user.is_some() { USER } else { 0 };
    flags |= if message.headers.is_empty() { 0 } else { HEADERS };
    out.push(flags);
    for offset in [message.offset, message.prev].into_iter().flatten() {
        put(offset.0, out);
    }
    put(message.time, out);
    put_bytes(message.id.as_bytes(), out);
    if let Some(user) = &message.user {
        put_bytes(user.as_bytes(), out);
    }
    put_headers(&message.headers, out);
    out.extend_from_slice(message.payload.bytes());
    prefix_length(at, out);
}

/// Writes the length of everything from `at` on in front of it.
pub(super) fn prefix_length(at: usize, out: &mut Vec<u8>) {
    let end = out.len();
    let len = (end - at) as u64;
    // The number is written behind, which makes room for it, then everything changes places.
    put(len, out);
    if let Some(part) = out.get_mut(at..) {
        part.rotate_left(end - at);
    }
}

/// Takes the next message that [`encode_message`] wrote.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_message(bytes: &mut Bytes) -> Result<Message, DecodeError> {
    let mut body = Body::new(take_bytes(bytes)?);
    let message = take_message(&mut body);
    body.finish(message)
}

/// Takes a message that goes to the end.
pub(super) fn take_message(body: &mut Body) -> Message {
    let flags = body.byte();
    let offset = body.opt(flags & OFFSET != 0, |body| Offset(body.positive("offset")));
    let prev = body.opt(flags & PREV != 0, Body::offset);
    let time = body.safe();
    let id = take_id(body);
    let user = body.opt(flags & USER != 0, Body::text);
    let headers = body.opt(flags & HEADERS != 0, take_headers).unwrap_or_default();
    Message { offset, prev, id, user, time, headers, payload: take_payload(flags & 3, body) }
}

pub(super) fn payload_tag(payload: &Payload) -> u8 {
    match payload {
        Payload::Json(_) => 0,
        Payload::Text(_) => 1,
        Payload::Binary(_) => 2,
    }
}

/// Takes a payload that goes to the end.
pub(super) fn take_payload(tag: u8, body: &mut Body) -> Payload {
    let bytes = body.rest();
    match tag {
        0 => Payload::Json(bytes),
        1 => Payload::Text(body.utf8(bytes)),
        2 => Payload::Binary(bytes),
        _ => {
            body.check("payload", false);
            Payload::Binary(bytes)
        }
    }
}

/// Takes a message id: 1–128 bytes.
pub(super) fn take_id(body: &mut Body) -> Utf8Bytes {
    let id = body.text();
    body.check("id", (1..=limits::MESSAGE_ID).contains(&id.as_bytes().len()));
    id
}

/// Appends a count and the pairs; nothing where there are none.
pub(super) fn put_headers(headers: &Headers, out: &mut Vec<u8>) {
    if headers.is_empty() {
        return;
    }
    put(headers.len() as u64, out);
    for (name, value) in headers {
        put_bytes(name.as_bytes(), out);
        put_bytes(value.as_bytes(), out);
    }
}

pub(super) fn take_headers(body: &mut Body) -> Headers {
    let count = body.safe();
    body.check("headers", count <= limits::HEADERS as u64);
    let mut headers = Headers::new();
    for _ in 0..count.min(limits::HEADERS as u64) {
        headers.push((body.text(), body.text()));
    }
    body.check("headers", crate::message::headers_are_valid(&headers));
    headers
}
