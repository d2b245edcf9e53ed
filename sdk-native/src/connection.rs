//! What the app sees of the connection and of the outbox.

use std::sync::{Arc, Weak};

use moorline_core::protocol::time::{Now, Timestamp};
use moorline_core::{ConnectionState, OutboxStats, StateReason};

use crate::error::Error;
use crate::queue::{Item, Queue};

/// The connection, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// Its state.
    pub state: ConnectionState,
    /// Why it is the present one.
    pub reason: StateReason,
    /// Since when, ms since 1970.
    pub since: u64,
    /// Attempts to connect since it was last online; 0 while online.
    pub attempt: u32,
    /// When the next attempt comes, ms since 1970; `None` while one is under way, and where none will come.
    pub retry_at: Option<u64>,
    /// Who the server says this is, once it has; `None` for nobody.
    pub user: Option<String>,
}

impl Connection {
    /// Returns the name of its reason, such as `transport-closed`.
    pub fn reason_name(&self) -> &'static str {
        match &self.reason {
            StateReason::Requested => "requested",
            StateReason::Welcome => "welcome",
            StateReason::TransportClosed(_) => "transport-closed",
            StateReason::TransportFailed(_) => "transport-failed",
            StateReason::Silent => "silent",
            StateReason::ConnectTimeout => "connect-timeout",
            StateReason::Unanswered => "unanswered",
            StateReason::Goaway => "goaway",
            StateReason::Reattach(_) => "reattach",
            StateReason::Offline => "offline",
            StateReason::Token(_) => "token",
            StateReason::Refused(_) => "refused",
            StateReason::ProtocolViolation(_) => "protocol-violation",
            StateReason::Store(_) => "store",
            _ => "other",
        }
    }

    /// Returns the error behind its reason, if there is one.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not named here is treated alike, also in later versions"
    )]
    pub fn cause(&self) -> Option<Error> {
        match &self.reason {
            StateReason::TransportFailed(failure)
            | StateReason::Reattach(failure)
            | StateReason::Token(failure)
            | StateReason::Refused(failure) => Some(failure.clone().into()),
            StateReason::Store(error) => Some(error.clone().into()),
            StateReason::ProtocolViolation(what) => Some(Error::client("server.internal", *what)),
            _ => None,
        }
    }
}

impl Default for Connection {
    fn default() -> Self {
        let (state, reason) = (ConnectionState::Idle, StateReason::Requested);
        Self { state, reason, since: 0, attempt: 0, retry_at: None, user: None }
    }
}

impl Item for Connection {
    fn absorb(&mut self, later: &Self) -> bool {
        self.clone_from(later);
        true
    }
}

impl Item for OutboxStats {
    fn absorb(&mut self, later: &Self) -> bool {
        *self = *later;
        true
    }
}

/// Connection and outbox, and who follows them.
#[derive(Default)]
pub(crate) struct Standing {
    connection: Connection,
    outbox: OutboxStats,
    connections: Vec<Weak<Queue<Connection>>>,
    outboxes: Vec<Weak<Queue<OutboxStats>>>,
    has_ended: bool,
}

impl Standing {
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn set_user(&mut self, user: Option<String>) {
        self.connection.user = user;
    }

    pub(crate) fn set_connection(
        &mut self,
        state: ConnectionState,
        reason: StateReason,
        next: Option<Timestamp>,
        now: Now,
    ) {
        let is_trying = matches!(state, ConnectionState::Connecting | ConnectionState::Recovering);
        let connection = &mut self.connection;
        connection.attempt = if is_trying { connection.attempt.saturating_add(1) } else { 0 };
        connection.retry_at = next.filter(|at| is_trying && *at > now.mono).map(|at| {
            let wait = at.since_origin().saturating_sub(now.mono.since_origin());
            now.unix.saturating_add(wait.as_millis() as u64)
        });
        (connection.state, connection.reason, connection.since) = (state, reason, now.unix);
        tell(&mut self.connections, &self.connection);
    }

    pub(crate) fn set_outbox(&mut self, outbox: OutboxStats) {
        if outbox != self.outbox {
            self.outbox = outbox;
            tell(&mut self.outboxes, &outbox);
        }
    }

    /// Adds somebody who follows the connection, beginning with what it is now.
    pub(crate) fn follow_connection(&mut self) -> Arc<Queue<Connection>> {
        follow(&mut self.connections, self.connection.clone(), self.has_ended)
    }

    /// Adds somebody who follows the outbox, beginning with what it is now.
    pub(crate) fn follow_outbox(&mut self) -> Arc<Queue<OutboxStats>> {
        follow(&mut self.outboxes, self.outbox, self.has_ended)
    }

    /// Nothing changes any more.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
        self.connections.drain(..).filter_map(|queue| queue.upgrade()).for_each(|queue| queue.end(None));
        self.outboxes.drain(..).filter_map(|queue| queue.upgrade()).for_each(|queue| queue.end(None));
    }
}

fn follow<T: Item>(queues: &mut Vec<Weak<Queue<T>>>, now: T, has_ended: bool) -> Arc<Queue<T>> {
    let queue = Arc::new(Queue::default());
    queue.push(now);
    if has_ended {
        queue.end(None);
    } else {
        queues.push(Arc::downgrade(&queue));
    }
    queue
}

fn tell<T: Item>(queues: &mut Vec<Weak<Queue<T>>>, now: &T) {
    queues.retain(|queue| queue.upgrade().is_some_and(|queue| queue.push(now.clone())));
}
