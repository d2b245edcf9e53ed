//! A segment: a header, then frames of one batch each, then zeros.
//!
//! Header (64 bytes): magic `MOORLOG1`, base LSN (8, little endian), zeros. Frame: body length (4), CRC-32C of LSN and
//! body (4), LSN (8), body, padded with zeros to 8 bytes. A batch is there completely or not at all.

use std::sync::Arc;

use super::files::LogFile;

pub(super) const MAGIC: &[u8; 8] = b"MOORLOG1";
pub(super) const HEADER: u64 = 64;
pub(super) const FRAME_HEAD: usize = 16;

/// The number of a batch; grows by one, over all segments.
pub(super) type Lsn = u64;

/// An open segment.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) base: Lsn,
    pub(super) file: Arc<dyn LogFile>,
    /// Messages in it that are not trimmed.
    pub(super) live: u64,
    /// LSN after its last batch, once sealed.
    pub(super) end: Option<Lsn>,
}

pub(super) fn name(base: Lsn) -> String {
    format!("segment-{base:016x}.log")
}

/// Reads a segment's name.
pub(super) fn base_of(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".log")?;
    u64::from_str_radix(digits, 16).ok()
}

pub(super) fn header(base: Lsn) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&base.to_le_bytes());
    bytes.resize(HEADER as usize, 0);
    bytes
}

/// Appends a frame around the body that stands in `frame` behind [`FRAME_HEAD`] bytes of room.
pub(super) fn finish(lsn: Lsn, frame: &mut Vec<u8>) {
    let length = (frame.len() - FRAME_HEAD) as u32;
    if let Some(room) = frame.get_mut(8..16) {
        room.copy_from_slice(&lsn.to_le_bytes());
    }
    let crc = crc32c::crc32c(frame.get(8..).unwrap_or_default());
    if let Some(room) = frame.get_mut(..4) {
        room.copy_from_slice(&length.to_le_bytes());
    }
    if let Some(room) = frame.get_mut(4..8) {
        room.copy_from_slice(&crc.to_le_bytes());
    }
    frame.resize(frame.len().next_multiple_of(8), 0);
}

/// What stands at a position of a segment.
pub(super) enum Found<'a> {
    /// A whole batch: its body, and where the next frame begins.
    Batch { body: &'a [u8], next: usize },
    /// Zeros: the end.
    End,
    /// Something else.
    Broken,
}

/// Looks at a position of a segment's bytes for a batch with this LSN.
pub(super) fn frame_at(bytes: &[u8], at: usize, lsn: Lsn) -> Found<'_> {
    let Some(head) = bytes.get(at..at + FRAME_HEAD) else { return Found::End };
    if head.iter().all(|byte| *byte == 0) {
        return Found::End;
    }
    let word = |range| head.get(range).and_then(|b: &[u8]| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let (length, crc) = (word(0..4) as usize, word(4..8));
    let found = head.get(8..16).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let end = at + FRAME_HEAD + length;
    match (bytes.get(at + FRAME_HEAD..end), bytes.get(at + 8..end)) {
        (Some(body), Some(covered)) if found == lsn && crc32c::crc32c(covered) == crc => {
            Found::Batch { body, next: end.next_multiple_of(8) }
        }
        _ => Found::Broken,
    }
}

/// Tells whether a whole batch of a later LSN stands somewhere behind a position: then what is broken there is not
/// the torn end of the last write.
pub(super) fn has_batch_after(bytes: &[u8], at: usize, lsn: Lsn) -> bool {
    let mut at = at.next_multiple_of(8);
    while let Some(head) = bytes.get(at..at + FRAME_HEAD) {
        let found = head.get(8..16).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        if found > lsn && found < lsn + (1 << 32) && matches!(frame_at(bytes, at, found), Found::Batch { .. }) {
            return true;
        }
        at += 8;
    }
    false
}
