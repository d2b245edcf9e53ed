//! The engine keeps channels, producers, ids, cursors and sessions, behind *submit and complete*.
//!
//! A node submits [`Command`]s; [`Reply`]s come back to the shard that asked, in one ordered stream together with the
//! [`Event`]s of the channels that the shard watches. Three rules hold for every engine:
//!
//! 1. **Nothing volatile is shown.** A reply or event leaves the engine only when everything it rests on is as
//!    durable as the engine's [`Durability`] says: appends, duplicates of appends, refusals, cursors, reads, heads.
//! 2. **Commands take effect in the order of submission**, and replies of one shard keep the order in which their
//!    commands took effect; events of a channel reach a watching shard before any reply that reflects them.
//! 3. **One command is atomic.** An append carries its dedupe and producer state; a crash keeps all of it or nothing.
//!
//! Who is present and who is online is kept in memory alone: it is of no use after a start, whose clients come back
//! and enter again. An engine holds the members of all shards in one place, because a member is a user, whatever the
//! number of its connections and wherever they are. What it has to do for that is all here:
//!
//! - [`Command::Open`] with a [`PresenceEntry`], and [`Command::Presence`]: enter, leave, read;
//! - [`Command::Detach`] says how a connection went ([`Gone`]), and with that how long it still counts;
//! - every 100 ms at most, what changed in a channel becomes one [`Event::Presence`] with the next version, for every
//!   shard that watches its members. A view of the members is the state of the version it names: what follows on it
//!   is the event with the next version. A user's comings and goings within one batch are one change, or none;
//! - above [`PRESENCE_LISTED`](moorline_protocol::limits::PRESENCE_LISTED) members only their number is told;
//! - [`Command::Status`] and [`Event::Statuses`]: whether users have a connection.
//!
//! The engine knows nothing of silence: nodes watch their connections and say [`Gone::Silent`]. An engine of several
//! nodes must do that for a node that has died: its connections are silent ones.

mod backend;
mod content;
pub mod core;
mod error;
pub mod hooks;
#[cfg(feature = "shell")]
pub mod host;
#[cfg(feature = "shell")]
pub mod log;
mod memory;
mod presence;
pub mod record;
mod rules;
pub mod turn;

use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::{
    AppName, ChannelName, CloseCode, DeviceId, Durability, Epoch, ErrorCode, Generation, Headers, MembersView, Offset,
    Payload, Position, PresenceChange, PresenceVersion, ProducerGrant, ProducerId, ProducerRequest, ResetMode,
    ResetReason, ReusedBy, Run, Sequence, Since, UserName, UserStatus, Utf8Bytes,
};

use moorline_protocol::time::UnixMillis;

pub use self::backend::{AppStats, ChannelInfo, ChannelsPage, ChannelsQuery, EngineStats};
pub use self::content::content_hash;
pub use self::error::EngineError;
use self::hooks::PushDevice;
pub use self::presence::{Gone, Presence, PresenceAct, PresenceEntry, StatusQuery};
pub use self::rules::EngineRules;

/// A channel of an app.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelKey {
    /// The app.
    pub app: AppName,
    /// The canonical name (`@me` is resolved before it gets here).
    pub name: ChannelName,
}

/// A device of a user of an app: what a cursor, a producer and a connection belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// The app.
    pub app: AppName,
    /// The user.
    pub user: UserName,
    /// The device.
    pub device: DeviceId,
}

/// One of the node's shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// Names a command to the shard that submitted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A connection, unique over all shards while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What a node asks of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Registers a connection: displaces an older one of the same owner, counts it, attaches a producer.
    Attach(Attach),
    /// Forgets a connection; how it went decides how long it counts as present. Has no reply.
    Detach(SessionId, Gone),
    /// Resolves where a subscription begins, creates its cursor, and makes the shard watch the channel.
    Open(Open),
    /// Ends the shard's watch: no more events of this channel, but those of its members. Has no reply.
    Unwatch(ChannelKey),
    /// Reads the members of a channel, or changes whether a connection is one.
    Presence(Presence),
    /// Ends the shard's watch of a channel's members. Has no reply.
    UnwatchPresence(ChannelKey),
    /// Asks which users have a connection; with `watch`, the shard gets the changes, too.
    Status(StatusQuery),
    /// Ends the shard's watch of users. Has no reply.
    UnwatchStatus(AppName, Vec<UserName>),
    /// Stores a message.
    Append(Append),
    /// Hands an ephemeral message to every watching shard; nothing is stored. Has no reply.
    Broadcast(Broadcast),
    /// Reads a channel.
    Read(Read),
    /// Moves a cursor; the reply comes when the cursor is durable, at most 1 s late, and says how far it is.
    Ack(CursorAck),
    /// Drops a cursor.
    Forget {
        /// Whose.
        owner: Owner,
        /// Of which channel.
        channel: ChannelKey,
    },
    /// A connection goes to the background, or comes back from it. Has no reply.
    Park(SessionId, bool),
    /// Registers where a device is reached while its user is away, or forgets it. Has no reply.
    Push(Owner, Option<Utf8Bytes>),
    /// Reads where the devices of users are reached.
    PushHandles(AppName, Vec<UserName>),
    /// Lists channels, for an app's backend.
    Channels(ChannelsQuery),
    /// Ends all connections of a user: each is closed with [`CloseCode::TOKEN_EXPIRED`], so that it comes back with a new
    /// token or not at all.
    Disconnect(AppName, UserName),
    /// Asks for numbers.
    Stats,
    /// Goes on under other rules: what comes after it is measured by them.
    Configure(Box<EngineRules>),
    /// Asks when the oldest message was stored. Looks at every channel.
    Oldest,
    /// Revokes tokens, durably; every shard gets [`Event::Revoked`].
    Revoke(Revocation),
}

