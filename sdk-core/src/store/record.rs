//! The records' bytes: varints and length-prefixed texts, schema 1.

use bytes::{Buf, Bytes};
use moorline_protocol::{
    ChannelName, DeviceId, Epoch, Headers, Offset, Payload, Position, ProducerId, Qos, Sequence, UserName, Utf8Bytes,
    limits,
};

use super::Key;
use crate::error::StoreError;

/// The newest schema this version knows.
const SCHEMA: u64 = 1;

pub(super) const META_KEY: &[u8] = b"m";

pub(super) struct Meta {
    pub(super) device: DeviceId,
    pub(super) boot: u64,
    pub(super) producer: Option<ProducerId>,
    /// Whose it all is, once known.
    pub(super) user: Option<UserName>,
}

/// An outbox entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPublish {
    pub(crate) channel: ChannelName,
    pub(crate) qos: Qos,
    pub(crate) id: Utf8Bytes,
    /// Under which producer and as what, once it has entered the send window.
    pub(crate) seq: Option<(ProducerId, Sequence)>,
    /// ms since 1970.
    pub(crate) expires: Option<u64>,
    pub(crate) headers: Headers,
    pub(crate) payload: Payload,
}

/// What is known of a network: how long it keeps a silent connection, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredNetwork {
    /// What the host calls it.
    pub(crate) id: Option<u64>,
    /// So long it does.
    pub(crate) good: Option<u32>,
    /// So long it does not.
    pub(crate) bad: Option<u32>,
    /// The longest that the server allows.
    pub(crate) most: u32,
}

pub(super) enum Record {
    Meta(Meta),
    Publish(StoredPublish),
    Sequence {
        channel: ChannelName,
        producer: ProducerId,
        next: Sequence,
    },
    Cursor {
        channel: ChannelName,
        position: Position,
    },
    /// The server is to drop its cursor.
    Forgotten {
        channel: ChannelName,
    },
    /// The networks of the device, the current one last.
    Networks(Vec<StoredNetwork>),
    /// Of a later version, and such that this one can do without it.
    Later,
}

pub(super) fn publish_key(key: Key) -> Vec<u8> {
    numbered(b'e', key)
}

pub(super) fn sequence_key(key: Key) -> Vec<u8> {
    numbered(b'q', key)
}

pub(super) fn cursor_key(key: Key) -> Vec<u8> {
    numbered(b'p', key)
}

pub(super) fn forgotten_key(key: Key) -> Vec<u8> {
    numbered(b'f', key)
}

/// The key of the networks. A capital letter: whoever does not know it may do without the record.
pub(super) fn networks_key() -> Vec<u8> {
    numbered(b'N', 0)
}

pub(super) fn is_cursor(key: &[u8]) -> bool {
    key.first() == Some(&b'p')
}

/// A letter and 16 hexadecimal digits.
fn numbered(kind: u8, key: Key) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(17);
    bytes.push(kind);
    for shift in (0..16).rev() {
        let digit = (key >> (shift * 4) & 15) as u8;
        bytes.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
    bytes
}

pub(super) fn encode_meta(meta: &Meta) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    varint(&mut out, SCHEMA);
    text(&mut out, meta.device.as_str());
    varint(&mut out, meta.boot);
    match meta.producer {
        Some(id) => {
            out.push(1);
            out.extend_from_slice(&id.0.to_le_bytes());
        }
        None => out.push(0),
    }
    match &meta.user {
        Some(user) => {
            out.push(1);
            text(&mut out, user.as_str());
        }
        None => out.push(0),
    }
    out
}

pub(super) fn encode_sequence(channel: &ChannelName, producer: ProducerId, next: Sequence) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    text(&mut out, channel.as_str());
    out.extend_from_slice(&producer.0.to_le_bytes());
    varint(&mut out, next);
    out
}

pub(super) fn encode_cursor(channel: &ChannelName, position: Position) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    text(&mut out, channel.as_str());
    text(&mut out, position.epoch.as_str());
    varint(&mut out, position.offset.0);
    out
}

pub(super) fn encode_forgotten(channel: &ChannelName) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    text(&mut out, channel.as_str());
    out
}

pub(super) fn encode_networks(networks: &[StoredNetwork]) -> Vec<u8> {
    let mut out = Vec::with_capacity(networks.len() * 16);
    for network in networks {
        let flags = [network.id.is_some(), network.good.is_some(), network.bad.is_some()];
        out.push(flags.iter().rev().fold(0, |all, is_there| all << 1 | u8::from(*is_there)));
        if let Some(id) = network.id {
            out.extend_from_slice(&id.to_le_bytes());
        }
        for ms in [network.good, network.bad, Some(network.most)].into_iter().flatten() {
            varint(&mut out, u64::from(ms));
        }
    }
    out
}

pub(super) fn encode_publish(publish: &StoredPublish) -> Vec<u8> {
    let mut out = Vec::with_capacity(publish.payload.bytes().len() + 128);
    text(&mut out, publish.channel.as_str());
    out.push(publish.qos.level());
    text(&mut out, &publish.id);
    match publish.seq {
        Some((producer, seq)) => {
            out.push(1);
            out.extend_from_slice(&producer.0.to_le_bytes());
            varint(&mut out, seq);
        }
        None => out.push(0),
    }
    match publish.expires {
        Some(at) => {
            out.push(1);
            varint(&mut out, at);
        }
        None => out.push(0),
    }
    varint(&mut out, publish.headers.len() as u64);
    for (name, value) in &publish.headers {
        text(&mut out, name);
        text(&mut out, value);
    }
    out.push(match publish.payload {
        Payload::Json(_) => 0,
        Payload::Text(_) => 1,
        Payload::Binary(_) => 2,
    });
    out.extend_from_slice(publish.payload.bytes());
    out
}

