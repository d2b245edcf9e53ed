//! Reading the body of a frame.

use std::sync::Arc;

use super::varint;
use crate::Bytes;
use crate::codec::DecodeError;
use crate::decimal::decimal;
use crate::frame::{ChannelRef, OpenEnum, PresenceVersion};
use crate::limits;
use crate::types::{
    ChannelName, ChannelNumber, DeviceId, Epoch, NameError, Offset, Position, ProducerId, Qos, UserName, Utf8Bytes,
};

/// The rest of a frame's body.
///
/// What is wrong with it is asked once, at the end: the first fault is kept, nothing is left to read from then on, and
/// what was read is worth nothing. That is a good part smaller than asking after each field.
pub(super) struct Body {
    bytes: Bytes,
    fault: Option<DecodeError>,
}

impl Body {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes, fault: None }
    }

    /// Returns what was read of it, unless something is wrong with it.
    pub(super) fn finish<T>(self, value: T) -> Result<T, DecodeError> {
        match self.fault {
            None => Ok(value),
            Some(fault) => Err(fault),
        }
    }

    /// Notes what is wrong.
    pub(super) fn fail(&mut self, fault: DecodeError) {
        self.fault.get_or_insert(fault);
        self.bytes.clear();
    }

    /// Notes that a field has a value that it cannot have, unless `is_valid`.
    pub(super) fn check(&mut self, field: &'static str, is_valid: bool) {
        if !is_valid {
            self.fail(DecodeError::Field(field));
        }
    }

    /// Tells whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes all that is left.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }

    fn read<T: Default>(&mut self, read: fn(&mut Bytes) -> Result<T, DecodeError>) -> T {
        match read(&mut self.bytes) {
            Ok(value) => value,
            Err(fault) => {
                self.fail(fault);
                T::default()
            }
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.read(varint::take)
    }

    /// Takes a number of at most 2^53−1.
    pub(super) fn safe(&mut self) -> u64 {
        let value = self.number();
        if value > limits::MAX_SAFE_INTEGER {
            self.fail(DecodeError::Number);
        }
        value
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or_else(|_| {
            self.fail(DecodeError::Number);
            0
        })
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.read(varint::take_u8)
    }

    /// Takes so many bytes.
    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((array, _)) = self.bytes.split_first_chunk() else {
            self.fail(DecodeError::Truncated);
            return [0; N];
        };
        let array = *array;
        let _ = self.bytes.split_to(N);
        array
    }

    /// Takes a length and so many bytes.
    pub(super) fn bytes(&mut self) -> Bytes {
        self.read(varint::take_bytes)
    }

    /// Takes a length and so many bytes of UTF-8.
    pub(super) fn text(&mut self) -> Utf8Bytes {
        let bytes = self.bytes();
        self.utf8(bytes)
    }

    pub(super) fn utf8(&mut self, bytes: Bytes) -> Utf8Bytes {
        Utf8Bytes::from_bytes(bytes).unwrap_or_else(|_| {
            self.fail(DecodeError::Utf8);
            Utf8Bytes::default()
        })
    }

    /// Takes a text of at most so many bytes.
    pub(super) fn short(&mut self, field: &'static str, most: usize) -> Utf8Bytes {
        let text = self.text();
        self.check(field, text.as_bytes().len() <= most);
        text
    }

    /// Takes a length, and what `read` makes of so many bytes.
    pub(super) fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let inner = self.bytes();
        let rest = std::mem::replace(&mut self.bytes, inner);
        let value = read(self);
        if self.fault.is_none() {
            self.bytes = rest;
        }
        value
    }

    /// Takes a field if it is there.
    pub(super) fn opt<T>(&mut self, is_there: bool, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        is_there.then(|| read(self))
    }

    /// Takes a count and so many items. The list grows as items are found, so a lie about the count costs nothing.
    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut list = Vec::new();
        for _ in 0..self.count() {
            list.push(read(self));
            if self.fault.is_some() {
                break;
            }
        }
        list
    }

    fn count(&mut self) -> u64 {
        let count = self.number();
        if count > self.bytes.len() as u64 {
            self.fail(DecodeError::Truncated);
            return 0;
        }
        count
    }

    /// Takes a count of at most so many, and so many items.
    pub(super) fn few<T>(&mut self, field: &'static str, most: usize, read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        if varint::take(&mut self.bytes.clone()).is_ok_and(|count| count > most as u64) {
            self.check(field, false);
        }
        self.list(read)
    }

    fn name(&mut self, check: fn(&str) -> Result<(), NameError>) -> Arc<str> {
        let text = self.text();
        if let Err(error) = check(&text) {
            self.fail(DecodeError::Name(error));
        }
        Arc::from(text.as_str())
    }

    pub(super) fn channel_name(&mut self) -> ChannelName {
        ChannelName::checked(self.name(ChannelName::check))
    }

    pub(super) fn user(&mut self) -> UserName {
        UserName::checked(self.name(UserName::check))
    }

    pub(super) fn device(&mut self) -> DeviceId {
        DeviceId::checked(self.name(DeviceId::check))
    }

    pub(super) fn channel(&mut self) -> ChannelRef {
        match self.u32() {
            0 => ChannelRef::Name(self.channel_name()),
            number => ChannelRef::Number(ChannelNumber(number)),
        }
    }

    /// Takes a number from 1 to 2^53−1.
    pub(super) fn positive(&mut self, field: &'static str) -> u64 {
        let number = self.safe();
        self.check(field, number > 0);
        number
    }

    pub(super) fn offset(&mut self) -> Offset {
        Offset(self.safe())
    }

    pub(super) fn epoch(&mut self) -> Epoch {
        let text = self.text();
        Epoch::new(&text).unwrap_or_else(|error| {
            self.fail(DecodeError::Name(error));
            Epoch::default()
        })
    }

    pub(super) fn position(&mut self) -> Position {
        Position { epoch: self.epoch(), offset: self.offset() }
    }

    pub(super) fn producer(&mut self) -> ProducerId {
        ProducerId(u128::from_be_bytes(self.array()))
    }

    pub(super) fn qos(&mut self) -> Qos {
        let level = self.byte();
        self.level(level)
    }

    /// Returns the level with this number.
    pub(super) fn level(&mut self, level: u8) -> Qos {
        Qos::from_level(level).unwrap_or_else(|| {
            self.check("qos", false);
            Qos::AtMostOnce
        })
    }

    pub(super) fn token(&mut self) -> Utf8Bytes {
        self.short("token", limits::TOKEN_BYTES)
    }

    pub(super) fn state(&mut self) -> Bytes {
        let state = self.bytes();
        self.check("state", state.len() <= limits::PRESENCE_STATE_BYTES);
        state
    }

    pub(super) fn caps(&mut self) -> Vec<Utf8Bytes> {
        self.few("caps", limits::CAPS, |body| body.short("caps", limits::CAP))
    }

    pub(super) fn version(&mut self) -> PresenceVersion {
        PresenceVersion { run: self.safe(), n: self.safe() }
    }

    /// Takes the number of an open enumeration; one that this version does not know becomes its decimal name.
    pub(super) fn open<T: OpenEnum>(&mut self) -> T {
        let number = self.open_number();
        T::from_number(number).unwrap_or_else(|| T::from_name(&self.open_name(number)))
    }

    fn open_number(&mut self) -> u16 {
        u16::try_from(self.number()).unwrap_or_else(|_| {
            self.fail(DecodeError::Number);
            0
        })
    }

    fn open_name(&mut self, number: u16) -> String {
        if number == 0 { self.text().as_str().to_owned() } else { decimal(u64::from(number)) }
    }
}
