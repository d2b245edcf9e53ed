//! How a client ends: when the app closes it, or the server for good.

use std::time::Duration;

use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{CloseCode, ErrorCode};

use crate::client::Client;
use crate::connection::State;
use crate::error::StoreError;
use crate::event::{Event, Failure, Origin, StateReason};

/// `close` waits at most so long for the server and the store.
const CLOSE: Duration = Duration::from_secs(5);

/// Whether the app is still using the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// Waiting for `acked` and the store.
    Closing(Closing),
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) deadline: Timestamp,
    purpose: Purpose,
    /// Why the store has not what it was given.
    failure: Option<StoreError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Flush,
    /// The store is cleared: what came before that does not count.
    Wipe,
}

impl Closing {
    pub(crate) fn on_persisted(&mut self, failure: Option<StoreError>) {
        self.failure = match self.purpose {
            Purpose::Flush => self.failure.take().or(failure),
            Purpose::Wipe => failure,
        };
    }
}

impl Phase {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    fn closing(purpose: Purpose, now: Now) -> Self {
        Self::Closing(Closing { deadline: now.mono + CLOSE, purpose, failure: None })
    }
}

impl Client {
    /// Sends acknowledgements, and nothing else any more.
    pub(crate) fn begin_close(&mut self, now: Now) {
        self.subscriptions.flush_acks(now.mono, &mut self.out);
        self.subscriptions.leave_all(&mut self.out);
        self.subscriptions.asks.fail_all(&closed_failure(), &mut self.out);
        self.history.fail_all(&closed_failure(), &mut self.out);
        self.calls.fail_all(&closed_failure(), &mut self.out);
        self.out.store.pay_debt();
        self.outbox.pause();
        if !self.connection.is_online() && !self.connection.is_closed() {
            self.hang_up(CloseCode::NORMAL);
            self.connection.state = State::Idle;
        }
        self.phase = Phase::closing(Purpose::Flush, now);
    }

    /// Clears the store, unless that is under way.
    pub(crate) fn wipe(&mut self, now: Now) {
        if matches!(&self.phase, Phase::Closing(closing) if closing.purpose == Purpose::Wipe) {
            return;
        }
        self.push.forget(self.connection.is_online(), &mut self.out);
        self.outbox.wipe(&closed_failure(), &mut self.out);
        self.out.store.wipe();
        self.phase = Phase::closing(Purpose::Wipe, now);
    }

    /// Closes if all is flushed, or has taken too long.
    pub(crate) fn close_on(&mut self, now: Now) {
        let Phase::Closing(closing) = &self.phase else { return };
        let is_acked = !self.connection.is_online() || self.subscriptions.is_acked();
        let is_flushed = is_acked && self.out.store.is_settled();
        if !is_flushed && closing.deadline > now.mono {
            return;
        }
        let failure = closing.failure.clone().or_else(|| {
            let text = "it did not answer within 5 s";
            (!self.out.store.is_settled()).then(|| StoreError::Uncertain(text.to_owned()))
        });
        self.finish_close(failure);
    }

    fn finish_close(&mut self, failure: Option<StoreError>) {
        self.phase = Phase::Done;
        self.hang_up(CloseCode::NORMAL);
        self.end_all(&closed_failure());
        self.outbox.give_up(&mut self.out);
        if !self.connection.is_closed() {
            self.connection.state = State::Closed;
            self.tell_state(failure.clone().map_or(StateReason::Requested, StateReason::Store));
        }
        self.out.event(Event::Closed { result: failure.map_or(Ok(()), Err) });
    }

    /// Ends the client for good, because of this.
    pub(crate) fn stop(&mut self, failure: Failure) {
        self.hang_up(CloseCode::NORMAL);
        self.connection.state = State::Closed;
        self.detach();
        self.end_all(&failure);
        self.tell_state(StateReason::Refused(failure));
    }

    /// Tells everybody who waits that nothing comes any more.
    fn end_all(&mut self, failure: &Failure) {
        self.history.fail_all(failure, &mut self.out);
        self.calls.fail_all(failure, &mut self.out);
        self.subscriptions.end_all(failure, &mut self.out);
        self.outbox.end_all(failure, &mut self.out);
    }
}

/// What a client that is closed answers.
pub(crate) fn closed_failure() -> Failure {
    Failure::new(ErrorCode::ClientClosed, "the client is closed", Origin::Client)
}
