//! The durable engine: an append-only segment log with group commit.
//!
//! One batch is one frame of a preallocated segment, written at once and synced (fdatasync) before anything of it is
//! answered. A full segment is sealed with an index of its messages; a checkpoint of everything but messages follows.
//! Recovery is the newest checkpoint, the indexes of sealed segments, and the batches after the checkpoint.

mod error;
mod files;
mod inspect;
mod places;
mod reader;
mod recovery;
mod segment;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use moorline_protocol::Offset;
use moorline_protocol::time::UnixMillis;

pub use self::error::OpenError;
pub use self::files::{Directory, Files, LogFile};
pub use self::inspect::{Report, inspect};
use self::places::{Place, Places};
use self::reader::Reader;
pub use self::recovery::{LogConfig, open, open_with};
use self::segment::{FRAME_HEAD, HEADER, Lsn, Segment};
use super::core::{Kept, MessageStore, PendingRead, Query};
use super::turn::{Fatal, Persist, Sinks};
use super::record::{ChannelId, Record};

/// Bytes of one frame, about: a larger batch is several frames and one sync.
const FRAME_BYTES: usize = 8 << 20;

/// A message in an index: channel, offset, where its record begins, its length.
type Indexed = (ChannelId, Offset, u32, u32);

/// Messages and records in segment files.
pub struct LogStore {
    files: Arc<dyn Files>,
    segment_bytes: u64,
    /// Whether a batch is synced before it counts (`disk`), or only written (`process`).
    sync: bool,
    segments: BTreeMap<Lsn, Segment>,
    active: Active,
    next: Next,
    places: Places,
    /// Messages of this batch, whose places are not known yet.
    fresh: Vec<(ChannelId, Kept)>,
    reader: Option<Reader>,
    /// Everything before it stands in a checkpoint.
    covered: Lsn,
    written_since: u64,
    checkpoint_bytes: u64,
    sealed: bool,
    boot: String,
    /// Held while the store is open.
    _lock: Option<File>,
}

/// The segment that is written.
struct Active {
    base: Lsn,
    file: Arc<dyn LogFile>,
    at: u64,
    next_lsn: Lsn,
    index: Vec<Indexed>,
}

/// The segment that will be written.
enum Next {
    /// It is being allocated.
    Coming(mpsc::Receiver<std::io::Result<Arc<dyn LogFile>>>),
    /// It is there.
    Ready(Arc<dyn LogFile>),
    /// There is no room for it.
    Missing,
}

/// The name of the segment that is allocated ahead.
const SPARE: &str = "segment.next";

impl LogStore {
    fn allocate_ahead(&mut self) {
        let (sender, receiver) = mpsc::channel();
        let (files, size) = (Arc::clone(&self.files), self.segment_bytes);
        let allocate = move || {
            // Nobody waits any more if the log was closed meanwhile.
            let _ = sender.send(files.allocate(SPARE, size));
        };
        self.next = match std::thread::Builder::new().name("moorline-alloc".into()).spawn(allocate) {
            Ok(_) => Next::Coming(receiver),
            Err(_) => Next::Missing,
        };
    }

    /// Looks whether the next segment has come; with `wait`, until it has or cannot.
    fn poll_next(&mut self, wait: bool) {
        if let Next::Coming(receiver) = &self.next {
            let result = if wait { receiver.recv().ok() } else { receiver.try_recv().ok() };
            match result {
                Some(Ok(file)) => self.next = Next::Ready(file),
                Some(Err(error)) => {
                    tracing::error!(%error, "no room for the next segment: publishes will be refused");
                    self.next = Next::Missing;
                }
                None if wait => self.next = Next::Missing,
                None => {}
            }
        }
    }

