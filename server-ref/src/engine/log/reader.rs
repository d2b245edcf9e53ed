//! Reads that need the disk. The commit thread never waits for them.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::Offset;
use moorline_protocol::time::UnixMillis;

use super::files::{Files, LogFile};
use super::index::{Entry, Index};
use super::places::{Entries, Span};
use super::segment::{self, Lsn, Segment};
use crate::engine::core::{Kept, Part, PendingRead, page};
use crate::engine::record::{ChannelId, Record};
use crate::engine::turn::Sinks;
use crate::engine::{Completion, EngineError, Reply};

/// Bytes of records that are read at once, if they stand close together.
const WINDOW: usize = 64 * 1024;
/// Bytes between two records that are read and thrown away rather than making another call.
const GAP: u32 = 1024;

/// Some messages of one segment, and how to reach them.
pub(super) struct Source {
    pub(super) span: Span,
    pub(super) file: Arc<dyn LogFile>,
    pub(super) index: Index,
}

impl Source {
    pub(super) fn new(span: Span, segment: &Segment) -> Self {
        Self { span, file: Arc::clone(&segment.file), index: segment.index.clone() }
    }

    fn entries(&self, files: &dyn Files) -> io::Result<Vec<Entry>> {
        match &self.span.entries {
            Entries::Here(entries) => Ok(entries.iter().copied().collect()),
            Entries::Indexed(slot) => {
                self.index.entries(files, self.span.segment, *slot..slot.saturating_add(self.span.count))
            }
        }
    }
}

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} at byte {position}: {source}", segment::name(*.segment))]
pub(super) struct ReadError {
    segment: Lsn,
    position: u64,
    source: io::Error,
}

/// Answers a read.
pub(super) fn answer(files: &dyn Files, read: &PendingRead, sources: &[Source], answer: &Sinks) {
    let result = fetch(files, read, sources).map_err(|error| {
        tracing::error!(%error, "the log is damaged: look with `moorline-server inspect`");
        EngineError::Unavailable
    });
    answer.send(read.shard, vec![Reply::Completed(read.ticket, result)]);
}

fn fetch(files: &dyn Files, read: &PendingRead, sources: &[Source]) -> Result<Completion, ReadError> {
    let query = &read.bounds.query;
    let down = matches!(query.part, Part::Down { .. });
    let mut taken = VecDeque::new();
    let mut bytes = 0;
    let count = sources.len();
    'all: for number in 0..count {
        let Some(source) = sources.get(if down { count - 1 - number } else { number }) else { break };
        let mut messages = Messages::of(files, source)?;
        while let Some(message) = if down { messages.previous()? } else { messages.next()? } {
            bytes += message.bytes.len();
            if taken.len() >= query.max_messages || bytes > query.max_bytes && !taken.is_empty() {
                break 'all;
            }
            if down { taken.push_front(message) } else { taken.push_back(message) }
        }
    }
    Ok(Completion::Read(page(&read.bounds, taken.into())))
}

/// Reads all messages of a source, ascending.
pub(super) fn all(files: &dyn Files, source: &Source) -> Result<Vec<Kept>, ReadError> {
    let mut messages = Messages::of(files, source)?;
    let mut all = Vec::with_capacity(source.span.count as usize);
    while let Some(message) = messages.next()? {
        all.push(message);
    }
    Ok(all)
}

/// The messages of a source, from either end.
struct Messages<'a> {
    source: &'a Source,
    entries: Vec<Entry>,
    /// The numbers of the entries that are left.
    left: Range<usize>,
    /// Bytes of the segment that were read, and where they begin.
    window: (u32, Bytes),
}

impl<'a> Messages<'a> {
    fn of(files: &dyn Files, source: &'a Source) -> Result<Self, ReadError> {
        let (segment, position) = (source.span.segment, 0);
        let entries = source.entries(files).map_err(|source| ReadError { segment, position, source })?;
        Ok(Self { source, left: 0..entries.len(), entries, window: (0, Bytes::new()) })
    }

