//! Checkpoints: everything but the messages, as it stood before a batch.
//!
//! Ids, producers and cursors stand in tables; the checkpoint says which tables count.
//!
//! File (little endian): magic `MOORCKP2`, LSN of the batch (8), CRC-32C of all that follows (4), number of tables (4),
//! the numbers of the tables, the newest first (8 each), the records. Layout 1 has the magic `MOORCKP1`, and the records
//! of everything instead of tables.

use std::io;

use bytes::Bytes;

use super::OpenError;
use super::files::{self, Files};
use super::segment::Lsn;

const MAGIC: &[u8; 8] = b"MOORCKP2";
const MAGIC_1: &[u8; 8] = b"MOORCKP1";
const HEAD: usize = 20;

/// A checkpoint that was read.
#[derive(Default)]
pub(super) struct Checkpoint {
    /// Everything before this batch stands in it.
    pub(super) lsn: Lsn,
    /// The tables that count, the newest first.
    pub(super) tables: Vec<u64>,
    /// Encoded.
    pub(super) records: Bytes,
}

pub(super) fn name(lsn: Lsn) -> String {
    format!("checkpoint-{lsn:016x}")
}

/// Reads a checkpoint's name.
pub(super) fn lsn_of(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("checkpoint-").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// Writes a checkpoint, then removes older ones.
pub(super) fn store(files: &dyn Files, lsn: Lsn, tables: &[u64], records: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEAD + 4 + tables.len() * 8 + records.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&lsn.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(tables.len() as u32).to_le_bytes());
    tables.iter().for_each(|table| bytes.extend_from_slice(&table.to_le_bytes()));
    bytes.extend_from_slice(records);
    let crc = crc32c::crc32c(bytes.get(HEAD..).unwrap_or_default()).to_le_bytes();
    bytes.get_mut(16..HEAD).into_iter().for_each(|room| room.copy_from_slice(&crc));
    files::replace(files, &name(lsn), &bytes)?;
    for old in files.list()?.iter().filter(|name| lsn_of(name).is_some_and(|old| old < lsn)) {
        if let Err(error) = files.remove(old) {
            tracing::warn!(%error, name = old, "could not delete an old checkpoint");
        }
    }
    Ok(())
}

/// Returns the newest checkpoint.
///
/// # Errors
/// [`OpenError::Damaged`] if it is not whole: older ones are no help, since what they rest on may be gone.
pub(super) fn newest(files: &dyn Files, names: &[String]) -> Result<Checkpoint, OpenError> {
    let Some(lsn) = names.iter().filter_map(|name| lsn_of(name)).max() else { return Ok(Checkpoint::default()) };
    let bytes = Bytes::from(files::read(files, &name(lsn)).map_err(OpenError::io("reading a checkpoint"))?);
    let damaged = |what| OpenError::Damaged { file: name(lsn), position: 0, what };
    let crc = bytes.get(16..HEAD).and_then(|crc| crc.try_into().ok()).map(u32::from_le_bytes);
    let mut records = bytes.slice(HEAD.min(bytes.len())..);
    let magic = bytes.get(..8);
    if magic != Some(MAGIC) && magic != Some(MAGIC_1) || bytes.get(8..16) != Some(&lsn.to_le_bytes()[..]) {
        return Err(damaged("this is not the head of this checkpoint"));
    }
    if crc != Some(crc32c::crc32c(&records)) {
        return Err(damaged("the checkpoint is not what was written"));
    }
    let tables = if magic == Some(MAGIC) { take_tables(&mut records) } else { Some(Vec::new()) };
    let tables = tables.ok_or_else(|| damaged("it does not say which tables count"))?;
    Ok(Checkpoint { lsn, tables, records })
}

/// Takes the numbers of tables from in front of the records.
fn take_tables(bytes: &mut Bytes) -> Option<Vec<u64>> {
    let count = bytes.get(..4)?.try_into().map(u32::from_le_bytes).ok()? as usize;
    let end = count.checked_mul(8)?.checked_add(4)?;
    let tables = bytes.get(4..end)?.chunks_exact(8).map(|number| number.try_into().map_or(0, u64::from_le_bytes));
    let tables = tables.collect();
    *bytes = bytes.slice(end..);
    Some(tables)
}
