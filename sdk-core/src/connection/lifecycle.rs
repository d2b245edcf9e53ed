//! How the connection moves from state to state, and what that means to the other rooms.

use std::time::Duration;

use moorline_protocol::limits::SDK_MESSAGE_BYTES;
use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{
    Call, ClientFrame, CloseCode, CloseVerdict, ErrorCode, Goaway, GoawayReason, Hello, Packed, ProducerRequest, Push,
    Run, Subscribe, Utf8Bytes, Welcome,
};

use super::auth::Ready;
use super::backoff::spread;
use super::heartbeat::Verdict;
use super::{Acquaintance, Departure, Heartbeat, Network, Online, State, Visibility, Wait};
use crate::client::Client;
use crate::event::{Event, Failure, Origin, StateReason};
use crate::io::{Output, TransportId};
use crate::planted::Bug;

/// A `goaway` is followed for so long at most, and spread over so much.
const AWAY: Duration = Duration::from_secs(5 * 60);

/// Who ended a connection or an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Peer,
    Client,
}

impl Client {
    /// Begins an attempt, as far as store and token allow.
    pub(crate) fn attempt(&mut self, now: Now) {
        if !self.out.store.is_booted() {
            self.connection.state = State::WaitingForStore;
            return;
        }
        match self.connection.auth.prepare(now.mono, &mut self.out) {
            Ready::Yes => {}
            Ready::Wait => {
                self.connection.state = State::WaitingForToken;
                // It may have been asked for on an earlier connection, and be overdue.
                return self.on_token_overdue(now);
            }
            Ready::Never(failure) => return self.stop(failure),
        }
        let (transport, url) = self.connection.next_transport(&self.config.urls);
        let deadline = now.mono + Duration::from_millis(self.config.connect_timeout_ms.max(1));
        self.connection.refusal = None;
        self.connection.state = State::Opening { transport, deadline };
        self.out.push(Output::OpenTransport { id: transport, url });
    }

    pub(crate) fn on_opened(&mut self, id: TransportId, now: Timestamp) {
        let State::Opening { transport, deadline } = self.connection.state else { return };
        if transport != id {
            return;
        }
        self.connection.state = State::Handshaking { transport, deadline };
        self.out.open(transport);
        self.send_hello(transport, now);
    }

    fn send_hello(&mut self, transport: TransportId, now: Timestamp) {
        let mut size = 0;
        // What does not fit follows, and so does what the server must forget first.
        let (inline, later) = self.subscriptions.join_all(now, &mut self.out).into_iter().partition(|subscribe| {
            size += size_of(subscribe);
            size < SDK_MESSAGE_BYTES / 2 && !self.subscriptions.is_forgotten(&subscribe.channel)
        });
        let later: Vec<Subscribe> = later;
        let producer = self.outbox.producer().map_or(ProducerRequest::New, ProducerRequest::Resume);
        let boot = if self.config.bugs.has(Bug::BootNotCounted) { 1 } else { self.out.store.boot() };
        self.out.send(&ClientFrame::Hello(Hello {
            v: 1,
            token: self.connection.auth.hello_token(),
            device: Some(self.out.store.device().clone()),
            run: Some(Run { boot, transport: transport.0 }),
            sdk: Some(Utf8Bytes::from(self.config.sdk.as_str())),
            producer: Some(producer),
            caps: self.caps(),
            subscribe: inline,
        }));
        self.subscriptions.forget_all(&mut self.out);
        for subscribe in later {
            self.out.send(&ClientFrame::Subscribe(subscribe));
        }
    }

    /// Returns the optional features that this client can do.
    fn caps(&self) -> Vec<Utf8Bytes> {
        let mut caps = vec![Utf8Bytes::from_static(Push::CAP), Utf8Bytes::from_static(Call::CAP)];
        if self.subscriptions.wants_packed() {
            caps.insert(0, Utf8Bytes::from_static(Packed::CAP));
        }
        caps
    }

