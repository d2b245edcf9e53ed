use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{ChannelName, CloseCode, DeviceId, Payload, Position, ProducerId};

use crate::blackbox::{Call, Recorder};
use crate::call::Calls;
use crate::closing::{Phase, closed_failure};
use crate::config::{ClientConfig, HistoryQuery, PublishOptions, SubscribeOptions};
use crate::connection::{Connection, Parking, State};
use crate::dice::Dice;
use crate::error::{PublishError, StoreError, SubscribeError};
use crate::event::{ClientStats, ConnectionState, OutboxStats, StateReason};
use crate::history::Queries;
use crate::ids::{PublishId, RequestId, SubscriptionId};
use crate::io::{Input, Output, StoreEntry};
use crate::outbox::Outbox;
use crate::outgoing::Outgoing;
use crate::planted::Bug;
use crate::presence::Feed;
use crate::push::PushHandle;
use crate::store::Store;
use crate::subscription::Subscriptions;
use crate::timer::{TimerKind, first};

/// The client's state machine. See the crate's documentation for how to drive it.
pub struct Client {
    pub(crate) config: ClientConfig,
    pub(crate) connection: Connection,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) outbox: Outbox,
    pub(crate) history: Queries,
    pub(crate) calls: Calls,
    pub(crate) feed: Feed,
    pub(crate) push: PushHandle,
    pub(crate) out: Outgoing,
    pub(crate) dice: Dice,
    pub(crate) phase: Phase,
    pub(crate) last_call: Now,
    pub(crate) recorder: Recorder,
}