pub(super) fn decode(key: &[u8], value: Bytes) -> Result<(Key, Record), StoreError> {
    let mut reader = Reader(value);
    if key == META_KEY {
        return Ok((0, Record::Meta(reader.meta()?)));
    }
    let Some((kind, digits)) = key.split_first() else { return Err(StoreError::Corrupt("a key is empty")) };
    let number = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.len() == 16)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        // No client counts so far, and the keys of new records follow.
        .filter(|number| *number <= limits::MAX_SAFE_INTEGER)
        .ok_or(StoreError::Corrupt("a key is not one of this client's"))?;
    let record = match kind {
        b'e' => Record::Publish(reader.publish()?),
        b'q' => Record::Sequence { channel: reader.channel()?, producer: reader.producer()?, next: reader.varint()? },
        b'p' => {
            let channel = reader.channel()?;
            let epoch = Epoch::new(&reader.text()?).map_err(|_| StoreError::Corrupt("an epoch"))?;
            Record::Cursor { channel, position: Position { epoch, offset: Offset(reader.varint()?) } }
        }
        b'f' => Record::Forgotten { channel: reader.channel()? },
        b'N' if number == 0 => Record::Networks(reader.networks()?),
        b'A'..=b'Z' => return Ok((number, Record::Later)),
        _ => return Err(StoreError::Corrupt("a key is not one of this client's")),
    };
    if reader.0.is_empty() { Ok((number, record)) } else { Err(StoreError::Corrupt("a record is too long")) }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

struct Reader(Bytes);

impl Reader {
    fn byte(&mut self) -> Result<u8, StoreError> {
        self.0.try_get_u8().map_err(|_| StoreError::Corrupt("a record is cut short"))
    }

    fn varint(&mut self) -> Result<u64, StoreError> {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(StoreError::Corrupt("a number is too long"))
    }

    fn bytes(&mut self) -> Result<Bytes, StoreError> {
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if length > self.0.len() {
            return Err(StoreError::Corrupt("a record is cut short"));
        }
        Ok(self.0.split_to(length))
    }

    fn text(&mut self) -> Result<Utf8Bytes, StoreError> {
        Utf8Bytes::from_bytes(self.bytes()?).map_err(|_| StoreError::Corrupt("a text is not UTF-8"))
    }

    fn channel(&mut self) -> Result<ChannelName, StoreError> {
        ChannelName::new(&self.text()?).map_err(|_| StoreError::Corrupt("a channel name"))
    }

    fn user(&mut self) -> Result<UserName, StoreError> {
        UserName::new(&self.text()?).map_err(|_| StoreError::Corrupt("a user name"))
    }

    fn producer(&mut self) -> Result<ProducerId, StoreError> {
        self.0.try_get_u128_le().map(ProducerId).map_err(|_| StoreError::Corrupt("a record is cut short"))
    }

    fn is_present(&mut self) -> Result<bool, StoreError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(StoreError::Corrupt("a flag")),
        }
    }

    fn meta(&mut self) -> Result<Meta, StoreError> {
        let schema = self.varint()?;
        if schema > SCHEMA {
            let found = u32::try_from(schema).unwrap_or(u32::MAX);
            return Err(StoreError::NewerSchema { found, known: SCHEMA as u32 });
        }
        let device = DeviceId::new(&self.text()?).map_err(|_| StoreError::Corrupt("the device id"))?;
        let boot = self.varint()?;
        let producer = if self.is_present()? { Some(self.producer()?) } else { None };
        let user = if self.is_present()? { Some(self.user()?) } else { None };
        if schema == 0 || !self.0.is_empty() {
            return Err(StoreError::Corrupt("the first record"));
        }
        Ok(Meta { device, boot, producer, user })
    }

    fn networks(&mut self) -> Result<Vec<StoredNetwork>, StoreError> {
        let mut networks = Vec::new();
        while !self.0.is_empty() {
            let flags = self.byte()?;
            let has = |bit: u8| flags & bit != 0;
            let cut = StoreError::Corrupt("a record is cut short");
            let id = if has(1) { Some(self.0.try_get_u64_le().map_err(|_| cut)?) } else { None };
            let good = if has(2) { Some(self.ms()?) } else { None };
            let bad = if has(4) { Some(self.ms()?) } else { None };
            networks.push(StoredNetwork { id, good, bad, most: self.ms()? });
        }
        Ok(networks)
    }

    fn ms(&mut self) -> Result<u32, StoreError> {
        u32::try_from(self.varint()?).map_err(|_| StoreError::Corrupt("an interval"))
    }

    fn publish(&mut self) -> Result<StoredPublish, StoreError> {
        let channel = self.channel()?;
        let qos = Qos::from_level(self.byte()?).ok_or(StoreError::Corrupt("a QoS"))?;
        let id = self.text()?;
        let seq = if self.is_present()? { Some((self.producer()?, self.varint()?)) } else { None };
        let expires = if self.is_present()? { Some(self.varint()?) } else { None };
        let count = self.varint()?;
        if count > limits::HEADERS as u64 {
            return Err(StoreError::Corrupt("headers"));
        }
        let mut headers = Headers::new();
        for _ in 0..count {
            headers.push((self.text()?, self.text()?));
        }
        let kind = self.byte()?;
        let bytes = std::mem::take(&mut self.0);
        let payload = match kind {
            0 => Payload::Json(bytes),
            1 => Payload::Text(Utf8Bytes::from_bytes(bytes).map_err(|_| StoreError::Corrupt("a text is not UTF-8"))?),
            2 => Payload::Binary(bytes),
            _ => return Err(StoreError::Corrupt("a payload")),
        };
        Ok(StoredPublish { channel, qos, id, seq, expires, headers, payload })
    }
}
