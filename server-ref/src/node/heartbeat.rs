//! Pings, silence, and every other deadline of a connection.

use std::time::Duration;

use moorline_protocol::time::{Now, Timestamp, UnixMillis};
use moorline_protocol::{CloseCode, ErrorCode, ErrorFrame, Park, Ping, Push, ServerFrame};

use super::io::{ConnId, TimerKind};
use super::session::{Session, State};
use super::{Ending, Node, Waiting};
use crate::engine::hooks::HookKind;
use crate::engine::{Command, Gone};
use crate::planted::Bug;

/// `hello` must come within this time.
pub(super) const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// A peer may be silent for the ping interval and this much longer.
const GRACE: Duration = Duration::from_secs(10);
/// A connection that closed without a word counts as present for so long, at most.
const PRESENT: Duration = Duration::from_secs(15);
/// And so much longer than it may be silent, at most.
const SWEEP: Duration = Duration::from_secs(5);
/// What rests on a token outlives it by this much.
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
        self.expire_questions(now);
        self.drain_on(now);
    }

    /// Returns the next deadline and what it is for.
    pub fn poll_timeout(&self) -> Option<(Timestamp, TimerKind)> {
        let conn = self.deadlines.first().map(|(at, conn)| {
            let kind = match self.conns.get(conn).map(|entry| (entry, &entry.state)) {
                Some((_, State::AwaitingHello { .. })) => TimerKind::Hello,
                Some((entry, State::Open(session))) if *at < session.heartbeat(entry.heard) => TimerKind::Token,
                _ => TimerKind::Heartbeat,
            };
            (*at, kind)
        });
        let drain = self.draining.as_ref().map(|draining| (draining.close_at, TimerKind::Drain));
        let question = self.questions.first_deadline().map(|at| (at, TimerKind::Question));
        conn.into_iter().chain(drain).chain(question).min()
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
            State::AwaitingHello { .. } | State::Asking(_) | State::Attaching(_) => {}
            State::Open(session) => {
                let silent = session.silent(entry.heard);
                if silent + GRACE <= now.mono {
                    // So late only a node that slept can be: what its clients said meanwhile is still on its way.
                    entry.heard = Timestamp::new(now.mono.since_origin().saturating_sub(session.ping_interval()));
                } else if silent <= now.mono {
                    return self.end(conn, Ending(None, CloseCode::PING_TIMEOUT), now);
                }
                let is_gone = session.claims.expires.is_some_and(|expires| is_over(expires, now.unix));
                if is_gone && !bugs.has(Bug::GraceForever) {
                    let error = ErrorFrame::new(ErrorCode::AuthExpired, "the token expired and was not refreshed");
                    return self.end(conn, Ending(Some(error), CloseCode::TOKEN_EXPIRED), now);
                }
                let extras = session.extra.len();
                session.extra.retain(|extra| !extra.claims.expires.is_some_and(|expires| is_over(expires, now.unix)));
                let recheck = session.extra.len() < extras;
                if session.next_ping <= now.mono {
                    session.next_ping = now.mono + session.ping_interval();
                    session.pings += 1;
                    let n = session.pings;
                    self.send(conn, &ServerFrame::Ping(Ping { n, next: None }));
                }
                if recheck {
                    self.recheck_grants(conn, now);
                }
                self.renew_permits(conn, now);
            }
        }
        self.arm_at(conn, now);
    }

    /// Sees to it that the connection is looked at by its next deadline.
    pub(super) fn arm(&mut self, conn: ConnId, now: Now) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let due = match &entry.state {
            State::AwaitingHello { deadline } => *deadline,
            State::Asking(_) | State::Attaching(_) => return,
            State::Open(session) => {
                let left = |expires: u64| expires.saturating_add(TOKEN_GRACE_MS).saturating_sub(now.unix);
                let token = session.expiries().map(|expires| now.mono + Duration::from_millis(left(expires))).min();
                let never = Timestamp::new(Duration::MAX);
                let permit = session.permits.iter().filter_map(|permit| permit.due());
                let permit = permit.map(|at| now.mono + Duration::from_millis(at.saturating_sub(now.unix))).min();
                session.heartbeat(entry.heard).min(token.unwrap_or(never)).min(permit.unwrap_or(never))
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
        self.set_parked(conn, true);
        self.set_ping(conn, park.ping.unwrap_or(default).clamp(least, most), now);
    }

    pub(super) fn unpark(&mut self, conn: ConnId, now: Now) {
        let ping = self.config.ping_ms;
        self.set_parked(conn, false);
        self.set_ping(conn, ping, now);
    }

    fn set_parked(&mut self, conn: ConnId, parked: bool) {
        let Some(session) = self.session(conn) else { return };
        if std::mem::replace(&mut session.parked, parked) != parked {
            let id = session.id;
            self.ask(Waiting::Nothing, Command::Park(id, parked));
        }
    }

    /// `push`: where this device is reached while its user is away.
    pub(super) fn push(&mut self, conn: ConnId, push: Push) {
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return };
        let wanted = self.config.hooks.has(&app, HookKind::MessageOffline);
        let owner = self.session(conn).and_then(|session| session.owner.clone());
        match owner.filter(|_| wanted) {
            Some(owner) => self.ask(Waiting::Nothing, Command::Push(owner, push.handle)),
            None => {
                let text = "`push` needs a server with an offline hook, a named user and a device";
                self.error(conn, None, ErrorCode::FeatureDisabled, text);
            }
        }
    }

    fn set_ping(&mut self, conn: ConnId, ping_ms: u32, now: Now) {
        let Some(session) = self.session(conn) else { return };
        session.ping_ms = ping_ms;
        session.next_ping = now.mono + session.ping_interval();
        session.pings += 1;
        let n = session.pings;
        self.send(conn, &ServerFrame::Ping(Ping { n, next: Some(ping_ms) }));
        self.arm(conn, now);
    }
}

impl Session {
    fn ping_interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.ping_ms))
    }

    /// Returns when a client last heard of at this moment counts as gone.
    fn silent(&self, heard: Timestamp) -> Timestamp {
        heard + self.ping_interval() + GRACE
    }

    /// Tells how a connection goes: `code` is the node's own, if it closes it.
    pub(super) fn gone(&self, code: Option<CloseCode>, heard: Timestamp, now: Timestamp) -> Gone {
        match code {
            Some(CloseCode::PING_TIMEOUT) => Gone::Silent,
            Some(CloseCode::REVOKED) => Gone::Left,
            Some(_) | None => {
                let left = (self.silent(heard) + SWEEP).since(now).min(PRESENT);
                Gone::Closed { grace_ms: left.as_millis() as u64 }
            }
        }
    }

    /// Returns when the heartbeat has to be looked at.
    fn heartbeat(&self, heard: Timestamp) -> Timestamp {
        self.next_ping.min(self.silent(heard))
    }

    /// Returns when the connection's token and those of its channels expire.
    fn expiries(&self) -> impl Iterator<Item = UnixMillis> {
        self.claims.expires.into_iter().chain(self.extra.iter().filter_map(|extra| extra.claims.expires))
    }
}

/// Tells whether a token that expires then is of no use any more to what rests on it.
pub(super) fn is_over(expires: UnixMillis, now: UnixMillis) -> bool {
    expires.saturating_add(TOKEN_GRACE_MS) <= now
}
