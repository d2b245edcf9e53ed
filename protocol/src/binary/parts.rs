//! Parts that several frames share.

use bytes::Bytes;

use super::varint::{put, put_bytes, take, take_bytes, take_safe, take_text, take_u8, take_u32};
use crate::codec::DecodeError;
use crate::decimal::decimal;
use crate::frame::{ChannelRef, OpenEnum, PresenceVersion};
use crate::limits;
use crate::types::{
    ChannelName, ChannelNumber, DeviceId, Epoch, Offset, Position, ProducerId, Qos, UserName, Utf8Bytes,
};

pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_bytes(text.as_bytes(), out);
}

pub(super) fn put_opt<T>(value: Option<T>, out: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) {
    if let Some(value) = value {
        write(value, out);
    }
}

/// Takes a field that is there if `flag` is set.
pub(super) fn take_opt<T>(
    flags: u64,
    flag: u64,
    body: &mut Bytes,
    read: impl FnOnce(&mut Bytes) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if flags & flag == 0 { Ok(None) } else { read(body).map(Some) }
}

/// Returns `flag` if the field is there.
pub(super) fn flag<T>(value: &Option<T>, flag: u64) -> u64 {
    if value.is_some() { flag } else { 0 }
}

/// Returns `flag` if the condition holds.
pub(super) fn when(condition: bool, flag: u64) -> u64 {
    if condition { flag } else { 0 }
}

pub(super) fn put_channel(channel: &ChannelRef, out: &mut Vec<u8>) {
    match channel {
        ChannelRef::Name(name) => {
            out.push(0);
            put_text(name.as_str(), out);
        }
        ChannelRef::Number(number) => put(u64::from(number.0), out),
    }
}

pub(super) fn take_channel(body: &mut Bytes) -> Result<ChannelRef, DecodeError> {
    match take_u32(body)? {
        0 => take_name(body).map(ChannelRef::Name),
        number => Ok(ChannelRef::Number(ChannelNumber(number))),
    }
}

pub(super) fn take_name(body: &mut Bytes) -> Result<ChannelName, DecodeError> {
    Ok(ChannelName::new(&take_text(body)?)?)
}

pub(super) fn take_user(body: &mut Bytes) -> Result<UserName, DecodeError> {
    Ok(UserName::new(&take_text(body)?)?)
}

pub(super) fn take_device(body: &mut Bytes) -> Result<DeviceId, DecodeError> {
    Ok(DeviceId::new(&take_text(body)?)?)
}

/// Takes a number from 1 to 2^53−1.
pub(super) fn take_positive(body: &mut Bytes, field: &'static str) -> Result<u64, DecodeError> {
    match take_safe(body)? {
        0 => Err(DecodeError::Field(field)),
        number => Ok(number),
    }
}

pub(super) fn take_offset(body: &mut Bytes) -> Result<Offset, DecodeError> {
    take_safe(body).map(Offset)
}

pub(super) fn put_epoch(epoch: Epoch, out: &mut Vec<u8>) {
    put_text(epoch.as_str(), out);
}

pub(super) fn take_epoch(body: &mut Bytes) -> Result<Epoch, DecodeError> {
    Ok(Epoch::new(&take_text(body)?)?)
}

pub(super) fn put_position(position: Position, out: &mut Vec<u8>) {
    put_epoch(position.epoch, out);
    put(position.offset.0, out);
}

pub(super) fn take_position(body: &mut Bytes) -> Result<Position, DecodeError> {
    Ok(Position { epoch: take_epoch(body)?, offset: take_offset(body)? })
}

pub(super) fn put_producer(id: ProducerId, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.0.to_be_bytes());
}

pub(super) fn take_producer(body: &mut Bytes) -> Result<ProducerId, DecodeError> {
    let bytes = body.get(..16).and_then(|bytes| bytes.try_into().ok()).ok_or(DecodeError::Truncated)?;
    let _ = body.split_to(16);
    Ok(ProducerId(u128::from_be_bytes(bytes)))
}

pub(super) fn take_qos(body: &mut Bytes) -> Result<Qos, DecodeError> {
    Qos::from_level(take_u8(body)?).ok_or(DecodeError::Field("qos"))
}

/// Takes a text of at most so many bytes.
pub(super) fn take_short(body: &mut Bytes, field: &'static str, most: usize) -> Result<Utf8Bytes, DecodeError> {
    let text = take_text(body)?;
    if text.as_bytes().len() <= most { Ok(text) } else { Err(DecodeError::Field(field)) }
}

pub(super) fn take_token(body: &mut Bytes) -> Result<Utf8Bytes, DecodeError> {
    take_short(body, "token", limits::TOKEN_BYTES)
}

pub(super) fn take_state(body: &mut Bytes) -> Result<Bytes, DecodeError> {
    let state = take_bytes(body)?;
    if state.len() <= limits::PRESENCE_STATE_BYTES { Ok(state) } else { Err(DecodeError::Field("state")) }
}

pub(super) fn put_caps(caps: &[Utf8Bytes], out: &mut Vec<u8>) {
    put(caps.len() as u64, out);
    for cap in caps {
        put_bytes(cap.as_bytes(), out);
    }
}

pub(super) fn take_caps(body: &mut Bytes) -> Result<Vec<Utf8Bytes>, DecodeError> {
    take_few(body, "caps", limits::CAPS, |body| take_short(body, "caps", limits::CAP))
}

/// Takes a count of at most so many, and so many items.
pub(super) fn take_few<T>(
    body: &mut Bytes,
    field: &'static str,
    most: usize,
    read: impl FnMut(&mut Bytes) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = take(&mut body.clone())?;
    if count > most as u64 { Err(DecodeError::Field(field)) } else { take_list(body, read) }
}

/// Takes a count and so many items. The list grows as items are found, so a lie about the count costs nothing.
pub(super) fn take_list<T>(
    body: &mut Bytes,
    mut read: impl FnMut(&mut Bytes) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = take(body)?;
    if count > body.len() as u64 {
        return Err(DecodeError::Truncated);
    }
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(read(body)?);
    }
    Ok(list)
}

pub(super) fn put_version(version: PresenceVersion, out: &mut Vec<u8>) {
    put(version.run, out);
    put(version.n, out);
}

pub(super) fn take_version(body: &mut Bytes) -> Result<PresenceVersion, DecodeError> {
    Ok(PresenceVersion { run: take_safe(body)?, n: take_safe(body)? })
}

/// Appends the number of an open enumeration. A value of a later version goes as its number if that is all that is
/// known of it, otherwise as 0 and its name.
pub(super) fn put_open<T: OpenEnum>(value: &T, out: &mut Vec<u8>) {
    match value.number().or_else(|| later_number::<T>(value.name())) {
        Some(number) => put(u64::from(number), out),
        None => {
            out.push(0);
            put_text(value.name(), out);
        }
    }
}

/// Takes the number of an open enumeration; one that this version does not know becomes its decimal name.
pub(super) fn take_open<T: OpenEnum>(body: &mut Bytes) -> Result<T, DecodeError> {
    match u16::try_from(take(body)?).map_err(|_| DecodeError::Number)? {
        0 => Ok(T::from_name(&take_text(body)?)),
        number => Ok(T::from_number(number).unwrap_or_else(|| T::from_name(&decimal(u64::from(number))))),
    }
}

/// Returns the number that [`take_open`] has made this name of.
fn later_number<T: OpenEnum>(name: &str) -> Option<u16> {
    let number = name.parse().ok().filter(|number| *number > 0 && T::from_number(*number).is_none())?;
    (decimal(u64::from(number)) == name).then_some(number)
}
