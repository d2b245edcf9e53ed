//! Rebuilds everything from the files: the newest checkpoint, the indexes of segments that it covers, and the batches
//! after it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::active::{Active, Next};
use super::checkpoint::{self, Checkpoint};
use super::files::Files;
use super::hot::Hot;
use super::index::{self, Entry, Index};
use super::mover::Mover;
use super::open::LogConfig;
use super::places::Places;
use super::segment::{self, HEADER, Lsn, Segment, Segments, Tail};
use super::space::Guard;
use super::tables::Tables;
use super::worker::Worker;
use super::{Checkpointing, LogStore, OpenError};
use crate::engine::core::{CoreConfig, EngineCore};
use crate::engine::record::Record;
use crate::engine::turn::Room;

/// What was found.
pub(super) struct Recovered {
    pub(super) core: EngineCore<LogStore>,
    /// Where the remains of the last batches begin in the active segment.
    pub(super) torn: Option<u64>,
}

/// Rebuilds a core, without changing a file. There must be a segment.
pub(super) fn recover(
    core_config: CoreConfig,
    files: &Arc<dyn Files>,
    names: &[String],
    config: &LogConfig,
) -> Result<Recovered, OpenError> {
    let bases: Vec<Lsn> = names.iter().filter_map(|name| segment::base_of(name)).collect();
    let checkpoint = checkpoint::newest(files.as_ref(), names)?;
    let covered = checkpoint.lsn;
    check_first(&bases, covered)?;
    let tables = Tables::open(files.as_ref(), &checkpoint.tables, names, config.state_cache / 2)?;
    let mut core = EngineCore::new(core_config, store(files, &bases, config, &checkpoint, tables)?);
    apply(&mut core, &checkpoint)?;
    let mut torn = None;
    for (number, base) in bases.iter().enumerate() {
        let next = bases.get(number + 1).copied();
        let loaded = index::load(files.as_ref(), *base).filter(|loaded| loaded.next <= covered && next.is_some());
        let end = if let Some(loaded) = loaded {
            let (next, store) = (loaded.next, core.store_mut());
            store.add(*base, loaded);
            next
        } else {
            let scan = Scan { base: *base, covered, last: next.is_none() };
            let scanned = scan.run(&mut core).map_err(|error| readable(&mut core, error))?;
            torn = scanned.torn;
            let store = core.store_mut();
            if next.is_some() {
                store.seal(*base, scanned.used, scanned.end);
            } else {
                (store.active.at, store.active.next_lsn, store.active.synced) =
                    (scanned.used, scanned.end, scanned.end);
            }
            scanned.end
        };
        check_next(*base, end, next, covered)?;
    }
    core.settle_store();
    check_complete(&core)?;
    Ok(Recovered { core, torn })
}

/// Opens all segments; the last is the active one.
fn store(
    files: &Arc<dyn Files>,
    bases: &[Lsn],
    config: &LogConfig,
    checkpoint: &Checkpoint,
    tables: Tables,
) -> Result<LogStore, OpenError> {
    let mut segments = Segments::default();
    for base in bases {
        let name = segment::name(*base);
        // Whoever only looks may not write.
        let file = files.open(&name, true).or_else(|_| files.open(&name, false));
        let file = file.map_err(OpenError::io("opening a segment"))?;
        segments.insert(*base, Segment { file, end: None, used: 0, index: Index::None });
    }
    let base = bases.last().copied().unwrap_or_default();
    let missing = || OpenError::io("opening the last segment")(std::io::ErrorKind::NotFound.into());
    let file = Arc::clone(&segments.get(base).ok_or_else(missing)?.file);
    let size = file.size().map_err(OpenError::io("measuring a segment"))?;
    let (next, allocations) = (Next::Missing(0), Worker::in_turns());
    let active = Active { base, file, at: HEADER, size, next_lsn: base, synced: base, next, allocations };
    Ok(LogStore {
        files: Arc::clone(files),
        segment_bytes: config.segment_bytes,
        sync: config.sync,
        segments,
        active,
        places: Places::default(),
        hot: Hot::default(),
        mover: Mover::default(),
        work: Worker::in_turns(),
        reads: Worker::in_turns(),
        merges: Worker::in_turns(),
        tables,
        unreadable: None,
        most_waiting: config.state_cache / 2,
        covered: checkpoint.lsn,
        checkpoint: Checkpointing { size: checkpoint.records.len() as u64, ..Checkpointing::default() },
        untidy: true,
        room: Room::Enough,
        guard: Guard::new(config.reserve, config.disk.clone()),
        now: 0,
        boot: String::new(),
        lock: None,
    })
}

fn apply(core: &mut EngineCore<LogStore>, checkpoint: &Checkpoint) -> Result<(), OpenError> {
    let mut records = checkpoint.records.clone();
    while !records.is_empty() {
        let position = (checkpoint.records.len() - records.len()) as u64;
        let damaged = |what| OpenError::Damaged { file: checkpoint::name(checkpoint.lsn), position, what };
        let record = Record::decode(&mut records).map_err(|_| damaged("an unknown record"))?;
        core.apply(record, true).map_err(|_| damaged("a record of what is not there"))?;
    }
    Ok(())
}

