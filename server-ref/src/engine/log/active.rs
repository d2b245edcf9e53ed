//! The segment that is written, and the one after it.

use std::io;
use std::sync::Arc;

use moorline_protocol::Offset;
use moorline_protocol::time::UnixMillis;

use super::files::{self, Files, LogFile};
use super::index::Entry;
use super::segment::{self, FRAME_HEAD, HEADER, Lsn};
use super::worker::Worker;
use crate::engine::record::{ChannelId, Record};
use crate::engine::turn::{Fatal, Room};

/// The name of the segment that is allocated ahead.
pub(super) const SPARE: &str = "segment.next";
/// ms between two attempts to find room for the next segment.
const RETRY_MS: u64 = 250;

/// A message that was written: channel, offset, time, where its record stands.
pub(super) type Written = (ChannelId, Offset, UnixMillis, Entry);

/// See the module's documentation.
pub(super) struct Active {
    pub(super) base: Lsn,
    pub(super) file: Arc<dyn LogFile>,
    /// Where the next frame begins.
    pub(super) at: u64,
    pub(super) size: u64,
    pub(super) next_lsn: Lsn,
    /// Batches before it are durable.
    pub(super) synced: Lsn,
    pub(super) next: Next,
    pub(super) allocations: Worker<io::Result<Arc<dyn LogFile>>>,
}

/// The segment that will be written.
pub(super) enum Next {
    /// It is being allocated.
    Coming,
    /// It is there.
    Ready(Arc<dyn LogFile>),
    /// There is no room for it, or nobody has asked; when that was found.
    Missing(UnixMillis),
}

impl Active {
    /// Begins to allocate the next segment.
    pub(super) fn allocate(&mut self, files: &Arc<dyn Files>, size: u64) {
        let files = Arc::clone(files);
        self.next = Next::Coming;
        self.allocations.submit(move || {
            // One that was allocated and not used is still there after a restart, and still empty.
            match files.open(SPARE, true) {
                Ok(file) if file.size().is_ok_and(|found| found == size) => Ok(file),
                _ => files::allocate(files.as_ref(), SPARE, size),
            }
        });
    }

    /// Tells how much room there is when a turn writes at most a quarter of `reserve`.
    pub(super) fn room(
        &mut self,
        files: &Arc<dyn Files>,
        size: u64,
        reserve: u64,
        now: UnixMillis,
    ) -> Result<Room, Fatal> {
        let left = self.size.saturating_sub(self.at);
        let allocated = self.allocations.poll();
        self.see(allocated, now)?;
        if let Next::Missing(since) = self.next
            && now.abs_diff(since) >= RETRY_MS
        {
            self.allocate(files, size);
        }
        if left >= reserve {
            return Ok(Room::Enough);
        }
        if matches!(self.next, Next::Coming) {
            let allocated = self.allocations.wait();
            self.see(allocated, now)?;
        }
        Ok(match self.next {
            Next::Ready(_) => Room::Enough,
            Next::Missing(_) | Next::Coming if left >= reserve / 2 => Room::Little,
            Next::Missing(_) | Next::Coming => Room::None,
        })
    }

    fn see(&mut self, allocated: Option<io::Result<Arc<dyn LogFile>>>, now: UnixMillis) -> Result<(), Fatal> {
        match allocated {
            Some(Ok(file)) => self.next = Next::Ready(file),
            Some(Err(error)) if files::is_full(&error) => {
                tracing::error!(%error, "no room for the next segment: publishes are refused until there is");
                self.next = Next::Missing(now);
            }
            Some(Err(error)) => return Err(fatal("allocating a segment")(error)),
            None => {}
        }
        Ok(())
    }

    /// Makes what was written durable.
    pub(super) fn sync(&mut self) -> Result<(), Fatal> {
        if self.synced < self.next_lsn {
            self.file.sync().map_err(fatal("fdatasync of the log"))?;
            self.synced = self.next_lsn;
        }
        Ok(())
    }

    /// Tells whether a frame does not fit any more.
    pub(super) fn is_over(&self, frame: usize) -> bool {
        self.at + frame as u64 + 8 > self.size && self.at > HEADER
    }

    /// Goes on in the next segment. What is in this one is durable then.
    pub(super) fn roll(&mut self, files: &dyn Files) -> Result<(), Fatal> {
        self.sync()?;
        while matches!(self.next, Next::Coming) {
            match self.allocations.wait() {
                Some(Ok(file)) => self.next = Next::Ready(file),
                Some(Err(source)) => return Err(fatal("allocating a segment")(source)),
                None => break,
            }
        }
        let Next::Ready(file) = std::mem::replace(&mut self.next, Next::Missing(0)) else {
            return Err(fatal("allocating a segment")(io::ErrorKind::StorageFull.into()));
        };
        let size = file.size().map_err(fatal("measuring a segment"))?;
        begin(files, file.as_ref(), self.next_lsn, size).map_err(fatal("beginning a segment"))?;
        (self.base, self.file, self.at, self.size) = (self.next_lsn, file, HEADER, size);
        Ok(())
    }

    /// Writes one frame, for which there is room.
    pub(super) fn write(&mut self, frame: &mut Frame) -> Result<(), Fatal> {
        segment::finish(self.next_lsn, self.synced, &mut frame.bytes);
        self.file.write_at(&frame.bytes, self.at).map_err(fatal("writing the log"))?;
        for (_, _, _, entry) in &mut frame.messages {
            entry.at += self.at as u32;
        }
        self.at += frame.bytes.len() as u64;
        self.next_lsn += 1;
        Ok(())
    }
}

/// Makes the spare file the segment with this base.
pub(super) fn begin(files: &dyn Files, file: &dyn LogFile, base: Lsn, size: u64) -> io::Result<()> {
    file.write_at(&segment::header(base, size), 0)?;
    file.sync()?;
    files.rename(SPARE, &segment::name(base))?;
    files.sync()
}

/// Records on their way into a segment.
pub(super) struct Frame {
    bytes: Vec<u8>,
    /// The messages among them; until they are written, positions count from the frame's beginning.
    pub(super) messages: Vec<Written>,
}

impl Frame {
    pub(super) fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut frame = Self { bytes: vec![0; FRAME_HEAD], messages: Vec::new() };
        for record in records {
            let from = frame.bytes.len();
            record.encode(&mut frame.bytes);
            if let Some((channel, offset, time)) = record.message() {
                let bytes = frame.bytes.get(from..).unwrap_or_default();
                let entry = Entry { at: from as u32, len: bytes.len() as u32, crc: crc32c::crc32c(bytes) };
                frame.messages.push((channel, offset, time, entry));
            }
        }
        frame
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

pub(super) fn fatal(what: &'static str) -> impl FnOnce(io::Error) -> Fatal {
    move |source| Fatal::Io { what, source }
}
