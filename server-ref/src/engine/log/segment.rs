//! A segment: a header, then frames of one batch each, then zeros.
//!
//! Header (64 bytes, little endian): magic `MOORLOG1`, base LSN (8), size of the file (8), CRC-32C of these (4), zeros.
//! Frame: body length (4), CRC-32C of all that follows (4), LSN (8), the LSN below which everything was durable when
//! the frame was written (8), body, zeros up to a multiple of 8 bytes. A batch is there completely or not at all.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::files::{Files, LogFile};
use super::index::{Entry, Index};

const MAGIC: &[u8; 8] = b"MOORLOG1";
pub(super) const HEADER: u64 = 64;
pub(super) const FRAME_HEAD: usize = 24;
/// Batches that a segment can hold, so that what looks like a number of one is told from anything else.
const FAR: Lsn = 1 << 32;

/// The number of a batch; grows by one, over all segments.
pub(super) type Lsn = u64;

/// An open segment.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) file: Arc<dyn LogFile>,
    /// LSN after its last batch, once sealed.
    pub(super) end: Option<Lsn>,
    /// Bytes written, header included, once sealed.
    pub(super) used: u64,
    /// Where its messages stand, once sealed.
    pub(super) index: Index,
}

/// The open segments, by the LSN of their first batch.
#[derive(Clone, Default)]
pub(super) struct Segments(BTreeMap<Lsn, Segment>);

impl Segments {
    pub(super) fn insert(&mut self, base: Lsn, segment: Segment) {
        self.0.insert(base, segment);
    }

    pub(super) fn get(&self, base: Lsn) -> Option<&Segment> {
        self.0.get(&base)
    }

    pub(super) fn get_mut(&mut self, base: Lsn) -> Option<&mut Segment> {
        self.0.get_mut(&base)
    }

    pub(super) fn remove(&mut self, base: Lsn) {
        self.0.remove(&base);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Lsn, &Segment)> {
        self.0.iter().map(|(base, segment)| (*base, segment))
    }

    /// Returns entries of a sealed segment's index.
    pub(super) fn entries(&self, files: &dyn Files, base: Lsn, slots: Range<u32>) -> io::Result<Vec<Entry>> {
        let segment = self.get(base).ok_or(io::ErrorKind::NotFound)?;
        segment.index.entries(files, base, slots)
    }
}

pub(super) fn name(base: Lsn) -> String {
    format!("segment-{base:016x}.log")
}

/// Reads a segment's name.
pub(super) fn base_of(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".log").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

pub(super) fn header(base: Lsn, size: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&base.to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.resize(HEADER as usize, 0);
    bytes
}

/// Checks that these are the bytes of the segment with this base, all of them.
pub(super) fn check_header(bytes: &[u8], base: Lsn) -> Result<(), &'static str> {
    let size = bytes.get(16..24).and_then(|size| size.try_into().ok()).map_or(0, u64::from_le_bytes);
    if bytes.get(..HEADER as usize) != Some(header(base, size).as_slice()) {
        return Err("this is not the head of this segment");
    }
    if (bytes.len() as u64) < size { Err("the file is cut short") } else { Ok(()) }
}

/// Completes a frame around the body that stands in `frame` behind [`FRAME_HEAD`] bytes of room.
pub(super) fn finish(lsn: Lsn, synced: Lsn, frame: &mut Vec<u8>) {
    let length = (frame.len() - FRAME_HEAD) as u32;
    put(frame, 8, &lsn.to_le_bytes());
    put(frame, 16, &synced.to_le_bytes());
    let crc = crc32c::crc32c(frame.get(8..).unwrap_or_default());
    put(frame, 0, &length.to_le_bytes());
    put(frame, 4, &crc.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(8), 0);
}

fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(room) = frame.get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
}

/// A whole batch in a segment.
pub(super) struct Frame {
    pub(super) lsn: Lsn,
    pub(super) synced: Lsn,
    /// Where its records stand.
    pub(super) body: Range<usize>,
    /// Where the next frame begins.
    pub(super) next: usize,
}

/// Returns the batch that begins at a position, if a whole one does.
pub(super) fn frame_at(bytes: &[u8], at: usize) -> Option<Frame> {
    let head = bytes.get(at..at + FRAME_HEAD)?;
    let word = |at: usize| head.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let long = |at: usize| head.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let (length, lsn, synced) = (word(0) as usize, long(8), long(16));
    let end = at + FRAME_HEAD + length;
    if length == 0 || synced > lsn || lsn - synced >= FAR {
        return None;
    }
    let covered = bytes.get(at + 8..end)?;
    (crc32c::crc32c(covered) == word(4)).then(|| Frame {
        lsn,
        synced,
        body: at + FRAME_HEAD..end,
        next: end.next_multiple_of(8),
    })
}

/// What follows the last whole batch of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    Clean,
    /// The remains of batches that were being written when everything ended.
    Torn,
    /// A broken batch that was durable: something that came later says so.
    Damaged,
}

/// Judges what follows where the batch `lsn` was expected and is not whole.
pub(super) fn tail(bytes: &[u8], at: usize, lsn: Lsn) -> Tail {
    let mut tail = Tail::Clean;
    let mut at = at;
    while let Some(word) = bytes.get(at..at + 8) {
        if word.iter().all(|byte| *byte == 0) {
            at += 8;
            continue;
        }
        tail = Tail::Torn;
        match frame_at(bytes, at).filter(|frame| frame.lsn > lsn) {
            Some(frame) if frame.synced > lsn => return Tail::Damaged,
            Some(frame) => at = frame.next,
            None => at += 8,
        }
    }
    tail
}

/// Returns the bytes of a whole file, to be shared.
pub(super) fn read(file: &dyn LogFile) -> io::Result<Bytes> {
    let mut bytes = vec![0; file.size()? as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes.into())
}