    fn next(&mut self) -> Result<Option<Kept>, ReadError> {
        self.left.next().map(|number| self.message(number, false)).transpose()
    }

    fn previous(&mut self) -> Result<Option<Kept>, ReadError> {
        self.left.next_back().map(|number| self.message(number, true)).transpose()
    }

    /// Returns the message of an entry. If it does not stand in the window that was read, another one is, in the
    /// direction of the read.
    fn message(&mut self, number: usize, down: bool) -> Result<Kept, ReadError> {
        let entry = self.entries.get(number).copied().unwrap_or_default();
        let segment = self.source.span.segment;
        let wrong = |source| ReadError { segment, position: u64::from(entry.at), source };
        if self.in_window(entry).is_none() {
            let window = if down {
                window(self.entries.get(..=number).unwrap_or_default().iter().rev())
            } else {
                window(self.entries.get(number..).unwrap_or_default().iter())
            };
            let bytes = read(self.source.file.as_ref(), window.clone()).map_err(wrong)?;
            self.window = (window.start, bytes);
        }
        let offset = Offset(self.source.span.first.0 + number as u64);
        let record = self.in_window(entry).filter(|record| crc32c::crc32c(record) == entry.crc);
        let message = record.and_then(|record| kept(record, self.source.span.channel, offset));
        message.ok_or_else(|| wrong(io::Error::new(io::ErrorKind::InvalidData, "this is not the message of the index")))
    }

    fn in_window(&self, entry: Entry) -> Option<Bytes> {
        let from = entry.at.checked_sub(self.window.0)? as usize;
        let to = from.checked_add(entry.len as usize)?;
        (to <= self.window.1.len() && from < to).then(|| self.window.1.slice(from..to))
    }
}

/// Returns the bytes of a segment that hold the first of these entries and those that stand close to it.
fn window<'a>(entries: impl Iterator<Item = &'a Entry>) -> Range<u32> {
    let mut window = None;
    for entry in entries {
        let end = entry.at.saturating_add(entry.len);
        let Range { start: from, end: to } = *window.get_or_insert(entry.at..end);
        let gap = entry.at.saturating_sub(to).max(from.saturating_sub(end));
        let wider = from.min(entry.at)..to.max(end);
        if wider != (from..to) && (gap > GAP || wider.len() > WINDOW) {
            break;
        }
        window = Some(wider);
    }
    window.unwrap_or_default()
}

/// Returns the message that a record holds, if it is the one that is looked for.
fn kept(record: Bytes, of: ChannelId, at: Offset) -> Option<Kept> {
    let (channel, message) = message(record)?;
    (channel == of && message.offset == at).then_some(message)
}

/// Returns the message that a record holds, and of which channel it is.
pub(super) fn message(mut record: Bytes) -> Option<(ChannelId, Kept)> {
    match Record::decode(&mut record) {
        Ok(Record::Append { channel, id, expires, bytes, .. }) => {
            Some((channel, Kept { offset: id.offset, time: id.time, expires, bytes }))
        }
        Ok(Record::Moved { channel, message }) => Some((channel, message)),
        _ => None,
    }
}

/// Returns the time of the message whose record stands at a place.
pub(super) fn time_of(file: &dyn LogFile, entry: Entry) -> Option<UnixMillis> {
    let bytes = read(file, entry.at..entry.at.checked_add(entry.len)?).ok()?;
    message(bytes).map(|(_, message)| message.time)
}

/// Reads a part of a segment. An index may be damaged: no memory is taken for what the segment does not hold.
fn read(file: &dyn LogFile, part: Range<u32>) -> io::Result<Bytes> {
    if u64::from(part.end) > file.size()? {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the index names what the segment does not hold"));
    }
    let mut bytes = vec![0; part.len()];
    file.read_at(&mut bytes, u64::from(part.start))?;
    Ok(bytes.into())
}