/// See [`Command::Attach`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// The new connection.
    pub session: SessionId,
    /// Its app.
    pub app: AppName,
    /// Its user; `None` when anonymous.
    pub user: Option<UserName>,
    /// Its device; `None` when the client named none: nothing durable, no displacement.
    pub device: Option<DeviceId>,
    /// Orders the connections of the device.
    pub run: Run,
    /// The producer it asks for.
    pub producer: Option<ProducerRequest>,
    /// Connections allowed per user.
    pub max_connections: u32,
    /// The token's `jti`, checked against revocations.
    pub token_id: Option<Arc<str>>,
    /// When the token was issued, in s since 1970, checked against revocations.
    pub token_issued: Option<u64>,
}

/// Where a subscription begins. See [`Command::Open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The channel.
    pub channel: ChannelKey,
    /// Where the client wants to begin.
    pub since: Since,
    /// Where to go on if that cannot be honoured.
    pub reset: ResetMode,
    /// With a durable subscription: whose cursor.
    pub cursor: Option<Owner>,
    /// Whether the shard watches the channel's members from now on, and whether a connection becomes one.
    pub presence: Option<PresenceEntry>,
}

/// A message to store. See [`Command::Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The channel.
    pub channel: ChannelKey,
    /// The message's id, unique per (channel, `scope`).
    pub id: Utf8Bytes,
    /// Whose ids these are: the user's name, an API key's name, or the session of an anonymous connection.
    pub scope: Arc<str>,
    /// The user that receivers see.
    pub user: Option<UserName>,
    /// The headers.
    pub headers: Headers,
    /// The payload; JSON is known to be valid.
    pub payload: Payload,
    /// Seconds until it may be forgotten.
    pub ttl: Option<u32>,
    /// Hash of id, payload tag and bytes, and headers ([`content_hash`]).
    pub hash: u64,
    /// At QoS 2: its place in the producer's sequence.
    pub producer: Option<ProducerSequence>,
    /// What the node decided before: a refusal is recorded under the sequence (it consumes it) and answered as
    /// [`Appended::Refused`], but generation and sequence are checked first.
    pub verdict: Result<(), ErrorCode>,
}

/// A place in a producer's sequence for one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerSequence {
    /// The producer.
    pub id: ProducerId,
    /// Its generation on this connection.
    pub generation: Generation,
    /// The sequence.
    pub seq: Sequence,
}

/// See [`Command::Broadcast`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// The channel.
    pub channel: ChannelKey,
    /// The message, encoded by `moorline_protocol::binary::encode_message`, without an offset.
    pub message: Bytes,
}

/// See [`Command::Read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The channel.
    pub channel: ChannelKey,
    /// Which part.
    pub range: ReadRange,
    /// At most so many messages.
    pub max_messages: usize,
    /// At most so many encoded bytes; one larger message is returned all the same.
    pub max_bytes: usize,
}

/// A part of a channel's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadRange {
    /// The oldest messages after this offset.
    After(Offset),
    /// The oldest messages stored at or after this time.
    AfterTime(UnixMillis),
    /// The newest messages before this offset.
    Before(Offset),
    /// The newest messages stored before this time.
    BeforeTime(UnixMillis),
    /// The newest messages.
    Newest,
}

/// See [`Command::Ack`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorAck {
    /// Whose cursor.
    pub owner: Owner,
    /// Of which channel.
    pub channel: ChannelKey,
    /// Up to where; ignored if the channel has another epoch or the cursor is further.
    pub position: Position,
}

/// Which tokens are revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// One token, by its `jti`.
    Token {
        /// The app.
        app: AppName,
        /// The token's `jti`.
        jti: Arc<str>,
    },
    /// All tokens of a user issued before a moment.
    User {
        /// The app.
        app: AppName,
        /// The user.
        user: UserName,
        /// s since 1970.
        issued_before: u64,
    },
}

/// What comes back to a shard, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The answer to a command.
    Completed(Ticket, Result<Completion, EngineError>),
    /// Something that happened.
    Event(Event),
}

