//! Records as bytes. Kinds and fields are on disk: never change them, only add.

use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::binary::varint::{put, put_bytes, take, take_bytes, take_safe, take_text, take_u8, take_u32};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{
    AppName, ChannelName, DecodeError, DeviceId, Epoch, ErrorCode, Offset, Position, ProducerId, UserName,
};

use super::{ChannelId, HookRecord, IdEntry, Outcome, Record, Verdict};
use crate::engine::core::Kept;
use crate::engine::hooks::PushDevice;
use crate::engine::{ChannelKey, Owner, ProducerSequence, Revocation};

impl Record {
    /// Appends the record: a kind byte and its fields.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Start { counter } => head(1, &[*counter], out),
            Self::SharedEpoch { n, next_channel } => head(2, &[*n, u64::from(*next_channel)], out),
            Self::Channel { id, key, epoch, first, head: newest, time } => {
                head(3, &[u64::from(id.0), first.0, newest.0, *time], out);
                put_key(key, out);
                put_bytes(epoch.as_str().as_bytes(), out);
            }
            Self::Append { channel, id, expires, producer, bytes } => {
                put_append(*channel, id, *expires, producer.as_ref(), bytes, out);
            }
            Self::Verdict { channel, producer, verdict } => {
                head(5, &[u64::from(channel.0)], out);
                out.extend_from_slice(&producer.0.to_le_bytes());
                put_verdict(verdict, out);
            }
            Self::Producer { id, owner, generation, used } => {
                head(6, &[*generation, *used], out);
                out.extend_from_slice(&id.0.to_le_bytes());
                put_owner(owner, out);
            }
            Self::ProducerChannel { producer, channel, last, verdicts } => {
                head(7, &[u64::from(channel.0), *last, verdicts.len() as u64], out);
                out.extend_from_slice(&producer.0.to_le_bytes());
                verdicts.iter().for_each(|verdict| put_verdict(verdict, out));
            }
            Self::Ids { channel, entries } => {
                head(8, &[u64::from(channel.0), entries.len() as u64], out);
                entries.iter().for_each(|entry| put_id(entry, out));
            }
            Self::Cursor { owner, channel, position, used } => {
                head(9, &[u64::from(channel.0), position.offset.0, *used], out);
                put_bytes(position.epoch.as_str().as_bytes(), out);
                put_owner(owner, out);
            }
            Self::ForgetCursor { owner, channel } => {
                head(10, &[u64::from(channel.0)], out);
                put_owner(owner, out);
            }
            Self::ForgetProducer { id } => {
                head(11, &[], out);
                out.extend_from_slice(&id.0.to_le_bytes());
            }
            Self::ForgetChannel { id } => head(12, &[u64::from(id.0)], out),
            Self::Trim { channel, first } => head(13, &[u64::from(channel.0), first.0], out),
            Self::NewEpoch { channel, epoch } => {
                head(14, &[u64::from(channel.0)], out);
                put_bytes(epoch.as_str().as_bytes(), out);
            }
            Self::Revoke { revocation, time } => put_revocation(revocation, *time, out),
            Self::ChannelReferred { id, time } => head(20, &[u64::from(id.0), *time], out),
            Self::Clock { time } => head(19, &[*time], out),
            Self::ChannelUsed { id, time } => head(18, &[u64::from(id.0), *time], out),
            Self::Hook(record) => put_hook(record, out),
            Self::Push { app, user, devices } => put_push(app, user, devices, out),
            Self::Moved { channel, message } => put_moved(*channel, message, out),
        }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// [`DecodeError`]: the bytes are not a record of this version.
    pub fn decode(bytes: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(match take_u8(bytes)? {
            1 => Self::Start { counter: take(bytes)? },
            2 => Self::SharedEpoch { n: take(bytes)?, next_channel: take_u32(bytes)? },
            3 => {
                let (id, first, head) = (take_channel(bytes)?, take_offset(bytes)?, take_offset(bytes)?);
                let (time, key) = (take(bytes)?, take_key(bytes)?);
                Self::Channel { id, key, epoch: take_epoch(bytes)?, first, head, time }
            }
            4 => take_append(bytes)?,
            5 => Self::Verdict {
                channel: take_channel(bytes)?,
                producer: take_producer(bytes)?,
                verdict: take_verdict(bytes)?,
            },
            6 => {
                let (generation, used) = (take(bytes)?, take(bytes)?);
                Self::Producer { id: take_producer(bytes)?, owner: take_owner(bytes)?, generation, used }
            }
            7 => {
                let (channel, last, count) = (take_channel(bytes)?, take(bytes)?, take(bytes)?);
                let producer = take_producer(bytes)?;
                Self::ProducerChannel { producer, channel, last, verdicts: take_many(count, bytes, take_verdict)? }
            }
            8 => {
                let (channel, count) = (take_channel(bytes)?, take(bytes)?);
                Self::Ids { channel, entries: take_many(count, bytes, take_id)? }
            }
            9 => {
                let (channel, offset, used) = (take_channel(bytes)?, take_offset(bytes)?, take(bytes)?);
                let position = Position { epoch: take_epoch(bytes)?, offset };
                Self::Cursor { owner: take_owner(bytes)?, channel, position, used }
            }
            10 => {
                let channel = take_channel(bytes)?;
                Self::ForgetCursor { owner: take_owner(bytes)?, channel }
            }
            11 => Self::ForgetProducer { id: take_producer(bytes)? },
            12 => Self::ForgetChannel { id: take_channel(bytes)? },
            13 => Self::Trim { channel: take_channel(bytes)?, first: take_offset(bytes)? },
            14 => Self::NewEpoch { channel: take_channel(bytes)?, epoch: take_epoch(bytes)? },
            kind @ (15 | 16) => take_revocation(kind, bytes)?,
            17 => {
                let (channel, offset, time, expires) =
                    (take_channel(bytes)?, take_offset(bytes)?, take(bytes)?, take(bytes)?);
                let expires = expires.checked_sub(1);
                Self::Moved { channel, message: Kept { offset, time, expires, bytes: take_bytes(bytes)? } }
            }
            18 => Self::ChannelUsed { id: take_channel(bytes)?, time: take(bytes)? },
            19 => Self::Clock { time: take(bytes)? },
            20 => Self::ChannelReferred { id: take_channel(bytes)?, time: take(bytes)? },
            kind @ 21..=23 => Self::Hook(take_hook(kind, bytes)?),
            24 => take_push(bytes)?,
            _ => return Err(DecodeError::Field("record")),
        })
    }
}

