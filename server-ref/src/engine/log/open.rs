//! Opening a data directory: whose it is, whether the last run ended well, and what that means.
//!
//! `store` names the store and its format. `state` says whether the last run ended in good order, in which boot of the
//! machine it ran, and whether it synced. `lock` is held while the store is open.

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use moorline_protocol::time::UnixMillis;

use super::active::{self, SPARE};
use super::files::{self, Directory, Files, TEMPORARY};
use super::recovery::{Recovered, recover};
use super::worker::Worker;
use super::{DiskWatch, LogStore, OpenError, checkpoint, index, segment, tables};
use crate::engine::core::{CoreConfig, EngineCore};
use crate::engine::record::Record;
use crate::engine::turn::Persist;
use crate::wall_clock::WallClock;

/// The format this version writes.
const FORMAT: u32 = 3;
pub(super) const STORE: &str = "store";
const STATE: &str = "state";
const LOCK: &str = "lock";
/// The bytes of a segment that positions can name.
const MOST_BYTES: u64 = 1 << 31;

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The data directory; made if it is not there.
    pub dir: PathBuf,
    /// Bytes of a segment (default 64 MiB, at most 2 GiB); several times those of the largest message.
    pub segment_bytes: u64,
    /// Whether publishes are answered after fdatasync (`disk`), or after a write that survives a killed process only.
    pub sync: bool,
    /// Whether the directory was restored from a backup: every channel begins a new epoch.
    pub restored: bool,
    /// Bytes of memory for ids, producers and cursors (default 64 MiB): half of it for what is not in a table yet, half
    /// for parts of tables.
    pub state_cache: usize,
    /// Bytes of the file system that publishes leave free; 0 = none, `None` = what fits it, see
    /// [`Space::default_reserve`](super::Space::default_reserve).
    pub reserve: Option<u64>,
    /// Where to look how much is free.
    pub disk: DiskWatch,
    /// How long everything is kept. What names the store is in its directory, not here.
    pub core: CoreConfig,
    /// Whether reads, allocations, indexes and checkpoints have threads of their own; otherwise they are done between
    /// turns, one after the other, which is for tests.
    pub threads: bool,
}

impl LogConfig {
    /// Returns the defaults for a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            sync: true,
            restored: false,
            state_cache: 64 << 20,
            reserve: None,
            disk: DiskWatch::default(),
            core: CoreConfig::new(""),
            threads: true,
        }
    }
}

/// Opens a data directory: a core with everything in it, begun, and the clock it runs on.
///
/// # Errors
/// [`OpenError`]; nothing was changed then, except that a torn end of the last batch may have been cut off.
pub fn open(config: &LogConfig) -> Result<(EngineCore<LogStore>, WallClock), OpenError> {
    open_over(config, |directory| Arc::new(directory))
}

/// As [`open`], over files that stand between the log and its directory.
///
/// # Errors
/// The same.
pub fn open_over(
    config: &LogConfig,
    files: impl FnOnce(Directory) -> Arc<dyn Files>,
) -> Result<(EngineCore<LogStore>, WallClock), OpenError> {
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
    let files = files(Directory::new(&config.dir));
    let boot = boot_id();
    if boot.is_empty() && !config.sync {
        tracing::warn!(
            "the system does not tell its boots apart: channels begin a new epoch after every crash of the server"
        );
    }
    let mut core = open_with(config, files, &boot, WallClock::new(0).now_ms())?;
    core.store_mut().lock = Some(lock);
    let clock = WallClock::new(core.newest_time());
    Ok((core, clock))
}