    pub(crate) fn on_welcome(&mut self, welcome: Welcome, now: Now) -> Result<(), &'static str> {
        let State::Handshaking { transport, .. } = self.connection.state else { return Err("a second welcome") };
        if !self.out.store.belongs_to(welcome.user.as_ref()) && !self.config.bugs.has(Bug::StoreOfAnybody) {
            let text = "the store is another user's: log out there with `wipe`, or give each user a store of their own";
            let failure = Failure::new(ErrorCode::ClientUser, text, Origin::Client);
            self.stop(failure);
            return Ok(());
        }
        self.connection.backoff.arrive();
        self.connection.acquaintance = Acquaintance::Known;
        self.connection.state = State::Online(Online {
            transport,
            since: now.mono,
            heartbeat: Heartbeat::new(welcome.ping, now.mono),
            departure: None,
            asked: 0,
            spread: Duration::from_millis(u64::from(welcome.limits.spread)),
        });
        self.outbox.on_user(welcome.user.as_ref());
        let shares = |cap: &str| welcome.caps.iter().any(|shared| shared.as_str() == cap);
        let (packs, pushes) = (shares(Packed::CAP), shares(Push::CAP));
        let calls = shares(Call::CAP);
        self.subscriptions.on_welcome(packs);
        self.out.event(Event::Welcome { user: welcome.user });
        self.tell_state(StateReason::Welcome);
        self.connection.auth.on_welcome(welcome.time, welcome.expires, now, &mut self.out);
        self.outbox.on_welcome(welcome.producer.as_ref(), welcome.limits, now.mono, &mut self.out);
        self.history.on_online(now.mono, &mut self.out);
        self.calls.on_online(calls, now.mono, &mut self.out);
        self.subscriptions.asks.send(now.mono, &mut self.out);
        self.feed.on_online(now.mono, &mut self.out);
        self.push.on_welcome(pushes, &mut self.out);
        if self.connection.visibility == Visibility::Background {
            self.park();
        }
        Ok(())
    }

    pub(crate) fn on_goaway(&mut self, goaway: &Goaway, now: Timestamp) {
        if self.config.bugs.has(Bug::GoawayIgnored) {
            return;
        }
        let stable = Duration::from_millis(self.config.stable_ms);
        let away = if self.config.bugs.has(Bug::AwayUnbounded) { Duration::MAX } else { AWAY };
        let window = Duration::from_millis(u64::from(goaway.window)).min(away);
        let after = Duration::from_millis(u64::from(goaway.after)).min(away);
        let mut at = now + after + spread(window, &mut self.dice);
        let is_restless = match &self.connection.state {
            State::Online(online) => !online.has_lasted(stable, now) && !self.connection.backoff.is_fresh(),
            State::Idle
            | State::WaitingForStore
            | State::WaitingForToken
            | State::Opening { .. }
            | State::Handshaking { .. }
            | State::Waiting { .. }
            | State::Closed => false,
        };
        // A server that sends its clients away again and again must not make them spin.
        if is_restless {
            at = at.max(now + self.connection.backoff.delay(&self.config, &mut self.dice));
        }
        if let Some(online) = self.connection.online() {
            let is_restart = goaway.reason == GoawayReason::Restart || self.config.bugs.has(Bug::MoveIsRestart);
            online.departure = Some(Departure { at, window, is_restart });
        }
    }

    pub(crate) fn on_transport_closed(&mut self, id: TransportId, code: Option<CloseCode>, now: Now) {
        if !self.is_current(id) {
            return;
        }
        self.out.abandon();
        let reason = StateReason::TransportClosed(code);
        if code == Some(CloseCode::PING_TIMEOUT) {
            self.on_death();
        }
        match code.map_or(CloseVerdict::Retry, CloseCode::verdict) {
            CloseVerdict::Retry => self.lose(reason, EndedBy::Peer, now),
            CloseVerdict::RetryWithNewToken if self.connection.auth.is_replaceable() => {
                self.connection.auth.refuse();
                self.lose(reason, EndedBy::Peer, now);
            }
            CloseVerdict::Final
                if code == Some(CloseCode::TOO_LARGE)
                    && self.connection.is_online()
                    && !self.config.bugs.has(Bug::TooLargeIsFinal) =>
            {
                // With nothing under way it was a message at QoS 0, which is gone.
                self.outbox.fail_largest(&mut self.out);
                self.lose(reason, EndedBy::Peer, now);
            }
            CloseVerdict::RetryWithNewToken | CloseVerdict::Final => {
                // Before this code, the server says nothing but this: another refusal was about something else.
                let is_why =
                    |why: &Failure| code != Some(CloseCode::DISPLACED) || why.code == ErrorCode::DeviceConflict;
                let refusal = self.connection.refusal.take().filter(is_why);
                let failure = refusal.unwrap_or_else(|| failure_of(code));
                // There is nothing to hang up any more.
                self.connection.state = State::Idle;
                self.stop(failure);
            }
        }
    }

    pub(crate) fn on_transport_failed(&mut self, id: TransportId, failure: Failure, now: Now) {
        if self.is_current(id) {
            self.out.abandon();
            self.lose(StateReason::TransportFailed(failure), EndedBy::Peer, now);
        }
    }

    /// Tells whether an input of this socket counts.
    pub(crate) fn is_current(&self, id: TransportId) -> bool {
        match self.connection.transport() {
            Some(current) => current == id || self.config.bugs.has(Bug::LateCallbacks),
            None => false,
        }
    }

    /// The server broke the protocol: closes the connection and tries again through backoff.
    pub(crate) fn violate(&mut self, what: &'static str, now: Now) {
        self.hang_up(CloseCode::PROTOCOL_ERROR);
        self.lose(StateReason::ProtocolViolation(what), EndedBy::Client, now);
    }

    /// Closes the connection for a reason of its own and tries again through backoff.
    pub(crate) fn reconnect(&mut self, reason: StateReason, now: Now) {
        self.hang_up(CloseCode::NORMAL);
        self.lose(reason, EndedBy::Client, now);
    }

    /// Closes the socket, whether it is open or opening.
    pub(crate) fn hang_up(&mut self, code: CloseCode) {
        self.out.close(code);
        if let State::Opening { transport, .. } = self.connection.state {
            self.out.push(Output::CloseTransport { id: transport, code });
        }
    }

    /// The connection or the attempt is over; the next attempt is planned.
    fn lose(&mut self, reason: StateReason, by: EndedBy, now: Now) {
        let ended = std::mem::replace(&mut self.connection.state, State::Idle);
        self.detach();
        if !self.phase.is_open() {
            return;
        }
        let (mut until, why) = self.plan_retry(ended, by, now.mono);
        let mut reason = reason;
        if let Network::Down { until: down } = self.connection.network
            && down > now.mono
        {
            until = until.max(down);
            reason = StateReason::Offline;
        }
        self.connection.state = State::Waiting { until, why };
        self.tell_state(reason);
    }

    fn plan_retry(&mut self, ended: State, by: EndedBy, now: Timestamp) -> (Timestamp, Wait) {
        let connection = &mut self.connection;
        let mut vanished = Duration::ZERO;
        match ended {
            State::Online(online) => {
                if online.has_lasted(Duration::from_millis(self.config.stable_ms), now) {
                    connection.backoff.reset();
                }
                // Before the moment of a move, others serve: a cut is a cut.
                if let Some(departure) = online.departure.filter(|it| it.is_restart || it.at <= now) {
                    connection.backoff.depart(departure.window);
                    return (departure.at.max(now + Duration::from_millis(1)), Wait::Goaway);
                }
                if by == EndedBy::Peer {
                    vanished = online.spread;
                }
            }
            State::Opening { .. } | State::Handshaking { .. } => connection.rotate(),
            State::Idle | State::WaitingForStore | State::WaitingForToken | State::Waiting { .. } | State::Closed => {}
        }
        if vanished.is_zero() {
            return (now + connection.backoff.delay(&self.config, &mut self.dice), Wait::Backoff);
        }
        let is_crowd = self.config.bugs.has(Bug::CrowdTogether);
        let mut pause = if is_crowd { vanished } else { spread(vanished, &mut self.dice) };
        if connection.backoff.is_fresh() {
            connection.backoff.depart(Duration::ZERO);
        } else {
            // A server that drops its clients again and again waits for them longer and longer.
            pause = pause.max(connection.backoff.delay(&self.config, &mut self.dice));
        }
        (now + pause, Wait::Backoff)
    }

    /// Tells all rooms that the connection is gone.
    pub(crate) fn detach(&mut self) {
        self.connection.auth.on_lost();
        self.subscriptions.on_lost();
        self.outbox.on_lost();
        self.history.on_lost();
        self.calls.on_lost(&mut self.out);
        self.feed.on_lost();
    }

    pub(crate) fn tell_state(&mut self, reason: StateReason) {
        let state = self.connection.public_state();
        self.out.event(Event::StateChanged { state, reason });
    }

    pub(crate) fn on_token(&mut self, result: Result<Option<String>, Failure>, now: Now) {
        let answer = self.connection.auth.on_token(result, now.mono, &mut self.out);
        if !matches!(self.connection.state, State::WaitingForToken) {
            return;
        }
        match answer {
            Ok(()) => self.attempt(now),
            Err(failure) => self.lose(StateReason::Token(failure), EndedBy::Client, now),
        }
    }

    /// The boot counter is durable, or could not be made so.
    pub(crate) fn on_store_answer(&mut self, failure: Option<crate::StoreError>, now: Now) {
        if !matches!(self.connection.state, State::WaitingForStore) {
            return;
        }
        match failure {
            Some(error) => self.lose(StateReason::Store(error), EndedBy::Client, now),
            None => self.attempt(now),
        }
    }

    pub(crate) fn on_connection_timeout(&mut self, now: Now) {
        if self.connection.deadline().is_none_or(|deadline| deadline > now.mono) {
            return;
        }
        if self.config.bugs.has(Bug::SilenceTolerated)
            && let Some(online) = self.connection.online()
        {
            online.heartbeat.on_bytes(now.mono);
        }
        match &self.connection.state {
            State::WaitingForToken => self.on_token_overdue(now),
            State::Opening { .. } | State::Handshaking { .. } => {
                self.hang_up(CloseCode::NORMAL);
                self.lose(StateReason::ConnectTimeout, EndedBy::Client, now);
            }
            State::Waiting { .. } => self.attempt(now),
            State::Online(online) => {
                if online.heartbeat.is_noticed_late(now.mono) {
                    self.probe(now.mono);
                } else if online.heartbeat.verdict(now.mono) == Verdict::Silent {
                    // A probe asks about the network of now, which may be another one.
                    if !online.heartbeat.is_probing() {
                        self.on_death();
                    }
                    self.hang_up(CloseCode::PING_TIMEOUT);
                    self.lose(StateReason::Silent, EndedBy::Client, now);
                } else if online.departure.is_some_and(|departure| departure.at <= now.mono) {
                    self.subscriptions.flush_acks(now.mono, &mut self.out);
                    self.reconnect(StateReason::Goaway, now);
                } else {
                    self.on_token_overdue(now);
                    self.connection.auth.on_timeout(now.mono, &mut self.out);
                }
            }
            State::Idle | State::WaitingForStore | State::Closed => {}
        }
    }

    fn on_token_overdue(&mut self, now: Now) {
        if let Some(failure) = self.connection.auth.overdue(now.mono) {
            self.on_token(Err(failure), now);
        }
    }
}

