//! What handles, streams and the driver of one client share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use moorline_core::protocol::ErrorCode;
use moorline_core::protocol::time::{Now, Timestamp};
use moorline_core::{
    ConnectionState, HistoryPage, OutboxStats, Output, PublishId, PublishOutcome, RequestId, StateReason,
    SubscriptionId,
};
use tokio::sync::{Notify, oneshot, watch};

use crate::connection::{Connection, Standing};
use crate::driver::Driver;
use crate::error::Error;
use crate::log::{Log, LogLevel, LogLine};
use crate::message::Payload;
use crate::messages::Event;
use crate::presence::Waiting;
use crate::queue::Room;
use crate::receipt::{Progress, ReceiptState, Restored};
use crate::sink::Outlet;

/// Both clocks, from this process's start of the client.
#[derive(Clone, Copy)]
pub(crate) struct Clock(pub(crate) Instant);

impl Clock {
    pub(crate) fn now(self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Now { mono: Timestamp::new(self.0.elapsed()), unix }
    }

    pub(crate) fn instant(self, at: Timestamp) -> Option<Instant> {
        self.0.checked_add(at.since_origin())
    }
}

/// See the module.
pub(crate) struct Shared {
    core: Mutex<State>,
    pub(crate) wake: Notify,
    pub(crate) clock: Clock,
    pub(crate) state: watch::Sender<(ConnectionState, StateReason)>,
    pub(crate) closed: watch::Sender<bool>,
    pub(crate) restored: Vec<Restored>,
}

pub(crate) struct State {
    pub(crate) core: moorline_core::Client,
    pub(crate) readers: HashMap<SubscriptionId, Outlet>,
    pub(crate) receipts: HashMap<PublishId, watch::Sender<Progress>>,
    pub(crate) queries: HashMap<RequestId, oneshot::Sender<Result<HistoryPage, Error>>>,
    /// Calls that have no answer.
    pub(crate) calls: HashMap<RequestId, oneshot::Sender<Result<Payload, Error>>>,
    pub(crate) presence: Waiting,
    /// Connection and outbox as the app sees them, and who follows them.
    pub(crate) standing: Standing,
    pub(crate) log: Log,
    /// What may wait for nobody.
    room: Room,
    /// What the driver has to do.
    pub(crate) todo: Vec<Output>,
    pub(crate) life: Life,
    /// Whether the core clears the store before it is done.
    pub(crate) wipes: bool,
    /// Whether the store had everything, or was cleared, when the core was done.
    pub(crate) flushed: Result<(), Error>,
}

/// Where the driver is.
pub(crate) enum Life {
    /// Here, before the first use.
    Idle(Box<Driver>),
    Running,
    /// The core is done, or has nobody who drives it any more.
    Ended,
}

impl State {
    /// Makes the state of a client that was not used yet.
    pub(crate) fn new(
        core: moorline_core::Client,
        receipts: HashMap<PublishId, watch::Sender<Progress>>,
        driver: Driver,
        room: Room,
    ) -> Self {
        Self {
            core,
            room,
            readers: HashMap::new(),
            receipts,
            queries: HashMap::new(),
            calls: HashMap::new(),
            presence: Waiting::default(),
            standing: Standing::default(),
            log: Log::default(),
            todo: Vec::new(),
            wipes: false,
            flushed: Err(Error::closed()),
            life: Life::Idle(Box::new(driver)),
        }
    }

    /// Tells whether nothing drove the core so far.
    pub(crate) fn is_unused(&self) -> bool {
        matches!(self.life, Life::Idle(_))
    }

