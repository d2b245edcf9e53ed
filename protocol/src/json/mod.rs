//! The JSON codec, for people, debugging and third-party clients.
//!
//! A frame is an object with `"t"`; several in one WebSocket message are separated by line breaks. Fields of `None`
//! are left out; unknown fields are ignored; a key that stands twice is an error.

mod client;
mod parts;
mod server;

use bytes::{Buf, Bytes};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::codec::{DecodeError, Decoded};
use crate::frame::{ClientFrame, ServerFrame};

/// Appends one frame, with a newline before it if `out` is not empty.
pub fn encode_client(frame: &ClientFrame, out: &mut Vec<u8>) {
    append(&client::to_json(frame), out);
}

/// Appends one frame, with a newline before it if `out` is not empty. `packed` has no JSON form and appends nothing.
pub fn encode_server(frame: &ServerFrame, out: &mut Vec<u8>) {
    if let Some(object) = server::to_json(frame) {
        append(&object, out);
    }
}

fn append(object: &impl serde::Serialize, out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b'\n');
    }
    let at = out.len();
    if serde_json::to_writer(&mut *out, object).is_err() {
        // Only a payload that is not JSON can do this, and the server checks them; never half a frame.
        out.truncate(at.saturating_sub(1));
        return;
    }
    // Line breaks separate frames; inside a frame they are white space of a payload, where a space does as well.
    for byte in out.iter_mut().skip(at) {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// Takes the next frame; `None` at the end of the WebSocket message.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_client(message: &mut Bytes) -> Result<Option<Decoded<ClientFrame>>, DecodeError> {
    decode(message, client::from_json)
}

/// Takes the next frame; `None` at the end of the WebSocket message.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_server(message: &mut Bytes) -> Result<Option<Decoded<ServerFrame>>, DecodeError> {
    decode(message, server::from_json)
}

/// What every frame has.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    t: std::borrow::Cow<'a, str>,
    #[serde(default = "yes")]
    crit: bool,
    req: Option<u64>,
}

fn yes() -> bool {
    true
}

fn decode<F>(
    message: &mut Bytes,
    read: impl FnOnce(&str, &str) -> Result<Option<F>, DecodeError>,
) -> Result<Option<Decoded<F>>, DecodeError> {
    let mut line;
    loop {
        if message.is_empty() {
            return Ok(None);
        }
        let end = message.iter().position(|byte| *byte == b'\n');
        line = message.split_to(end.unwrap_or(message.len()));
        if end.is_some() {
            message.advance(1);
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            break;
        }
    }
    let text = std::str::from_utf8(&line).map_err(|_| DecodeError::Utf8)?;
    if depth(&line) > crate::limits::JSON_DEPTH {
        return Err(DecodeError::Json);
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| DecodeError::Json)?;
    match read(&envelope.t, text)? {
        Some(frame) => Ok(Some(Decoded::Frame(frame))),
        None if envelope.crit => Ok(Some(Decoded::Unsupported { req: envelope.req })),
        None => Ok(Some(Decoded::Ignored)),
    }
}

/// Tells whether `text` is one JSON value, nested at most 64 deep.
pub fn is_valid(text: &[u8]) -> bool {
    depth(text) <= crate::limits::JSON_DEPTH && serde_json::from_slice::<IgnoredAny>(text).is_ok()
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
