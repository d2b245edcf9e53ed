//! JSON shapes that several frames share, and how they become wire types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::codec::DecodeError;
use crate::frame::{Member, MembersView, PresenceVersion};
use crate::limits;
use crate::message::{Headers, Message, Payload, headers_are_valid};
use crate::types::{Offset, Position, Utf8Bytes};

/// A number of at most 2^53−1.
pub(super) fn safe(number: u64) -> Result<u64, DecodeError> {
    if number <= limits::MAX_SAFE_INTEGER { Ok(number) } else { Err(DecodeError::Number) }
}

pub(super) fn offset(number: u64) -> Result<Offset, DecodeError> {
    safe(number).map(Offset)
}

pub(super) fn raw(bytes: &Bytes) -> Option<Box<RawValue>> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    RawValue::from_string(text).ok()
}

pub(super) fn bytes(raw: &RawValue) -> Bytes {
    Bytes::copy_from_slice(raw.get().as_bytes())
}

/// A presence state: JSON of at most 4 KiB.
pub(super) fn state(raw: Option<&RawValue>) -> Result<Option<Bytes>, DecodeError> {
    match raw {
        Some(raw) if raw.get().len() > limits::PRESENCE_STATE_BYTES => Err(DecodeError::Field("state")),
        other => Ok(other.map(bytes)),
    }
}

pub(super) fn token(text: Option<String>) -> Result<Option<Utf8Bytes>, DecodeError> {
    match text {
        Some(text) if text.len() > limits::TOKEN_BYTES => Err(DecodeError::Field("token")),
        other => Ok(other.map(Into::into)),
    }
}

pub(super) fn id(text: Option<String>) -> Result<Option<Utf8Bytes>, DecodeError> {
    match text {
        Some(text) if !(1..=limits::MESSAGE_ID).contains(&text.len()) => Err(DecodeError::Field("id")),
        other => Ok(other.map(Into::into)),
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct JsonPosition {
    epoch: String,
    offset: u64,
}

impl From<Position> for JsonPosition {
    fn from(position: Position) -> Self {
        Self { epoch: position.epoch.as_str().to_owned(), offset: position.offset.0 }
    }
}

impl JsonPosition {
    pub(super) fn read(&self) -> Result<Position, DecodeError> {
        Ok(Position { epoch: crate::Epoch::new(&self.epoch)?, offset: offset(self.offset)? })
    }
}

/// An object of texts that keeps the order of its keys, and refuses a key that stands twice.
#[derive(Default)]
pub(super) struct Pairs(pub(super) Headers);

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name.as_str(), value.as_str())?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut headers = Headers::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if headers.len() >= limits::HEADERS {
                        return Err(A::Error::custom("too many headers"));
                    }
                    headers.push((name.into(), value.into()));
                }
                Ok(Pairs(headers))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

pub(super) fn headers(pairs: Pairs) -> Result<Headers, DecodeError> {
    if headers_are_valid(&pairs.0) { Ok(pairs.0) } else { Err(DecodeError::Field("headers")) }
}

/// Exactly one of `data`, `text` and `bin`.
#[derive(Serialize, Deserialize, Default)]
pub(super) struct JsonPayload {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    data: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bin: Option<String>,
}

/// Reads a field that is there, so that `null` is a value and not its absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl From<&Payload> for JsonPayload {
    fn from(payload: &Payload) -> Self {
        match payload {
            // A payload that is not JSON would break the frame: it goes out as nothing else could, as null.
            Payload::Json(json) => {
                Self { data: raw(json).or_else(|| raw(&Bytes::from_static(b"null"))), ..Self::default() }
            }
            Payload::Text(text) => Self { text: Some(text.as_str().to_owned()), ..Self::default() },
            Payload::Binary(bytes) => Self { bin: Some(STANDARD.encode(bytes)), ..Self::default() },
        }
    }
}