    /// Returns why nothing goes on, once the server has refused this client for good.
    ///
    /// # Errors
    /// The server's final refusal, or `client.user`.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let StateReason::Refused(failure) = &self.standing.connection().reason
            && self.core.state() == ConnectionState::Closed
        {
            return Err(failure.clone().into());
        }
        Ok(())
    }

    /// Begins to close the core.
    ///
    /// # Errors
    /// `client.closed` when it is done already: nothing is cleared any more.
    pub(crate) fn close(&mut self, wipe: bool, now: Now) -> Result<(), Error> {
        if matches!(self.life, Life::Ended) {
            return Err(Error::closed());
        }
        self.wipes |= wipe;
        self.core.close(wipe, now);
        Ok(())
    }

    /// Nobody drives the core any more: tells everybody whom it has not told.
    fn end(&mut self) {
        self.readers.clear();
        for (_, receipt) in self.receipts.drain() {
            receipt.send_modify(|progress| progress.end = Some(Error::closed()));
        }
        self.queries.clear();
        self.calls.clear();
        self.presence.end();
        self.standing.end();
        self.log.end();
    }

    /// Takes readers off that get nothing more.
    fn end_readers(&mut self, ids: &[SubscriptionId], error: &Error) {
        for reader in ids.iter().filter_map(|id| self.readers.remove(id)) {
            if error.code() != ErrorCode::ClientClosed.name() {
                self.log.channel(&reader.channel, &Event::Ended(error.clone()));
                reader.sink.fail(error.clone());
            }
        }
    }

    /// Hands an event of the core to the readers of its channel.
    fn dispatch(&mut self, event: moorline_core::Event, now: Now) {
        let Some((ids, event)) = Event::of(event) else { return };
        if let Some(reader) = ids.first().and_then(|id| self.readers.get(id)) {
            self.log.channel(&reader.channel, &event);
        }
        let is_message = matches!(event, Event::Message(_));
        for id in ids.iter() {
            let is_done = self.readers.get(id).is_some_and(|reader| reader.sink.push(&event));
            if is_done && is_message {
                self.core.consumed(*id, 1, now);
            }
        }
        if is_message {
            self.make_way(&ids, now);
        }
    }

    /// Where somebody takes from one of these readers, those that nobody takes from do not hold it up.
    fn make_way(&mut self, ids: &[SubscriptionId], now: Now) {
        let readers = || ids.iter().filter_map(|id| Some((*id, &self.readers.get(id)?.sink)));
        if !readers().any(|(_, sink)| sink.is_taken()) {
            return;
        }
        let waits: Vec<_> = readers().map(|(id, sink)| (id, sink.make_way(self.room))).collect();
        for (id, messages) in waits.into_iter().filter(|(_, messages)| *messages > 0) {
            self.core.consumed(id, messages, now);
        }
    }

    /// Somebody begins to take from a reader of this channel.
    pub(crate) fn begin(&mut self, channel: &str, now: Now) {
        let same = self.readers.iter().filter(|(_, reader)| reader.channel == channel);
        let ids: Vec<_> = same.map(|(id, _)| *id).collect();
        self.make_way(&ids, now);
    }
}

