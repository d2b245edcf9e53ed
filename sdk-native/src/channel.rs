use moorline_core::protocol::{self, Epoch, HistoryRange, Offset, Position, Qos, ResetMode};
use moorline_core::{HistoryQuery, PublishOptions, StartAt, SubscribeOptions, SubscriptionId};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::client::{Client, channel_name};
use crate::error::Error;
use crate::message::{Message, Payload};
use crate::messages::Messages;
use crate::presence::{Members, Presence, json};
use crate::readers::Readers;
use crate::receipt::{Progress, Receipt};
use crate::sink::{Outlet, Sink};

/// Where a subscription begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// After this client's last position if it has one, else after the durable cursor if durable, else from now.
    #[default]
    Resume,
    /// From now.
    Live,
    /// After the durable cursor.
    Cursor,
    /// With everything kept.
    First,
    /// With the newest so many messages.
    Last(u32),
    /// After a position that the app keeps.
    Position {
        /// As in [`Message::epoch`].
        epoch: String,
        /// As in [`Message::offset`].
        offset: u64,
    },
    /// With everything stored at or after this time, ms since 1970.
    Time(u64),
}

/// A channel, and how this app reads it.
#[derive(Clone)]
pub struct Channel {
    client: Client,
    name: String,
    since: Since,
    options: SubscribeOptions,
    publish_qos: Option<Qos>,
    auto_ack: bool,
}

impl Channel {
    pub(crate) fn new(client: Client, name: String) -> Self {
        let options = SubscribeOptions::default();
        Self { client, name, since: Since::Resume, options, publish_qos: None, auto_ack: false }
    }

    /// Has the server keep a cursor for this user and device: messages come again until they are acknowledged.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.options.durable = Some(durable);
        self
    }

    /// Sets the level, for reading and for publishing.
    #[must_use]
    pub fn qos(mut self, qos: Qos) -> Self {
        self.options.qos = Some(qos);
        self.publish_qos = Some(qos);
        self
    }

    /// Sets where reading begins.
    #[must_use]
    pub fn since(mut self, since: Since) -> Self {
        self.since = since;
        self
    }

    /// Goes on from now when a position cannot be honoured, instead of with the oldest message kept.
    #[must_use]
    pub fn reset_to_live(mut self) -> Self {
        self.options.reset = Some(ResetMode::Live);
        self
    }

    /// Acknowledges each message when the next one is asked for.
    #[must_use]
    pub fn auto_ack(mut self, auto_ack: bool) -> Self {
        self.auto_ack = auto_ack;
        self
    }

    /// Sets whether the channel's members are watched while it is read, or joined.
    #[must_use]
    pub fn presence(mut self, presence: Presence) -> Self {
        self.options.presence = Some(presence.into());
        self
    }

    /// Joins the channel's members with this state: JSON of at most 4,096 bytes.
    ///
    /// # Errors
    /// `request.malformed` if the value cannot be JSON.
    pub fn presence_state<T: Serialize + ?Sized>(mut self, state: &T) -> Result<Self, Error> {
        self.options.state = Some(json(state)?);
        Ok(self.presence(Presence::Join))
    }

    /// Returns the channel's members: who they are, and whether this user is one.
    pub fn members(&self) -> Members {
        Members::new(self.client.clone(), self.name.clone())
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Begins to read. Messages wait in a queue; when it is long, the server is asked to pause, for all who read the channel with
    /// this client. Drop a stream that nobody polls.
    ///
    /// # Errors
    /// A name or options that are not allowed. What the server refuses comes as an event of the stream.
    pub async fn subscribe(&self) -> Result<Messages, Error> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let id = self.attach(Sink::Stream(sender))?;
        // Broken off here, it ends what it began.
        let messages = Messages::new(self.client.clone(), self.name.clone(), id, receiver, self.auto_ack);
        tokio::task::yield_now().await;
        Ok(messages)
    }

    /// Makes a handle whose readers are pulled in batches, for hosts that can lose what they were handed. Nothing is read
    /// before one is opened.
    ///
    /// # Errors
    /// A name or a position that is not allowed.
    pub fn readers(&self) -> Result<Readers, Error> {
        channel_name(&self.name)?;
        self.start_at()?;
        Ok(Readers::new(self.clone()))
    }

    /// Subscribes.
    pub(crate) fn attach(&self, sink: Sink) -> Result<SubscriptionId, Error> {
        let name = channel_name(&self.name)?;
        let options = SubscribeOptions { since: Some(self.start_at()?), ..self.options.clone() };
        self.client.start()?;
        self.client.shared.run(|state, now| {
            let id = state.core.subscribe(&name, options, now)?;
            state.readers.insert(id, Outlet { channel: self.name.clone(), sink });
            state.begin(&self.name, now);
            Ok(id)
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Tells whether messages are acknowledged when the app is done with them.
    pub(crate) fn acks_by_itself(&self) -> bool {
        self.auto_ack
    }

    fn start_at(&self) -> Result<StartAt, Error> {
        Ok(match &self.since {
            Since::Resume => StartAt::Resume,
            Since::Live => StartAt::Live,
            Since::Cursor => StartAt::Cursor,
            Since::First => StartAt::First,
            Since::Last(count) => StartAt::Last(*count),
            Since::Time(time) => StartAt::Time(*time),
            Since::Position { epoch, offset } => {
                let epoch = Epoch::new(epoch).map_err(|error| Error::client("request.malformed", error.to_string()))?;
                StartAt::Position(Position { epoch, offset: Offset(*offset) })
            }
        })
    }

    /// Begins to publish a message; [`Publish::send`] queues it.
    pub fn publish(&self, payload: Payload) -> Publish<'_> {
        let options = PublishOptions { qos: self.publish_qos, ..PublishOptions::default() };
        Publish { channel: self, payload, options }
    }

    /// Asks for a part of the log: at most `limit` (1–256) messages, ascending.
    ///
    /// # Errors
    /// What the server answers, such as `channel.denied`.
    pub async fn history(&self, range: History, limit: u32) -> Result<Page, Error> {
        let name = channel_name(&self.name)?;
        let range = match range {
            History::Newest => HistoryRange::Newest,
            History::After(offset) => HistoryRange::After(Offset(offset)),
            History::Before(offset) => HistoryRange::Before(Offset(offset)),
            History::Since(time) => HistoryRange::AfterTime(time),
            History::Until(time) => HistoryRange::BeforeTime(time),
        };
        self.client.start()?;
        let (sender, receiver) = oneshot::channel();
        self.client.shared.run(|state, now| {
            let id = state.core.history(&name, HistoryQuery { range, limit: Some(limit) }, now);
            state.queries.insert(id, sender);
        });
        let page = receiver.await.map_err(|_| Error::closed())??;
        let messages = page.messages.into_iter().map(|message| Message::new(&self.name, page.epoch, message));
        Ok(Page {
            messages: messages.collect(),
            more: page.more,
            epoch: page.epoch.as_str().to_owned(),
            first: page.first.0,
            head: page.head.0,
        })
    }
}

/// A part of a channel's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum History {
    /// The newest messages.
    #[default]
    Newest,
    /// The oldest messages after this offset.
    After(u64),
    /// The newest messages before this offset.
    Before(u64),
    /// The oldest messages stored at or after this time (ms since 1970).
    Since(u64),
    /// The newest messages stored before this time (ms since 1970).
    Until(u64),
}

