use std::fmt;

use bytes::Bytes;
use moorline_core::Received;
use moorline_core::protocol;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// What a message carries: JSON, a text, or bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(pub(crate) protocol::Payload);

impl Payload {
    /// Makes a payload of anything that can be JSON.
    ///
    /// # Errors
    /// `request.malformed` if the value cannot be JSON (a map whose keys are no texts, for instance).
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        let text = serde_json::to_vec(value).map_err(|error| Error::client("request.malformed", error.to_string()))?;
        Ok(Self(protocol::Payload::Json(text.into())))
    }

    /// Makes a payload of JSON text.
    ///
    /// # Errors
    /// `request.malformed` if it is no JSON.
    pub fn json_text(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let checked = serde_json::from_str::<serde::de::IgnoredAny>(&text);
        checked.map_err(|error| Error::client("request.malformed", format!("the payload is no JSON: {error}")))?;
        Ok(Self(protocol::Payload::Json(text.into())))
    }

    /// Makes a payload of a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self(protocol::Payload::Text(text.into().into()))
    }

    /// Makes a payload of bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(protocol::Payload::Binary(bytes.into()))
    }

    /// Reads it as JSON.
    ///
    /// # Errors
    /// The parser's; also for a text or bytes that are no JSON.
    pub fn to_json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.as_bytes())
    }

    /// Returns the text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            protocol::Payload::Text(text) => Some(text.as_str()),
            protocol::Payload::Json(_) | protocol::Payload::Binary(_) => None,
        }
    }

    /// Returns the bytes: JSON text, UTF-8, or the bytes themselves.
    pub fn as_bytes(&self) -> &Bytes {
        self.0.bytes()
    }

    /// Tells whether it was published as JSON.
    pub fn is_json(&self) -> bool {
        matches!(self.0, protocol::Payload::Json(_))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Where.
    pub channel: String,
    /// Unique in its channel.
    pub id: String,
    /// The life of the channel's log.
    pub epoch: String,
    /// The place in the log; `None` for an ephemeral message (QoS 0).
    pub offset: Option<u64>,
    /// Who published it.
    pub user: Option<String>,
    /// The server's clock when it was stored, ms since 1970; informative.
    pub time: u64,
    /// Whether it comes from the log rather than live.
    pub replayed: bool,
    /// Whether it may have been handed out before, by an earlier process.
    pub redelivered: bool,
    /// The sender's headers.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub payload: Payload,
    pub(crate) position: Option<protocol::Position>,
}

impl Message {
    /// Reads the payload as JSON.
    ///
    /// # Errors
    /// The parser's.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.payload.to_json()
    }

    /// Returns the payload's text, if it was published as one.
    pub fn text(&self) -> Option<&str> {
        self.payload.as_text()
    }

    /// Returns the payload's bytes, whatever it was published as.
    pub fn bytes(&self) -> &Bytes {
        self.payload.as_bytes()
    }

    pub(crate) fn new(channel: &str, epoch: protocol::Epoch, message: protocol::Message) -> Self {
        let offset = message.offset;
        Self {
            channel: channel.to_owned(),
            id: message.id.as_str().to_owned(),
            epoch: epoch.as_str().to_owned(),
            offset: offset.map(|offset| offset.0),
            user: message.user.map(|user| user.as_str().to_owned()),
            time: message.time,
            replayed: true,
            redelivered: false,
            headers: message.headers.iter().map(|(n, v)| (n.as_str().to_owned(), v.as_str().to_owned())).collect(),
            payload: Payload(message.payload),
            position: offset.map(|offset| protocol::Position { epoch, offset }),
        }
    }
}

impl From<Received> for Message {
    fn from(received: Received) -> Self {
        let (replayed, redelivered) = (received.replayed, received.redelivered);
        let message = Self::new(received.channel.as_str(), received.epoch, received.message);
        Self { replayed, redelivered, ..message }
    }
}
