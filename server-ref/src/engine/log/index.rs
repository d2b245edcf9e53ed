//! Where the messages of a sealed segment stand.
//!
//! File (little endian): magic `MOORIDX1`, LSN after the segment (8), bytes of the segment in use (8), number of runs
//! (4), CRC-32C of all this and the table of runs (4); the runs; then one entry per message, run by run. A run is
//! consecutive offsets of one channel: channel (4), messages (4), first offset (8), bytes (8), time of its oldest and of
//! its newest message (8 each). An entry: where the record begins (4), its length (4), its CRC-32C (4).

use std::io;
use std::ops::Range;

use bytes::Bytes;
use moorline_protocol::Offset;
use moorline_protocol::time::UnixMillis;

use super::files::{self, Files};
use super::segment::Lsn;
use crate::engine::record::ChannelId;

const MAGIC: &[u8; 8] = b"MOORIDX1";
const HEAD: usize = 32;
const RUN: usize = 40;
const ENTRY: usize = 12;

/// Where a message's record stands in its segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: u32,
    pub(super) len: u32,
    pub(super) crc: u32,
}

/// Consecutive offsets of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) channel: ChannelId,
    pub(super) first: Offset,
    pub(super) count: u32,
    /// Bytes of the records.
    pub(super) bytes: u64,
    /// No message is older.
    pub(super) oldest: UnixMillis,
    /// No message is newer.
    pub(super) newest: UnixMillis,
}

/// An index as it is reached.
#[derive(Clone, Debug, Default)]
pub(super) enum Index {
    /// The segment is not sealed.
    #[default]
    None,
    /// Not yet in its file.
    Held(Bytes),
    /// In its file; the entries begin there.
    Stored(u64),
}

impl Index {
    /// Returns entries, by their number.
    pub(super) fn entries(&self, files: &dyn Files, base: Lsn, slots: Range<u32>) -> io::Result<Vec<Entry>> {
        let (from, to) = (slots.start as usize * ENTRY, slots.end.max(slots.start) as usize * ENTRY);
        let bytes = match self {
            Self::None => return Err(io::ErrorKind::NotFound.into()),
            Self::Held(bytes) => {
                let entries = entries_at(bytes);
                let part = (entries + from <= bytes.len() && entries + to <= bytes.len())
                    .then(|| bytes.slice(entries + from..entries + to));
                part.ok_or(io::ErrorKind::UnexpectedEof)?
            }
            Self::Stored(entries) => {
                let mut bytes = vec![0; to - from];
                files.open(&name(base), false)?.read_at(&mut bytes, entries + from as u64)?;
                bytes.into()
            }
        };
        Ok(bytes.chunks_exact(ENTRY).map(entry_of).collect())
    }
}

fn entries_at(bytes: &[u8]) -> usize {
    HEAD + word(bytes, 24) as usize * RUN
}

fn entry_of(bytes: &[u8]) -> Entry {
    Entry { at: word(bytes, 0), len: word(bytes, 4), crc: word(bytes, 8) }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

pub(super) fn name(base: Lsn) -> String {
    format!("segment-{base:016x}.index")
}

/// Reads an index's name.
pub(super) fn base_of(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".index").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// Encodes an index: runs with their entries. `next` is the LSN after the segment, `used` its bytes in use.
pub(super) fn encode(runs: &[(Extent, Vec<Entry>)], next: Lsn, used: u64) -> Bytes {
    let count: usize = runs.iter().map(|(_, entries)| entries.len()).sum();
    let mut bytes = Vec::with_capacity(HEAD + runs.len() * RUN + count * ENTRY);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&next.to_le_bytes());
    bytes.extend_from_slice(&used.to_le_bytes());
    bytes.extend_from_slice(&(runs.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for (extent, _) in runs {
        bytes.extend_from_slice(&extent.channel.0.to_le_bytes());
        bytes.extend_from_slice(&extent.count.to_le_bytes());
        for number in [extent.first.0, extent.bytes, extent.oldest, extent.newest] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    let crc = checksum(&bytes).to_le_bytes();
    if let Some(room) = bytes.get_mut(28..HEAD) {
        room.copy_from_slice(&crc);
    }
    for entry in runs.iter().flat_map(|(_, entries)| entries) {
        [entry.at, entry.len, entry.crc].iter().for_each(|part| bytes.extend_from_slice(&part.to_le_bytes()));
    }
    bytes.into()
}

/// Returns the checksum of head and table.
fn checksum(bytes: &[u8]) -> u32 {
    let table = bytes.get(HEAD..).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c(bytes.get(..28).unwrap_or_default()), table)
}

/// What the head of an index file says.
pub(super) struct Loaded {
    /// LSN after the segment.
    pub(super) next: Lsn,
    /// Bytes of the segment in use.
    pub(super) used: u64,
    /// Each with the number of its first entry.
    pub(super) runs: Vec<(Extent, u32)>,
    pub(super) index: Index,
}

/// Reads the table of a segment's index; `None` if it has to be made anew from the segment itself.
pub(super) fn load(files: &dyn Files, base: Lsn) -> Option<Loaded> {
    let file = files.open(&name(base), false).ok()?;
    let size = file.size().ok()?;
    let mut head = vec![0; HEAD];
    file.read_at(&mut head, 0).ok()?;
    let entries = entries_at(&head) as u64;
    if head.get(..8) != Some(MAGIC) || entries > size {
        return None;
    }
    let mut bytes = vec![0; entries as usize];
    file.read_at(&mut bytes, 0).ok()?;
    if checksum(&bytes) != word(&bytes, 28) {
        return None;
    }
    let mut slot = 0;
    let run = |run: &[u8]| {
        let (channel, count) = (ChannelId(word(run, 0)), word(run, 4));
        let (first, bytes) = (Offset(long(run, 8)), long(run, 16));
        let extent = Extent { channel, first, count, bytes, oldest: long(run, 24), newest: long(run, 32) };
        slot += count;
        (extent, slot - count)
    };
    let runs: Vec<_> = bytes.get(HEAD..)?.chunks_exact(RUN).map(run).collect();
    (entries + u64::from(slot) * ENTRY as u64 == size).then(|| Loaded {
        next: long(&bytes, 8),
        used: long(&bytes, 16),
        runs,
        index: Index::Stored(entries),
    })
}

/// Writes an index to its file.
pub(super) fn store(files: &dyn Files, base: Lsn, bytes: &[u8]) -> io::Result<()> {
    files::replace(files, &name(base), bytes)
}

/// Returns how an index that was written is reached.
pub(super) fn stored(bytes: &[u8]) -> Index {
    Index::Stored(entries_at(bytes) as u64)
}
