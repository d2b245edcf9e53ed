//! The durable engine: an append-only segment log with group commit.
//!
//! One batch is one frame of a preallocated segment, written at once and synced (fdatasync) before anything of it is
//! answered. A full segment is sealed and gets an index of its messages; a checkpoint of everything but messages
//! follows: ids, producers and cursors that have changed in a table, the rest in the checkpoint itself. Recovery is the
//! newest checkpoint, the indexes of the segments it covers, and the batches after it; tables are only opened. A
//! segment goes when a checkpoint covers it and no message in it is wanted any more; what few are left are copied
//! forward first.

mod active;
mod backup;
mod checkpoint;
mod error;
mod files;
mod hot;
mod index;
mod inspect;
mod mover;
mod open;
mod places;
mod reader;
mod recovery;
mod segment;
mod space;
mod tables;
mod usage;
mod worker;

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::Offset;
use moorline_protocol::time::UnixMillis;

use self::active::{Active, Frame, Next, Written, fatal};
pub use self::backup::{Backup, BackupError, backup, backup_while};
pub use self::error::OpenError;
pub use self::files::{Directory, Files, LogFile};
use self::hot::Hot;
use self::index::Index;
pub use self::inspect::{Report, inspect};
use self::mover::{Mover, Survivors};
pub use self::open::{LogConfig, open, open_over, open_with};
use self::places::{Place, Places};
use self::reader::{ReadError, Source};
use self::segment::{Lsn, Segment, Segments};
use self::space::Guard;
pub use self::space::{DiskWatch, Space};
pub use self::tables::TableStats;
use self::tables::{Flushed, Table, TableError, Tables};
pub use self::usage::{LogUsage, usage};
use self::worker::Worker;
use super::EngineError;
use super::core::{Kept, MessageStore, Part, PendingRead, Query, Snapshot, StateKey};
use super::record::{ChannelId, Record};
use super::turn::{Fatal, Persist, Room, Sinks};

/// Bytes of one frame at most, about: a larger batch is several frames and one sync.
const FRAME_BYTES: u64 = 8 << 20;
/// Bytes of one batch at most, about.
const BATCH_BYTES: u64 = 4 << 20;
/// ms between two attempts to write a checkpoint for which there was no room.
const RETRY_MS: u64 = 5_000;

/// Messages and records in segment files.
pub struct LogStore {
    files: Arc<dyn Files>,
    segment_bytes: u64,
    /// Whether a batch is synced before it counts (`disk`), or only written (`process`).
    sync: bool,
    segments: Segments,
    active: Active,
    places: Places,
    hot: Hot,
    mover: Mover,
    work: Worker<Done>,
    reads: Worker<()>,
    merges: Worker<io::Result<Table>>,
    /// Ids, producers and cursors that checkpoints have taken over.
    tables: Tables,
    /// Why something in a table could not be read last.
    unreadable: Option<TableError>,
    /// A checkpoint is due when so many bytes of ids, producers and cursors wait for it.
    most_waiting: usize,
    /// Everything before it stands in a checkpoint.
    covered: Lsn,
    checkpoint: Checkpointing,
    /// Whether a segment may have become empty or sparse.
    untidy: bool,
    room: Room,
    guard: Guard,
    /// When this turn is.
    now: UnixMillis,
    /// This boot of the machine.
    boot: String,
    /// Held while the store is open.
    lock: Option<File>,
}

/// When the next checkpoint is due.
#[derive(Default)]
struct Checkpointing {
    running: bool,
    /// Whether it was written, and nobody knows yet.
    written_now: bool,
    /// Whether a segment was sealed since the last one.
    rolled: bool,
    /// Bytes of batches since the last one.
    written: u64,
    /// Bytes of the last one.
    size: u64,
    /// When there was no room for it.
    failed: Option<UnixMillis>,
}

/// What work beside the batches came to.
enum Done {
    /// An index was written.
    Indexed(Lsn, Bytes, io::Result<()>),
    /// A checkpoint was written; what it rests on was synced.
    Checkpointed(Lsn, io::Result<Flushed>),
    /// What a checkpoint would have rested on could not be synced.
    SyncFailed(io::Error),
    /// What is left of a segment was read.
    Read(Lsn, Result<Survivors, ReadError>),
    /// Files were removed.
    Removed,
}