fn head(kind: u8, numbers: &[u64], out: &mut Vec<u8>) {
    out.push(kind);
    numbers.iter().for_each(|number| put(*number, out));
}

fn put_key(key: &ChannelKey, out: &mut Vec<u8>) {
    put_bytes(key.app.as_str().as_bytes(), out);
    put_bytes(key.name.as_str().as_bytes(), out);
}

fn put_hook(record: &HookRecord, out: &mut Vec<u8>) {
    match record {
        HookRecord::Due { channel, first } => head(21, &[u64::from(channel.0), first.0], out),
        HookRecord::Settled { channel, first } => head(22, &[u64::from(channel.0), first.0], out),
        HookRecord::Told { is_user, key, is_on } => {
            head(23, &[u64::from(*is_user) | u64::from(*is_on) << 1], out);
            put_key(key, out);
        }
    }
}

fn put_push(app: &AppName, user: &UserName, devices: &[PushDevice], out: &mut Vec<u8>) {
    head(24, &[devices.len() as u64], out);
    put_bytes(app.as_str().as_bytes(), out);
    put_bytes(user.as_str().as_bytes(), out);
    devices.iter().for_each(|device| put_device(device, out));
}

fn put_device(device: &PushDevice, out: &mut Vec<u8>) {
    put_bytes(device.device.as_str().as_bytes(), out);
    put_bytes(device.handle.as_bytes(), out);
    put(device.used, out);
}

