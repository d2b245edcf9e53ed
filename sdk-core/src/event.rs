use std::sync::Arc;

use moorline_protocol::{
    ChannelName, CloseCode, Epoch, ErrorCode, MembersView, Message, Offset, Payload, Position, PresenceChange,
    ResetReason, Start, UserName, UserStatus,
};

use crate::error::StoreError;
use crate::ids::{PublishId, RequestId, SubscriptionId};

/// The connection as the app sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Not asked to connect.
    Idle,
    /// Connecting for the first time.
    Connecting,
    /// `welcome` has arrived.
    Online,
    /// The connection was lost; trying again.
    Recovering,
    /// Closed for good: by the app, or by a final refusal.
    Closed,
}

/// Why the connection's state changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateReason {
    /// The app asked for it.
    Requested,
    /// The server welcomed this client.
    Welcome,
    /// The socket closed, or could not be opened.
    TransportClosed(Option<CloseCode>),
    /// The socket could not be opened, or broke, for this reason.
    TransportFailed(Failure),
    /// Nothing was heard for too long.
    Silent,
    /// Opening took too long.
    ConnectTimeout,
    /// The server lives, and did not answer a request for too long.
    Unanswered,
    /// The server sends its clients away and said when to come back.
    Goaway,
    /// Publishing at QoS 2 needs a new attachment: the producer is gone or full, or another connection used it.
    Reattach(Failure),
    /// The host said that the network is gone.
    Offline,
    /// No token could be had, for this reason.
    Token(Failure),
    /// The server refused with this error; final.
    Refused(Failure),
    /// The server broke the protocol.
    ProtocolViolation(&'static str),
    /// The store failed; nothing could be promised any more.
    Store(StoreError),
}

/// Who an error comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This client.
    Client,
    /// The server.
    Server,
    /// The connection.
    Transport,
}

/// What went wrong, as every SDK shows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// The code.
    pub code: ErrorCode,
    /// One sentence that says what to do.
    pub message: String,
    /// Who says so.
    pub origin: Origin,
    /// ms to wait before the same is tried again, where the server says so.
    pub after: Option<u32>,
}

impl Failure {
    /// Makes a failure of its parts; nobody says when to try again.
    pub fn new(code: ErrorCode, message: impl Into<String>, origin: Origin) -> Self {
        Self { code, message: message.into(), origin, after: None }
    }
}

/// A message as the app gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Where.
    pub channel: ChannelName,
    /// The life of the log.
    pub epoch: Epoch,
    /// The message.
    pub message: Message,
    /// Whether it comes from the log rather than live.
    pub replayed: bool,
    /// Whether it may have been handed to the app before, by an earlier process.
    ///
    /// The store knows what was acknowledged, not what was handed out: so everything between the durable cursor and
    /// the newest message at the time this process began to read is marked, also what came while no process ran.
    pub redelivered: bool,
}

impl Received {
    /// Returns the message's position; `None` for an ephemeral one.
    pub fn position(&self) -> Option<Position> {
        Some(Position { epoch: self.epoch, offset: self.message.offset? })
    }
}

/// Where a published message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The life of the log.
    pub epoch: Epoch,
    /// Its offset; `None` for an old duplicate of which only the fact is known.
    pub offset: Option<Offset>,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// How a publish ended; each ends exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// At QoS 0: handed to the socket.
    Sent,
    /// It is in the log.
    Stored(Stored),
    /// It will not be stored: refused, expired unsent (`ttl`), or the store failed. At QoS 0 `publish.dropped`: there
    /// was no connection, or too much waited in the socket.
    Failed(Failure),
    /// The client ended first, for this reason. It stays in the store, and the next client on this store goes on with
    /// it.
    Kept(Failure),
    /// It was sent, or the store failed while keeping it, and whether it is or will be in the log cannot be known any
    /// more; the app decides.
    Uncertain,
}

/// What waits in the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxStats {
    /// Messages.
    pub messages: usize,
    /// Bytes of their payloads.
    pub bytes: usize,
}

/// What a client holds beside its outbox, for tests and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Publishes whose answers are awaited; those that were sent again count each time.
    pub sends: usize,
    /// Batches that the store has not answered.
    pub batches: usize,
    /// Replay pages that are not confirmed.
    pub pages: usize,
}

