//! The connection: one state, whose variants own their timers.

mod auth;
mod backoff;
mod heartbeat;
mod lifecycle;
mod parking;
mod signals;

use std::time::Duration;

use moorline_protocol::time::Timestamp;

pub(crate) use auth::Auth;
pub(crate) use backoff::{Backoff, doubled};
pub(crate) use heartbeat::Heartbeat;
pub(crate) use parking::Parking;

use crate::config::TokenSource;
use crate::event::{ConnectionState, Failure};
use crate::io::TransportId;
use crate::timer::earliest;

/// Where the connection stands.
pub(crate) enum State {
    /// Not asked to connect.
    Idle,
    /// The boot counter is being committed.
    WaitingForStore,
    /// The host is fetching a token.
    WaitingForToken,
    /// A socket is opening.
    Opening { transport: TransportId, deadline: Timestamp },
    /// `hello` is sent.
    Handshaking { transport: TransportId, deadline: Timestamp },
    /// `welcome` has arrived.
    Online(Online),
    /// Between two attempts.
    Waiting { until: Timestamp, why: Wait },
    /// For good.
    Closed,
}

/// What an online connection owns.
pub(crate) struct Online {
    pub(crate) transport: TransportId,
    pub(crate) since: Timestamp,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) departure: Option<Departure>,
    /// How often the server was asked for another ping interval and has not answered.
    pub(crate) asked: u32,
    /// Over what the first retry is spread if the server just vanishes.
    pub(crate) spread: Duration,
}

impl Online {
    /// Tells whether the connection has stood so long.
    pub(crate) fn has_lasted(&self, span: Duration, now: Timestamp) -> bool {
        now.since(self.since) >= span
    }
}

/// The moment that a `goaway` chose for this client.
#[derive(Clone, Copy)]
pub(crate) struct Departure {
    pub(crate) at: Timestamp,
    pub(crate) window: Duration,
    /// Whether nobody serves before that moment.
    pub(crate) is_restart: bool,
}

/// Why the next attempt waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Backoff: a sign that the network is back ends it.
    Backoff,
    /// The server named the moment: nothing ends it early.
    Goaway,
}

/// What the host says about the network.
#[derive(Clone, Copy)]
pub(crate) enum Network {
    /// Nothing bad.
    Up,
    /// Gone; believed until this moment.
    Down { until: Timestamp },
}

/// What the host says about the app.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    Foreground,
    Background,
}

/// How far the client has come with its server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquaintance {
    /// There was no `welcome` yet.
    New,
    /// There was one.
    Known,
}

/// Whether this producer was fenced by another connection since its last success.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fencing {
    Free,
    /// Once: a reconnect may cure it.
    Once,
}

/// The connection and what outlives its sockets.
pub(crate) struct Connection {
    pub(crate) state: State,
    pub(crate) auth: Auth,
    pub(crate) backoff: Backoff,
    pub(crate) network: Network,
    pub(crate) visibility: Visibility,
    pub(crate) parking: Parking,
    pub(crate) acquaintance: Acquaintance,
    pub(crate) fencing: Fencing,
    /// The server's last word, if it was about this connection as a whole.
    pub(crate) refusal: Option<Failure>,
    next_transport: u64,
    next_url: usize,
}

impl Connection {
    pub(crate) fn new(source: TokenSource, parking: Parking) -> Self {
        Self {
            state: State::Idle,
            auth: Auth::new(source),
            backoff: Backoff::default(),
            network: Network::Up,
            visibility: Visibility::Foreground,
            parking,
            acquaintance: Acquaintance::New,
            fencing: Fencing::Free,
            refusal: None,
            next_transport: 1,
            next_url: 0,
        }
    }

    /// Returns the socket that is open or opening.
    pub(crate) fn transport(&self) -> Option<TransportId> {
        match &self.state {
            State::Opening { transport, .. } | State::Handshaking { transport, .. } => Some(*transport),
            State::Online(online) => Some(online.transport),
            State::Idle | State::WaitingForStore | State::WaitingForToken | State::Waiting { .. } | State::Closed => {
                None
            }
        }
    }

    pub(crate) fn online(&mut self) -> Option<&mut Online> {
        match &mut self.state {
            State::Online(online) => Some(online),
            State::Idle
            | State::WaitingForStore
            | State::WaitingForToken
            | State::Opening { .. }
            | State::Handshaking { .. }
            | State::Waiting { .. }
            | State::Closed => None,
        }
    }

    pub(crate) fn is_online(&self) -> bool {
        matches!(self.state, State::Online(_))
    }

    /// Tells whether `hello` is sent: other frames may follow it at once.
    pub(crate) fn has_said_hello(&self) -> bool {
        matches!(self.state, State::Handshaking { .. } | State::Online(_))
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    pub(crate) fn public_state(&self) -> ConnectionState {
        match &self.state {
            State::Idle => ConnectionState::Idle,
            State::Online(_) => ConnectionState::Online,
            State::Closed => ConnectionState::Closed,
            State::WaitingForStore
            | State::WaitingForToken
            | State::Opening { .. }
            | State::Handshaking { .. }
            | State::Waiting { .. } => match self.acquaintance {
                Acquaintance::New => ConnectionState::Connecting,
                Acquaintance::Known => ConnectionState::Recovering,
            },
        }
    }

    pub(crate) fn next_attempt(&self) -> Option<Timestamp> {
        if let State::Waiting { until, .. } = &self.state { Some(*until) } else { None }
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        match &self.state {
            State::Idle | State::WaitingForStore | State::Closed => None,
            State::WaitingForToken => self.auth.deadline(),
            State::Opening { deadline, .. } | State::Handshaking { deadline, .. } => Some(*deadline),
            State::Waiting { until, .. } => Some(*until),
            State::Online(online) => earliest(&[
                online.heartbeat.deadline(),
                online.departure.map(|departure| departure.at),
                self.auth.deadline(),
            ]),
        }
    }
}

impl Connection {
    /// Names the next socket and where it goes.
    pub(crate) fn next_transport(&mut self, urls: &[String]) -> (TransportId, String) {
        let id = TransportId(self.next_transport);
        self.next_transport += 1;
        let url = urls.get(self.next_url % urls.len().max(1)).cloned().unwrap_or_default();
        (id, url)
    }

    /// The address did not lead to a `welcome`: the next attempt takes the next one.
    pub(crate) fn rotate(&mut self) {
        self.next_url = self.next_url.wrapping_add(1);
    }
}
