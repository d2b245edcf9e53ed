//! Inputs that no codec writes, and what becomes of each: `tests/vectors/{refused,accepted,later,messages}.json`.

mod accepted;
mod later;
mod messages;
mod refused;

use moorline_protocol::binary::varint;
use moorline_protocol::{ClientFrame, Codec, DecodeError, ServerFrame};

use crate::wire::Wire;

pub(crate) use accepted::accepted;
pub(crate) use later::{Outcome, later};
pub(crate) use messages::messages;
pub(crate) use refused::refused;

/// Who sends an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

/// A WebSocket message.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// A text message.
    Json(String),
    /// The bytes of a text message that is not UTF-8.
    Text(Vec<u8>),
    /// A binary message.
    Binary(Vec<u8>),
}

impl Case {
    /// Tells why no frames can be made of the input.
    pub(crate) fn refusal(&self) -> Option<DecodeError> {
        let (codec, message) = match &self.input {
            Input::Json(text) => (Codec::Json, text.clone().into_bytes()),
            Input::Text(bytes) => (Codec::Json, bytes.clone()),
            Input::Binary(bytes) => (Codec::Binary, bytes.clone()),
        };
        match self.from {
            From::Client => ClientFrame::all(codec, message).err(),
            From::Server => ServerFrame::all(codec, message).err(),
        }
    }
}

/// An input with its name.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) from: From,
    pub(crate) input: Input,
}

fn case(name: &str, from: From, input: Input) -> Case {
    Case { name: name.to_owned(), from, input }
}

fn json(name: &str, text: impl Into<String>) -> Case {
    case(name, From::Client, Input::Json(text.into()))
}

fn server_json(name: &str, text: impl Into<String>) -> Case {
    case(name, From::Server, Input::Json(text.into()))
}

fn binary(name: &str, kind: u8, body: &[&[u8]]) -> Case {
    case(name, From::Client, Input::Binary(frame(kind, body)))
}

fn server_binary(name: &str, kind: u8, body: &[&[u8]]) -> Case {
    case(name, From::Server, Input::Binary(frame(kind, body)))
}

/// A frame of the binary form: length, type, body.
fn frame(kind: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let mut out = number(body.len() as u64 + 1);
    out.push(kind);
    out.extend(body);
    out
}

fn number(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(value, &mut out);
    out
}

/// A text with its length.
fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put_bytes(text.as_ref(), &mut out);
    out
}

/// A JSON array in an array, and so on, so many of them.
fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}
