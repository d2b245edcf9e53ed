use crate::Bytes;
use crate::types::{Offset, Utf8Bytes};

/// What a message carries; opaque to the server.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// Any JSON, as its text (`data` in JSON frames). Valid JSON: the server refuses anything else.
    Json(Bytes),
    /// A string (`text`).
    Text(Utf8Bytes),
    /// Bytes (`bin`, base64 in JSON frames).
    Binary(Bytes),
}

impl Payload {
    /// Returns the payload's bytes: JSON text, UTF-8, or the bytes themselves.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Json(bytes) | Self::Binary(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }
}

impl std::fmt::Debug for Payload {
    /// Shows the kind and the length: payloads never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Self::Json(_) => "Json",
            Self::Text(_) => "Text",
            Self::Binary(_) => "Binary",
        };
        write!(f, "{kind}({} bytes)", self.bytes().len())
    }
}

/// Names and values that travel with a message: at most 16, at most 1 KiB in all, each name once, in the
/// sender's order.
pub type Headers = Vec<(Utf8Bytes, Utf8Bytes)>;

/// A message as the server hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The place in the log; `None` for an ephemeral message (QoS 0).
    pub offset: Option<Offset>,
    /// The offset of the message before it in this stream, if that is not `offset − 1`.
    pub prev: Option<Offset>,
    /// Unique for its publisher in its channel: 1–128 bytes.
    pub id: Utf8Bytes,
    /// Who published it; `None` when anonymous or published by the server's own API.
    pub user: Option<Utf8Bytes>,
    /// The server's clock when it was stored, in ms since 1970; informative.
    pub time: u64,
    /// The sender's headers.
    pub headers: Headers,
    /// The content.
    pub payload: Payload,
}

impl Message {
    /// Returns the offset of the message before it in this stream.
    pub fn previous(&self) -> Option<Offset> {
        self.prev.or_else(|| self.offset.map(Offset::previous))
    }
}

/// Tells whether headers keep the limits: at most 16, at most 1 KiB in all, each name once and not empty.
pub fn headers_are_valid(headers: &Headers) -> bool {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_bytes().len() + value.as_bytes().len()).sum();
    let unique = |index: usize, name: &Utf8Bytes| headers.iter().take(index).all(|(other, _)| other != name);
    headers.len() <= crate::limits::HEADERS
        && bytes <= crate::limits::HEADER_BYTES
        && headers.iter().enumerate().all(|(index, (name, _))| !name.as_bytes().is_empty() && unique(index, name))
}
