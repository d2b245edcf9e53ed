//! Opening a log: the newest checkpoint, the indexes of sealed segments, and the batches after the checkpoint.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::Offset;
use moorline_protocol::binary::varint::{put, take, take_u32};

use super::files::{Directory, Files, LogFile};
use super::places::{Place, Places};
use super::reader::Reader;
use super::segment::{self, FRAME_HEAD, Found, HEADER, Lsn, MAGIC, Segment};
use super::{Active, Indexed, LogStore, Next, OpenError};
use crate::engine::core::{CoreConfig, EngineCore, RetentionRules};
use crate::engine::record::{ChannelId, Record};
use crate::planted::Bugs;
use crate::wall_clock::WallClock;

/// The format this version writes.
const FORMAT: u32 = 1;
/// The file that names store and format.
const STORE: &str = "store";
/// The file that says whether the last run ended in good order, and in which boot of the machine.
pub(super) const STATE: &str = "state";
const LOCK: &str = "lock";
const CHECKPOINT_MAGIC: &[u8; 8] = b"MOORCKP1";
const INDEX_MAGIC: &[u8; 8] = b"MOORIDX1";

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The data directory; made if it is not there.
    pub dir: PathBuf,
    /// Bytes of a segment (default 64 MiB; at least 1 MiB).
    pub segment_bytes: u64,
    /// Whether publishes are answered after fdatasync (`disk`), or after a write that survives a killed process only.
    pub sync: bool,
    /// Whether the directory was restored from a backup: every channel begins a new epoch.
    pub restored: bool,
    /// How long messages are kept.
    pub retention: RetentionRules,
    /// Planted bugs.
    pub bugs: Bugs,
}

impl LogConfig {
    /// Returns the defaults for a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let (retention, bugs) = (RetentionRules::default(), Bugs::default());
        Self { dir: dir.into(), segment_bytes: 64 << 20, sync: true, restored: false, retention, bugs }
    }
}

/// Opens a data directory: a core with everything in it, begun, and the clock it runs on.
///
/// # Errors
/// [`OpenError`]; nothing was changed then, except that a torn end of the last batch may have been cut off.
pub fn open(config: &LogConfig) -> Result<(EngineCore<LogStore>, WallClock), OpenError> {
    let path = config.dir.display().to_string();
    let directory = |source| OpenError::Directory { path: path.clone(), source };
    std::fs::create_dir_all(&config.dir).map_err(directory)?;
    let lock =
        File::options().create(true).truncate(false).write(true).open(config.dir.join(LOCK)).map_err(directory)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path }),
        Err(TryLockError::Error(source)) => return Err(OpenError::Directory { path, source }),
    }
    let files: Arc<dyn Files> = Arc::new(Directory::new(&config.dir));
    open_with(config, files, Some(lock))
}

/// As [`open`], over any files.
///
/// # Errors
/// [`OpenError`].
pub fn open_with(
    config: &LogConfig,
    files: Arc<dyn Files>,
    lock: Option<File>,
) -> Result<(EngineCore<LogStore>, WallClock), OpenError> {
    let names = files.list().map_err(OpenError::io("listing the data directory"))?;
    let known = read_store(files.as_ref(), &names)?;
    let is_new = known.is_none();
    let boot = boot_id();
    let last = files.read(STATE).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let lost = !config.sync && !is_new && !last.starts_with("clean") && !last.contains(&boot);
    let store_id = match known {
        // What was lost may have named epochs: under the old name the same ones would be made again.
        Some(id) if !config.restored && !lost => id,
        _ => {
            let id = random_id()?;
            let text = format!("moorline-log {FORMAT}\nstore {id}\n");
            files.replace(STORE, text.as_bytes()).map_err(OpenError::io("writing the store's name"))?;
            id
        }
    };
    let mut core_config = CoreConfig::new(store_id);
    core_config.retention = config.retention.clone();
    core_config.bugs = config.bugs;
    let (mut core, tail) = recover(core_config, Arc::clone(&files), &names, config)?;
    files.replace(STATE, &state(false, &boot)).map_err(OpenError::io("marking the start"))?;
    let mut clock = WallClock::new(core.newest_time());
    let store = core.store_mut();
    store.boot = boot;
    store._lock = lock;
    store.reader = Some(Reader::start().map_err(OpenError::io("starting the reading thread"))?);
    if let Some(position) = tail {
        wipe_tail(store, position)?;
    }
    store.allocate_ahead();
    core.begin((config.restored && !is_new) || lost, clock.now_ms());
    Ok((core, clock))
}