impl LogStore {
    /// Writes one frame and notes where its messages stand.
    fn write(&mut self, mut frame: Frame) -> Result<(), Fatal> {
        if self.active.is_over(frame.len()) {
            self.roll()?;
        }
        self.active.write(&mut frame)?;
        self.checkpoint.written += frame.len() as u64;
        let base = self.active.base;
        frame.messages.into_iter().for_each(|written| self.note(base, written));
        Ok(())
    }

    /// Notes where a message stands.
    fn note(&mut self, segment: Lsn, (channel, offset, time, entry): Written) {
        let (segments, files) = (&self.segments, self.files.as_ref());
        let lookup = |base, slots| segments.entries(files, base, slots);
        self.places.put(channel, offset, Place { segment, time, entry }, &lookup);
    }

    /// Seals the active segment and goes on in the next.
    fn roll(&mut self) -> Result<(), Fatal> {
        let (base, used) = (self.active.base, self.active.at);
        self.active.roll(self.files.as_ref())?;
        let next = self.active.base;
        self.seal(base, used, next);
        let file = Arc::clone(&self.active.file);
        self.segments.insert(next, Segment { file, end: None, used: 0, index: Index::None });
        self.active.allocate(&self.files, self.segment_bytes);
        self.guard.look_again();
        self.checkpoint.rolled = true;
        Ok(())
    }

    /// Makes the index of a segment that is not written any more.
    fn seal(&mut self, base: Lsn, used: u64, next: Lsn) {
        let index = index::encode(&self.places.seal(base), next, used);
        if let Some(segment) = self.segments.get_mut(base) {
            (segment.end, segment.used, segment.index) = (Some(next), used, Index::Held(index.clone()));
        }
        let files = Arc::clone(&self.files);
        self.work.submit(move || {
            let stored = index::store(files.as_ref(), base, &index);
            Done::Indexed(base, index, stored)
        });
    }

    fn done(&mut self, done: Done) -> Result<(), Fatal> {
        match done {
            Done::Indexed(base, index, Ok(())) => {
                if let Some(segment) = self.segments.get_mut(base) {
                    segment.index = index::stored(&index);
                }
            }
            // It stays in memory; the next start makes it anew.
            Done::Indexed(_, _, Err(error)) if files::is_full(&error) => {
                tracing::warn!(%error, "no room for the index of a segment");
            }
            Done::Indexed(_, _, Err(error)) => return Err(fatal("writing an index")(error)),
            Done::Checkpointed(lsn, Ok(flushed)) => self.checkpointed(lsn, flushed),
            Done::Checkpointed(_, Err(error)) if files::is_full(&error) => {
                tracing::warn!(%error, "no room for a checkpoint; trying again later");
                self.tables.not_flushed();
                (self.checkpoint.running, self.checkpoint.failed) = (false, Some(self.now));
            }
            Done::Checkpointed(_, Err(error)) => return Err(fatal("writing a checkpoint")(error)),
            Done::SyncFailed(error) => return Err(fatal("fdatasync of the log")(error)),
            Done::Read(base, survivors) => {
                self.mover.read(base, survivors);
                self.untidy = true;
            }
            Done::Removed => {}
        }
        Ok(())
    }

    /// Deletes segments in which nothing is wanted any more, and has the survivors of a sparse one read.
    fn tidy(&mut self) -> Result<(), Fatal> {
        let covered = self.covered;
        let is_unwanted =
            |base, segment: &Segment| self.places.live(base) == 0 && segment.end.is_some_and(|end| end <= covered);
        // Whoever reads in it still has its file: it goes later.
        let is_read = |segment: &Segment| Arc::strong_count(&segment.file) > 1;
        let unwanted = || self.segments.iter().filter(|(base, segment)| is_unwanted(*base, segment));
        let gone: Vec<Lsn> = unwanted().filter(|(_, segment)| !is_read(segment)).map(|(base, _)| base).collect();
        self.untidy |= unwanted().any(|(_, segment)| is_read(segment));
        if !gone.is_empty() {
            // That they are not wanted must outlive them.
            self.active.sync()?;
        }
        for base in gone {
            self.segments.remove(base);
            self.places.remove(base);
            self.remove(vec![segment::name(base), index::name(base)]);
        }
        if let Some((base, sources)) = self.mover.choose(&self.segments, &self.places, covered) {
            let files = Arc::clone(&self.files);
            self.work.submit(move || Done::Read(base, mover::survivors(&files, &sources)));
        }
        Ok(())
    }

