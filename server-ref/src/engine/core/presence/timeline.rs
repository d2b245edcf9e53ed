use moorline_protocol::time::UnixMillis;

/// So much of a step counts: the host calls more often than that.
pub(super) const MOST_MS: u64 = 10_000;

/// Time that only goes forward and never leaps: the wall clock may be set while somebody's grace runs.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    seen: UnixMillis,
    time: u64,
}

impl Timeline {
    /// Goes on with the wall clock, and returns the time in ms.
    pub(super) fn advance(&mut self, now: UnixMillis) -> u64 {
        self.time = self.at(now);
        self.seen = now;
        self.time
    }

    /// Returns what [`advance`](Self::advance) would.
    pub(super) fn at(&self, now: UnixMillis) -> u64 {
        self.time + now.saturating_sub(self.seen).min(MOST_MS)
    }
}
