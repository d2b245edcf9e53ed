use bytes::Bytes;

use super::parts::{take_offset, take_positive};
use super::varint::{put, put_bytes, take_bytes, take_safe, take_text, take_u8};
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
    let mut body = take_bytes(bytes)?;
    let flags = take_u8(&mut body)?;
    let offset = if flags & OFFSET == 0 { None } else { Some(Offset(take_positive(&mut body, "offset")?)) };
    let prev = if flags & PREV == 0 { None } else { Some(take_offset(&mut body)?) };
    let time = take_safe(&mut body)?;
    let id = take_id(&mut body)?;
    let user = if flags & USER == 0 { None } else { Some(take_text(&mut body)?) };
    let headers = if flags & HEADERS == 0 { Headers::new() } else { take_headers(&mut body)? };
    Ok(Message { offset, prev, id, user, time, headers, payload: payload(flags & 3, body)? })
}

pub(super) fn payload_tag(payload: &Payload) -> u8 {
    match payload {
        Payload::Json(_) => 0,
        Payload::Text(_) => 1,
        Payload::Binary(_) => 2,
    }
}

pub(super) fn payload(tag: u8, bytes: Bytes) -> Result<Payload, DecodeError> {
    match tag {
        0 => Ok(Payload::Json(bytes)),
        1 => Utf8Bytes::from_bytes(bytes).map(Payload::Text).map_err(|_| DecodeError::Utf8),
        2 => Ok(Payload::Binary(bytes)),
        _ => Err(DecodeError::Field("payload")),
    }
}

/// Takes a message id: 1–128 bytes.
pub(super) fn take_id(bytes: &mut Bytes) -> Result<Utf8Bytes, DecodeError> {
    let id = take_text(bytes)?;
    if (1..=limits::MESSAGE_ID).contains(&id.as_bytes().len()) { Ok(id) } else { Err(DecodeError::Field("id")) }
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

pub(super) fn take_headers(bytes: &mut Bytes) -> Result<Headers, DecodeError> {
    let count = take_safe(bytes)?;
    if count > limits::HEADERS as u64 {
        return Err(DecodeError::Field("headers"));
    }
    let mut headers = Headers::new();
    for _ in 0..count {
        headers.push((take_text(bytes)?, take_text(bytes)?));
    }
    if crate::message::headers_are_valid(&headers) { Ok(headers) } else { Err(DecodeError::Field("headers")) }
}
