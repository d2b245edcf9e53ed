//! The JSON codec, for people, debugging and third-party clients.

use bytes::Bytes;

use crate::codec::{DecodeError, Decoded};
use crate::frame::{ClientFrame, ServerFrame};

/// Appends one frame, with a newline before it if `out` is not empty.
pub fn encode_client(_frame: &ClientFrame, _out: &mut Vec<u8>) {
    todo!()
}

/// Appends one frame, with a newline before it if `out` is not empty.
pub fn encode_server(_frame: &ServerFrame, _out: &mut Vec<u8>) {
    todo!()
}

/// Takes the next frame; `None` at the end of the WebSocket message.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_client(_message: &mut Bytes) -> Result<Option<Decoded<ClientFrame>>, DecodeError> {
    todo!()
}

/// Takes the next frame; `None` at the end of the WebSocket message.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_server(_message: &mut Bytes) -> Result<Option<Decoded<ServerFrame>>, DecodeError> {
    todo!()
}

/// Tells whether `text` is one JSON value, nested at most 64 deep.
pub fn is_valid(text: &[u8]) -> bool {
    depth(text) <= crate::limits::JSON_DEPTH && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
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