impl JsonPayload {
    pub(super) fn binary(bin: String) -> Self {
        Self { bin: Some(bin), ..Self::default() }
    }

    pub(super) fn read(self) -> Result<Payload, DecodeError> {
        match (self.data, self.text, self.bin) {
            (Some(data), None, None) => Ok(Payload::Json(bytes(&data))),
            (None, Some(text), None) => Ok(Payload::Text(text.into())),
            (None, None, Some(bin)) => {
                STANDARD.decode(bin).map(|bin| Payload::Binary(bin.into())).map_err(|_| DecodeError::Field("bin"))
            }
            (None, None, None) => Err(DecodeError::Missing("data, text or bin")),
            _ => Err(DecodeError::Field("data, text or bin: only one of them")),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct JsonMessage {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<u64>,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    time: u64,
    #[serde(default, skip_serializing_if = "is_empty")]
    headers: Pairs,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bin: Option<String>,
}

fn is_empty(pairs: &Pairs) -> bool {
    pairs.0.is_empty()
}

impl From<&Message> for JsonMessage {
    fn from(message: &Message) -> Self {
        let JsonPayload { data, text, bin } = JsonPayload::from(&message.payload);
        Self {
            offset: message.offset.map(|offset| offset.0),
            prev: message.prev.map(|offset| offset.0),
            id: message.id.as_str().to_owned(),
            user: message.user.as_ref().map(|user| user.as_str().to_owned()),
            time: message.time,
            headers: Pairs(message.headers.clone()),
            data,
            text,
            bin,
        }
    }
}

impl JsonMessage {
    pub(super) fn read(self) -> Result<Message, DecodeError> {
        Ok(Message {
            offset: self.offset.map(offset).transpose()?,
            prev: self.prev.map(offset).transpose()?,
            id: id(Some(self.id))?.ok_or(DecodeError::Missing("id"))?,
            user: self.user.map(Into::into),
            time: safe(self.time)?,
            headers: headers(self.headers)?,
            payload: JsonPayload { data: self.data, text: self.text, bin: self.bin }.read()?,
        })
    }
}

pub(super) fn messages(list: Vec<JsonMessage>) -> Result<Vec<Message>, DecodeError> {
    list.into_iter().map(JsonMessage::read).collect()
}

#[derive(Serialize, Deserialize)]
pub(super) struct JsonVersion {
    run: u64,
    n: u64,
}

impl From<PresenceVersion> for JsonVersion {
    fn from(version: PresenceVersion) -> Self {
        Self { run: version.run, n: version.n }
    }
}

impl JsonVersion {
    pub(super) fn read(&self) -> Result<PresenceVersion, DecodeError> {
        Ok(PresenceVersion { run: safe(self.run)?, n: safe(self.n)? })
    }
}

#[derive(Serialize, Deserialize)]
struct JsonMember {
    user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<Box<RawValue>>,
    since: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct JsonView {
    version: JsonVersion,
    count: u64,
    members: Vec<JsonMember>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl From<&MembersView> for JsonView {
    fn from(view: &MembersView) -> Self {
        let member = |member: &Member| JsonMember {
            user: member.user.as_str().to_owned(),
            state: member.state.as_ref().and_then(raw),
            since: member.since,
        };
        Self {
            version: view.version.into(),
            count: view.count,
            members: view.members.iter().map(member).collect(),
            cursor: view.cursor.as_ref().map(|cursor| cursor.as_str().to_owned()),
        }
    }
}

impl JsonView {
    pub(super) fn read(self) -> Result<MembersView, DecodeError> {
        let member = |member: JsonMember| {
            let user = crate::UserName::new(&member.user)?;
            Ok(Member { user, state: state(member.state.as_deref())?, since: safe(member.since)? })
        };
        Ok(MembersView {
            version: self.version.read()?,
            count: safe(self.count)?,
            members: self.members.into_iter().map(member).collect::<Result<_, DecodeError>>()?,
            cursor: self.cursor.map(Into::into),
        })
    }
}