/// Rebuilds a core from files, without changing them. Returns where the torn end of the last batch begins, if any.
#[expect(clippy::too_many_lines, reason = "one pass over the files, in the order of recovery")]
pub(super) fn recover(
    core_config: CoreConfig,
    files: Arc<dyn Files>,
    names: &[String],
    config: &LogConfig,
) -> Result<(EngineCore<LogStore>, Option<u64>), OpenError> {
    let bases: Vec<Lsn> = names.iter().filter_map(|name| segment::base_of(name)).collect();
    let (covered, snapshot, checkpoint_bytes) = newest_checkpoint(files.as_ref(), names)?;
    let mut segments = BTreeMap::new();
    let mut places = Places::default();
    let mut replayed = Vec::new();
    let mut tail = None;
    let mut last = None;
    for (position, base) in bases.iter().enumerate() {
        let name = segment::name(*base);
        let file = files.open(&name, true).or_else(|_| files.open(&name, false));
        let file = file.map_err(OpenError::io("opening a segment"))?;
        let next = bases.get(position + 1).copied();
        let sealed = match next {
            Some(next) => read_index(files.as_ref(), *base, next)?.filter(|_| next <= covered),
            None => None,
        };
        let mut live = 0;
        let mut note = |channel, offset, at, len| {
            places.place(channel, offset, Place { segment: *base, at, len });
            live += 1;
        };
        if let Some((index, _)) = sealed {
            index.into_iter().for_each(|(channel, offset, at, len)| note(channel, offset, at, len));
        } else {
            let scan = Scan { name: &name, base: *base, next, covered };
            let scanned = scan.run(file.as_ref(), &mut replayed)?;
            scanned.index.iter().for_each(|(channel, offset, at, len)| note(*channel, *offset, *at, *len));
            tail = scanned.torn.then_some(scanned.end);
            last = Some((scanned.end, scanned.next_lsn, scanned.index));
        }
        segments.insert(*base, Segment { base: *base, file, live, end: next });
    }
    let active = match (segments.values().next_back(), last) {
        (Some(segment), Some((at, next_lsn, index))) => {
            Active { base: segment.base, file: Arc::clone(&segment.file), at, next_lsn, index }
        }
        _ => first_segment(files.as_ref(), config.segment_bytes, covered, &mut segments)?,
    };
    let store = LogStore {
        files,
        segment_bytes: config.segment_bytes.max(1 << 20),
        sync: config.sync,
        segments,
        active,
        next: Next::Missing,
        places,
        fresh: Vec::new(),
        reader: None,
        covered,
        written_since: 0,
        checkpoint_bytes,
        sealed: false,
        boot: String::new(),
        _lock: None,
    };
    let mut core = EngineCore::new(core_config, store);
    for record in snapshot.into_iter().chain(replayed) {
        core.apply(record, true);
    }
    core.settle_store();
    Ok((core, tail))
}

fn first_segment(
    files: &dyn Files,
    size: u64,
    base: Lsn,
    segments: &mut BTreeMap<Lsn, Segment>,
) -> Result<Active, OpenError> {
    let io = OpenError::io("writing the first segment");
    let file = files.allocate(&segment::name(base), size.max(1 << 20)).and_then(|file| {
        file.write_at(&segment::header(base), 0)?;
        file.sync()?;
        Ok(file)
    });
    let file = file.map_err(io)?;
    segments.insert(base, Segment { base, file: Arc::clone(&file), live: 0, end: None });
    Ok(Active { base, file, at: HEADER, next_lsn: base, index: Vec::new() })
}

/// Reads the batches of one segment.
struct Scan<'a> {
    name: &'a str,
    base: Lsn,
    /// The base of the segment after it.
    next: Option<Lsn>,
    /// Batches before it stand in the checkpoint: only their places are needed.
    covered: Lsn,
}

struct Scanned {
    index: Vec<Indexed>,
    end: u64,
    next_lsn: Lsn,
    torn: bool,
}

