//! Parts that several frames share.

use super::varint::{put, put_bytes};
use crate::decimal::decimal;
use crate::frame::{ChannelRef, OpenEnum, PresenceVersion};
use crate::types::{Epoch, Position, ProducerId, Utf8Bytes};

pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_bytes(text.as_bytes(), out);
}

pub(super) fn put_opt<T>(value: Option<T>, out: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) {
    if let Some(value) = value {
        write(value, out);
    }
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

pub(super) fn put_epoch(epoch: Epoch, out: &mut Vec<u8>) {
    put_text(epoch.as_str(), out);
}

pub(super) fn put_position(position: Position, out: &mut Vec<u8>) {
    put_epoch(position.epoch, out);
    put(position.offset.0, out);
}

pub(super) fn put_producer(id: ProducerId, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.0.to_be_bytes());
}

pub(super) fn put_caps(caps: &[Utf8Bytes], out: &mut Vec<u8>) {
    put(caps.len() as u64, out);
    for cap in caps {
        put_bytes(cap.as_bytes(), out);
    }
}

pub(super) fn put_version(version: PresenceVersion, out: &mut Vec<u8>) {
    put(version.run, out);
    put(version.n, out);
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

/// Returns the number that `Body::open` has made this name of.
fn later_number<T: OpenEnum>(name: &str) -> Option<u16> {
    let number = name.parse().ok().filter(|number| *number > 0 && T::from_number(*number).is_none())?;
    (decimal(u64::from(number)) == name).then_some(number)
}
