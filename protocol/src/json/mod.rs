//! The JSON codec, for people, debugging and third-party clients.
//!
//! A frame is an object with `"t"`; several in one WebSocket message are separated by line breaks. Fields of `None`
//! are left out; unknown fields are ignored; a key that stands twice is an error.

mod client;
mod fields;
mod object;
mod parts;
mod readable;
mod server;

use bytes::{Buf, Bytes};

use self::fields::{Fields, Text};
use self::object::Object;
use self::readable::Readable;
use crate::codec::{DecodeError, Decoded};
use crate::frame::{ClientFrame, ServerFrame};
use crate::limits;
use crate::message::Message;

/// Appends one frame, with a newline before it if `out` is not empty.
pub fn encode_client(frame: &ClientFrame, out: &mut Vec<u8>) {
    append(frame.kind().1, out, |to| client::write(frame, to));
}

/// Appends one frame, with a newline before it if `out` is not empty. `packed` has no JSON form and appends nothing.
pub fn encode_server(frame: &ServerFrame, out: &mut Vec<u8>) {
    if !matches!(frame, ServerFrame::Packed(_)) {
        append(frame.kind().1, out, |to| server::write(frame, to));
    }
}

/// Appends a message, as it stands in a JSON `deliver`.
pub fn encode_message(message: &Message, out: &mut Vec<u8>) {
    Object::write(out, |to| parts::put_message(message, to));
}

fn append(t: &str, out: &mut Vec<u8>, fields: impl FnOnce(&mut Object<'_>)) {
    if !out.is_empty() {
        out.push(b'\n');
    }
    Object::write(out, |to| fields(to.put("t", t)));
}

/// Takes the next frame; `None` at the end of the WebSocket message.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_client(message: &mut Bytes) -> Result<Option<Decoded<ClientFrame>>, DecodeError> {
    decode(message, client::read)
}

/// Takes the next frame; `None` at the end of the WebSocket message.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_server(message: &mut Bytes) -> Result<Option<Decoded<ServerFrame>>, DecodeError> {
    decode(message, server::read)
}

fn decode<F>(
    message: &mut Bytes,
    read: impl FnOnce(&str, &Fields<'_>) -> Result<Option<F>, DecodeError>,
) -> Result<Option<Decoded<F>>, DecodeError> {
    let Some(line) = next_line(message) else { return Ok(None) };
    let text = std::str::from_utf8(&line).map_err(|_| DecodeError::Utf8)?;
    if depth(&line) > limits::JSON_FRAME_DEPTH {
        return Err(DecodeError::Json);
    }
    let fields = Fields::read(text)?;
    let Text(t) = fields.need("t")?;
    Ok(Some(match read(&t, &fields)? {
        Some(frame) => Decoded::Frame(frame),
        // What a later version means by `req` is not known: it is one if it looks like one.
        None if fields.opt("crit")?.unwrap_or(true) => {
            Decoded::Unsupported { req: fields.opt_safe("req").ok().flatten() }
        }
        None => Decoded::Ignored,
    }))
}

/// Takes the next line that is not blank.
fn next_line(message: &mut Bytes) -> Option<Bytes> {
    while !message.is_empty() {
        let end = message.iter().position(|byte| *byte == b'\n');
        let line = message.split_to(end.unwrap_or(message.len()));
        if end.is_some() {
            message.advance(1);
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            return Some(line);
        }
    }
    None
}

/// Tells whether `text` is one JSON value that every reader can take: UTF-8, nested at most 64 deep, no half of a
/// surrogate pair, and no number beyond those of a double.
pub fn is_valid(text: &[u8]) -> bool {
    depth(text) <= limits::JSON_DEPTH
        && std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<Readable>(text).is_ok())
}

/// Returns how deep brackets and braces are nested; meaningful for valid JSON only.
fn depth(text: &[u8]) -> usize {
    let (mut deepest, mut depth, mut quoted, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