/// Says what the matter is if a record could not be applied because a table cannot be read.
fn readable(core: &mut EngineCore<LogStore>, error: OpenError) -> OpenError {
    core.store_mut().unreadable.take().map_or(error, OpenError::from)
}

fn check_first(bases: &[Lsn], covered: Lsn) -> Result<(), OpenError> {
    match bases.first() {
        Some(first) if *first > covered => Err(OpenError::Damaged {
            file: segment::name(*first),
            position: 0,
            what: "batches are missing before it: an older segment or the checkpoint is gone",
        }),
        _ => Ok(()),
    }
}

/// Checks that the batches of a segment, which ends before `end`, are followed by those of the next.
fn check_next(base: Lsn, end: Lsn, next: Option<Lsn>, covered: Lsn) -> Result<(), OpenError> {
    let damaged = |base, what| Err(OpenError::Damaged { file: segment::name(base), position: 0, what });
    match next {
        // What was deleted in between stands in the checkpoint.
        Some(next) if next == end || next > end && next <= covered => Ok(()),
        Some(next) => damaged(next, "it does not follow the segment before it"),
        None if end < covered => damaged(base, "batches are missing at its end that a checkpoint rests on"),
        None => Ok(()),
    }
}

/// Checks that every message that should be there stands somewhere.
fn check_complete(core: &EngineCore<LogStore>) -> Result<(), OpenError> {
    for (key, _, [first, head], id) in core.channels() {
        if let Some((from, to)) = core.store().places.missing(id, first, head) {
            return Err(OpenError::Incomplete { channel: format!("{}/{}", key.app, key.name), from: from.0, to: to.0 });
        }
    }
    Ok(())
}

impl LogStore {
    /// Adds the runs of a sealed segment's index.
    fn add(&mut self, base: Lsn, loaded: index::Loaded) {
        if let Some(segment) = self.segments.get_mut(base) {
            (segment.end, segment.used, segment.index) = (Some(loaded.next), loaded.used, loaded.index);
        }
        let (segments, files) = (&self.segments, self.files.as_ref());
        let lookup = |base, slots| segments.entries(files, base, slots);
        for (extent, slot) in loaded.runs {
            self.places.add(base, extent, slot, &lookup);
        }
    }
}

/// Reads the batches of one segment.
struct Scan {
    base: Lsn,
    /// Batches before it stand in the checkpoint: only the places of their messages are needed.
    covered: Lsn,
    /// Whether it is the last segment: only that one can be torn.
    last: bool,
}

struct Scanned {
    used: u64,
    end: Lsn,
    torn: Option<u64>,
}

impl Scan {
    fn run(&self, core: &mut EngineCore<LogStore>) -> Result<Scanned, OpenError> {
        let damaged = |position: usize, what| {
            Err(OpenError::Damaged { file: segment::name(self.base), position: position as u64, what })
        };
        let file = core.store().segments.get(self.base).map(|segment| Arc::clone(&segment.file));
        let bytes = file.map_or(Ok(Bytes::new()), |file| segment::read(file.as_ref()));
        let bytes = bytes.map_err(OpenError::io("reading a segment"))?;
        if let Err(what) = segment::check_header(&bytes, self.base) {
            return damaged(0, what);
        }
        let (mut at, mut lsn) = (HEADER as usize, self.base);
        while let Some(frame) = segment::frame_at(&bytes, at).filter(|frame| frame.lsn == lsn) {
            if let Err((position, what)) = self.records(&bytes, frame.body, lsn, core) {
                return damaged(position, what);
            }
            at = frame.next;
            lsn += 1;
        }
        let torn = match segment::tail(&bytes, at, lsn) {
            Tail::Clean => None,
            Tail::Torn if self.last => Some(at as u64),
            Tail::Torn | Tail::Damaged => return damaged(at, "this batch is broken"),
        };
        Ok(Scanned { used: at as u64, end: lsn, torn })
    }

    fn records(
        &self,
        bytes: &Bytes,
        body: Range<usize>,
        lsn: Lsn,
        core: &mut EngineCore<LogStore>,
    ) -> Result<(), (usize, &'static str)> {
        let mut rest = bytes.slice(body.clone());
        while !rest.is_empty() {
            let at = body.end - rest.len();
            let before = rest.clone();
            let record = Record::decode(&mut rest).map_err(|_| (at, "an unknown record"))?;
            let encoded = before.slice(..before.len() - rest.len());
            if let Some((channel, offset, time)) = record.message() {
                let entry = Entry { at: at as u32, len: encoded.len() as u32, crc: crc32c::crc32c(&encoded) };
                core.store_mut().note(self.base, (channel, offset, time, entry));
            }
            if lsn >= self.covered {
                core.apply(record, true).map_err(|_| (at, "a record of what is not there"))?;
            }
        }
        Ok(())
    }
}
