//! The server's time: the wall clock at start plus monotonic time, so that a jump of the wall clock moves nothing
//! until it has lasted.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use moorline_protocol::time::UnixMillis;

/// A difference to the wall clock is adopted after it has lasted this long.
const ADOPT_AFTER: Duration = Duration::from_secs(600);
/// Smaller differences are drift, and adopted the same way, without a word.
const JUMP_MS: u64 = 60_000;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct WallClock {
    started: Instant,
    base_ms: UnixMillis,
    differs_since: Option<Instant>,
}

impl WallClock {
    /// Starts at the wall clock's time, or at `least` if that is later (the newest time on record).
    pub fn new(least: UnixMillis) -> Self {
        Self { started: Instant::now(), base_ms: wall_ms().max(least), differs_since: None }
    }

    /// Returns ms since 1970; never less than before, unless a jump backwards has lasted for ten minutes.
    pub fn now_ms(&mut self) -> UnixMillis {
        self.read(Instant::now(), wall_ms())
    }

    fn read(&mut self, now: Instant, wall: UnixMillis) -> UnixMillis {
        let time = self.base_ms + now.saturating_duration_since(self.started).as_millis() as u64;
        if time.abs_diff(wall) < JUMP_MS {
            self.differs_since = None;
            return time;
        }
        let since = *self.differs_since.get_or_insert(now);
        if now.saturating_duration_since(since) < ADOPT_AFTER {
            return time;
        }
        tracing::warn!(server_ms = time, wall_ms = wall, "the wall clock has differed for ten minutes; adopting it");
        *self = Self { started: now, base_ms: wall, differs_since: None };
        wall
    }
}

fn wall_ms() -> UnixMillis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(at: Instant) -> WallClock {
        WallClock { started: at, base_ms: 1_000_000, differs_since: None }
    }

    #[test]
    fn a_jump_that_heals_moves_nothing() {
        let start = Instant::now();
        let mut clock = clock(start);
        let second = Duration::from_secs(1);
        assert_eq!(clock.read(start + second, 9_000_000), 1_001_000);
        assert_eq!(clock.read(start + second * 2, 1_002_000), 1_002_000);
        assert_eq!(clock.read(start + second * 700, 1_700_000), 1_700_000);
    }

    #[test]
    fn a_jump_that_lasts_is_adopted() {
        let start = Instant::now();
        let mut clock = clock(start);
        clock.read(start, 9_000_000);
        assert_eq!(clock.read(start + ADOPT_AFTER, 9_600_000), 9_600_000);
    }
}