impl Client {
    /// Creates a client that is idle. `stored` is everything the store holds, in any order; `seed` feeds jitter, the
    /// device id and message ids, and must differ from start to start.
    ///
    /// What it finds in the outbox becomes [`Client::restored`].
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] or [`StoreError::Corrupt`]; the store is untouched then.
    pub fn new(config: ClientConfig, stored: Vec<StoreEntry>, seed: [u8; 32], now: Now) -> Result<Self, StoreError> {
        let recorder = Recorder::new(&config, &stored, seed, now);
        let mut dice = Dice::new(seed);
        let device = DeviceId::new(&dice.name()).map_err(|_| StoreError::Corrupt("the device id"))?;
        let (mut store, loaded) = Store::load(stored, device)?;
        store.bugs = config.bugs;
        let outbox = Outbox::new(&config, loaded.publishes, loaded.sequences, store.producer(), now);
        Ok(Self {
            connection: Connection::new(config.token.clone(), Parking::restored(loaded.networks)),
            subscriptions: Subscriptions::new(&config, loaded.cursors, loaded.forgotten),
            outbox,
            history: Queries::default(),
            calls: Calls::new(config.bugs),
            feed: Feed::new(config.bugs),
            push: PushHandle::default(),
            out: Outgoing::new(store),
            dice,
            phase: Phase::Open,
            last_call: now,
            recorder,
            config,
        })
    }

    /// Begins to connect, and stays connected from then on. Does nothing when already asked.
    pub fn connect(&mut self, now: Now) {
        self.recorder.begin(now, || Call::Connect);
        if self.phase.is_open() && matches!(self.connection.state, State::Idle) {
            self.outbox.settle_orphans(&mut self.out);
            self.attempt(now);
            if !self.connection.is_closed() {
                self.tell_state(StateReason::Requested);
            }
        }
        self.end_call(now);
    }

    /// Disconnects; subscriptions and the outbox stay. [`connect`](Self::connect) goes on.
    pub fn disconnect(&mut self, now: Now) {
        self.recorder.begin(now, || Call::Disconnect);
        if self.phase.is_open() && !matches!(self.connection.state, State::Idle | State::Closed) {
            self.subscriptions.flush_acks(now.mono, &mut self.out);
            self.subscriptions.leave_all(&mut self.out);
            self.hang_up(CloseCode::NORMAL);
            self.connection.state = State::Idle;
            self.detach();
            self.tell_state(StateReason::Requested);
        }
        self.end_call(now);
    }

    /// Sends outstanding acknowledgements, waits for them and for the store (≤ 5 s), disconnects;
    /// [`Event::Closed`](crate::Event::Closed) ends it and says whether the store has everything. What is not settled by then stays in the
    /// store.
    ///
    /// With `wipe` (logout) the store is cleared, and what was not stored fails. A close that is under way or done can
    /// become a logout, and a logout that failed can be tried again.
    pub fn close(&mut self, wipe: bool, now: Now) {
        self.recorder.begin(now, || Call::Close { wipe });
        if self.phase.is_open() {
            self.begin_close(now);
        }
        if wipe {
            self.wipe(now);
        }
        self.end_call(now);
    }

    /// Adds a reader to a channel. Readers of one channel share one subscription; each gets every message that
    /// arrives after it was added.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(
        &mut self,
        channel: &ChannelName,
        options: SubscribeOptions,
        now: Now,
    ) -> Result<SubscriptionId, SubscribeError> {
        if !self.phase.is_open() || self.connection.is_closed() {
            return Err(SubscribeError::Closed);
        }
        self.recorder.begin(now, || Call::Subscribe { channel: channel.clone(), options: options.clone() });
        let may_ask = self.connection.has_said_hello();
        let id = self.subscriptions.subscribe(channel, options, may_ask, now.mono, &mut self.out);
        // Whether it is refused can depend on a state, which is not written down.
        let id = id.inspect_err(|_| self.recorder.undo())?;
        self.end_call(now);
        Ok(id)
    }

    /// Removes a reader; with the last one the subscription ends. The durable cursor stays unless `forget`: then the
    /// server drops it, too, if need be with a later connection.
    pub fn unsubscribe(&mut self, id: SubscriptionId, forget: bool, now: Now) {
        self.recorder.begin(now, || Call::Unsubscribe { id, forget });
        if self.phase.is_open() {
            let may_ask = self.connection.has_said_hello();
            self.subscriptions.unsubscribe(id, forget, may_ask, now.mono, &mut self.out);
        }
        self.end_call(now);
    }

    /// The app has taken so many messages of this reader from its queue. Ends a pause when enough are gone.
    pub fn consumed(&mut self, id: SubscriptionId, messages: usize, now: Now) {
        self.recorder.begin(now, || Call::Consumed { id, messages });
        if self.phase.is_open() {
            self.subscriptions.consumed(id, messages, &mut self.out);
        }
        self.end_call(now);
    }

    /// Returns the newest position known of what this reader reads; `None` while the channel is not being read.
    pub fn head(&self, id: SubscriptionId) -> Option<Position> {
        self.subscriptions.head(id)
    }

    /// The app is done with everything up to `position` (cumulative). Ignored for another epoch.
    pub fn ack(&mut self, id: SubscriptionId, position: Position, now: Now) {
        self.recorder.begin(now, || Call::Ack { id, position });
        if self.phase.is_open() {
            self.subscriptions.ack(id, position, now.mono, &mut self.out);
        }
        self.end_call(now);
    }

    /// Queues a message. It goes out by itself, and ends with one
    /// [`Event::PublishSettled`](crate::Event::PublishSettled).
    ///
    /// # Errors
    /// [`PublishError`]: nothing was queued.
    pub fn publish(
        &mut self,
        channel: &ChannelName,
        payload: Payload,
        options: PublishOptions,
        now: Now,
    ) -> Result<PublishId, PublishError> {
        if !self.phase.is_open() || self.connection.is_closed() {
            return Err(PublishError::Closed);
        }
        self.recorder.begin(now, || {
            let (channel, payload, options) = (channel.clone(), payload.clone(), options.clone());
            Call::Publish { channel, payload, options }
        });
        let id = self.outbox.publish(channel, payload, options, now, &mut self.dice, &mut self.out)?;
        self.end_call(now);
        Ok(id)
    }

    /// Asks for a part of a channel's log. Ends with one [`Event::HistoryFinished`](crate::Event::HistoryFinished);
    /// asked again after a reconnect.
    pub fn history(&mut self, channel: &ChannelName, query: HistoryQuery, now: Now) -> RequestId {
        self.recorder.begin(now, || Call::History { channel: channel.clone(), query });
        let is_online = self.connection.is_online();
        let id = self.history.ask(channel, query, is_online, now.mono, &mut self.out);
        if !self.phase.is_open() || self.connection.is_closed() {
            self.history.fail_all(&closed_failure(), &mut self.out);
        }
        self.end_call(now);
        id
    }

    /// Handles one input.
    pub fn handle_input(&mut self, input: Input, now: Now) {
        if self.phase.is_done() {
            return;
        }
        self.recorder.begin(now, || Call::Input(input.clone()));
        self.notice_jump(now);
        match input {
            Input::Message { id, bytes } => self.on_message(id, bytes, now),
            Input::Activity { id } => self.on_activity(id, now),
            Input::TransportOpened { id } => self.on_opened(id, now.mono),
            Input::Buffered { id, bytes } => self.out.on_buffered(id, bytes),
            Input::TransportClosed { id, code } => self.on_transport_closed(id, code, now),
            Input::TransportFailed { id, failure } => self.on_transport_failed(id, failure, now),
            Input::Token(result) => self.on_token(result, now),
            Input::Persisted { ticket, result } => self.on_persisted(ticket, result, now),
            Input::Host(signal) => self.on_host(signal, now),
        }
        self.end_call(now);
    }

    /// Handles deadlines that have passed; extra calls change nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.phase.is_done() {
            return;
        }
        self.recorder.begin(now, || Call::Timeout);
        self.notice_jump(now);
        self.on_connection_timeout(now);
        let is_unanswered = self.subscriptions.on_timeout(now.mono, &mut self.out);
        let is_unanswered = is_unanswered || self.outbox.is_unanswered(now.mono);
        if is_unanswered && !self.config.bugs.has(Bug::UnansweredForEver) {
            self.reconnect(StateReason::Unanswered, now);
        }
        // After that: what waited for its answer may have outlived its `ttl`.
        self.outbox.on_timeout(now.mono, &mut self.out);
        self.history.on_timeout(now.mono, &mut self.out);
        self.calls.on_timeout(now.mono, &mut self.out);
        self.feed.on_timeout(now.mono, &mut self.out);
        self.out.store.on_timeout(now.mono);
        self.end_call(now);
    }

    /// Returns the next thing to do. Call until `None` after each command and input.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.out.pop()?;
        self.recorder.output(&output);
        Some(output)
    }

    /// Returns the record of what this client was told, for a report of a fault: at most
    /// [`blackbox_bytes`](ClientConfig::blackbox_bytes), in a form that [`blackbox`](crate::blackbox) reads and runs
    /// again. Payloads, header values, states and tokens are not in it; names of channels and users, message ids and
    /// URLs (without their queries) are.
    pub fn blackbox(&self) -> Vec<u8> {
        self.recorder.export()
    }

    /// Returns the next deadline.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.poll_timeout_reason().map(|(at, _)| at)
    }

    /// Returns the next deadline and the timer that set it, for logs and tests.
    pub fn poll_timeout_reason(&self) -> Option<(Timestamp, TimerKind)> {
        match &self.phase {
            Phase::Open => first(&[
                (self.connection.deadline(), TimerKind::Connection),
                (self.subscriptions.deadline(), TimerKind::Subscriptions),
                (self.outbox.deadline(), TimerKind::Outbox),
                (self.history.deadline(), TimerKind::History),
                (self.calls.deadline(), TimerKind::Calls),
                (self.feed.deadline(), TimerKind::Feed),
                (self.out.store.deadline(), TimerKind::Store),
            ]),
            Phase::Closing(closing) => first(&[
                (Some(closing.deadline), TimerKind::Closing),
                (self.connection.deadline(), TimerKind::Connection),
            ]),
            Phase::Done => None,
        }
    }

    /// Returns the connection's state.
    pub fn state(&self) -> ConnectionState {
        self.connection.public_state()
    }

    /// Returns when the next attempt to connect begins, while one is awaited.
    pub fn next_attempt(&self) -> Option<Timestamp> {
        self.connection.next_attempt()
    }

    /// Returns what waits in the outbox.
    pub fn outbox(&self) -> OutboxStats {
        self.outbox.stats()
    }

    /// Returns how much there is beside the outbox.
    pub fn stats(&self) -> ClientStats {
        ClientStats {
            sends: self.outbox.sends(),
            batches: self.out.store.in_flight(),
            pages: self.subscriptions.unconfirmed_pages(),
        }
    }

    /// Returns the publishes found in the store at start and still unsettled: their ids, channels and message ids.
    pub fn restored(&self) -> impl Iterator<Item = (PublishId, &ChannelName, &str)> {
        self.outbox.restored()
    }

    /// Returns the producer that QoS 2 messages are sent under, once known.
    pub fn producer(&self) -> Option<ProducerId> {
        self.outbox.producer()
    }

    /// Returns the last position handed out on a channel, if it is being read.
    pub fn position(&self, channel: &ChannelName) -> Option<Position> {
        self.subscriptions.position(channel)
    }

    /// Ends every command and input: closes if all is flushed, and queues what is to be sent and stored.
    pub(crate) fn end_call(&mut self, now: Now) {
        self.close_on(now);
        self.out.flush();
        self.recorder.end();
    }
}