/// A part of a channel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// The life of the log.
    pub epoch: Epoch,
    /// The oldest offset kept.
    pub first: Offset,
    /// The newest offset.
    pub head: Offset,
    /// Whether there is more in the direction of the query.
    pub more: bool,
    /// Ascending.
    pub messages: Vec<Message>,
}

/// What the app is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The connection's state changed.
    StateChanged {
        /// To what.
        state: ConnectionState,
        /// Why.
        reason: StateReason,
    },
    /// The server said who this is; once per connection, before [`ConnectionState::Online`].
    Welcome {
        /// The user.
        user: Option<UserName>,
    },
    /// A channel is (again) being read; once per connection and channel.
    Subscribed {
        /// All readers of the channel.
        readers: Arc<[SubscriptionId]>,
        /// The newest position when it began.
        head: Position,
        /// Deliveries begin after here.
        from: Offset,
        /// How it begins.
        start: Start,
    },
    /// A message.
    Message {
        /// All readers that were attached when it arrived.
        readers: Arc<[SubscriptionId]>,
        /// The message.
        message: Received,
    },
    /// Continuity is broken: what lies between the last message and `from` is lost to this reader.
    Reset {
        /// All readers of the channel.
        readers: Arc<[SubscriptionId]>,
        /// Why.
        reason: ResetReason,
        /// The life of the log from now on.
        epoch: Epoch,
        /// The oldest offset kept.
        first: Offset,
        /// The newest offset.
        head: Offset,
        /// Deliveries go on after here.
        from: Offset,
    },
    /// QoS 0 messages were dropped.
    Dropped {
        /// All readers of the channel.
        readers: Arc<[SubscriptionId]>,
        /// How many.
        count: u64,
    },
    /// The subscription ended without the app asking, or with the client.
    SubscriptionEnded {
        /// All readers of the channel.
        readers: Arc<[SubscriptionId]>,
        /// Why.
        failure: Failure,
    },
    /// The durable cursor stands here.
    Acked {
        /// All readers of the channel.
        readers: Arc<[SubscriptionId]>,
        /// Where.
        position: Position,
    },
    /// The store has taken a publish: it outlives this process. Not told when it is settled by then.
    PublishQueued {
        /// Which.
        id: PublishId,
    },
    /// A publish was sent for the first time.
    PublishSent {
        /// Which.
        id: PublishId,
    },
    /// A publish ended.
    PublishSettled {
        /// Which.
        id: PublishId,
        /// In which channel.
        channel: ChannelName,
        /// How.
        outcome: PublishOutcome,
    },
    /// A history query ended.
    HistoryFinished {
        /// Which.
        id: RequestId,
        /// How.
        result: Result<HistoryPage, Failure>,
    },
    /// A call ended.
    CallFinished {
        /// Which.
        id: RequestId,
        /// What the app's backend answered, or what became of the call.
        result: Result<Payload, Failure>,
    },
    /// The members of a channel are known, or changed; [`Client::present`](crate::Client::present) has them all.
    PresenceChanged {
        /// All readers of the channel.
        readers: Arc<[SubscriptionId]>,
        /// How many members there are.
        count: u64,
        /// Whether they are all known by name; above 200 only their number is.
        is_listed: bool,
        /// Whether this is what a snapshot shows against what was known before: at the beginning, after a reconnect,
        /// after something was missed. Otherwise it is happening now.
        is_snapshot: bool,
        /// What is different; nothing while members are not listed.
        changes: Arc<[PresenceChange]>,
    },
    /// An entry, update or leave is done, or members were read: then `members` has them.
    PresenceFinished {
        /// Which.
        id: RequestId,
        /// How.
        result: Result<MembersView, Failure>,
    },
    /// Whether users are online is known.
    StatusFinished {
        /// Which.
        id: RequestId,
        /// How.
        result: Result<Vec<UserStatus>, Failure>,
    },
    /// Users that are followed came or went, or are known now.
    StatusChanged {
        /// Those.
        users: Vec<UserStatus>,
    },
    /// The server refused to say whether users are online; they are not followed any more.
    StatusEnded {
        /// Why.
        failure: Failure,
    },
    /// [`Client::close`](crate::Client::close) is done.
    Closed {
        /// Whether the store has everything, or was cleared; otherwise why not. [`StoreError::Uncertain`] if it did not
        /// answer in time.
        result: Result<(), StoreError>,
    },
}