impl Scan<'_> {
    fn run(&self, file: &dyn LogFile, replayed: &mut Vec<Record>) -> Result<Scanned, OpenError> {
        let damaged =
            |position: usize, what| OpenError::Damaged { file: self.name.into(), position: position as u64, what };
        let mut bytes = vec![0; file.size().map_err(OpenError::io("reading a segment"))? as usize];
        file.read_at(&mut bytes, 0).map_err(OpenError::io("reading a segment"))?;
        let bytes = Bytes::from(bytes);
        if bytes.get(..8) != Some(MAGIC) || bytes.get(8..16) != Some(&self.base.to_le_bytes()[..]) {
            return Err(damaged(0, "this is not the head of this segment"));
        }
        let (mut at, mut lsn, mut index) = (HEADER as usize, self.base, Vec::new());
        let torn = loop {
            match segment::frame_at(&bytes, at, lsn) {
                Found::Batch { body, next } => {
                    let from = at + FRAME_HEAD;
                    let body = bytes.slice(from..from + body.len());
                    self.records(body, from, lsn, &mut index, replayed)
                        .map_err(|at| damaged(at, "an unknown record"))?;
                    at = next;
                    lsn += 1;
                }
                Found::End => break false,
                Found::Broken => break true,
            }
        };
        if self.next.is_some_and(|next| next != lsn) {
            return Err(damaged(at, "batches are missing before the next segment"));
        }
        if segment::has_batch_after(&bytes, at, lsn) {
            return Err(damaged(at, "a batch is broken, and there are whole ones behind it"));
        }
        Ok(Scanned { index, end: at as u64, next_lsn: lsn, torn: torn && self.next.is_none() })
    }

    fn records(
        &self,
        mut body: Bytes,
        from: usize,
        lsn: Lsn,
        index: &mut Vec<Indexed>,
        replayed: &mut Vec<Record>,
    ) -> Result<(), usize> {
        let whole = body.len();
        while !body.is_empty() {
            let at = from + whole - body.len();
            let before = body.len();
            let record = Record::decode(&mut body).map_err(|_| at)?;
            if let Record::Append { channel, id, .. } = &record {
                index.push((*channel, id.offset, at as u32, (before - body.len()) as u32));
            }
            if lsn >= self.covered {
                replayed.push(record);
            }
        }
        Ok(())
    }
}

/// Overwrites what a torn write left behind, so that nothing old can ever follow a new batch.
fn wipe_tail(store: &LogStore, position: u64) -> Result<(), OpenError> {
    tracing::warn!(position, "the last batch was cut short by a crash and was never answered; removing it");
    let file = &store.active.file;
    let wipe = || {
        let len = file.size()?;
        let zeros = vec![0; 1 << 20];
        let mut at = position;
        while at < len {
            let part = zeros.get(..(len - at).min(1 << 20) as usize).unwrap_or(&zeros);
            file.write_at(part, at)?;
            at += part.len() as u64;
        }
        file.sync()
    };
    wipe().map_err(OpenError::io("removing a torn batch"))
}

/// Returns the newest checkpoint that is whole: what it covers, its records, its size.
fn newest_checkpoint(files: &dyn Files, names: &[String]) -> Result<(Lsn, Vec<Record>, u64), OpenError> {
    let mut lsns: Vec<Lsn> = names.iter().filter_map(|name| checkpoint_lsn(name)).collect();
    lsns.sort_unstable();
    let mut broken = None;
    for lsn in lsns.iter().rev() {
        let name = checkpoint_name(*lsn);
        let bytes = files.read(&name).map_err(OpenError::io("reading a checkpoint"))?;
        let size = bytes.len() as u64;
        if let Some(records) = checked(CHECKPOINT_MAGIC, *lsn, &bytes).and_then(decode_all) {
            return Ok((*lsn, records, size));
        }
        broken = Some(name);
    }
    let first = names.iter().filter_map(|name| segment::base_of(name)).min().unwrap_or(0);
    match broken {
        // A checkpoint is written whole before older ones and the segments it covers go.
        Some(file) if first > 0 => Err(OpenError::Damaged { file, position: 0, what: "the checkpoint is not whole" }),
        _ => Ok((0, Vec::new(), 0)),
    }
}