/// The answer to a history query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Ascending.
    pub messages: Vec<Message>,
    /// Whether there is more in the direction of the query.
    pub more: bool,
    /// The life of the log.
    pub epoch: String,
    /// The oldest offset kept; `head + 1` when the channel is empty.
    pub first: u64,
    /// The newest offset.
    pub head: u64,
}

/// A message about to be published.
#[must_use = "nothing is published before `send`"]
pub struct Publish<'a> {
    channel: &'a Channel,
    payload: Payload,
    options: PublishOptions,
}

impl Publish<'_> {
    /// Sets the level (default: the channel's, else QoS 1).
    pub fn qos(mut self, qos: Qos) -> Self {
        self.options.qos = Some(qos);
        self
    }

    /// Sets the message's id: 1–128 bytes, unique in its channel (default: random). The same id, published again
    /// within a day, is stored once.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.options.id = Some(id.into().into());
        self
    }

    /// Sets after how many seconds the message may be forgotten, unsent or stored.
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.options.ttl = Some(seconds);
        self
    }

    /// Adds a header; at most 16, with 1 KiB in all.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value): (String, String) = (name.into(), value.into());
        self.options.headers.push((name.into(), value.into()));
        self
    }

    /// Queues the message and returns at once. It goes out by itself, over reconnects; the receipt says what became
    /// of it.
    ///
    /// # Errors
    /// `limit.outbox` when too much waits already, and for a message that could never be stored. Nothing is queued.
    pub fn send(self) -> Result<Receipt, Error> {
        let name = channel_name(&self.channel.name)?;
        self.channel.client.start()?;
        let (sender, receiver) = watch::channel(Progress::NEW);
        let mut options = self.options;
        let id = match &options.id {
            Some(id) => id.as_str().to_owned(),
            None => random_id()?,
        };
        options.id = Some(protocol::Utf8Bytes::from(id.as_str()));
        self.channel.client.shared.run(|state, now| {
            let publish = state.core.publish(&name, self.payload.0, options, now)?;
            state.receipts.insert(publish, sender);
            Ok::<_, Error>(())
        })?;
        Ok(Receipt::new(id, receiver))
    }
}

/// Makes an id: 96 random bits in 16 characters.
fn random_id() -> Result<String, Error> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::client("client.random", error.to_string()))?;
    Ok(bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63))).map(|byte| char::from(*byte)).collect())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn a_subscription_whose_beginning_is_broken_off_is_ended() {
        let client = Client::builder("ws://127.0.0.1:1/ws").build().unwrap();
        let room = client.channel("room");
        {
            let begun = pin!(room.subscribe());
            assert!(begun.poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(client.shared.lock().readers.len(), 1);
        }
        assert_eq!(client.shared.lock().readers.len(), 0);
        client.close().await;
    }
}
