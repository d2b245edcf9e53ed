//! Frames of either direction under one roof.

use std::fmt::Debug;

use bytes::Bytes;
use moorline_protocol::{
    ChannelName, ChannelNumber, ChannelRef, ClientFrame, Codec, DecodeError, Decoded, ServerFrame,
};

use crate::samples::{CHANNEL, NUMBER};

/// What tests do with frames, whoever sends them.
pub(crate) trait Wire: Clone + Debug + PartialEq + Sized {
    /// `client` or `server`.
    const FROM: &'static str;
    /// Every type, by its number.
    const KINDS: &'static [(u8, &'static str)];

    fn kind(&self) -> (u8, &'static str);
    fn encode(&self, codec: Codec, out: &mut Vec<u8>);
    fn decode(codec: Codec, message: &mut Bytes) -> Result<Option<Decoded<Self>>, DecodeError>;
    /// The channel that a binary frame may name by a number.
    fn channel(&mut self) -> Option<&mut ChannelRef>;

    fn encoded(&self, codec: Codec) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(codec, &mut out);
        out
    }

    /// Decodes a message that is one frame.
    fn only(codec: Codec, message: impl Into<Bytes>) -> Self {
        let frames = Self::all(codec, message).unwrap();
        match <[_; 1]>::try_from(frames) {
            Ok([Decoded::Frame(frame)]) => frame,
            other => panic!("not one frame: {other:?}"),
        }
    }

    /// Decodes all frames of a message.
    fn all(codec: Codec, message: impl Into<Bytes>) -> Result<Vec<Decoded<Self>>, DecodeError> {
        let mut message = message.into();
        let mut frames = Vec::new();
        while let Some(frame) = Self::decode(codec, &mut message)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    fn is_numbered(&self) -> bool {
        matches!(self.clone().channel(), Some(ChannelRef::Number(_)))
    }

    /// The same with the channel's name for its number, as in JSON.
    fn named(&self) -> Self {
        let mut frame = self.clone();
        if let Some(channel @ ChannelRef::Number(_)) = frame.channel() {
            *channel = ChannelRef::Name(ChannelName::new(CHANNEL).unwrap());
        }
        frame
    }

    /// The same with the channel's number for its name.
    fn numbered(&self) -> Self {
        let mut frame = self.clone();
        if let Some(channel) = frame.channel() {
            *channel = ChannelRef::Number(ChannelNumber(NUMBER));
        }
        frame
    }
}

impl Wire for ClientFrame {
    const FROM: &'static str = "client";
    const KINDS: &'static [(u8, &'static str)] = Self::KINDS;

    fn kind(&self) -> (u8, &'static str) {
        self.kind()
    }

    fn encode(&self, codec: Codec, out: &mut Vec<u8>) {
        codec.encode_client(self, out);
    }

    fn decode(codec: Codec, message: &mut Bytes) -> Result<Option<Decoded<Self>>, DecodeError> {
        codec.decode_client(message)
    }

    fn channel(&mut self) -> Option<&mut ChannelRef> {
        Some(match self {
            Self::Unsubscribe(frame) => &mut frame.channel,
            Self::Publish(frame) => &mut frame.channel,
            Self::Ack(frame) => &mut frame.channel,
            Self::More(frame) => &mut frame.channel,
            Self::Pause(frame) => &mut frame.channel,
            Self::History(frame) => &mut frame.channel,
            Self::Presence(frame) => &mut frame.channel,
            Self::Hello(_)
            | Self::Auth(_)
            | Self::Subscribe(_)
            | Self::Status(_)
            | Self::Call(_)
            | Self::Park(_)
            | Self::Unpark
            | Self::Push(_)
            | Self::Ping(_)
            | Self::Pong(_) => return None,
        })
    }
}

impl Wire for ServerFrame {
    const FROM: &'static str = "server";
    const KINDS: &'static [(u8, &'static str)] = Self::KINDS;

    fn kind(&self) -> (u8, &'static str) {
        self.kind()
    }

    fn encode(&self, codec: Codec, out: &mut Vec<u8>) {
        codec.encode_server(self, out);
    }

    fn decode(codec: Codec, message: &mut Bytes) -> Result<Option<Decoded<Self>>, DecodeError> {
        codec.decode_server(message)
    }

    fn channel(&mut self) -> Option<&mut ChannelRef> {
        Some(match self {
            Self::Acked(frame) => &mut frame.channel,
            Self::Deliver(frame) => &mut frame.channel,
            Self::Packed(frame) => &mut frame.channel,
            Self::Reset(frame) => &mut frame.channel,
            Self::Dropped(frame) => &mut frame.channel,
            Self::Presence(frame) => &mut frame.channel,
            Self::Welcome(_)
            | Self::Authed(_)
            | Self::Subscribed(_)
            | Self::Unsubscribed(_)
            | Self::Published(_)
            | Self::Page(_)
            | Self::Members(_)
            | Self::Statuses(_)
            | Self::Result(_)
            | Self::Goaway(_)
            | Self::Ping(_)
            | Self::Pong(_)
            | Self::Error(_) => return None,
        })
    }
}

/// Returns bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