    /// Removes files, sooner or later.
    fn remove(&mut self, names: Vec<String>) {
        let files = Arc::clone(&self.files);
        self.work.submit(move || {
            for name in names {
                match files.remove(&name) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::warn!(%error, name, "could not delete what is not wanted any more");
                    }
                    _ => {}
                }
            }
            Done::Removed
        });
    }

    /// A checkpoint was written: tables that it no longer names go, and those of one size are merged.
    fn checkpointed(&mut self, lsn: Lsn, flushed: Flushed) {
        self.covered = lsn;
        self.active.synced = self.active.synced.max(lsn);
        (self.checkpoint.running, self.checkpoint.written_now) = (false, true);
        self.untidy = true;
        let gone: Vec<String> = self.tables.flushed(flushed).into_iter().map(tables::name).collect();
        if !gone.is_empty() {
            self.remove(gone);
        }
        if let Some(merge) = self.tables.begin_merge() {
            let files = Arc::clone(&self.files);
            self.merges.submit(move || merge.run(files.as_ref()));
        }
    }

    /// Returns how much stands in tables, and what of it is in memory.
    pub fn table_stats(&self) -> TableStats {
        self.tables.stats()
    }

    fn max_frame(&self) -> usize {
        FRAME_BYTES.min(self.segment_bytes / 4) as usize
    }
}

impl MessageStore for LogStore {
    fn find(&mut self, key: StateKey) -> Result<Option<Bytes>, EngineError> {
        self.tables.find(key).map_err(|error| {
            tracing::error!(%error, "the log is damaged: look with `moorline-server inspect`");
            self.unreadable = Some(error);
            EngineError::Unavailable
        })
    }

    fn cursors(&mut self, each: &mut dyn FnMut(Bytes)) -> Result<(), EngineError> {
        self.tables.scan(StateKey::cursors(), each).map_err(|error| {
            tracing::error!(%error, "the log is damaged: look with `moorline-server inspect`");
            EngineError::Unavailable
        })
    }

    fn append(&mut self, channel: ChannelId, message: Kept) {
        self.hot.push(channel, message);
    }

    fn read(&mut self, query: &Query) -> Option<Vec<Kept>> {
        let is_empty = match query.part {
            Part::Up { after, until } => after >= until,
            Part::Down { from, before } => from >= before,
        };
        if is_empty { Some(Vec::new()) } else { self.hot.read(query) }
    }

    fn first_at(&mut self, channel: ChannelId, time: UnixMillis) -> Option<Offset> {
        let (segments, files) = (&self.segments, self.files.as_ref());
        let lookup = |base, slots| segments.entries(files, base, slots);
        let read = |base, entry| segments.get(base).and_then(|segment| reader::time_of(segment.file.as_ref(), entry));
        let placed = self.places.first_at(channel, time, &lookup, &read);
        let fresh = || self.hot.fresh(channel).find(|message| message.time >= time).map(|message| message.offset);
        placed.or_else(fresh)
    }

    fn first_within(&mut self, channel: ChannelId, bytes: u64) -> Option<Offset> {
        let (segments, files) = (&self.segments, self.files.as_ref());
        let lookup = |base, slots| segments.entries(files, base, slots);
        let mut left = bytes;
        let mut first = None;
        for message in self.hot.fresh(channel).rev() {
            let Some(rest) = left.checked_sub(message.bytes.len() as u64) else { return first };
            (left, first) = (rest, Some(message.offset));
        }
        self.places.first_within(channel, left, &lookup).or(first)
    }

    fn trim(&mut self, channel: ChannelId, first: Offset) {
        let (segments, files) = (&self.segments, self.files.as_ref());
        self.hot.trim(channel, first);
        self.places.trim(channel, first, &|base, slots| segments.entries(files, base, slots));
        self.untidy = true;
    }

    fn forget(&mut self, channel: ChannelId) {
        self.hot.forget(channel);
        self.places.forget(channel);
        self.untidy = true;
    }

    fn retain(&mut self, known: &dyn Fn(ChannelId) -> bool) {
        for channel in self.places.channels() {
            if !known(channel) {
                self.forget(channel);
            }
        }
    }

    fn size(&self, channel: ChannelId) -> (u64, u64) {
        self.places.size(channel)
    }

    fn oldest(&self) -> Option<UnixMillis> {
        self.places.oldest()
    }
}

impl Persist for LogStore {
    fn batch_bytes(&self) -> u64 {
        BATCH_BYTES.min(self.segment_bytes / 16)
    }

