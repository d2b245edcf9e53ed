//! What the engine writes down: one record per atomic change, and state that is nothing but the records applied.

mod codec;

use bytes::Bytes;
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, Epoch, ErrorCode, Generation, Offset, Position, ProducerId, Sequence, UserName};

use super::core::Kept;
use super::hooks::PushDevice;
use super::{ChannelKey, Owner, ProducerSequence, Revocation};

/// The engine's own number of a channel; never used again within a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub u32);

/// What became of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was stored at this offset.
    Stored(Offset),
    /// Its id stood at this offset already.
    Duplicate(Offset),
    /// It was refused for ever.
    Refused(ErrorCode),
    /// Its id belongs to another message.
    ReusedId,
}

/// A sequence, what was published under it, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The sequence.
    pub seq: Sequence,
    /// The hash of its content.
    pub hash: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// A message id that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdEntry {
    /// Keyed hash of scope and id.
    pub key: u64,
    /// Hash of the content.
    pub hash: u64,
    /// Where it stands.
    pub offset: Offset,
    /// When it was stored.
    pub time: UnixMillis,
}

/// What hooks are to be told, or were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookRecord {
    /// Messages from here on are to be told to those who are away.
    Due {
        /// Where.
        channel: ChannelId,
        /// From where on.
        first: Offset,
    },
    /// They were told.
    Settled {
        /// Where.
        channel: ChannelId,
        /// From where on.
        first: Offset,
    },
    /// What was told last of a user or a channel.
    Told {
        /// Whether it is a user, else a channel.
        is_user: bool,
        /// The app and the name.
        key: ChannelKey,
        /// Whether it is online, or occupied.
        is_on: bool,
    },
}

/// One atomic change. Applied in order, records rebuild the engine's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A server start: generations of this start are `counter << 20` and up.
    Start {
        /// How many starts, this one included.
        counter: u64,
    },
    /// The number in the epoch that unwritten channels share.
    SharedEpoch {
        /// The number.
        n: u64,
        /// The number of the next channel: numbers are never used again.
        next_channel: u32,
    },
    /// A channel as it stands; also its first appearance.
    Channel {
        /// Its number.
        id: ChannelId,
        /// Its name.
        key: ChannelKey,
        /// The life of its log.
        epoch: Epoch,
        /// The oldest offset kept.
        first: Offset,
        /// The newest offset.
        head: Offset,
        /// When it was last written.
        time: UnixMillis,
    },
    /// A message, with what deduplicates it.
    Append {
        /// Where.
        channel: ChannelId,
        /// Its id, content hash, offset and time.
        id: IdEntry,
        /// When it expires, ms since 1970.
        expires: Option<UnixMillis>,
        /// Its place in a producer's sequence.
        producer: Option<ProducerSequence>,
        /// The message, encoded.
        bytes: Bytes,
    },
    /// A message that was copied forward, because the segment it stood in was nearly empty.
    Moved {
        /// Where.
        channel: ChannelId,
        /// The message; without bytes if it had expired.
        message: Kept,
    },
    /// A sequence that was settled without a message.
    Verdict {
        /// Where.
        channel: ChannelId,
        /// By whom.
        producer: ProducerId,
        /// The verdict.
        verdict: Verdict,
    },
    /// A producer.
    Producer {
        /// Its id.
        id: ProducerId,
        /// Whose it is.
        owner: Owner,
        /// Its newest generation.
        generation: Generation,
        /// When it was last used.
        used: UnixMillis,
    },
    /// A producer's place in a channel, as it stands (checkpoints only).
    ProducerChannel {
        /// Whose.
        producer: ProducerId,
        /// Where.
        channel: ChannelId,
        /// The last sequence settled.
        last: Sequence,
        /// The newest verdicts, ascending.
        verdicts: Vec<Verdict>,
    },
    /// Ids of a channel, as they stand (checkpoints only).
    Ids {
        /// Where.
        channel: ChannelId,
        /// Oldest first.
        entries: Vec<IdEntry>,
    },
    /// A cursor.
    Cursor {
        /// Whose.
        owner: Owner,
        /// Where.
        channel: ChannelId,
        /// How far.
        position: Position,
        /// When it was last used.
        used: UnixMillis,
    },
    /// A cursor is gone.
    ForgetCursor {
        /// Whose.
        owner: Owner,
        /// Where.
        channel: ChannelId,
    },
    /// A producer is gone.
    ForgetProducer {
        /// Which.
        id: ProducerId,
    },
    /// A channel is gone.
    ForgetChannel {
        /// Which.
        id: ChannelId,
    },
    /// A channel was in use.
    ChannelUsed {
        /// Which.
        id: ChannelId,
        /// When.
        time: UnixMillis,
    },
    /// Messages before `first` are gone.
    Trim {
        /// Where.
        channel: ChannelId,
        /// The oldest offset kept.
        first: Offset,
    },
    /// A channel begins a new life.
    NewEpoch {
        /// Where.
        channel: ChannelId,
        /// The new life.
        epoch: Epoch,
    },
    /// A producer or a cursor of a channel was in use (checkpoints only).
    ChannelReferred {
        /// Which.
        id: ChannelId,
        /// When.
        time: UnixMillis,
    },
    /// No earlier record is newer (checkpoints only).
    Clock {
        /// When.
        time: UnixMillis,
    },
    /// What hooks are to be told, or were.
    Hook(HookRecord),
    /// Where the devices of a user are reached, all of them.
    Push {
        /// The app.
        app: AppName,
        /// The user.
        user: UserName,
        /// The devices; none = the user has none any more.
        devices: Vec<PushDevice>,
    },
    /// Tokens are revoked.
    Revoke {
        /// Which.
        revocation: Revocation,
        /// When.
        time: UnixMillis,
    },
}

impl Record {
    /// Returns the message that the record holds: of which channel, its offset and its time.
    pub fn message(&self) -> Option<(ChannelId, Offset, UnixMillis)> {
        if let Self::Append { channel, id, .. } = self {
            Some((*channel, id.offset, id.time))
        } else if let Self::Moved { channel, message } = self {
            Some((*channel, message.offset, message.time))
        } else {
            None
        }
    }
}
