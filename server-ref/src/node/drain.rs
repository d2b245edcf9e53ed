//! The graceful stop.

use std::time::Duration;

use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{CloseCode, Goaway, GoawayReason, ServerFrame};

use super::io::{ConnId, Output};
use super::session::State;
use super::{Ending, Node};

/// Publishes under way have this long to be answered.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// A stop under way.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) close_at: Timestamp,
    done: bool,
}

impl Node {
    /// Begins a graceful stop (reason `restart`): `goaway{after, window}`, new publishes get `storage.unavailable`,
    /// pending ones and calls finish (≤ 5 s), then all are closed with 4000 and [`Output::Drained`] follows.
    pub fn drain(&mut self, after_ms: u32, window_ms: u32, now: Now) {
        if self.draining.is_some() {
            return;
        }
        self.draining = Some(Draining { close_at: now.mono + FINISH_WITHIN, done: false });
        let all: Vec<(ConnId, bool)> =
            self.conns.iter().map(|(conn, entry)| (*conn, matches!(entry.state, State::Open(_)))).collect();
        for (conn, open) in all {
            if open {
                let reason = GoawayReason::Restart;
                self.send(conn, &ServerFrame::Goaway(Goaway { after: after_ms, window: window_ms, reason }));
            } else {
                self.end(conn, Ending(None, CloseCode::GOING_AWAY), now);
            }
        }
        self.drain_on(now);
    }

    /// Closes everything when all publishes are answered or the time is up.
    pub(super) fn drain_on(&mut self, now: Now) {
        let Some(draining) = self.draining.as_mut().filter(|draining| !draining.done) else { return };
        if (self.publishing > 0 || !self.calls.is_empty()) && now.mono < draining.close_at {
            return;
        }
        draining.done = true;
        draining.close_at = Timestamp::new(Duration::MAX);
        let all: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in all {
            self.end(conn, Ending(None, CloseCode::GOING_AWAY), now);
        }
        self.outputs.push_back(Output::Drained);
    }
}
