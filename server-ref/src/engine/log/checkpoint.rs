//! Checkpoints: everything but the messages, as it stood before a batch.
//!
//! File (little endian): magic `MOORCKP1`, LSN of the batch (8), CRC-32C of the records (4), the records.

use std::io;

use bytes::Bytes;

use super::OpenError;
use super::files::{self, Files};
use super::segment::Lsn;

const MAGIC: &[u8; 8] = b"MOORCKP1";
const HEAD: usize = 20;

/// A checkpoint that was read.
#[derive(Default)]
pub(super) struct Checkpoint {
    /// Everything before this batch stands in it.
    pub(super) lsn: Lsn,
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
pub(super) fn store(files: &dyn Files, lsn: Lsn, records: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEAD + records.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&lsn.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(records).to_le_bytes());
    bytes.extend_from_slice(records);
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
    let records = bytes.slice(HEAD.min(bytes.len())..);
    if bytes.get(..8) != Some(MAGIC) || bytes.get(8..16) != Some(&lsn.to_le_bytes()[..]) {
        return Err(damaged("this is not the head of this checkpoint"));
    }
    if crc != Some(crc32c::crc32c(&records)) {
        return Err(damaged("the checkpoint is not what was written"));
    }
    Ok(Checkpoint { lsn, records })
}
