//! The binary codec: each frame is a varint length, a type byte and a body (`docs/protocol.md`, Binary form).

use bytes::Bytes;

use crate::codec::{DecodeError, Decoded};
use crate::frame::{ClientFrame, ServerFrame};
use crate::message::Message;
use crate::types::{ChannelNumber, Offset};

/// Appends one frame.
pub fn encode_client(_frame: &ClientFrame, _out: &mut Vec<u8>) {
    todo!()
}

/// Appends one frame.
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

/// Appends a message as it stands inside a `deliver` frame: self-delimiting, so that a log can keep these bytes and
/// a page is a concatenation of them.
pub fn encode_message(_message: &Message, _out: &mut Vec<u8>) {
    todo!()
}

/// Takes the next message that [`encode_message`] wrote.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_message(_bytes: &mut Bytes) -> Result<Message, DecodeError> {
    todo!()
}

/// How a `deliver` frame is headed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverHead {
    /// The channel.
    pub number: ChannelNumber,
    /// As in [`Deliver::replay`](crate::Deliver::replay).
    pub replay: bool,
    /// As in [`Deliver::more`](crate::Deliver::more).
    pub more: bool,
    /// As in [`Deliver::at`](crate::Deliver::at).
    pub at: Option<Offset>,
}

/// Appends a `deliver` frame whose messages are already encoded by [`encode_message`].
pub fn encode_deliver<'a>(
    _head: DeliverHead,
    _messages: impl ExactSizeIterator<Item = &'a Bytes> + Clone,
    _out: &mut Vec<u8>,
) {
    todo!()
}