/// Bytes of a subscription in `hello`, at most.
fn size_of(subscribe: &Subscribe) -> usize {
    let token = subscribe.token.as_ref().map_or(0, |token| token.as_bytes().len());
    subscribe.channel.as_str().len() + subscribe.state.as_ref().map_or(0, moorline_protocol::Bytes::len) + token + 64
}

/// What a final close code means where the server sent no error before it.
fn failure_of(code: Option<CloseCode>) -> Failure {
    let number = code.map_or(0, |code| code.0);
    let (code, message) = match code {
        Some(CloseCode::TOKEN_EXPIRED) => (ErrorCode::AuthExpired, "the token has expired; connect with a new one"),
        Some(CloseCode::VERSION) => (ErrorCode::RequestUnsupported, "the server speaks another protocol version"),
        Some(CloseCode::TOKEN_INVALID) => (ErrorCode::AuthInvalid, "the server does not accept the token"),
        Some(CloseCode::REVOKED) => (ErrorCode::AuthRevoked, "the token or its user was revoked"),
        Some(CloseCode::DISPLACED) => (ErrorCode::ConnectionDisplaced, "another connection of this device took over"),
        Some(CloseCode::UNKNOWN_APP) => (ErrorCode::AppUnknown, "the server has no such app; check the URL"),
        Some(CloseCode::TOO_LARGE) => (ErrorCode::LimitMessage, "the server refused a frame as too large"),
        Some(_) | None if (4100..4200).contains(&number) => (ErrorCode::AuthExpired, "the server wants another token"),
        Some(_) | None => (ErrorCode::RequestMalformed, "the server closed the connection for good"),
    };
    Failure::new(code, message, Origin::Server)
}