fn decode_all(mut bytes: Bytes) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        records.push(Record::decode(&mut bytes).ok()?);
    }
    Some(records)
}

/// Checks magic, LSN and checksum of a file written by [`sealed`], and returns what is in it.
fn checked(magic: &[u8; 8], lsn: Lsn, bytes: &[u8]) -> Option<Bytes> {
    let crc = bytes.get(16..20).and_then(|crc| crc.try_into().ok()).map(u32::from_le_bytes)?;
    let body = bytes.get(20..)?;
    let whole = bytes.get(..8) == Some(magic) && bytes.get(8..16) == Some(&lsn.to_le_bytes()[..]);
    (whole && crc32c::crc32c(body) == crc).then(|| Bytes::copy_from_slice(body))
}

fn sealed(magic: &[u8; 8], lsn: Lsn, body: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&lsn.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn encode_checkpoint(lsn: Lsn, records: &[Record]) -> Vec<u8> {
    let mut body = Vec::new();
    records.iter().for_each(|record| record.encode(&mut body));
    sealed(CHECKPOINT_MAGIC, lsn, &body)
}

pub(super) fn checkpoint_name(lsn: Lsn) -> String {
    format!("checkpoint-{lsn:016x}")
}

pub(super) fn checkpoint_lsn(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("checkpoint-").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

pub(super) fn index_name(base: Lsn) -> String {
    format!("segment-{base:016x}.index")
}

/// Encodes the index of a sealed segment; `next` is the base of the segment after it.
pub(super) fn encode_index(index: &[Indexed], end: u64, next: Lsn) -> Vec<u8> {
    let mut body = Vec::with_capacity(index.len() * 10);
    put(end, &mut body);
    for (channel, offset, at, len) in index {
        [u64::from(channel.0), offset.0, u64::from(*at), u64::from(*len)].iter().for_each(|n| put(*n, &mut body));
    }
    sealed(INDEX_MAGIC, next, &body)
}

/// Returns a sealed segment's index; `None` if it has to be made anew from the segment itself.
fn read_index(files: &dyn Files, base: Lsn, next: Lsn) -> Result<Option<(Vec<Indexed>, u64)>, OpenError> {
    let Ok(bytes) = files.read(&index_name(base)) else { return Ok(None) };
    let Some(mut body) = checked(INDEX_MAGIC, next, &bytes) else { return Ok(None) };
    let mut decode = || {
        let end = take(&mut body)?;
        let mut index = Vec::new();
        while !body.is_empty() {
            let (channel, offset) = (ChannelId(take_u32(&mut body)?), Offset(take(&mut body)?));
            index.push((channel, offset, take_u32(&mut body)?, take_u32(&mut body)?));
        }
        Ok::<_, moorline_protocol::DecodeError>((index, end))
    };
    Ok(decode().ok())
}

/// Returns the store's id, or `None` for an empty directory.
fn read_store(files: &dyn Files, names: &[String]) -> Result<Option<String>, OpenError> {
    if !names.iter().any(|name| name == STORE) {
        let foreign = names.iter().find(|name| segment::base_of(name).is_some());
        return match foreign {
            Some(name) => Err(OpenError::Damaged {
                file: name.clone(),
                position: 0,
                what: "the file `store` beside it is missing",
            }),
            None => Ok(None),
        };
    }
    let bytes = files.read(STORE).map_err(OpenError::io("reading the store's name"))?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match (field("moorline-log").and_then(|found| found.parse::<u32>().ok()), field("store")) {
        (Some(found), _) if found > FORMAT => Err(OpenError::Newer { found, known: FORMAT }),
        (Some(_), Some(id)) => Ok(Some(id.to_owned())),
        _ => Err(OpenError::Damaged { file: STORE.into(), position: 0, what: "it does not name a store" }),
    }
}

pub(super) fn state(clean: bool, boot: &str) -> Vec<u8> {
    format!("{} {boot}\n", if clean { "clean" } else { "running" }).into_bytes()
}

/// Returns an id of this boot of the machine; empty where the system has none.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

fn random_id() -> Result<String, OpenError> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| OpenError::Io {
        what: "naming the store",
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31))).map(|byte| char::from(*byte)).collect())
}
