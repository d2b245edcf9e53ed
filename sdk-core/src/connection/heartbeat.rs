use std::time::Duration;

use moorline_protocol::time::{Now, Timestamp, whole_millis};

use crate::timer::{earliest, is_due};

/// Silence is tolerated for the ping interval and this.
const GRACE: Duration = Duration::from_secs(10);

/// A timer that is later than this was held back: hidden pages and dozing devices fire them once a minute.
const LATE: Duration = Duration::from_secs(2);

/// Watches a connection for silence. The server pings; any byte is a sign of life.
pub(crate) struct Heartbeat {
    interval: Duration,
    heard: Timestamp,
    /// How long nothing was heard before that.
    silence: Duration,
    probe: Option<Probe>,
}

/// A `ping` of ours that waits for its `pong`.
struct Probe {
    n: u64,
    span: Duration,
    deadline: Timestamp,
}

/// What a deadline means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Alive,
    Silent,
}

impl Heartbeat {
    pub(crate) fn new(interval_ms: u32, now: Timestamp) -> Self {
        let interval = Duration::from_millis(u64::from(interval_ms).max(1_000));
        Self { interval, heard: now, silence: Duration::ZERO, probe: None }
    }

    /// Takes a new interval from `ping{next}`.
    pub(crate) fn set_interval(&mut self, interval_ms: u32) {
        self.interval = Duration::from_millis(u64::from(interval_ms).max(1_000));
    }

    /// Bytes arrived: silence begins anew, and a probe has its full span again.
    pub(crate) fn on_bytes(&mut self, now: Timestamp) {
        self.silence = now.since(self.heard);
        self.heard = now;
        if let Some(probe) = &mut self.probe {
            probe.deadline = now + probe.span;
        }
    }

    /// Returns the interval in ms.
    pub(crate) fn interval_ms(&self) -> u32 {
        u32::try_from(whole_millis(self.interval)).unwrap_or(u32::MAX)
    }

    /// Tells whether what was heard last came after the silence of about an interval.
    pub(crate) fn was_silent(&self) -> bool {
        self.silence * 10 >= self.interval * 9
    }

    pub(crate) fn on_pong(&mut self, n: u64) {
        if self.probe.as_ref().is_some_and(|probe| probe.n == n) {
            self.probe = None;
        }
    }

    /// Begins a probe named `n`; tells whether a `ping` must be sent (one is under way at most).
    pub(crate) fn probe(&mut self, n: u64, span: Duration, now: Timestamp) -> bool {
        self.heard = now;
        if self.probe.is_some() {
            return false;
        }
        self.probe = Some(Probe { n, span, deadline: now + span });
        true
    }

    pub(crate) fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// Tells whether silence is noticed so late that this host's timers must have stood still: it proves nothing before a
    /// probe does.
    pub(crate) fn is_noticed_late(&self, now: Timestamp) -> bool {
        !self.is_probing() && now.since(self.heard) > self.interval + GRACE + LATE
    }

    /// Tells whether either clock moved so far between two calls that silence proves nothing.
    pub(crate) fn is_jump(&self, before: Now, now: Now) -> bool {
        let limit = self.interval * 2;
        let mono = now.mono.since(before.mono);
        let drift = now.unix.abs_diff(before.unix.saturating_add(whole_millis(mono)));
        mono > limit || drift > whole_millis(limit)
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        earliest(&[Some(self.heard + self.interval + GRACE), self.probe.as_ref().map(|probe| probe.deadline)])
    }

    pub(crate) fn verdict(&self, now: Timestamp) -> Verdict {
        if is_due(self.deadline(), now) { Verdict::Silent } else { Verdict::Alive }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn silence_is_interval_and_ten_seconds() {
        let mut heartbeat = Heartbeat::new(25_000, at(0));
        assert_eq!(heartbeat.verdict(at(34_999)), Verdict::Alive);
        assert_eq!(heartbeat.verdict(at(35_000)), Verdict::Silent);
        heartbeat.on_bytes(at(30_000));
        assert_eq!(heartbeat.verdict(at(64_999)), Verdict::Alive);
        heartbeat.set_interval(60_000);
        assert_eq!(heartbeat.deadline(), Some(at(100_000)));
    }

    #[test]
    fn a_probe_ends_with_its_pong_only() {
        let mut heartbeat = Heartbeat::new(25_000, at(0));
        assert!(heartbeat.probe(7, Duration::from_secs(5), at(1_000)));
        assert!(!heartbeat.probe(8, Duration::from_secs(5), at(1_000)));
        heartbeat.on_bytes(at(2_000));
        heartbeat.on_pong(8);
        assert_eq!(heartbeat.verdict(at(7_000)), Verdict::Silent);
        heartbeat.on_pong(7);
        assert_eq!(heartbeat.verdict(at(7_000)), Verdict::Alive);
    }

    #[test]
    fn jumps_of_either_clock_are_seen() {
        let heartbeat = Heartbeat::new(25_000, at(0));
        let now = |mono: u64, unix: u64| Now { mono: at(mono), unix };
        assert!(!heartbeat.is_jump(now(0, 0), now(49_000, 49_000)));
        assert!(heartbeat.is_jump(now(0, 0), now(51_000, 51_000)));
        assert!(heartbeat.is_jump(now(0, 0), now(10, 60_000)));
        assert!(heartbeat.is_jump(now(0, 60_000), now(10, 0)));
    }
}
