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
pub fn is_valid(_text: &[u8]) -> bool {
    todo!()
}
