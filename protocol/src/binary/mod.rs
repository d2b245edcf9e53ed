//! The binary codec: each frame is a varint length, a type byte and a body (`docs/protocol.md`, Binary form).

mod body;
mod client;
mod message;
mod parts;
mod server;
pub mod varint;

use crate::Bytes;

pub use client::{decode_client, encode_client};
pub use message::{decode_message, encode_message};
pub use server::{decode_deliver_body, decode_server, encode_server};

use body::Body;

use crate::codec::{DecodeError, Decoded};
use crate::types::{ChannelNumber, Offset};

/// The bit of a type byte that lets a reader ignore a frame it does not know.
const NON_CRITICAL: u8 = 0x80;

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
    head: DeliverHead,
    messages: impl ExactSizeIterator<Item = &'a Bytes> + Clone,
    out: &mut Vec<u8>,
) {
    let mut start = Vec::with_capacity(24);
    start.push(crate::frame::server_kind::DELIVER);
    varint::put(u64::from(head.number.0), &mut start);
    server::put_deliver_head(head.replay, head.more, head.at, &mut start);
    let size: usize = messages.clone().map(Bytes::len).sum();
    out.reserve(size + start.len() + 5);
    varint::put((start.len() + size) as u64, out);
    out.extend_from_slice(&start);
    for message in messages {
        out.extend_from_slice(message);
    }
}

/// Appends the body of a `deliver` frame without its channel: what a `packed` frame inflates to.
pub fn encode_deliver_body<'a>(head: DeliverHead, messages: impl Iterator<Item = &'a Bytes>, out: &mut Vec<u8>) {
    server::put_deliver_head(head.replay, head.more, head.at, out);
    for message in messages {
        out.extend_from_slice(message);
    }
}

/// Appends what `write` writes as one frame of a type.
fn frame(kind: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(kind);
    write(out);
    message::prefix_length(at, out);
}

/// Takes the next frame's type and body; `None` at the end.
fn next(message: &mut Bytes) -> Result<Option<(u8, Body)>, DecodeError> {
    if message.is_empty() {
        return Ok(None);
    }
    let mut body = varint::take_bytes(message)?;
    Ok(Some((varint::take_u8(&mut body)?, Body::new(body))))
}

/// What a frame of an unknown type is.
fn unknown<F>(kind: u8) -> Decoded<F> {
    if kind & NON_CRITICAL == 0 { Decoded::Unsupported { req: None } } else { Decoded::Ignored }
}
