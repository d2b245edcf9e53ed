use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{ChannelName, Offset, Payload, Position, ProducerId};

use crate::config::{ClientConfig, HistoryQuery, PublishOptions, SubscribeOptions};
use crate::error::{PublishError, StoreError, SubscribeError};
use crate::event::{ConnectionState, OutboxStats};
use crate::ids::{PublishId, RequestId, SubscriptionId};
use crate::io::{Input, Output, StoreEntry};

/// The client's state machine. See the crate's documentation for how to drive it.
pub struct Client {}

impl Client {
    /// Creates a client that is idle. `stored` is everything the store holds, in any order; `seed` feeds jitter, the
    /// device id and message ids, and must differ from start to start.
    ///
    /// What it finds in the outbox becomes [`Client::restored`].
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] or [`StoreError::Corrupt`]; the store is untouched then.
    pub fn new(
        _config: ClientConfig,
        _stored: Vec<StoreEntry>,
        _seed: [u8; 32],
        _now: Now,
    ) -> Result<Self, StoreError> {
        todo!()
    }

    /// Begins to connect, and stays connected from then on. Does nothing when already asked.
    pub fn connect(&mut self, _now: Now) {
        todo!()
    }

    /// Disconnects; subscriptions and the outbox stay. [`connect`](Self::connect) goes on.
    pub fn disconnect(&mut self, _now: Now) {
        todo!()
    }

    /// Sends outstanding acknowledgements, waits for them and for the store (≤ 5 s), disconnects;
    /// [`Event::Closed`](crate::Event::Closed) ends it. Unsent messages stay in the store. With `wipe` (logout) the
    /// store is cleared, and what was not stored fails.
    pub fn close(&mut self, _wipe: bool, _now: Now) {
        todo!()
    }

    /// Adds a reader to a channel. Readers of one channel share one subscription; each gets every message that
    /// arrives after it was added.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(
        &mut self,
        _channel: &ChannelName,
        _options: SubscribeOptions,
        _now: Now,
    ) -> Result<SubscriptionId, SubscribeError> {
        todo!()
    }

    /// Removes a reader; with the last one the subscription ends. The durable cursor stays unless `forget`.
    pub fn unsubscribe(&mut self, _id: SubscriptionId, _forget: bool, _now: Now) {
        todo!()
    }

    /// The app has taken so many messages of this reader from its queue. Ends a pause when enough are gone.
    pub fn consumed(&mut self, _id: SubscriptionId, _messages: usize, _now: Now) {
        todo!()
    }

    /// The app is done with everything up to `position` (cumulative). Ignored for another epoch.
    pub fn ack(&mut self, _id: SubscriptionId, _position: Position, _now: Now) {
        todo!()
    }

    /// Queues a message. It goes out by itself, and ends with one
    /// [`Event::PublishSettled`](crate::Event::PublishSettled).
    ///
    /// # Errors
    /// [`PublishError`]: nothing was queued.
    pub fn publish(
        &mut self,
        _channel: &ChannelName,
        _payload: Payload,
        _options: PublishOptions,
        _now: Now,
    ) -> Result<PublishId, PublishError> {
        todo!()
    }

    /// Asks for a part of a channel's log. Ends with one [`Event::HistoryFinished`](crate::Event::HistoryFinished);
    /// asked again after a reconnect.
    pub fn history(&mut self, _channel: &ChannelName, _query: HistoryQuery, _now: Now) -> RequestId {
        todo!()
    }

    /// Handles one input.
    pub fn handle_input(&mut self, _input: Input, _now: Now) {
        todo!()
    }

    /// Handles deadlines that have passed; extra calls change nothing.
    pub fn handle_timeout(&mut self, _now: Now) {
        todo!()
    }

    /// Returns the next thing to do. Call until `None` after each command and input.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// Returns the next deadline.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        todo!()
    }

    /// Returns the connection's state.
    pub fn state(&self) -> ConnectionState {
        todo!()
    }

    /// Returns what waits in the outbox.
    pub fn outbox(&self) -> OutboxStats {
        todo!()
    }

    /// Returns the publishes found in the store at start and still unsettled: their ids, channels and message ids.
    pub fn restored(&self) -> impl Iterator<Item = (PublishId, &ChannelName, &str)> {
        [].into_iter()
    }

    /// Returns the producer that QoS 2 messages are sent under, once known.
    pub fn producer(&self) -> Option<ProducerId> {
        todo!()
    }

    /// Returns the last position handed out on a channel, if it is being read.
    pub fn position(&self, _channel: &ChannelName) -> Option<Position> {
        let _ = Offset::ZERO;
        todo!()
    }
}
