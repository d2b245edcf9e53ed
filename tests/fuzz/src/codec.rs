//! Frames and messages, in both codecs.

use std::fmt::Debug;

use bytes::Bytes;
use moorline_protocol::{ClientFrame, Codec, DecodeError, Decoded, ServerFrame, binary};

use crate::choices::Choices;
use crate::frames::{Aim, CLIENT_KINDS, SERVER_KINDS, client_frame, server_frame};
use crate::memory;

/// The kind of [`server_frame`] that has no JSON form.
const PACKED: usize = SERVER_KINDS - 1;

/// What the first byte of an input chooses.
const CLIENT: u8 = 0;
const SERVER: u8 = 1;
const MADE_CLIENT: u8 = 2;
const MADE_SERVER: u8 = 3;
const MESSAGE: u8 = 4;

/// The binary codec: what is read is written and read again the same, and takes memory in proportion.
pub fn binary(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    match *mode {
        MESSAGE => stored_message(rest),
        mode => frames(Codec::Binary, mode, rest),
    }
}

/// The JSON codec, likewise; and what JSON can say, binary can say.
pub fn json(bytes: &[u8]) {
    if let Some((mode, rest)) = bytes.split_first() {
        frames(Codec::Json, *mode, rest);
    }
}

/// Inputs of [`binary()`]: one of each kind.
pub(crate) fn binary_seeds() -> Vec<Vec<u8>> {
    seeds(Codec::Binary)
}

/// Inputs of [`json`]: one of each kind.
pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    seeds(Codec::Json)
}

fn frames(codec: Codec, mode: u8, bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let aim = Aim::nobody(codec);
    match mode {
        SERVER => read_all(Bytes::copy_from_slice(bytes), SERVER_SIDE, codec),
        MADE_CLIENT => {
            let kind = choices.below(CLIENT_KINDS);
            survives(&client_frame(kind, &aim, &mut choices), CLIENT_SIDE, codec);
        }
        MADE_SERVER => {
            let kinds = if codec == Codec::Json { PACKED } else { SERVER_KINDS };
            let kind = choices.below(kinds);
            survives(&server_frame(kind, &aim, &mut choices), SERVER_SIDE, codec);
        }
        _ => read_all(Bytes::copy_from_slice(bytes), CLIENT_SIDE, codec),
    }
}

/// Reads the next frame of a message.
type Decode<F> = fn(Codec, &mut Bytes) -> Result<Option<Decoded<F>>, DecodeError>;

/// How the frames of one side are written and read.
struct Side<F> {
    encode: fn(Codec, &F, &mut Vec<u8>),
    decode: Decode<F>,
}

const CLIENT_SIDE: Side<ClientFrame> = Side { encode: Codec::encode_client, decode: Codec::decode_client };
const SERVER_SIDE: Side<ServerFrame> = Side { encode: Codec::encode_server, decode: Codec::decode_server };

/// Reads a whole WebSocket message.
fn read_all<F: Debug + PartialEq>(message: Bytes, side: Side<F>, codec: Codec) {
    let len = message.len();
    let mut frames = Vec::new();
    let mut rest = message.clone();
    let used = memory::peak(|| {
        while let Ok(Some(decoded)) = (side.decode)(codec, &mut rest) {
            frames.push(decoded);
        }
    });
    assert!(used <= memory::fair(len), "{used} bytes for a message of {len}");
    for decoded in frames {
        if let Decoded::Frame(frame) = decoded {
            survives_reading(&frame, &side, codec, &message);
        }
    }
}

/// A frame that was made is written and read the same.
fn survives<F: Debug + PartialEq>(frame: &F, side: Side<F>, codec: Codec) {
    let mut out = Vec::new();
    (side.encode)(codec, frame, &mut out);
    assert_eq!(&only(&side, codec, out), frame);
}

/// A frame that was read is written and read the same. In JSON a carriage return inside a payload becomes a space.
fn survives_reading<F: Debug + PartialEq>(frame: &F, side: &Side<F>, codec: Codec, from: &Bytes) {
    let mut out = Vec::new();
    (side.encode)(codec, frame, &mut out);
    let again = only(side, codec, out.clone());
    if codec == Codec::Binary || !from.contains(&b'\r') {
        assert_eq!(&again, frame);
    }
    let mut twice = Vec::new();
    (side.encode)(codec, &again, &mut twice);
    assert_eq!(out, twice, "the second writing differs");
    let mut other = Vec::new();
    (side.encode)(Codec::Binary, frame, &mut other);
    assert_eq!(&only(side, Codec::Binary, other), frame, "in binary");
}

/// Reads the only frame of a message.
fn only<F: Debug>(side: &Side<F>, codec: Codec, message: Vec<u8>) -> F {
    let mut rest = Bytes::from(message);
    let shown = rest.clone();
    let first = (side.decode)(codec, &mut rest);
    assert!(matches!((side.decode)(codec, &mut rest), Ok(None)), "more than one frame: {shown:?}");
    match first {
        Ok(Some(Decoded::Frame(frame))) => frame,
        other => panic!("{other:?} instead of a frame: {shown:?}"),
    }
}

/// A message as the log keeps it.
fn stored_message(bytes: &[u8]) {
    let mut rest = Bytes::copy_from_slice(bytes);
    while let Ok(message) = binary::decode_message(&mut rest) {
        let mut out = Vec::new();
        binary::encode_message(&message, &mut out);
        assert_eq!(binary::decode_message(&mut Bytes::from(out)), Ok(message));
    }
}

fn seeds(codec: Codec) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let aim = Aim::nobody(codec);
    for kind in 0..CLIENT_KINDS {
        let bytes = crate::noise(kind as u64, 64);
        let mut frame = Vec::new();
        codec.encode_client(&client_frame(kind, &aim, &mut Choices::new(&bytes)), &mut frame);
        seeds.push([&[CLIENT], frame.as_slice()].concat());
        seeds.push([&[MADE_CLIENT, kind as u8], bytes.as_slice()].concat());
    }
    for kind in 0..SERVER_KINDS {
        let bytes = crate::noise(kind as u64, 64);
        let mut frame = Vec::new();
        codec.encode_server(&server_frame(kind, &aim, &mut Choices::new(&bytes)), &mut frame);
        seeds.push([&[SERVER], frame.as_slice()].concat());
        seeds.push([&[MADE_SERVER, kind as u8], bytes.as_slice()].concat());
    }
    seeds
}
