//! The records' bytes: varints and length-prefixed texts, schema 1.

use moorline_protocol::{
    Bytes, ChannelName, DeviceId, Epoch, Headers, NameError, Offset, Payload, Position, ProducerId, Qos, Sequence,
    UserName, Utf8Bytes, limits,
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
    let mut reader = Reader { rest: value, fault: None };
    if key == META_KEY {
        let meta = reader.meta()?;
        return reader.finish((0, Record::Meta(meta)));
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
        b'q' => Record::Sequence { channel: reader.channel()?, producer: reader.producer(), next: reader.varint() },
        b'p' => {
            let channel = reader.channel()?;
            let epoch = reader.epoch();
            Record::Cursor { channel, position: Position { epoch, offset: Offset(reader.varint()) } }
        }
        b'f' => Record::Forgotten { channel: reader.channel()? },
        b'N' if number == 0 => Record::Networks(reader.networks()),
        b'A'..=b'Z' => return Ok((number, Record::Later)),
        _ => return Err(StoreError::Corrupt("a key is not one of this client's")),
    };
    reader.check("a record is too long", reader.rest.is_empty());
    reader.finish((number, record))
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

/// Reads a record. What is wrong with it is asked once, at the end, but for names: they have no value then.
struct Reader {
    rest: Bytes,
    /// The first fault; nothing is left to read then.
    fault: Option<&'static str>,
}

impl Reader {
    fn finish<T>(&self, value: T) -> Result<T, StoreError> {
        match self.fault {
            None => Ok(value),
            Some(fault) => Err(StoreError::Corrupt(fault)),
        }
    }

    /// Notes what is wrong, unless `is_right`.
    fn check(&mut self, fault: &'static str, is_right: bool) {
        if !is_right {
            self.fault.get_or_insert(fault);
            self.rest.clear();
        }
    }

    fn take(&mut self, length: usize) -> Bytes {
        let is_there = length <= self.rest.len();
        self.check("a record is cut short", is_there);
        if is_there { self.rest.split_to(length) } else { Bytes::new() }
    }

    /// Takes so many bytes.
    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).first_chunk().copied().unwrap_or([0; N])
    }

    fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    fn varint(&mut self) -> u64 {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return value;
            }
        }
        self.check("a number is too long", false);
        value
    }

    fn bytes(&mut self) -> Bytes {
        let length = usize::try_from(self.varint()).unwrap_or(usize::MAX);
        self.take(length)
    }

    fn text(&mut self) -> Utf8Bytes {
        let bytes = self.bytes();
        self.utf8(bytes)
    }

    fn utf8(&mut self, bytes: Bytes) -> Utf8Bytes {
        Utf8Bytes::from_bytes(bytes).unwrap_or_else(|_| {
            self.check("a text is not UTF-8", false);
            Utf8Bytes::default()
        })
    }

    /// Takes a name.
    fn name<T>(&mut self, fault: &'static str, make: fn(&str) -> Result<T, NameError>) -> Result<T, StoreError> {
        let text = self.text();
        self.finish(())?;
        make(&text).map_err(|_| StoreError::Corrupt(fault))
    }

    fn channel(&mut self) -> Result<ChannelName, StoreError> {
        self.name("a channel name", ChannelName::new)
    }

    fn epoch(&mut self) -> Epoch {
        let text = self.text();
        Epoch::new(&text).unwrap_or_else(|_| {
            self.check("an epoch", false);
            Epoch::default()
        })
    }

    fn producer(&mut self) -> ProducerId {
        ProducerId(u128::from_le_bytes(self.array()))
    }

    fn is_present(&mut self) -> bool {
        let flag = self.byte();
        self.check("a flag", flag < 2);
        flag == 1
    }

    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.is_present().then(|| read(self))
    }

    fn meta(&mut self) -> Result<Meta, StoreError> {
        let schema = self.varint();
        if schema > SCHEMA {
            let found = u32::try_from(schema).unwrap_or(u32::MAX);
            return self.finish(()).and(Err(StoreError::NewerSchema { found, known: SCHEMA as u32 }));
        }
        let device = self.name("the device id", DeviceId::new)?;
        let boot = self.varint();
        let producer = self.maybe(Self::producer);
        let user = self.maybe(|reader| reader.name("a user name", UserName::new)).transpose()?;
        self.check("the first record", schema > 0 && self.rest.is_empty());
        Ok(Meta { device, boot, producer, user })
    }

    fn networks(&mut self) -> Vec<StoredNetwork> {
        let mut networks = Vec::new();
        while !self.rest.is_empty() {
            let flags = self.byte();
            let id = (flags & 1 != 0).then(|| u64::from_le_bytes(self.array()));
            let good = (flags & 2 != 0).then(|| self.ms());
            let bad = (flags & 4 != 0).then(|| self.ms());
            networks.push(StoredNetwork { id, good, bad, most: self.ms() });
        }
        networks
    }

    fn ms(&mut self) -> u32 {
        u32::try_from(self.varint()).unwrap_or_else(|_| {
            self.check("an interval", false);
            0
        })
    }

    fn publish(&mut self) -> Result<StoredPublish, StoreError> {
        let channel = self.channel()?;
        let qos = Qos::from_level(self.byte());
        self.check("a QoS", qos.is_some());
        let id = self.text();
        let seq = self.maybe(|reader| (reader.producer(), reader.varint()));
        let expires = self.maybe(Self::varint);
        let count = self.varint();
        self.check("headers", count <= limits::HEADERS as u64);
        let mut headers = Headers::new();
        for _ in 0..count.min(limits::HEADERS as u64) {
            headers.push((self.text(), self.text()));
        }
        let kind = self.byte();
        self.check("a payload", kind < 3);
        let bytes = std::mem::take(&mut self.rest);
        let payload = match kind {
            0 => Payload::Json(bytes),
            1 => Payload::Text(self.utf8(bytes)),
            _ => Payload::Binary(bytes),
        };
        Ok(StoredPublish { channel, qos: qos.unwrap_or(Qos::AtMostOnce), id, seq, expires, headers, payload })
    }
}