    fn tend(&mut self, now: UnixMillis) -> Result<Room, Fatal> {
        self.now = now;
        while self.reads.poll().is_some() {}
        if let Some(merged) = self.merges.poll() {
            self.tables.merged(merged).map_err(fatal("merging tables"))?;
        }
        if let Some(done) = self.work.poll() {
            self.done(done)?;
        }
        if std::mem::take(&mut self.untidy) {
            self.tidy()?;
        }
        let reserve = 4 * self.batch_bytes();
        self.room = self.active.room(&self.files, self.segment_bytes, reserve, now)?;
        // What an allocation takes that may fail yet, and be given back, says nothing.
        if !matches!(self.active.next, Next::Coming) {
            self.guard.look(self.files.as_ref(), now);
        }
        if self.guard.is_low() && self.room == Room::Enough {
            self.room = Room::Reserved;
        }
        Ok(self.room)
    }

    fn has_work(&self) -> bool {
        self.mover.has_work() && matches!(self.room, Room::Enough | Room::Reserved)
    }

    fn persist(&mut self, records: &[Record]) -> Result<(), Fatal> {
        let size = |record: &Record| if let Record::Append { bytes, .. } = record { bytes.len() + 128 } else { 256 };
        let (mut rest, most) = (records, self.max_frame());
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|record| {
                bytes += size(record);
                bytes <= most
            });
            let (frame, others) = rest.split_at(fits.count().max(1));
            self.write(Frame::of(frame))?;
            rest = others;
        }
        if self.has_work() {
            let moved = self.mover.next(&self.places, self.now);
            if !moved.is_empty() {
                self.write(Frame::of(&moved))?;
            }
            self.untidy |= !self.mover.has_work();
        }
        if self.sync {
            self.active.sync()?;
        }
        self.hot.settle();
        Ok(())
    }

    fn is_checkpoint_due(&self, waiting: usize) -> bool {
        let Checkpointing { running, rolled, written, size, failed, .. } = self.checkpoint;
        let grown = rolled && written >= self.segment_bytes.max(2 * size) / 2 || waiting > self.most_waiting;
        // A checkpoint may be all that keeps segments and tables from being deleted.
        let uncovered = |segment: &Segment| segment.end.is_some_and(|end| end > self.covered);
        let cramped = || self.tables.has_obsolete() || self.segments.iter().any(|(_, segment)| uncovered(segment));
        let again = failed.is_none_or(|at| self.now.abs_diff(at) >= RETRY_MS);
        !running && again && (grown || self.room != Room::Enough && cramped())
    }

    fn is_checkpoint_written(&mut self) -> bool {
        std::mem::take(&mut self.checkpoint.written_now)
    }

    fn checkpoint(&mut self, snapshot: Snapshot) {
        let lsn = self.active.next_lsn;
        let Snapshot { records, state, expiry } = snapshot;
        self.checkpoint = Checkpointing { running: true, size: records.len() as u64, ..Checkpointing::default() };
        let flush = self.tables.flush(state, expiry);
        let (files, file) = (Arc::clone(&self.files), Arc::clone(&self.active.file));
        let unsynced = self.active.synced < lsn;
        self.work.submit(move || match if unsynced { file.sync() } else { Ok(()) } {
            Ok(()) => {
                let flushed = flush.store(files.as_ref());
                Done::Checkpointed(
                    lsn,
                    flushed.and_then(|flushed| {
                        checkpoint::store(files.as_ref(), lsn, &flushed.named, &records).map(|()| flushed)
                    }),
                )
            }
            Err(error) => Done::SyncFailed(error),
        });
    }

    fn read_later(&mut self, read: PendingRead, answer: Sinks) {
        let spans = self.places.find(&read.bounds.query);
        let source = |span: places::Span| self.segments.get(span.segment).map(|segment| Source::new(span, segment));
        let sources: Vec<Source> = spans.into_iter().filter_map(source).collect();
        let files = Arc::clone(&self.files);
        self.reads.submit(move || reader::answer(files.as_ref(), &read, &sources, &answer));
    }

    fn close(&mut self) -> Result<(), Fatal> {
        self.tables.stop_merging();
        while let Some(done) = self.work.wait() {
            self.done(done)?;
        }
        while self.reads.wait().is_some() {}
        self.active.sync()?;
        open::mark_end(self.files.as_ref(), &self.boot, self.sync).map_err(fatal("marking the end"))
    }
}