fn put_owner(owner: &Owner, out: &mut Vec<u8>) {
    put_bytes(owner.app.as_str().as_bytes(), out);
    put_bytes(owner.user.as_str().as_bytes(), out);
    put_bytes(owner.device.as_str().as_bytes(), out);
}

fn put_id(id: &IdEntry, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.key.to_le_bytes());
    out.extend_from_slice(&id.hash.to_le_bytes());
    put(id.offset.0, out);
    put(id.time, out);
}

fn put_sequence(sequence: &ProducerSequence, out: &mut Vec<u8>) {
    out.extend_from_slice(&sequence.id.0.to_le_bytes());
    put(sequence.generation, out);
    put(sequence.seq, out);
}

fn put_append(
    channel: ChannelId,
    id: &IdEntry,
    expires: Option<UnixMillis>,
    producer: Option<&ProducerSequence>,
    bytes: &[u8],
    out: &mut Vec<u8>,
) {
    let flags = u64::from(expires.is_some()) | u64::from(producer.is_some()) << 1;
    head(4, &[flags, u64::from(channel.0)], out);
    put_id(id, out);
    expires.iter().for_each(|expires| put(*expires, out));
    producer.iter().for_each(|producer| put_sequence(producer, out));
    put_bytes(bytes, out);
}

fn put_moved(channel: ChannelId, message: &Kept, out: &mut Vec<u8>) {
    let expires = message.expires.map_or(0, |at| at.saturating_add(1));
    head(17, &[u64::from(channel.0), message.offset.0, message.time, expires], out);
    put_bytes(&message.bytes, out);
}

fn put_verdict(verdict: &Verdict, out: &mut Vec<u8>) {
    put(verdict.seq, out);
    out.extend_from_slice(&verdict.hash.to_le_bytes());
    match &verdict.outcome {
        Outcome::Stored(offset) => head(1, &[offset.0], out),
        Outcome::Duplicate(offset) => head(2, &[offset.0], out),
        Outcome::Refused(code) => {
            out.push(3);
            put_bytes(code.name().as_bytes(), out);
        }
        Outcome::ReusedId => out.push(4),
    }
}

fn put_revocation(revocation: &Revocation, time: UnixMillis, out: &mut Vec<u8>) {
    match revocation {
        Revocation::Token { app, jti } => {
            head(15, &[time], out);
            put_bytes(app.as_str().as_bytes(), out);
            put_bytes(jti.as_bytes(), out);
        }
        Revocation::User { app, user, issued_before } => {
            head(16, &[time, *issued_before], out);
            put_bytes(app.as_str().as_bytes(), out);
            put_bytes(user.as_str().as_bytes(), out);
        }
    }
}

fn take_channel(bytes: &mut Bytes) -> Result<ChannelId, DecodeError> {
    take_u32(bytes).map(ChannelId)
}

fn take_offset(bytes: &mut Bytes) -> Result<Offset, DecodeError> {
    take_safe(bytes).map(Offset)
}

fn take_epoch(bytes: &mut Bytes) -> Result<Epoch, DecodeError> {
    Ok(Epoch::new(&take_text(bytes)?)?)
}

fn take_fixed<const N: usize>(bytes: &mut Bytes) -> Result<[u8; N], DecodeError> {
    let fixed = bytes.get(..N).and_then(|bytes| bytes.try_into().ok()).ok_or(DecodeError::Truncated)?;
    let _ = bytes.split_to(N);
    Ok(fixed)
}

fn take_producer(bytes: &mut Bytes) -> Result<ProducerId, DecodeError> {
    take_fixed(bytes).map(|id| ProducerId(u128::from_le_bytes(id)))
}

fn take_app(bytes: &mut Bytes) -> Result<AppName, DecodeError> {
    Ok(AppName::new(&take_text(bytes)?)?)
}

