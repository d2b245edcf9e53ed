//! What a data directory takes on the disk, for who watches the server.

use std::io;
use std::path::Path;

use super::{checkpoint, segment, tables};

/// Files of a data directory, and the disk they are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogUsage {
    /// Segments: files of messages.
    pub segments: u64,
    /// Their bytes; the newest has the room it will need already.
    pub segment_bytes: u64,
    /// Tables of ids, producers and cursors.
    pub tables: u64,
    /// Bytes of everything in the directory.
    pub bytes: u64,
    /// Bytes that are free on its disk for this process.
    pub free: u64,
    /// Bytes of that disk.
    pub disk: u64,
}

/// Looks at a data directory; that of a running server, too.
///
/// # Errors
/// The system's, if the directory or its disk cannot be looked at.
pub fn usage(dir: &Path) -> io::Result<LogUsage> {
    let mut usage = LogUsage::default();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // A file that went meanwhile takes nothing.
        let Ok(bytes) = entry.metadata().map(|data| data.len()) else { continue };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        usage.bytes += bytes;
        if segment::base_of(&name).is_some() {
            usage.segments += 1;
            usage.segment_bytes += bytes;
        } else if checkpoint::lsn_of(&name).is_none() && tables::number_of(&name).is_some() {
            usage.tables += 1;
        }
    }
    let disk = rustix::fs::statvfs(dir)?;
    usage.free = disk.f_bavail.saturating_mul(disk.f_frsize);
    usage.disk = disk.f_blocks.saturating_mul(disk.f_frsize);
    Ok(usage)
}
