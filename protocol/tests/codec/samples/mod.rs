//! Named instances of every frame: what the vectors in `tests/vectors` are made of.

mod client;
mod server;

use bytes::Bytes;
use moorline_protocol::{
    ChannelName, ChannelNumber, ChannelRef, DeviceId, Epoch, Offset, Position, ProducerId, UserName, Utf8Bytes, limits,
};

pub(crate) use client::client;
pub(crate) use server::server;

/// The channel that has a number in the vectors, and its number.
pub(crate) const CHANNEL: &str = "room:42";
/// See [`CHANNEL`].
pub(crate) const NUMBER: u32 = 42;

/// The largest number of the protocol.
const MAX: u64 = limits::MAX_SAFE_INTEGER;

/// Frames with their names.
pub(crate) type Samples<F> = Vec<(String, F)>;

fn framed<T, F>(samples: Vec<(impl Into<String>, T)>, frame: impl Fn(T) -> F) -> Samples<F> {
    samples.into_iter().map(|(name, value)| (name.into(), frame(value))).collect()
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn by_name(text: &str) -> ChannelRef {
    ChannelRef::Name(name(text))
}

fn room() -> ChannelRef {
    by_name(CHANNEL)
}

fn numbered() -> ChannelRef {
    ChannelRef::Number(ChannelNumber(NUMBER))
}

/// A name of 128 bytes, of characters of one to four bytes.
fn longest() -> String {
    format!("{}{}", "aéß語🦀".repeat(10), "x".repeat(128 - 10 * 12))
}

fn user(text: &str) -> UserName {
    UserName::new(text).unwrap()
}

fn device() -> DeviceId {
    DeviceId::new("d-4f3c2b1a09e8d7c6").unwrap()
}

fn epoch() -> Epoch {
    Epoch::new("k3v9x2ab.1").unwrap()
}

fn position(offset: u64) -> Position {
    Position { epoch: epoch(), offset: Offset(offset) }
}

fn producer() -> ProducerId {
    ProducerId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff)
}

fn text(text: &str) -> Utf8Bytes {
    Utf8Bytes::from(text)
}

fn json(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
