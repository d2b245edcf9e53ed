//! The file's bytes: a header, then one record per commit.
//!
//! | Part | Bytes, little-endian |
//! |--|--|
//! | header | `moorline`, version (4), CRC-32C of both (4) |
//! | record | length of the body (4), check of length and place (4), CRC-32C of check and body (4), body |
//! | body | per write: 0, key length (4), key; or 1, key length (4), key, value length (4), value |
//!
//! A record without a body is the mark of a file that was closed. A record's checksums cover its place in the file, so
//! that no bytes of another place or an earlier life pass for one. All this is the same in every version so far; what the
//! entries mean is what a version changes.

use std::collections::BTreeMap;

use bytes::Buf;
use crc32c::{crc32c, crc32c_append};

use crate::store::{StoreBatch, StoreError};

/// Bytes of the header.
pub(super) const HEADER: usize = 16;

const MAGIC: &[u8; 8] = b"moorline";
/// Bytes of a record before its body.
const HEAD: usize = 12;
const DELETE: u8 = 0;
const PUT: u8 = 1;

/// What a store holds.
pub(super) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn header(version: u32) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
    bytes
}

/// Reads the header; returns the version, which is at most `known`.
///
/// # Errors
/// [`StoreError::NewerSchema`] for a later version, [`StoreError::Corrupt`] for anything that is no header.
pub(super) fn version(file: &[u8], known: u32) -> Result<u32, StoreError> {
    let Some((mut header, _)) = file.split_at_checked(HEADER) else {
        return Err(StoreError::Corrupt("it is too short to be a store"));
    };
    if !header.starts_with(MAGIC) {
        return Err(StoreError::Corrupt("it does not begin as a store does"));
    }
    let sum = header.get(..HEADER - 4).map_or(0, crc32c);
    header.advance(MAGIC.len());
    let (version, expected) = (header.get_u32_le(), header.get_u32_le());
    match version {
        _ if sum != expected => Err(StoreError::Corrupt("its header")),
        0 => Err(StoreError::Corrupt("its header")),
        found if found > known => Err(StoreError::NewerSchema { found, known }),
        found => Ok(found),
    }
}

/// Returns a record of these writes for the place `at`.
pub(super) fn encode<'a>(
    at: u64,
    deletes: impl IntoIterator<Item = &'a [u8]>,
    puts: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Vec<u8> {
    let mut record = vec![0; HEAD];
    for key in deletes {
        record.push(DELETE);
        put_bytes(&mut record, key);
    }
    for (key, value) in puts {
        record.push(PUT);
        put_bytes(&mut record, key);
        put_bytes(&mut record, value);
    }
    let length = (record.len() - HEAD) as u32;
    let check = check(at, length);
    let (head, body) = record.split_at_mut(HEAD);
    let sum = crc32c_append(check, body);
    for (place, word) in head.chunks_exact_mut(4).zip([length, check, sum]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    record
}

/// Returns a record of a batch; its `clear` is not written.
pub(super) fn encode_batch(at: u64, batch: &StoreBatch) -> Vec<u8> {
    let puts = batch.puts.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
    encode(at, batch.deletes.iter().map(Vec::as_slice), puts)
}

/// Returns the bytes of a write in a body.
pub(super) fn length_of(key: &[u8], value: &[u8]) -> u64 {
    (9 + key.len() + value.len()) as u64
}

/// Reads the body of the record at `at` and where the next one begins; `None` if there is no whole record.
pub(super) fn decode(file: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let (mut head, rest) = file.get(at..)?.split_at_checked(HEAD)?;
    let (length, expected, sum) = (head.get_u32_le(), head.get_u32_le(), head.get_u32_le());
    if check(at as u64, length) != expected {
        return None;
    }
    let body = rest.get(..usize::try_from(length).ok()?)?;
    (crc32c_append(expected, body) == sum).then_some((body, at + HEAD + body.len()))
}

/// Does what a body says.
///
/// # Errors
/// [`StoreError::Corrupt`]: its checksum is right, but no version of this crate wrote it.
pub(super) fn replay(mut body: &[u8], entries: &mut Entries) -> Result<(), StoreError> {
    while let Some((kind, rest)) = body.split_first() {
        body = rest;
        let key = take_bytes(&mut body)?;
        match *kind {
            DELETE => drop(entries.remove(key)),
            PUT => drop(entries.insert(key.to_vec(), take_bytes(&mut body)?.to_vec())),
            _ => return Err(StoreError::Corrupt("a record says what no version of this crate says")),
        }
    }
    Ok(())
}

fn check(at: u64, length: u32) -> u32 {
    crc32c_append(crc32c(&at.to_le_bytes()), &length.to_le_bytes())
}

fn put_bytes(record: &mut Vec<u8>, bytes: &[u8]) {
    record.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    record.extend_from_slice(bytes);
}

fn take_bytes<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], StoreError> {
    let damaged = StoreError::Corrupt("a record is shorter than it says");
    let length = body.try_get_u32_le().map_err(|_| damaged.clone())?;
    let (bytes, rest) = body.split_at_checked(length as usize).ok_or(damaged)?;
    *body = rest;
    Ok(bytes)
}
