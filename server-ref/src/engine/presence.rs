use bytes::Bytes;
use moorline_protocol::{AppName, UserName};

use super::{ChannelKey, SessionId};

/// What a subscription wants of a channel's presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceEntry {
    /// To see the members.
    Watch,
    /// To be one, as well.
    Join {
        /// The connection.
        session: SessionId,
        /// Its state, valid JSON.
        state: Option<Bytes>,
    },
}

/// How a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// For good: it is no member any more at once.
    Left,
    /// It closed without a word, and counts for so many ms more, in case it comes back.
    Closed {
        /// At most 15,000.
        grace_ms: u64,
    },
    /// It was not heard of for too long: it is no member any more at once, and for 15 s its return is told as one.
    Silent,
}

/// See [`Command::Presence`](super::Command::Presence).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The channel.
    pub channel: ChannelKey,
    /// What is done.
    pub act: PresenceAct,
}

/// What is done with the members of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceAct {
    /// Reads them, or the next of them, in the order of their names.
    Read {
        /// After this one.
        after: Option<UserName>,
    },
    /// A connection becomes a member, or changes its state. Nothing happens if it is not attached. The answer has no
    /// list.
    Enter {
        /// The connection.
        session: SessionId,
        /// Its state, valid JSON.
        state: Option<Bytes>,
    },
    /// A connection stops being a member. The answer has no list.
    Leave {
        /// The connection.
        session: SessionId,
    },
}

/// See [`Command::Status`](super::Command::Status).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusQuery {
    /// The app.
    pub app: AppName,
    /// Which users.
    pub users: Vec<UserName>,
    /// Whether the shard gets their changes, until [`Command::UnwatchStatus`](super::Command::UnwatchStatus).
    pub watch: bool,
}