/// As [`open`], over any files, in a certain boot of the machine, at a certain time.
///
/// # Errors
/// [`OpenError`].
pub fn open_with(
    config: &LogConfig,
    files: Arc<dyn Files>,
    boot: &str,
    now: UnixMillis,
) -> Result<EngineCore<LogStore>, OpenError> {
    let config = LogConfig { segment_bytes: config.segment_bytes.min(MOST_BYTES), ..config.clone() };
    let names = files.list().map_err(OpenError::io("listing the data directory"))?;
    let known = Identity::read(files.as_ref(), &names)?;
    let last = files::read(files.as_ref(), STATE).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    // Offsets that were handed out may stand for nothing now.
    let renew = known.as_ref().is_some_and(|known| {
        config.restored || known.renewing || last.as_deref().is_some_and(|last| lost_writes(last, boot))
    });
    let identity = match known {
        Some(known) if !renew => known,
        known => Identity::new(known, renew)?,
    };
    if !names.iter().any(|name| segment::base_of(name).is_some()) {
        if last.is_some() || names.iter().any(|name| checkpoint::lsn_of(name).is_some()) {
            return Err(OpenError::Damaged { file: segment::name(0), position: 0, what: "all segments are gone" });
        }
        first_segment(files.as_ref(), &identity, config.segment_bytes)?;
    }
    let names = files.list().map_err(OpenError::io("listing the data directory"))?;
    let core_config = CoreConfig { store_id: identity.store.clone(), salt: identity.salt, ..config.core.clone() };
    let Recovered { mut core, torn } = recover(core_config, &files, &names, &config)?;
    sweep(files.as_ref(), &names, core.store());
    if renew || identity.outdated {
        identity.write(files.as_ref())?;
    }
    if let Some(position) = torn {
        wipe(core.store(), position).map_err(OpenError::io("removing a torn batch"))?;
    }
    let now = now.max(core.newest_time());
    core.begin(renew, now);
    let records = core.take_records(now);
    core.store_mut().begin(&config, boot, &records)?;
    if renew {
        Identity { renewing: false, ..identity }.write(files.as_ref())?;
    }
    let state = state("running", boot, config.sync);
    files::replace(files.as_ref(), STATE, &state).map_err(OpenError::io("marking the start"))?;
    Ok(core)
}

impl LogStore {
    /// Starts the threads, and makes durable what beginning wrote down.
    fn begin(&mut self, config: &LogConfig, boot: &str, records: &[Record]) -> Result<(), OpenError> {
        boot.clone_into(&mut self.boot);
        if config.threads {
            self.start_threads().map_err(OpenError::io("starting a thread"))?;
        }
        self.active.allocate(&self.files, self.segment_bytes);
        self.persist(records)?;
        self.active.sync()?;
        Ok(())
    }

    fn start_threads(&mut self) -> io::Result<()> {
        self.active.allocations = Worker::start("moorline-alloc")?;
        self.reads = Worker::start("moorline-read")?;
        self.merges = Worker::start("moorline-merge")?;
        self.work.start_thread("moorline-keep")
    }
}

/// Marks that the log ended in good order.
pub(super) fn mark_end(files: &dyn Files, boot: &str, sync: bool) -> io::Result<()> {
    files::replace(files, STATE, &state("clean", boot, sync))
}

fn state(how: &str, boot: &str, sync: bool) -> Vec<u8> {
    format!("{how} {boot} {}\n", if sync { "disk" } else { "process" }).into_bytes()
}

/// Tells whether writes that were answered may be lost: the last run did not sync, did not end in good order, and the
/// machine has been started since, as far as one can tell.
fn lost_writes(last: &str, boot: &str) -> bool {
    let same_boot = !boot.is_empty() && last.contains(boot);
    last.starts_with("running") && last.trim_end().ends_with("process") && !same_boot
}

/// Who a store is.
pub(super) struct Identity {
    store: String,
    /// Keeps others from making ids that collide.
    salt: u64,
    /// Whether it is just becoming another store: every channel must begin a new epoch first.
    renewing: bool,
    /// Whether its format is an earlier one.
    outdated: bool,
}