fn take_key(bytes: &mut Bytes) -> Result<ChannelKey, DecodeError> {
    Ok(ChannelKey { app: take_app(bytes)?, name: ChannelName::new(&take_text(bytes)?)? })
}

fn take_owner(bytes: &mut Bytes) -> Result<Owner, DecodeError> {
    let (app, user) = (take_app(bytes)?, UserName::new(&take_text(bytes)?)?);
    Ok(Owner { app, user, device: DeviceId::new(&take_text(bytes)?)? })
}

fn take_id(bytes: &mut Bytes) -> Result<IdEntry, DecodeError> {
    let (key, hash) = (u64::from_le_bytes(take_fixed(bytes)?), u64::from_le_bytes(take_fixed(bytes)?));
    Ok(IdEntry { key, hash, offset: take_offset(bytes)?, time: take(bytes)? })
}

fn take_append(bytes: &mut Bytes) -> Result<Record, DecodeError> {
    let (flags, channel) = (take(bytes)?, take_channel(bytes)?);
    let id = take_id(bytes)?;
    let expires = if flags & 1 == 0 { None } else { Some(take(bytes)?) };
    let producer = if flags & 2 == 0 {
        None
    } else {
        Some(ProducerSequence { id: take_producer(bytes)?, generation: take(bytes)?, seq: take(bytes)? })
    };
    Ok(Record::Append { channel, id, expires, producer, bytes: take_bytes(bytes)? })
}

fn take_hook(kind: u8, bytes: &mut Bytes) -> Result<HookRecord, DecodeError> {
    if kind == 23 {
        let flags = take(bytes)?;
        return Ok(HookRecord::Told { is_user: flags & 1 != 0, key: take_key(bytes)?, is_on: flags & 2 != 0 });
    }
    let (channel, first) = (take_channel(bytes)?, take_offset(bytes)?);
    Ok(if kind == 21 { HookRecord::Due { channel, first } } else { HookRecord::Settled { channel, first } })
}

fn take_push(bytes: &mut Bytes) -> Result<Record, DecodeError> {
    let (count, app) = (take(bytes)?, take_app(bytes)?);
    let user = UserName::new(&take_text(bytes)?)?;
    Ok(Record::Push { app, user, devices: take_many(count, bytes, take_device)? })
}

fn take_device(bytes: &mut Bytes) -> Result<PushDevice, DecodeError> {
    let device = DeviceId::new(&take_text(bytes)?)?;
    Ok(PushDevice { device, handle: take_text(bytes)?, used: take(bytes)? })
}

fn take_verdict(bytes: &mut Bytes) -> Result<Verdict, DecodeError> {
    let (seq, hash) = (take(bytes)?, u64::from_le_bytes(take_fixed(bytes)?));
    let outcome = match take_u8(bytes)? {
        1 => Outcome::Stored(take_offset(bytes)?),
        2 => Outcome::Duplicate(take_offset(bytes)?),
        3 => Outcome::Refused(ErrorCode::from_name(&take_text(bytes)?)),
        4 => Outcome::ReusedId,
        _ => return Err(DecodeError::Field("outcome")),
    };
    Ok(Verdict { seq, hash, outcome })
}

fn take_many<T>(
    count: u64,
    bytes: &mut Bytes,
    read: impl Fn(&mut Bytes) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if count > bytes.len() as u64 {
        return Err(DecodeError::Truncated);
    }
    (0..count).map(|_| read(bytes)).collect()
}

fn take_revocation(kind: u8, bytes: &mut Bytes) -> Result<Record, DecodeError> {
    let time = take(bytes)?;
    let revocation = if kind == 15 {
        Revocation::Token { app: take_app(bytes)?, jti: Arc::from(take_text(bytes)?.as_str()) }
    } else {
        let issued_before = take(bytes)?;
        Revocation::User { app: take_app(bytes)?, user: UserName::new(&take_text(bytes)?)?, issued_before }
    };
    Ok(Record::Revoke { revocation, time })
}
