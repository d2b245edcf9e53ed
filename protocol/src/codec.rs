use crate::Bytes;
use crate::frame::{ClientFrame, ServerFrame};

/// How frames are written on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// `moorline.v1.bin`: binary WebSocket messages.
    Binary,
    /// `moorline.v1.json`: text WebSocket messages.
    Json,
}

impl Codec {
    /// The WebSocket subprotocol of binary frames.
    pub const BINARY_SUBPROTOCOL: &'static str = "moorline.v1.bin";
    /// The WebSocket subprotocol of JSON frames.
    pub const JSON_SUBPROTOCOL: &'static str = "moorline.v1.json";
}

/// One frame of a WebSocket message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<F> {
    /// A frame this version knows.
    Frame(F),
    /// A frame of a later version that may be ignored.
    Ignored,
    /// A frame of a later version that must not be ignored: answer `request.unsupported`; the connection stays.
    Unsupported {
        /// Its `req`, if the codec can tell (JSON only).
        req: Option<u64>,
    },
}

/// Why bytes are not a frame. The peer broke the protocol: `request.malformed`, then 4500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a frame.
    #[error("the frame is cut short")]
    Truncated,
    /// A varint is longer than ten bytes or above 2^53−1 where that is the limit.
    #[error("a number is out of range")]
    Number,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Utf8,
    /// A name breaks its rule.
    #[error(transparent)]
    Name(#[from] crate::types::NameError),
    /// A field has a value that this type of field cannot have.
    #[error("the field {0} has a value it cannot have")]
    Field(&'static str),
    /// A field is missing.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// Not exactly one payload.
    #[error("exactly one of data, text and bin is needed")]
    Payload,
    /// The text is not JSON, nested too deeply, or has a key twice.
    #[error("the text is not a JSON object as the protocol wants it")]
    Json,
}

impl Codec {
    /// Appends one frame to `out`, which may hold earlier frames of the same WebSocket message.
    pub fn encode_client(self, frame: &ClientFrame, out: &mut Vec<u8>) {
        match self {
            Self::Binary => crate::binary::encode_client(frame, out),
            #[cfg(feature = "json")]
            Self::Json => crate::json::encode_client(frame, out),
            #[cfg(not(feature = "json"))]
            Self::Json => {}
        }
    }

    /// Appends one frame to `out`, which may hold earlier frames of the same WebSocket message.
    pub fn encode_server(self, frame: &ServerFrame, out: &mut Vec<u8>) {
        match self {
            Self::Binary => crate::binary::encode_server(frame, out),
            #[cfg(feature = "json")]
            Self::Json => crate::json::encode_server(frame, out),
            #[cfg(not(feature = "json"))]
            Self::Json => {}
        }
    }

    /// Takes the next frame from the front of a WebSocket message; `None` at its end.
    ///
    /// # Errors
    /// [`DecodeError`]; the rest of the message is worthless then.
    pub fn decode_client(self, message: &mut Bytes) -> Result<Option<Decoded<ClientFrame>>, DecodeError> {
        match self {
            Self::Binary => crate::binary::decode_client(message),
            #[cfg(feature = "json")]
            Self::Json => crate::json::decode_client(message),
            #[cfg(not(feature = "json"))]
            Self::Json => Err(DecodeError::Json),
        }
    }

    /// Takes the next frame from the front of a WebSocket message; `None` at its end.
    ///
    /// # Errors
    /// [`DecodeError`]; the rest of the message is worthless then.
    pub fn decode_server(self, message: &mut Bytes) -> Result<Option<Decoded<ServerFrame>>, DecodeError> {
        match self {
            Self::Binary => crate::binary::decode_server(message),
            #[cfg(feature = "json")]
            Self::Json => crate::json::decode_server(message),
            #[cfg(not(feature = "json"))]
            Self::Json => Err(DecodeError::Json),
        }
    }
}
