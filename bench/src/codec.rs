//! What a frame costs to write and to read, and how long it is.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use moorline_protocol::{
    Ack, ChannelName, ChannelNumber, ChannelRef, ClientFrame, Codec, Decoded, Deliver, Epoch, Message, NameError,
    Offset, Payload, Publish, Published, Qos, ServerFrame, Utf8Bytes,
};

use crate::error::{Error, Result};
use crate::table::{self, Column};

/// Encoding and decoding of frames.
#[derive(Debug, clap::Args)]
pub(crate) struct Codecs {
    /// How often each is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Frames per round.
    #[arg(long, default_value_t = 200_000)]
    frames: u32,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 120)]
    size: usize,
}

const COLUMNS: &[Column] = &[("encode ns", 0), ("decode ns", 0), ("bytes", 0)];

/// A frame of either direction.
enum Frame {
    Client(Box<ClientFrame>),
    Server(Box<ServerFrame>),
}

impl Codecs {
    pub(crate) fn run(&self) -> Result {
        let samples = |codec| samples(self.size, codec).map_err(|_| Error::Answer("moorline-protocol", "naming"));
        let (binary, json) = (samples(Codec::Binary)?, samples(Codec::Json)?);
        for ((name, binary), (_, json)) in binary.iter().zip(&json) {
            let rows = [("binary", self.rounds(Codec::Binary, binary)?), ("JSON", self.rounds(Codec::Json, json)?)];
            table::print(&format!("`{name}`, payload of {} B", self.size), COLUMNS, &rows);
        }
        Ok(())
    }

    fn rounds(&self, codec: Codec, frame: &Frame) -> Result<Vec<Vec<f64>>> {
        let mut bytes = Vec::new();
        frame.encode(codec, &mut bytes);
        if !frame.decode(codec, &mut Bytes::from(bytes)) {
            return Err(Error::Answer("moorline-protocol", "reading what it wrote"));
        }
        Ok((0..self.rounds).map(|_| self.measure(codec, frame)).collect())
    }

    fn measure(&self, codec: Codec, frame: &Frame) -> Vec<f64> {
        let mut bytes = Vec::new();
        frame.encode(codec, &mut bytes);
        let encoded = Bytes::from(bytes.clone());
        let encode = self.per_frame(|| {
            bytes.clear();
            black_box(frame).encode(codec, &mut bytes);
            black_box(&bytes);
        });
        let decode = self.per_frame(|| frame.decode(codec, &mut black_box(&encoded).clone()));
        vec![encode, decode, encoded.len() as f64]
    }

    fn per_frame<T>(&self, mut work: impl FnMut() -> T) -> f64 {
        let begin = Instant::now();
        for _ in 0..self.frames {
            black_box(work());
        }
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(self.frames.max(1))
    }
}

impl Frame {
    fn encode(&self, codec: Codec, out: &mut Vec<u8>) {
        match self {
            Self::Client(frame) => codec.encode_client(frame, out),
            Self::Server(frame) => codec.encode_server(frame, out),
        }
    }

    /// Tells whether it was a frame.
    fn decode(&self, codec: Codec, bytes: &mut Bytes) -> bool {
        match self {
            Self::Client(_) => matches!(black_box(codec.decode_client(bytes)), Ok(Some(Decoded::Frame(_)))),
            Self::Server(_) => matches!(black_box(codec.decode_server(bytes)), Ok(Some(Decoded::Frame(_)))),
        }
    }
}

/// What a busy connection carries most, with the channel as a codec names it: by its number in binary.
fn samples(size: usize, codec: Codec) -> std::result::Result<Vec<(&'static str, Frame)>, NameError> {
    let epoch = Epoch::new("k3v9x2.1")?;
    let name = ChannelRef::Name(ChannelName::new("room:42")?);
    let channel = if codec == Codec::Binary { ChannelRef::Number(ChannelNumber(42)) } else { name };
    let message = |offset| Message {
        offset: Some(Offset(offset)),
        prev: None,
        id: Utf8Bytes::from_static("01hzy3v9k2m4"),
        user: Some(Utf8Bytes::from_static("alice")),
        time: 1_767_225_600_000 + offset,
        headers: Vec::new(),
        payload: Payload::Text(Utf8Bytes::from("x".repeat(size))),
    };
    let deliver = |count: u64, replay| {
        let messages = (0..count).map(|n| message(1_000_000 + n)).collect();
        ServerFrame::Deliver(Deliver { channel: channel.clone(), replay, more: false, at: None, messages })
    };
    let publish = Publish {
        channel: channel.clone(),
        qos: Qos::ExactlyOnce,
        req: Some(1_000),
        id: Some(Utf8Bytes::from_static("01hzy3v9k2m4")),
        seq: Some(1_000),
        generation: Some(5 << 20),
        ttl: None,
        headers: Vec::new(),
        payload: Payload::Text(Utf8Bytes::from("x".repeat(size))),
    };
    let published = Published { req: 1_000, epoch, offset: Some(Offset(1_000_000)), duplicate: false };
    let ack = Ack { channel: channel.clone(), epoch, offset: Offset(1_000_000) };
    let client = |frame| Frame::Client(Box::new(frame));
    let server = |frame| Frame::Server(Box::new(frame));
    Ok(vec![
        ("deliver", server(deliver(1, false))),
        ("deliver, page of 64", server(deliver(64, true))),
        ("publish, QoS 2", client(ClientFrame::Publish(publish))),
        ("published", server(ServerFrame::Published(published))),
        ("ack", client(ClientFrame::Ack(ack))),
    ])
}
