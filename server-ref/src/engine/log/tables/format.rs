//! The bytes of a table: entries sorted by key, in groups that have a filter each.
//!
//! File (little endian): groups; the index; the foot. A group: blocks, then a filter of all its keys. A block: entries,
//! CRC-32C of them (4). An entry: key (16), length of the value (varint), value; without a value there is none any more.
//! A filter: lines of 64 bytes, CRC-32C of them (4).
//!
//! Index: per group its first key (16), where its filter begins (8), bytes of the filter (4), number of its first block
//! (4); per block its first key (16), where it begins (8), its bytes (4). Foot (48 bytes): magic `MOORTAB1`, the table's
//! number (8), entries (8), where the index begins (8), groups (4), blocks (4), CRC-32C of the index (4), CRC-32C of the
//! foot before it (4).

use bytes::Bytes;
use moorline_protocol::binary::varint::take;

use crate::engine::core::StateKey;

const MAGIC: &[u8; 8] = b"MOORTAB1";
pub(super) const FOOT: usize = 48;
const GROUP: usize = 32;
const BLOCK: usize = 28;

/// Where a group's filter stands, and where its blocks begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) first: StateKey,
    pub(super) filter: (u64, u32),
    pub(super) block: u32,
}

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) first: StateKey,
    pub(super) place: (u64, u32),
}

/// What the end of a table's file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) entries: u64,
    pub(super) groups: Vec<Group>,
    pub(super) blocks: Vec<Block>,
}

/// What a foot says: entries, where the index begins, how many groups and blocks it has, its checksum.
pub(super) struct Foot {
    pub(super) entries: u64,
    pub(super) index: u64,
    pub(super) groups: u32,
    pub(super) blocks: u32,
    crc: u32,
}

impl Directory {
    /// Encodes index and foot of a table whose groups end at a position.
    pub(super) fn encode(&self, number: u64, at: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.groups.len() * GROUP + self.blocks.len() * BLOCK + FOOT);
        for group in &self.groups {
            bytes.extend_from_slice(&group.first.0.to_le_bytes());
            bytes.extend_from_slice(&group.filter.0.to_le_bytes());
            bytes.extend_from_slice(&group.filter.1.to_le_bytes());
            bytes.extend_from_slice(&group.block.to_le_bytes());
        }
        for block in &self.blocks {
            bytes.extend_from_slice(&block.first.0.to_le_bytes());
            bytes.extend_from_slice(&block.place.0.to_le_bytes());
            bytes.extend_from_slice(&block.place.1.to_le_bytes());
        }
        let (crc, foot) = (crc32c::crc32c(&bytes), bytes.len());
        bytes.extend_from_slice(MAGIC);
        [number, self.entries, at].iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        let counts = [self.groups.len() as u32, self.blocks.len() as u32, crc];
        counts.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        let crc = crc32c::crc32c(bytes.get(foot..).unwrap_or_default());
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads an index.
    pub(super) fn decode(foot: &Foot, bytes: &[u8]) -> Result<Self, &'static str> {
        if crc32c::crc32c(bytes) != foot.crc {
            return Err("its index is not what was written");
        }
        let (groups, blocks) = bytes.split_at(bytes.len().min(foot.groups as usize * GROUP));
        let group = |bytes: &[u8]| Group {
            first: key(bytes),
            filter: (long(bytes, 16), word(bytes, 24)),
            block: word(bytes, 28),
        };
        let block = |bytes: &[u8]| Block { first: key(bytes), place: (long(bytes, 16), word(bytes, 24)) };
        Ok(Self {
            entries: foot.entries,
            groups: groups.chunks_exact(GROUP).map(group).collect(),
            blocks: blocks.chunks_exact(BLOCK).map(block).collect(),
        })
    }
}

impl Foot {
    /// Reads the foot of the table with this number, whose file has `size` bytes.
    pub(super) fn decode(bytes: &[u8], number: u64, size: u64) -> Result<Self, &'static str> {
        if bytes.get(..8) != Some(MAGIC) || long(bytes, 8) != number {
            return Err("this is not the foot of this table");
        }
        if crc32c::crc32c(bytes.get(..FOOT - 4).unwrap_or_default()) != word(bytes, FOOT - 4) {
            return Err("its foot is not what was written");
        }
        let foot = Self {
            entries: long(bytes, 16),
            index: long(bytes, 24),
            groups: word(bytes, 32),
            blocks: word(bytes, 36),
            crc: word(bytes, 40),
        };
        let length = u64::from(foot.groups) * GROUP as u64 + u64::from(foot.blocks) * BLOCK as u64;
        if foot.index.checked_add(length + FOOT as u64) != Some(size) {
            return Err("its length is not what was written");
        }
        Ok(foot)
    }
}

/// Appends the checksum of everything from a position on.
pub(super) fn seal(bytes: &mut Vec<u8>, from: usize) {
    let crc = crc32c::crc32c(bytes.get(from..).unwrap_or_default());
    bytes.extend_from_slice(&crc.to_le_bytes());
}

/// Takes the checksum off a block or a filter; `None` if it is not right.
pub(super) fn unseal(bytes: &Bytes) -> Option<Bytes> {
    let end = bytes.len().checked_sub(4)?;
    let body = bytes.slice(..end);
    (crc32c::crc32c(&body) == word(bytes, end)).then_some(body)
}

/// Takes the next entry of a block; `None` at its end.
pub(super) fn next_entry(block: &mut Bytes) -> Option<(StateKey, Bytes)> {
    let key = StateKey(u128::from_le_bytes(block.get(..16)?.try_into().ok()?));
    let _ = block.split_to(16);
    let length = take(block).ok().filter(|length| *length <= block.len() as u64)?;
    Some((key, block.split_to(length as usize)))
}

fn key(bytes: &[u8]) -> StateKey {
    StateKey(bytes.get(..16).and_then(|bytes| bytes.try_into().ok()).map_or(0, u128::from_le_bytes))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}
