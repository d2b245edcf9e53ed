//! The engine of a server: in memory, or over a log.

use std::path::Path;

use moorline_protocol::Durability;

use super::{Engine, Options, StartError};
use crate::engine::core::{CoreConfig, EngineCore, MemoryStore};
use crate::engine::hooks::HookRules;
use crate::engine::host::EngineThread;
use crate::engine::log::{self, DiskWatch, LogConfig, OpenError};
use crate::engine::turn::{Fatal, Persist};
use crate::http::SyncTimes;
use crate::wall_clock::WallClock;

pub(super) fn start_engine(
    options: &Options,
    rules: &HookRules,
    (sync_times, disk): (&SyncTimes, &DiskWatch),
    on_fatal: impl FnOnce(Fatal) + Send + 'static,
) -> Result<(EngineThread, WallClock, Durability), StartError> {
    match &options.engine {
        Engine::Memory => {
            let mut dice = [0; 12];
            getrandom::fill(&mut dice).map_err(|error| std::io::Error::other(error.to_string()))?;
            let [a, b, c, d, salt @ ..] = dice;
            let mut config = CoreConfig::new(format!("{:08x}", u32::from_le_bytes([a, b, c, d])));
            (config.salt, config.retention) = (u64::from_le_bytes(salt), options.retention.clone());
            config.hooks = rules.clone();
            (config.cursors_per_user, config.apps) = (options.max_cursors as usize, options.apps.clone());
            let mut clock = WallClock::new(0);
            let mut core = EngineCore::new(config, MemoryStore::default());
            core.begin(false, clock.now_ms());
            Ok((spawn(core, &clock, on_fatal)?, clock, Durability::Memory))
        }
        Engine::Log { dir, sync, restored, state_cache } => {
            let (sync, restored, state_cache) = (*sync, *restored, *state_cache);
            let mut config = LogConfig { sync, restored, state_cache, ..LogConfig::new(dir) };
            (config.reserve, config.disk) = (options.disk_reserve, disk.clone());
            config.core.retention = options.retention.clone();
            config.core.hooks = rules.clone();
            config.core.cursors_per_user = options.max_cursors as usize;
            config.core.apps = options.apps.clone();
            let opened = log::open_over(&config, |directory| sync_times.watch((options.files)(directory)));
            let (core, clock) = opened.map_err(|error| refused(error, dir))?;
            let durability = if sync { Durability::Disk } else { Durability::Process };
            Ok((spawn(core, &clock, on_fatal)?, clock, durability))
        }
    }
}

/// Says why a log cannot be opened.
#[expect(clippy::wildcard_enum_match_arm, reason = "everything else is the log's own to say")]
fn refused(error: OpenError, dir: &Path) -> StartError {
    match error {
        OpenError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            StartError::Full { path: dir.display().to_string(), source }
        }
        other => StartError::Log(other),
    }
}

fn spawn<S: Persist>(
    core: EngineCore<S>,
    clock: &WallClock,
    on_fatal: impl FnOnce(Fatal) + Send + 'static,
) -> std::io::Result<EngineThread> {
    let mut clock = clock.clone();
    EngineThread::spawn(core, move || clock.now_ms(), on_fatal)
}
