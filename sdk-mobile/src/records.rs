use std::collections::HashMap;

use crate::error::FfiFailure;

/// What a message carries.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiPayload {
    /// JSON.
    Json {
        /// Its text.
        text: String,
    },
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// Bytes.
    Bytes {
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// A message as it arrives.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiMessage {
    /// Where.
    pub channel: String,
    /// Unique for its publisher in its channel.
    pub id: String,
    /// The life of the channel's log.
    pub epoch: String,
    /// The place in the log; `None` at QoS 0.
    pub offset: Option<u64>,
    /// Who published it; `None` for nobody.
    pub user: Option<String>,
    /// The server's clock when it was stored, ms since 1970.
    pub time_ms: u64,
    /// Whether it comes from the log rather than live.
    pub replayed: bool,
    /// Whether an earlier process may have been handed it before.
    pub redelivered: bool,
    /// The sender's headers.
    pub headers: HashMap<String, String>,
    /// The content.
    pub payload: FfiPayload,
}

/// Items of a reader, in order.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiBatch {
    /// At least one.
    pub items: Vec<FfiItem>,
}

/// One item of a reader.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiItem {
    /// What `next`, `confirm` and `cancel` are told once it was taken; numbers rise and have gaps.
    pub number: u64,
    /// What happened.
    pub event: FfiEvent,
}

/// What a reader yields. Readers of a channel: the first five; others one kind each.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiEvent {
    /// A message.
    Message {
        /// The message.
        message: FfiMessage,
    },
    /// The channel is (again) being read; everything after `from` follows.
    Subscribed {
        /// The life of the log.
        epoch: String,
        /// Exclusive.
        from: u64,
        /// The newest offset at this moment.
        head: u64,
        /// Whether messages come from the log first.
        replay: bool,
    },
    /// Continuity is broken: what lies before `from` is lost to this reader.
    Reset {
        /// `trimmed` or `epoch`.
        reason: String,
        /// The life of the log from now on.
        epoch: String,
        /// The oldest offset kept.
        first: u64,
        /// The newest offset.
        head: u64,
        /// Messages go on after here.
        from: u64,
    },
    /// So many messages at QoS 0 were dropped.
    Dropped {
        /// So many.
        count: u64,
    },
    /// The durable cursor stands here.
    Acked {
        /// Inclusive.
        offset: u64,
    },
    /// The channel's members are known, or changed.
    Members {
        /// How many there are.
        count: u64,
        /// What is different, in order; nothing while there are more than 200, and after a burst that was not read.
        changes: Vec<FfiMemberChange>,
        /// Whether this comes of a new look at all members.
        snapshot: bool,
    },
    /// The connection changed.
    Connection {
        /// What it is now.
        connection: FfiConnection,
    },
    /// The outbox changed.
    Outbox {
        /// What it is now.
        outbox: FfiOutbox,
    },
    /// Users came or went.
    Statuses {
        /// Those.
        users: Vec<FfiUserStatus>,
    },
    /// A message has come further.
    Receipt {
        /// How far.
        state: FfiReceiptState,
    },
    /// The client says something of itself.
    Log {
        /// How much it matters.
        level: FfiLogLevel,
        /// One line.
        text: String,
    },
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiLogLevel {
    /// Of interest to who looks for a fault.
    Debug,
    /// What happens as it should.
    Info,
    /// What went wrong, and is dealt with.
    Warn,
    /// What ends the client.
    Error,
}

/// The connection, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiConnection {
    /// Its state.
    pub state: FfiConnectionState,
    /// Why: `requested`, `welcome`, `transport-closed`, `transport-failed`, `silent`, `connect-timeout`, `unanswered`,
    /// `goaway`, `reattach`, `offline`, `token`, `refused`, `protocol-violation`, `store`.
    pub reason: String,
    /// The close code, if the peer sent one.
    pub close_code: Option<u16>,
    /// The error behind it, if there is one.
    pub cause: Option<FfiFailure>,
    /// Since when, ms since 1970; 0 before the first use.
    pub since_ms: u64,
    /// Attempts to connect since it was last online; 0 while online.
    pub attempt: u32,
    /// When the next attempt comes, ms since 1970; `None` while one is under way, and where none will come.
    pub retry_at_ms: Option<u64>,
    /// Who the server says this is, once it has; `None` for nobody.
    pub user: Option<String>,
}

/// The connection's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiConnectionState {
    /// Not asked to connect.
    Idle,
    /// Connecting for the first time.
    Connecting,
    /// Connected.
    Online,
    /// The connection was lost; trying again.
    Recovering,
    /// Closed for good: by the app, or by a final refusal.
    Closed,
}

/// What waits to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiOutbox {
    /// Messages.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

/// Whether a user is online.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiUserStatus {
    /// Who.
    pub user: String,
    /// Whether it has a connection.
    pub online: bool,
    /// If so, since when, ms since 1970.
    pub since_ms: Option<u64>,
}

/// A member of a channel.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiMember {
    /// Who.
    pub user: String,
    /// What it says about itself: JSON.
    pub state: Option<String>,
    /// Since when, ms since 1970.
    pub since_ms: u64,
}

/// What happened to a member.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiMemberChange {
    /// What.
    pub event: FfiMemberEvent,
    /// To whom.
    pub user: String,
    /// What it says about itself now: JSON.
    pub state: Option<String>,
}

/// What can happen to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiMemberEvent {
    /// It is new.
    Join,
    /// It left.
    Leave,
    /// Nothing was heard of it any more.
    Timeout,
    /// It is there again, soon after a timeout.
    Back,
    /// What it says about itself changed.
    Update,
    /// Something that this version does not know.
    Other,
}

/// The members of a channel at one moment.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiMembers {
    /// How many there are; `None` until that is known.
    pub count: Option<u64>,
    /// All, in the order of their names; `None` until they are known, and where there are more than 200.
    pub list: Option<Vec<FfiMember>>,
}

/// Some members of a channel, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiMembersPage {
    /// How many there are in all.
    pub count: u64,
    /// These.
    pub members: Vec<FfiMember>,
    /// Where the next ones begin, if there are more.
    pub cursor: Option<String>,
}

/// The answer to a history query.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiHistoryPage {
    /// Ascending.
    pub messages: Vec<FfiMessage>,
    /// Whether there is more in the direction of the query.
    pub more: bool,
    /// The life of the log.
    pub epoch: String,
    /// The oldest offset kept.
    pub first: u64,
    /// The newest offset.
    pub head: u64,
}

/// Where a message is in the log.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiStored {
    /// The life of the log.
    pub epoch: String,
    /// Its offset; `None` for an old duplicate of which only the fact is known.
    pub offset: Option<u64>,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// How far a published message has come.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiReceiptState {
    /// It waits in the outbox.
    Queued,
    /// It was sent; at QoS 0 that is all.
    Sent,
    /// It is in the log.
    Stored {
        /// Where.
        stored: FfiStored,
    },
    /// It will not be stored.
    Failed {
        /// Why.
        failure: FfiFailure,
    },
    /// It was sent, and nobody can know any more whether it was stored.
    Uncertain,
}

/// What happens to the app or the device around the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiSignal {
    /// The network is there (again).
    Online,
    /// There is no network.
    Offline,
    /// The app is in the foreground (again).
    Foreground,
    /// The app goes to the background.
    Background,
    /// The device slept or timers stood still.
    Wake,
    /// The device is on this network now.
    Network {
        /// The host's number for it, the same after a restart.
        id: u64,
    },
}
