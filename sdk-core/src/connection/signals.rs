//! What happens to the device and the app, and how the connection is kept and probed for it.

use std::time::Duration;

use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{ClientFrame, Park, Ping, Pong};

use super::{Network, State, Visibility, Wait};
use crate::client::Client;
use crate::io::HostSignal;

/// A host's "offline" is believed for so long.
const OFFLINE: Duration = Duration::from_secs(20);

impl Client {
    pub(crate) fn on_host(&mut self, signal: HostSignal, now: Now) {
        match signal {
            HostSignal::Offline => {
                let until = now.mono + OFFLINE;
                self.connection.network = Network::Down { until };
                if let State::Waiting { until: planned, .. } = &mut self.connection.state {
                    *planned = (*planned).max(until);
                }
                self.probe(now.mono);
            }
            HostSignal::Background => {
                self.connection.visibility = Visibility::Background;
                self.subscriptions.flush_acks(now.mono, &mut self.out);
                if self.connection.is_online() {
                    self.park();
                }
            }
            HostSignal::Foreground => {
                let before = std::mem::replace(&mut self.connection.visibility, Visibility::Foreground);
                if before == Visibility::Background && self.connection.is_online() {
                    self.ask_for_interval(&ClientFrame::Unpark);
                }
                self.hurry(now);
            }
            HostSignal::Online => {
                self.connection.network = Network::Up;
                self.hurry(now);
            }
            HostSignal::Network(id) => {
                self.connection.network = Network::Up;
                self.connection.parking.on_network(id);
                self.hurry(now);
            }
            HostSignal::Wake => self.hurry(now),
        }
    }

    pub(super) fn park(&mut self) {
        let wish = self.connection.parking.wish();
        self.ask_for_interval(&ClientFrame::Park(Park { ping: Some(wish) }));
    }

    fn ask_for_interval(&mut self, frame: &ClientFrame) {
        self.out.send(frame);
        if let Some(online) = self.connection.online() {
            online.asked += 1;
        }
    }

    pub(crate) fn on_ping(&mut self, ping: Ping) {
        let sent = self.out.sent();
        self.out.send(&ClientFrame::Pong(Pong { n: ping.n }));
        let is_parked = self.connection.visibility == Visibility::Background;
        let Some(online) = self.connection.online() else { return };
        let (interval, is_silent) = (online.heartbeat.interval_ms(), online.heartbeat.was_silent());
        if let Some(next) = ping.next {
            online.heartbeat.set_interval(next);
            online.asked = online.asked.saturating_sub(1);
            // An answer to an earlier wish says nothing about this one.
            if is_parked && online.asked == 0 {
                self.connection.parking.on_interval(next, sent);
            }
        } else if is_parked && self.connection.parking.on_ping(interval, is_silent, sent).is_some() {
            self.park();
        }
        self.keep_parking();
    }

    /// Stores what was learnt about a network.
    fn keep_parking(&mut self) {
        if let Some(networks) = self.connection.parking.news() {
            self.out.store.put_networks(networks);
        }
    }

    /// A connection ended because one side heard nothing of the other: a parked one says something about its network.
    pub(super) fn on_death(&mut self) {
        let is_parked = self.connection.visibility == Visibility::Background;
        if let Some(interval) =
            self.connection.online().map(|online| online.heartbeat.interval_ms()).filter(|_| is_parked)
        {
            self.connection.parking.on_death(interval);
            self.keep_parking();
        }
    }

    /// Something suggests that the network is there, or another one: probes, or tries at once.
    fn hurry(&mut self, now: Now) {
        match &mut self.connection.state {
            State::Waiting { why: Wait::Backoff, .. } => self.attempt(now),
            State::Opening { deadline, .. } | State::Handshaking { deadline, .. } => {
                let span = Duration::from_millis(self.config.probe_ms.max(1));
                *deadline = (*deadline).min(now.mono + span);
            }
            State::Online(_) => self.probe(now.mono),
            State::Idle
            | State::WaitingForStore
            | State::WaitingForToken
            | State::Waiting { why: Wait::Goaway, .. }
            | State::Closed => {}
        }
    }

    /// Notices a jump of a clock between two calls: silence proves nothing then, a probe does.
    pub(crate) fn notice_jump(&mut self, now: Now) {
        let before = std::mem::replace(&mut self.last_call, now);
        let is_jump = self.connection.online().is_some_and(|online| online.heartbeat.is_jump(before, now));
        if is_jump {
            self.probe(now.mono);
        }
    }

    pub(super) fn probe(&mut self, now: Timestamp) {
        let span = Duration::from_millis(self.config.probe_ms.max(1));
        let n = self.out.req();
        if let Some(online) = self.connection.online()
            && online.heartbeat.probe(n, span, now)
        {
            self.out.send(&ClientFrame::Ping(Ping { n, next: None }));
        }
    }
}