    /// Seals the active segment and goes on in the next.
    fn roll(&mut self) -> Result<(), Fatal> {
        let fatal = |what| move |source| Fatal::Io { what, source };
        self.active.file.sync().map_err(fatal("fdatasync of the log"))?;
        self.poll_next(true);
        let Next::Ready(file) = std::mem::replace(&mut self.next, Next::Missing) else {
            return Err(fatal("allocating a segment")(std::io::ErrorKind::StorageFull.into()));
        };
        let base = self.active.next_lsn;
        file.write_at(&segment::header(base), 0).map_err(fatal("writing a segment's head"))?;
        file.sync().map_err(fatal("fdatasync of a new segment"))?;
        self.files.rename(SPARE, &segment::name(base)).map_err(fatal("naming a segment"))?;
        let index = recovery::encode_index(&self.active.index, self.active.at, base);
        let name = recovery::index_name(self.active.base);
        self.files.replace(&name, &index).map_err(fatal("writing an index"))?;
        if let Some(segment) = self.segments.get_mut(&self.active.base) {
            segment.end = Some(base);
        }
        self.segments.insert(base, Segment { base, file: Arc::clone(&file), live: 0, end: None });
        self.active = Active { base, file, at: HEADER, next_lsn: base, index: Vec::new() };
        self.sealed = true;
        self.allocate_ahead();
        Ok(())
    }

    /// Writes one frame of records.
    fn write(&mut self, records: &[Record]) -> Result<(), Fatal> {
        let mut frame = vec![0; FRAME_HEAD];
        let mut appends = Vec::new();
        for record in records {
            let from = frame.len();
            record.encode(&mut frame);
            if let Record::Append { channel, id, .. } = record {
                appends.push((*channel, id.offset, from, frame.len() - from));
            }
        }
        if self.active.at + frame.len() as u64 + 8 > self.segment_bytes {
            self.roll()?;
        }
        segment::finish(self.active.next_lsn, &mut frame);
        let written = self.active.file.write_at(&frame, self.active.at);
        written.map_err(|source| Fatal::Io { what: "writing the log", source })?;
        for (channel, offset, from, len) in appends {
            let place = Place { segment: self.active.base, at: self.active.at as u32 + from as u32, len: len as u32 };
            self.active.index.push((channel, offset, place.at, place.len));
            self.places.place(channel, offset, place);
            if let Some(segment) = self.segments.get_mut(&place.segment) {
                segment.live += 1;
            }
        }
        self.active.at += frame.len() as u64;
        self.active.next_lsn += 1;
        self.written_since += frame.len() as u64;
        Ok(())
    }

    /// Deletes sealed segments that a checkpoint covers and that hold nothing any more.
    fn drop_empty(&mut self) {
        let covered = self.covered;
        let gone: Vec<Lsn> = self
            .segments
            .values()
            .filter(|segment| segment.live == 0 && segment.end.is_some_and(|end| end <= covered))
            .map(|segment| segment.base)
            .collect();
        for base in gone {
            self.segments.remove(&base);
            for name in [segment::name(base), recovery::index_name(base)] {
                if let Err(error) = self.files.remove(&name) {
                    tracing::warn!(%error, name, "could not delete an empty segment");
                }
            }
        }
    }

    fn read_place(&self, place: Place) -> Option<Kept> {
        let segment = self.segments.get(&place.segment)?;
        reader::read_place(segment.file.as_ref(), place).ok()
    }
}

impl MessageStore for LogStore {
    fn append(&mut self, channel: ChannelId, message: Kept) {
        self.fresh.push((channel, message));
    }

    fn read(&mut self, query: &Query) -> Option<Vec<Kept>> {
        // Messages of the batch under way are in no place yet, but the ring has them.
        for (channel, message) in std::mem::take(&mut self.fresh) {
            self.places.keep(channel, message);
        }
        self.places.read(query)
    }

    fn first_at(&mut self, channel: ChannelId, time: UnixMillis) -> Option<Offset> {
        let (first, places) = self.places.of(channel)?;
        let (mut low, mut high) = (0, places.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let earlier =
                places.get(middle).and_then(|place| self.read_place(*place)).is_none_or(|kept| kept.time < time);
            if earlier { low = middle + 1 } else { high = middle }
        }
        (low < places.len()).then(|| Offset(first.0 + low as u64))
    }

    fn first_within(&mut self, channel: ChannelId, bytes: u64) -> Option<Offset> {
        let (first, places) = self.places.of(channel)?;
        let mut sum = 0;
        let fits = places.iter().rev().take_while(|place| {
            sum += u64::from(place.len);
            sum <= bytes
        });
        let fits = fits.count() as u64;
        (fits > 0).then(|| Offset(first.0 + places.len() as u64 - fits))
    }