impl Identity {
    /// Makes a new name; the salt stays, since ids are remembered under it.
    fn new(known: Option<Self>, renewing: bool) -> Result<Self, OpenError> {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| OpenError::Io { what: "naming the store", source: io::Error::other(error.to_string()) })?;
        let (name, salt) = bytes.split_at(8);
        let salt = salt.try_into().map_or(0, u64::from_le_bytes);
        let letters = name.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31)));
        let store = letters.map(|byte| char::from(*byte)).collect();
        Ok(Self { store, salt: known.map_or(salt, |known| known.salt), renewing, outdated: false })
    }

    /// Returns who the store of a directory is, or `None` if there is none yet.
    pub(super) fn read(files: &dyn Files, names: &[String]) -> Result<Option<Self>, OpenError> {
        if !names.iter().any(|name| name == STORE) {
            let is_ours = |name: &&String| {
                segment::base_of(name)
                    .or_else(|| checkpoint::lsn_of(name))
                    .or_else(|| tables::number_of(name))
                    .is_some()
            };
            let foreign = names.iter().find(is_ours);
            return match foreign {
                Some(name) => Err(OpenError::Damaged {
                    file: name.clone(),
                    position: 0,
                    what: "the file `store` beside it is missing",
                }),
                None => Ok(None),
            };
        }
        let bytes = files::read(files, STORE).map_err(OpenError::io("reading the store's name"))?;
        let text = String::from_utf8(bytes).unwrap_or_default();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let format = field("moorline-log").and_then(|found| found.parse::<u32>().ok());
        if let Some(found) = format.filter(|found| *found > FORMAT) {
            return Err(OpenError::Newer { found, known: FORMAT });
        }
        let salt = field("salt").and_then(|salt| u64::from_str_radix(salt, 16).ok());
        match (format, field("store"), salt) {
            (Some(format), Some(store), Some(salt)) => {
                let (renewing, outdated) = (field("renewing").is_some(), format < FORMAT);
                Ok(Some(Self { store: store.to_owned(), salt, renewing, outdated }))
            }
            _ => Err(OpenError::Damaged { file: STORE.into(), position: 0, what: "it does not name a store" }),
        }
    }

    /// The same store, in which every channel has yet to begin a new epoch.
    pub(super) fn renewed(self) -> Self {
        Self { renewing: true, ..self }
    }

    pub(super) fn write(&self, files: &dyn Files) -> Result<(), OpenError> {
        let mut text = format!("moorline-log {FORMAT}\nstore {}\nsalt {:016x}\n", self.store, self.salt);
        if self.renewing {
            text.push_str("renewing epochs\n");
        }
        files::replace(files, STORE, text.as_bytes()).map_err(OpenError::io("writing the store's name"))
    }
}

fn first_segment(files: &dyn Files, identity: &Identity, size: u64) -> Result<(), OpenError> {
    identity.write(files)?;
    let file = files::allocate(files, SPARE, size);
    let begun = file.and_then(|file| active::begin(files, file.as_ref(), 0, size));
    begun.map_err(OpenError::io("writing the first segment"))
}

/// Overwrites what a torn write left behind, so that nothing old can ever follow a new batch.
fn wipe(store: &LogStore, position: u64) -> io::Result<()> {
    tracing::warn!(position, "the last batch was cut short by a crash and was never answered; removing it");
    let file = &store.active.file;
    files::write_zeros(file.as_ref(), position, store.active.size)?;
    file.sync()
}

/// Removes what a crash left behind.
fn sweep(files: &dyn Files, names: &[String], store: &LogStore) {
    let (covered, named) = (store.covered, store.tables.numbers());
    let is_left = |name: &str| {
        let orphan = index::base_of(name).is_some_and(|base| !names.contains(&segment::name(base)));
        let old = checkpoint::lsn_of(name).is_some_and(|lsn| lsn < covered);
        let unnamed = tables::number_of(name).is_some_and(|number| !named.contains(&number));
        orphan || old || unnamed || name.ends_with(TEMPORARY)
    };
    for name in names.iter().filter(|name| is_left(name)) {
        if let Err(error) = files.remove(name) {
            tracing::warn!(%error, name, "could not remove what a crash left behind");
        }
    }
}

/// Returns an id of this boot of the machine; empty where the system has none.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
