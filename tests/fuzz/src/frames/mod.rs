//! Frames that a peer might send, built from choices: well-formed, seldom sensible.

mod client;
mod server;

use bytes::Bytes;
use moorline_protocol::{
    ChannelName, ChannelNumber, ChannelRef, Codec, DeviceId, Epoch, Headers, Message, Offset, Payload, Position,
    ProducerId, Qos, UserName, Utf8Bytes,
};

pub(crate) use self::client::{CLIENT_KINDS, client_frame};
pub(crate) use self::server::{SERVER_KINDS, server_frame};
use crate::choices::Choices;

/// Channels that frames name.
pub(crate) const CHANNELS: &[&str] = &["room", "room:2", "own", "@me", "@alice", "x"];
const EPOCHS: &[&str] = &["e1", "e2", "abcdefgh.1"];
const USERS: &[&str] = &["alice", "bob", "anon-x"];
const STATES: &[&str] = &["1", "[]", r#"{"a":[{"b":"c"}]}"#, "true"];
const JSON: &[&str] = &["null", "1", "\"\\u00e4\"", "[]", r#"{"a":[{"b":1.50}]}"#, "true"];

/// What a frame is for: its codec, and the numbers that mean something to the receiver.
pub(crate) struct Aim<'a> {
    pub(crate) codec: Codec,
    /// Requests that wait for an answer.
    pub(crate) requests: &'a [u64],
    /// Channel numbers that were announced.
    pub(crate) numbers: &'a [u32],
}

impl Aim<'_> {
    /// A frame for nobody in particular.
    pub(crate) const fn nobody(codec: Codec) -> Self {
        Self { codec, requests: &[], numbers: &[] }
    }

    fn request(&self, choices: &mut Choices<'_>) -> u64 {
        if !self.requests.is_empty() && choices.chance(80) { choices.pick(self.requests) } else { choices.safe() }
    }

    fn number(&self, choices: &mut Choices<'_>) -> ChannelNumber {
        let known = !self.numbers.is_empty() && choices.chance(80);
        ChannelNumber(if known { choices.pick(self.numbers) } else { choices.int().max(1) })
    }

    /// Names a channel as the codec can: JSON has no numbers.
    fn channel(&self, choices: &mut Choices<'_>) -> ChannelRef {
        if self.codec == Codec::Binary && choices.chance(50) {
            ChannelRef::Number(self.number(choices))
        } else {
            ChannelRef::Name(channel(choices))
        }
    }
}

pub(crate) fn named(name: &str) -> ChannelName {
    ChannelName::new(name).expect("a channel's name")
}

pub(crate) fn channel(choices: &mut Choices<'_>) -> ChannelName {
    named(choices.pick(CHANNELS))
}

pub(crate) fn epoch(choices: &mut Choices<'_>) -> Epoch {
    Epoch::new(choices.pick(EPOCHS)).expect("an epoch")
}

/// Returns an offset that a message can have.
pub(crate) fn offset(choices: &mut Choices<'_>) -> Offset {
    Offset(choices.safe().max(1))
}

pub(crate) fn position(choices: &mut Choices<'_>) -> Position {
    Position { epoch: epoch(choices), offset: offset(choices) }
}

pub(crate) fn qos(choices: &mut Choices<'_>) -> Qos {
    choices.pick(&[Qos::AtLeastOnce, Qos::ExactlyOnce, Qos::AtMostOnce])
}

pub(crate) fn text(choices: &mut Choices<'_>) -> Utf8Bytes {
    Utf8Bytes::from(String::from_utf8_lossy(choices.bytes()).into_owned())
}

/// Returns a text of 1 to `most` bytes.
fn short(choices: &mut Choices<'_>, most: usize) -> Utf8Bytes {
    let text = text(choices);
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Utf8Bytes::from(text.get(..end).filter(|text| !text.is_empty()).unwrap_or("x"))
}

pub(crate) fn payload(choices: &mut Choices<'_>) -> Payload {
    match choices.below(3) {
        0 => Payload::Text(String::from_utf8_lossy(&choices.payload()).into_owned().into()),
        1 => Payload::Json(json(choices)),
        _ => Payload::Binary(choices.payload()),
    }
}

fn json(choices: &mut Choices<'_>) -> Bytes {
    Bytes::from_static(choices.pick(JSON).as_bytes())
}

/// A member's state; `null` would be none.
fn state(choices: &mut Choices<'_>) -> Bytes {
    Bytes::from_static(choices.pick(STATES).as_bytes())
}

pub(crate) fn headers(choices: &mut Choices<'_>) -> Headers {
    let count = choices.below(3);
    (0..count).map(|index| (format!("h{index}").into(), short(choices, 64))).collect()
}

fn message(choices: &mut Choices<'_>) -> Message {
    Message {
        offset: choices.maybe(offset),
        prev: choices.maybe(offset),
        id: short(choices, 128),
        user: choices.maybe(|choices| Utf8Bytes::from(choices.pick(USERS))),
        time: choices.safe(),
        headers: headers(choices),
        payload: payload(choices),
    }
}

fn user(choices: &mut Choices<'_>) -> UserName {
    UserName::new(choices.pick(USERS)).expect("a user's name")
}

fn device(choices: &mut Choices<'_>) -> DeviceId {
    DeviceId::new(choices.pick(&["0123456789abcdef", "fedcba9876543210"])).expect("a device")
}

fn producer(choices: &mut Choices<'_>) -> ProducerId {
    ProducerId(u128::from(choices.number()))
}