impl Drop for State {
    /// Who follows a client that was never used is told, too.
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    pub(crate) fn new(state: State, clock: Clock, restored: Vec<Restored>) -> Self {
        let (sender, _) = watch::channel((state.core.state(), StateReason::Requested));
        Self {
            core: Mutex::new(state),
            wake: Notify::new(),
            clock,
            state: sender,
            closed: watch::channel(false).0,
            restored,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command or an input on the core, hands out its events, and wakes the driver for the rest.
    pub(crate) fn run<R>(&self, act: impl FnOnce(&mut State, Now) -> R) -> R {
        let mut state = self.lock();
        let now = self.clock.now();
        let result = act(&mut state, now);
        while let Some(output) = state.core.poll_output() {
            if let Output::Event(event) = output {
                self.hand_out(&mut state, event, now);
            } else {
                state.todo.push(output);
            }
        }
        let outbox = state.core.outbox();
        state.standing.set_outbox(outbox);
        let lines = state.log.hand_out();
        drop(state);
        lines.iter().for_each(LogLine::trace);
        self.wake.notify_one();
        result
    }

    pub(crate) fn input(&self, input: moorline_core::Input) {
        self.run(|state, now| state.core.handle_input(input, now));
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not named here is treated alike, also in later versions"
    )]
    fn hand_out(&self, state: &mut State, event: moorline_core::Event, now: Now) {
        use moorline_core::Event as Core;
        match event {
            Core::Welcome { user } => state.standing.set_user(user.map(|user| user.as_str().to_owned())),
            Core::StateChanged { state: connection, reason } => {
                let next = state.core.next_attempt();
                state.standing.set_connection(connection, reason.clone(), next, now);
                state.log.connection(state.standing.connection(), now.unix);
                self.state.send_replace((connection, reason));
            }
            Core::PublishQueued { id } => progress(state, id, |progress| progress.is_kept = true),
            Core::PublishSent { id } => progress(state, id, |progress| progress.state = ReceiptState::Sent),
            Core::PublishSettled { id, channel, outcome } => {
                state.log.settled(channel.as_str(), &outcome);
                progress(state, id, |progress| match outcome {
                    PublishOutcome::Sent => progress.state = ReceiptState::Sent,
                    PublishOutcome::Stored(stored) => progress.state = ReceiptState::Stored(stored.into()),
                    PublishOutcome::Failed(failure) => progress.state = ReceiptState::Failed(failure.into()),
                    PublishOutcome::Uncertain => progress.state = ReceiptState::Uncertain,
                    PublishOutcome::Kept(failure) => progress.end = Some(failure.into()),
                });
                state.receipts.remove(&id);
            }
            Core::HistoryFinished { id, result } => {
                if let Some(query) = state.queries.remove(&id) {
                    // Whoever asked may have gone.
                    let _ = query.send(result.map_err(Into::into));
                }
            }
            Core::CallFinished { id, result } => {
                if let Some(call) = state.calls.remove(&id) {
                    // Whoever asked may have gone.
                    let _ = call.send(result.map(Payload).map_err(Into::into));
                }
            }
            Core::SubscriptionEnded { readers, failure } => state.end_readers(&readers, &failure.into()),
            Core::Closed { result } => {
                state.life = Life::Ended;
                state.flushed = result.clone().map_err(Error::from);
                if let Err(error) = &state.flushed {
                    state.log.say(LogLevel::Error, format!("the store does not have everything: {error}"));
                }
                state.todo.push(Output::Event(Core::Closed { result }));
            }
            event => {
                if let Some(event) = state.presence.hand_out(event) {
                    state.dispatch(event, now);
                }
            }
        }
    }

    /// Says something in the log.
    pub(crate) fn say(&self, level: LogLevel, text: String) {
        let mut state = self.lock();
        state.log.say(level, text);
        let lines = state.log.hand_out();
        drop(state);
        lines.iter().for_each(LogLine::trace);
    }

    pub(crate) fn take_todo(&self) -> (Vec<Output>, Option<Instant>) {
        let mut state = self.lock();
        let todo = std::mem::take(&mut state.todo);
        (todo, state.core.poll_timeout().and_then(|at| self.clock.instant(at)))
    }

    /// The driver has ended: closed, or its runtime is gone. Or there never was one.
    pub(crate) fn end(&self) {
        let life = self.run(|state, now| {
            state.core.close(false, now);
            std::mem::replace(&mut state.life, Life::Ended)
        });
        // With a driver that was never used goes its store.
        drop(life);
        // Only after what that settled was told.
        self.run(|state, now| {
            let is_open = state.standing.connection().state != ConnectionState::Closed;
            if is_open {
                state.standing.set_connection(ConnectionState::Closed, StateReason::Requested, None, now);
            }
            state.end();
        });
        self.state.send_if_modified(|(state, reason)| {
            let is_open = *state != ConnectionState::Closed;
            if is_open {
                (*state, *reason) = (ConnectionState::Closed, StateReason::Requested);
            }
            is_open
        });
        self.closed.send_replace(true);
    }

    /// Returns the connection as the app sees it.
    pub(crate) fn connection(&self) -> Connection {
        self.lock().standing.connection().clone()
    }

    /// Returns what waits in the outbox.
    pub(crate) fn outbox(&self) -> OutboxStats {
        self.lock().core.outbox()
    }
}

fn progress(state: &State, id: PublishId, change: impl FnOnce(&mut Progress)) {
    if let Some(receipt) = state.receipts.get(&id) {
        receipt.send_modify(change);
    }
}