    fn trim(&mut self, channel: ChannelId, first: Offset) {
        let segments = &mut self.segments;
        self.places.trim(channel, first, |base| {
            if let Some(segment) = segments.get_mut(&base) {
                segment.live = segment.live.saturating_sub(1);
            }
        });
    }

    fn forget(&mut self, channel: ChannelId) {
        let segments = &mut self.segments;
        self.places.forget(channel, |base| {
            if let Some(segment) = segments.get_mut(&base) {
                segment.live = segment.live.saturating_sub(1);
            }
        });
    }

    fn retain(&mut self, known: &dyn Fn(ChannelId) -> bool) {
        for channel in self.places.channels() {
            if !known(channel) {
                self.forget(channel);
            }
        }
    }
}

impl Persist for LogStore {
    fn persist(&mut self, records: &[Record]) -> Result<(), Fatal> {
        let size = |record: &Record| if let Record::Append { bytes, .. } = record { bytes.len() + 128 } else { 256 };
        let mut rest = records;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|record| {
                bytes += size(record);
                bytes <= FRAME_BYTES.min(self.segment_bytes as usize / 4)
            });
            let count = fits.count().max(1);
            let (frame, others) = rest.split_at(count);
            self.write(frame)?;
            rest = others;
        }
        if self.sync {
            self.active.file.sync().map_err(|source| Fatal::Io { what: "fdatasync of the log", source })?;
        }
        for (channel, message) in std::mem::take(&mut self.fresh) {
            self.places.keep(channel, message);
        }
        Ok(())
    }

    fn is_full(&mut self) -> bool {
        self.poll_next(false);
        let reserve = (2 * FRAME_BYTES as u64).min(self.segment_bytes / 2);
        let low = self.active.at + reserve > self.segment_bytes;
        if low && matches!(self.next, Next::Missing) {
            // Perhaps there is room by now.
            self.allocate_ahead();
            self.poll_next(true);
            return !matches!(self.next, Next::Ready(_));
        }
        false
    }

    fn is_checkpoint_due(&mut self) -> bool {
        let due = self.sealed && self.written_since >= self.segment_bytes.max(2 * self.checkpoint_bytes) / 2;
        self.sealed = false;
        self.drop_empty();
        due
    }

    fn checkpoint(&mut self, snapshot: &[Record]) -> Result<(), Fatal> {
        let fatal = |what| move |source| Fatal::Io { what, source };
        let lsn = self.active.next_lsn;
        if !self.sync {
            self.active.file.sync().map_err(fatal("fdatasync of the log"))?;
        }
        let bytes = recovery::encode_checkpoint(lsn, snapshot);
        self.checkpoint_bytes = bytes.len() as u64;
        self.files.replace(&recovery::checkpoint_name(lsn), &bytes).map_err(fatal("writing a checkpoint"))?;
        self.covered = lsn;
        self.written_since = 0;
        for name in self.files.list().map_err(fatal("listing the data directory"))? {
            if recovery::checkpoint_lsn(&name).is_some_and(|old| old < lsn)
                && let Err(error) = self.files.remove(&name)
            {
                tracing::warn!(%error, name, "could not delete an old checkpoint");
            }
        }
        self.drop_empty();
        Ok(())
    }

    fn read_later(&mut self, read: PendingRead, answer: Sinks) {
        let places = self.places.find(&read.bounds.query);
        let mut jobs = Vec::with_capacity(places.len());
        for place in places {
            let file = self.segments.get(&place.segment).map(|segment| Arc::clone(&segment.file));
            jobs.extend(file.map(|file| (file, place)));
        }
        if let Some(reader) = &self.reader {
            reader.read(read, jobs, answer);
        }
    }

    fn close(&mut self) -> Result<(), Fatal> {
        let fatal = |what| move |source| Fatal::Io { what, source };
        self.active.file.sync().map_err(fatal("fdatasync of the log"))?;
        let state = recovery::state(true, &self.boot);
        self.files.replace(recovery::STATE, &state).map_err(fatal("marking the end"))?;
        self.reader = None;
        Ok(())
    }
}

/// Decodes an append record into the message it holds.
fn kept(bytes: &mut Bytes) -> Option<Kept> {
    match Record::decode(bytes) {
        Ok(Record::Append { id, expires, bytes, .. }) => {
            Some(Kept { offset: id.offset, time: id.time, expires, bytes })
        }
        _ => None,
    }
}