/// The answer to a command that did what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// To [`Command::Attach`].
    Attached(Attached),
    /// To [`Command::Open`].
    Opened(Opened),
    /// To [`Command::Append`].
    Appended(Appended),
    /// To [`Command::Read`].
    Read(ReadPage),
    /// To [`Command::Ack`]: the cursor is durable up to here.
    Acked(Position),
    /// To [`Command::Forget`].
    Forgotten,
    /// To [`Command::Revoke`].
    Revoked,
    /// To [`Command::PushHandles`], in the order of the users.
    PushHandles(Vec<Vec<PushDevice>>),
    /// To [`Command::Presence`].
    Members(MembersView),
    /// To [`Command::Channels`].
    Channels(ChannelsPage),
    /// To [`Command::Disconnect`]: how many connections there were.
    Disconnected(u32),
    /// To [`Command::Stats`].
    Stats(EngineStats),
    /// To [`Command::Configure`].
    Configured,
    /// To [`Command::Oldest`]: `None` where there is no message; it may be a moment too early.
    Oldest(Option<UnixMillis>),
    /// To [`Command::Status`], in the order of the query.
    Statuses(Vec<UserStatus>),
}

/// The outcome of [`Command::Attach`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// The connection stands.
    Accepted {
        /// The producer, if one was asked for.
        producer: Option<ProducerGrant>,
    },
    /// A newer connection of this owner stands: close this one with 4504.
    Superseded {
        /// Whether that happens again and again.
        conflict: Option<Conflict>,
    },
    /// The user has too many connections.
    TooManyConnections,
    /// The app has too many connections.
    AppIsFull,
    /// The token or the user is revoked.
    Revoked,
}

/// Different runs under one device's name displace each other again and again: three times or more within a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Whether nobody was told of it within the last minute.
    pub is_news: bool,
}

/// The outcome of [`Command::Open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The life of the log.
    pub epoch: Epoch,
    /// The oldest offset kept; `head + 1` when empty.
    pub first: Offset,
    /// The newest durable offset.
    pub head: Offset,
    /// Deliveries begin after here.
    pub from: Offset,
    /// Why the position asked for could not be honoured.
    pub reset: Option<ResetReason>,
    /// With [`Open::presence`]: the members. Above the limit only their number, and a cursor to read them from.
    pub members: Option<MembersView>,
}

/// The outcome of [`Command::Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log.
    Stored(Position),
    /// It was in the log already.
    Duplicate(Position),
    /// It is refused for ever; at QoS 2 this consumed its sequence.
    Refused(ErrorCode),
    /// A sequence is missing before it.
    Gap {
        /// The one the engine waits for.
        expected: Sequence,
    },
    /// Its id or its sequence belongs to another message.
    Reused(ReusedBy),
    /// A newer generation of the producer exists.
    Fenced,
    /// The producer is unknown or belongs to another owner.
    UnknownProducer,
    /// The producer writes to too many channels.
    TooManyChannels,
}

/// A message as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its offset.
    pub offset: Offset,
    /// The offset of the message before it that still exists, where that is known and not `offset − 1`.
    pub prev: Option<Offset>,
    /// The message as `moorline_protocol::binary::encode_message` writes it, with offset and without `prev`.
    pub bytes: Bytes,
}

/// The outcome of [`Command::Read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPage {
    /// The life of the log.
    pub epoch: Epoch,
    /// The oldest offset kept; `head + 1` when empty.
    pub first: Offset,
    /// The newest durable offset.
    pub head: Offset,
    /// Ascending.
    pub messages: Vec<Stored>,
    /// For ranges that go up: everything up to here is in `messages` or gone. For ranges that go down: everything
    /// from here is.
    pub reached: Offset,
    /// Whether there is more in the direction of the range.
    pub more: bool,
}

/// What happened in the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Messages were stored: contiguous, in order, durable.
    Published {
        /// Where.
        channel: ChannelKey,
        /// The life of the log.
        epoch: Epoch,
        /// The messages.
        messages: Vec<Stored>,
    },
    /// An ephemeral message.
    Ephemeral {
        /// Where.
        channel: ChannelKey,
        /// The message, encoded.
        message: Bytes,
    },
    /// The channel begins a new life: every position in it is void.
    NewEpoch {
        /// Where.
        channel: ChannelKey,
        /// The new life.
        epoch: Epoch,
        /// Its newest offset.
        head: Offset,
    },
    /// A newer connection took over: close this one.
    Displaced {
        /// Which.
        session: SessionId,
        /// With what.
        code: CloseCode,
        /// Whether that happens again and again.
        conflict: Option<Conflict>,
    },
    /// Tokens are revoked: end what rests on them. A shard that asks for the first time hears of all there are, first.
    Revoked(Revocation),
    /// The members of a channel changed.
    Presence {
        /// Where.
        channel: ChannelKey,
        /// The state after the changes: the next of its run.
        version: PresenceVersion,
        /// How many members there are now.
        count: u64,
        /// The changes, each user once; empty where only the number is told.
        changes: Vec<PresenceChange>,
    },
    /// Users that this shard watches came or went.
    Statuses {
        /// Of which app.
        app: AppName,
        /// Those that changed, as they are now.
        users: Vec<UserStatus>,
    },
}

/// What an engine promises and who runs it; the same for every shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// What an answer `published` is worth.
    pub durability: Durability,
}
