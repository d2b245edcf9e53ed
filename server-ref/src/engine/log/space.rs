//! Whether the file system still has the room that is kept back: publishes stop before there is none, while acknowledgements,
//! cursors and compaction, which take little and free more, go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moorline_protocol::time::UnixMillis;

use super::files::Files;

/// ms between two looks at the file system.
const EVERY_MS: u64 = 1_000;
/// The part of the reserve that has to be free beyond it before publishes are taken again.
const HYSTERESIS: u64 = 8;
/// What is kept back where nothing else is said: one part of so many of the file system …
const PART: u64 = 20;
/// … but at least so many bytes, several segments: what compaction and checkpoints need …
const LEAST: u64 = 256 << 20;
/// … and at most so many: more would help nobody …
const MOST: u64 = 4 << 30;
/// … and never more than one part of so many of a small one.
const SMALL_PART: u64 = 4;

/// The room of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What this process may still take.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

impl Space {
    /// Returns how many bytes are kept back where nothing else is said: 5 %, at least 256 MiB and at most 4 GiB, and never
    /// more than a quarter.
    pub fn default_reserve(&self) -> u64 {
        (self.total / PART).clamp(LEAST, MOST).min(self.total / SMALL_PART)
    }
}

/// What was seen of the disk last, for whoever asks. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct DiskWatch(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    free: AtomicU64,
    reserve: AtomicU64,
    is_known: AtomicBool,
    is_low: AtomicBool,
}

impl DiskWatch {
    /// Tells whether publishes are refused because less is free than is kept back.
    pub fn is_low(&self) -> bool {
        self.0.is_low.load(Ordering::Relaxed)
    }

    /// Returns the bytes that are free, and those that are kept back; `None` before the first look, and in memory.
    pub fn numbers(&self) -> Option<(u64, u64)> {
        let Seen { free, reserve, is_known, .. } = &*self.0;
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        is_known.load(Ordering::Acquire).then(|| (load(free), load(reserve)))
    }

    fn see(&self, free: u64, reserve: u64, is_low: bool) {
        self.0.free.store(free, Ordering::Relaxed);
        self.0.reserve.store(reserve, Ordering::Relaxed);
        self.0.is_low.store(is_low, Ordering::Relaxed);
        self.0.is_known.store(true, Ordering::Release);
    }
}

/// Looks at the file system from time to time.
#[derive(Debug)]
pub(super) struct Guard {
    /// Bytes that are kept back; 0 = none, `None` = as many as fit the file system.
    reserve: Option<u64>,
    watch: DiskWatch,
    looked: Option<UnixMillis>,
    is_low: bool,
    /// Whether the last look failed, so that it is told once.
    is_blind: bool,
}

impl Guard {
    pub(super) fn new(reserve: Option<u64>, watch: DiskWatch) -> Self {
        Self { reserve, watch, looked: None, is_low: false, is_blind: false }
    }

    /// The next time it looks in any case: something large was taken.
    pub(super) fn look_again(&mut self) {
        self.looked = None;
    }

    /// Tells whether less was free than is kept back, at the last look.
    pub(super) fn is_low(&self) -> bool {
        self.is_low
    }

    /// Looks how much is free, if it is time. A file system that cannot be asked has room: writing to it will tell.
    pub(super) fn look(&mut self, files: &dyn Files, now: UnixMillis) {
        if self.looked.is_some_and(|at| now.abs_diff(at) < EVERY_MS) {
            return;
        }
        self.looked = Some(now);
        let space = match files.space() {
            Ok(Some(space)) => space,
            Ok(None) => return,
            Err(error) => {
                if !std::mem::replace(&mut self.is_blind, true) {
                    tracing::warn!(%error, "the free space of the data directory cannot be read");
                }
                return;
            }
        };
        self.is_blind = false;
        let reserve = self.reserve.unwrap_or_else(|| space.default_reserve());
        let wanted = if self.is_low { reserve.saturating_add(reserve / HYSTERESIS) } else { reserve };
        let is_low = space.free < wanted;
        if is_low != std::mem::replace(&mut self.is_low, is_low) {
            let Space { free, total } = space;
            if is_low {
                tracing::error!(
                    free,
                    reserve,
                    total,
                    "the disk is nearly full: publishes are refused with `storage.full` until there is room"
                );
            } else {
                tracing::info!(free, reserve, total, "the disk has room again: publishes are taken");
            }
        }
        self.watch.see(space.free, reserve, is_low);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_fits_the_disk() {
        for (total, reserve) in [
            (100 << 20, 25 << 20),
            (1 << 30, 256 << 20),
            (10 << 30, 512 << 20),
            (40 << 30, 2 << 30),
            (1 << 40, 4 << 30),
        ] {
            assert_eq!(Space { free: 0, total }.default_reserve(), reserve, "of {total}");
        }
    }
}
