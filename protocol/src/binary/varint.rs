//! Numbers and byte strings of the binary form; the log uses them, too.

#[cfg(feature = "fast-bytes")]
use bytes::Buf;

use crate::Bytes;
use crate::codec::DecodeError;
use crate::limits::MAX_SAFE_INTEGER;
use crate::types::Utf8Bytes;

/// Appends an unsigned LEB128 number: seven bits a byte, lowest first, 1–10 bytes.
pub fn put(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Returns how many bytes [`put`] writes.
pub fn len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a length and the bytes.
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Takes a number.
///
/// # Errors
/// [`DecodeError`].
pub fn take(bytes: &mut Bytes) -> Result<u64, DecodeError> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        if index == 9 && part > 1 {
            return Err(DecodeError::Number);
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            bytes.advance(index + 1);
            return Ok(value);
        }
    }
    Err(if bytes.len() < 10 { DecodeError::Truncated } else { DecodeError::Number })
}

/// Takes a number of at most 2^53−1.
///
/// # Errors
/// [`DecodeError`].
pub fn take_safe(bytes: &mut Bytes) -> Result<u64, DecodeError> {
    take(bytes).and_then(|value| if value <= MAX_SAFE_INTEGER { Ok(value) } else { Err(DecodeError::Number) })
}

/// Takes a number of at most 2^32−1.
///
/// # Errors
/// [`DecodeError`].
pub fn take_u32(bytes: &mut Bytes) -> Result<u32, DecodeError> {
    u32::try_from(take(bytes)?).map_err(|_| DecodeError::Number)
}

/// Takes one byte.
///
/// # Errors
/// [`DecodeError`].
pub fn take_u8(bytes: &mut Bytes) -> Result<u8, DecodeError> {
    let first = *bytes.first().ok_or(DecodeError::Truncated)?;
    bytes.advance(1);
    Ok(first)
}

/// Takes a length and so many bytes, without a copy.
///
/// # Errors
/// [`DecodeError`].
pub fn take_bytes(bytes: &mut Bytes) -> Result<Bytes, DecodeError> {
    let len = usize::try_from(take(bytes)?).map_err(|_| DecodeError::Number)?;
    if len > bytes.len() { Err(DecodeError::Truncated) } else { Ok(bytes.split_to(len)) }
}

/// Takes a length and so many bytes of UTF-8, without a copy.
///
/// # Errors
/// [`DecodeError`].
pub fn take_text(bytes: &mut Bytes) -> Result<Utf8Bytes, DecodeError> {
    Utf8Bytes::from_bytes(take_bytes(bytes)?).map_err(|_| DecodeError::Utf8)
}
