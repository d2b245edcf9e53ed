//! One table: how it is written, opened and read.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::binary::varint;

use super::filter;
use super::format::{self, Block, Directory, FOOT, Foot, Group};
use crate::engine::core::StateKey;
use crate::engine::log::OpenError;
use crate::engine::log::files::{self, Files, LogFile};

/// Bytes of a block, about; one larger value is a block of its own.
const BLOCK_BYTES: usize = 8 << 10;
/// Keys of a group: so that its filter takes about 4 KiB.
const GROUP_KEYS: usize = 3_200;
/// Bytes that are written at once, about.
const PART: usize = 1 << 20;

/// An open table: its directory is in memory, about a seventh of a byte for an id.
pub(in crate::engine::log) struct Table {
    pub(super) number: u64,
    file: Arc<dyn LogFile>,
    pub(super) bytes: u64,
    pub(super) directory: Directory,
}

/// Why a part of a table cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} at byte {position}: {source}", name(*.table))]
pub(in crate::engine::log) struct TableError {
    table: u64,
    position: u64,
    source: io::Error,
}

pub(in crate::engine::log) fn name(number: u64) -> String {
    format!("table-{number:016x}")
}

/// Reads a table's name.
pub(in crate::engine::log) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("table-").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

impl From<TableError> for OpenError {
    fn from(error: TableError) -> Self {
        if matches!(error.source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) {
            let what = "this part of the table is not what was written";
            Self::Damaged { file: name(error.table), position: error.position, what }
        } else {
            Self::Io { what: "reading a table", source: error.source }
        }
    }
}

impl Table {
    /// Writes a table of what `fill` pushes, durably.
    pub(super) fn write(
        files: &dyn Files,
        number: u64,
        fill: impl FnOnce(&mut Writer<'_>) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut end = (0, Directory::default());
        let file = files::write_new(files, &name(number), |file| {
            let mut writer = Writer::new(file);
            fill(&mut writer)?;
            end = writer.finish(number)?;
            Ok(())
        })?;
        let (bytes, directory) = end;
        Ok(Self { number, file, bytes, directory })
    }

    /// Opens a table that a checkpoint names.
    pub(super) fn open(files: &dyn Files, number: u64) -> Result<Self, OpenError> {
        let damaged = |what| OpenError::Damaged { file: name(number), position: 0, what };
        let file = match files.open(&name(number), false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("the checkpoint rests on it, and it is gone"));
            }
            Err(error) => return Err(OpenError::io("opening a table")(error)),
        };
        let bytes = file.size().map_err(OpenError::io("measuring a table"))?;
        let read = |from: u64, to: u64| {
            let mut part = vec![0; to.saturating_sub(from) as usize];
            file.read_at(&mut part, from).map(|()| part).map_err(OpenError::io("reading a table"))
        };
        let end = bytes.checked_sub(FOOT as u64).ok_or_else(|| damaged("it is cut short"))?;
        let foot = Foot::decode(&read(end, bytes)?, number, bytes).map_err(damaged)?;
        let directory = Directory::decode(&foot, &read(foot.index, end)?).map_err(damaged)?;
        Ok(Self { number, file, bytes, directory })
    }

    /// Returns the group that a key would be in.
    pub(super) fn group(&self, key: StateKey) -> Option<&Group> {
        let after = self.directory.groups.partition_point(|group| group.first <= key);
        self.directory.groups.get(after.checked_sub(1)?)
    }

    /// Returns the block that a key would be in.
    pub(super) fn block(&self, key: StateKey) -> Option<&Block> {
        let after = self.directory.blocks.partition_point(|block| block.first <= key);
        self.directory.blocks.get(after.checked_sub(1)?)
    }

    /// Reads a block or a filter.
    pub(super) fn read(&self, (at, length): (u64, u32)) -> Result<Bytes, TableError> {
        let error = |source| TableError { table: self.number, position: at, source };
        let mut bytes = vec![0; length as usize];
        self.file.read_at(&mut bytes, at).map_err(error)?;
        format::unseal(&bytes.into()).ok_or_else(|| error(io::ErrorKind::InvalidData.into()))
    }

    /// Reads all of it.
    pub(super) fn verify(&self) -> Result<(), TableError> {
        let filters = self.directory.groups.iter().map(|group| group.filter);
        let mut places = filters.chain(self.directory.blocks.iter().map(|block| block.place));
        places.try_for_each(|place| self.read(place).map(drop))
    }

    /// Returns about the bytes that its directory takes in memory.
    pub(super) fn memory(&self) -> usize {
        self.directory.groups.len() * size_of::<Group>() + self.directory.blocks.len() * size_of::<Block>()
    }
}

/// Writes the entries of a table, in the order of their keys.
pub(super) struct Writer<'a> {
    file: &'a dyn LogFile,
    /// What is not written yet, and where it will stand.
    buffer: Vec<u8>,
    at: u64,
    /// Where the block under way begins in the buffer, and its first key.
    block: Option<(usize, StateKey)>,
    /// The hashes of the keys of the group under way.
    hashes: Vec<u64>,
    /// The first key of the group under way, and the number of its first block.
    group: Option<(StateKey, u32)>,
    directory: Directory,
}

impl<'a> Writer<'a> {
    fn new(file: &'a dyn LogFile) -> Self {
        let (buffer, hashes, directory) = (Vec::new(), Vec::new(), Directory::default());
        Self { file, buffer, at: 0, block: None, hashes, group: None, directory }
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, key: StateKey, value: &[u8]) -> io::Result<()> {
        let from = self.block.get_or_insert((self.buffer.len(), key)).0;
        self.group.get_or_insert((key, self.directory.blocks.len() as u32));
        self.buffer.extend_from_slice(&key.0.to_le_bytes());
        varint::put_bytes(value, &mut self.buffer);
        self.hashes.push(filter::hash(key));
        self.directory.entries += 1;
        if self.buffer.len() - from >= BLOCK_BYTES {
            self.end_block()?;
        }
        if self.hashes.len() >= GROUP_KEYS {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        let Some((from, first)) = self.block.take() else { return Ok(()) };
        let place = self.seal(from);
        self.directory.blocks.push(Block { first, place });
        if self.buffer.len() >= PART { self.flush() } else { Ok(()) }
    }

    fn end_group(&mut self) -> io::Result<()> {
        self.end_block()?;
        let Some((first, block)) = self.group.take() else { return Ok(()) };
        let from = self.buffer.len();
        self.buffer.extend_from_slice(&filter::build(&self.hashes));
        self.hashes.clear();
        let filter = self.seal(from);
        self.directory.groups.push(Group { first, filter, block });
        Ok(())
    }

    /// Appends the checksum of what stands in the buffer from a position on; returns where all of it will stand.
    fn seal(&mut self, from: usize) -> (u64, u32) {
        format::seal(&mut self.buffer, from);
        (self.at + from as u64, (self.buffer.len() - from) as u32)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Returns the length of the file and the directory.
    fn finish(mut self, number: u64) -> io::Result<(u64, Directory)> {
        self.end_group()?;
        let end = self.at + self.buffer.len() as u64;
        self.buffer.extend_from_slice(&self.directory.encode(number, end));
        self.flush()?;
        Ok((self.at, self.directory))
    }
}
