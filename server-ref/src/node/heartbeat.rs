//! Pings, silence, and every other deadline of a connection.

use std::time::Duration;

use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{CloseCode, ErrorCode, ErrorFrame, Park, Ping, ServerFrame};

use super::io::{ConnId, TimerKind};
use super::session::State;
use super::{Ending, Node};
use crate::planted::Bug;

/// `hello` must come within this time.
pub(super) const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// A peer may be silent for the ping interval and this much longer.
const GRACE: Duration = Duration::from_secs(10);
/// An open connection outlives its token by this much.
const TOKEN_GRACE_MS: u64 = 30_000;
/// The ping interval of a parked client, if it wishes for none, and its bounds, in ms.
const PARKED_PING: (u32, u32, u32) = (60_000, 25_000, 300_000);

impl Node {
    /// A deadline has passed; extra calls change nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((at, conn)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.deadlines.remove(&(at, conn));
            if let Some(entry) = self.conns.get_mut(&conn) {
                entry.armed = None;
            }
            self.check(conn, now);
        }
        self.drain_on(now);
    }

    /// Returns the next deadline and what it is for.
    pub fn poll_timeout(&self) -> Option<(Timestamp, TimerKind)> {
        let conn = self.deadlines.first().map(|(at, conn)| {
            let hello = self.conns.get(conn).is_some_and(|entry| matches!(entry.state, State::AwaitingHello { .. }));
            (*at, if hello { TimerKind::Hello } else { TimerKind::Heartbeat })
        });
        let drain = self.draining.as_ref().map(|draining| (draining.close_at, TimerKind::Drain));
        conn.into_iter().chain(drain).min()
    }

    /// Looks at one connection whose deadline has passed.
    fn check(&mut self, conn: ConnId, now: Now) {
        let bugs = self.config.bugs;
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        if bugs.has(Bug::SilentStays) {
            entry.heard = now.mono;
        }
        match &mut entry.state {
            State::AwaitingHello { deadline } if *deadline <= now.mono => {
                let error = ErrorFrame::new(ErrorCode::RequestOrder, "no `hello` within 10 s");
                return self.end(conn, Ending(Some(error), CloseCode::HELLO_TIMEOUT), now);
            }
            State::AwaitingHello { .. } | State::Attaching(_) => {}
            State::Open(session) => {
                let silent = entry.heard + Duration::from_millis(u64::from(session.ping_ms)) + GRACE;
                if silent <= now.mono {
                    return self.end(conn, Ending(None, CloseCode::PING_TIMEOUT), now);
                }
                let expired = |expires: u64| expires.saturating_add(TOKEN_GRACE_MS) <= now.unix;
                if session.claims.expires.is_some_and(expired) && !bugs.has(Bug::GraceForever) {
                    let error = ErrorFrame::new(ErrorCode::AuthExpired, "the token expired and was not refreshed");
                    return self.end(conn, Ending(Some(error), CloseCode::TOKEN_EXPIRED), now);
                }
                let extras = session.extra.len();
                session.extra.retain(|extra| !extra.expires.is_some_and(expired));
                let recheck = session.extra.len() < extras;
                if session.next_ping <= now.mono {
                    session.next_ping = now.mono + Duration::from_millis(u64::from(session.ping_ms));
                    session.pings += 1;
                    let n = session.pings;
                    self.send(conn, &ServerFrame::Ping(Ping { n, next: None }));
                }
                if recheck {
                    self.recheck_grants(conn, now);
                }
            }
        }
        self.arm_at(conn, now);
    }

    /// Sees to it that the connection is looked at by its next deadline.
    pub(super) fn arm(&mut self, conn: ConnId, now: Now) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let due = match &entry.state {
            State::AwaitingHello { deadline } => *deadline,
            State::Attaching(_) => return,
            State::Open(session) => {
                let silent = entry.heard + Duration::from_millis(u64::from(session.ping_ms)) + GRACE;
                let tokens = session.claims.expires.into_iter().chain(session.extra.iter().filter_map(|e| e.expires));
                let left = |expires: u64| expires.saturating_add(TOKEN_GRACE_MS).saturating_sub(now.unix);
                let ends = tokens.map(|expires| now.mono + Duration::from_millis(left(expires)));
                ends.chain([silent, session.next_ping]).min().unwrap_or(silent)
            }
        };
        if entry.armed.is_none_or(|armed| due < armed) {
            if let Some(armed) = entry.armed.replace(due) {
                self.deadlines.remove(&(armed, conn));
            }
            self.deadlines.insert((due, conn));
        }
    }

    /// As [`arm`](Self::arm), after a look: never for a moment that is over.
    fn arm_at(&mut self, conn: ConnId, now: Now) {
        self.arm(conn, now);
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let soon = now.mono + Duration::from_millis(1);
        if let Some(armed) = entry.armed.filter(|armed| *armed < soon) {
            self.deadlines.remove(&(armed, conn));
            entry.armed = Some(soon);
            self.deadlines.insert((soon, conn));
        }
    }

    pub(super) fn park(&mut self, conn: ConnId, park: Park, now: Now) {
        let (default, least, most) = PARKED_PING;
        self.set_ping(conn, park.ping.unwrap_or(default).clamp(least, most), now);
    }

    pub(super) fn unpark(&mut self, conn: ConnId, now: Now) {
        let ping = self.config.ping_ms;
        self.set_ping(conn, ping, now);
    }

    fn set_ping(&mut self, conn: ConnId, ping_ms: u32, now: Now) {
        let Some(session) = self.session(conn) else { return };
        session.ping_ms = ping_ms;
        session.next_ping = now.mono + Duration::from_millis(u64::from(ping_ms));
        session.pings += 1;
        let n = session.pings;
        self.send(conn, &ServerFrame::Ping(Ping { n, next: Some(ping_ms) }));
        self.arm(conn, now);
    }
}
