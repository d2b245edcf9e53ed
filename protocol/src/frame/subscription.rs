//! Subscriptions: where they begin, what they deliver, how fast.

use super::ChannelRef;
use super::open::open_enum;
use super::presence::{MembersView, PresenceMode};
use crate::Bytes;
use crate::code::ErrorCode;
use crate::message::Message;
use crate::types::{ChannelName, ChannelNumber, Epoch, Offset, Position, Qos, Utf8Bytes};

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// From now (absent in JSON).
    #[default]
    Now,
    /// After this position.
    Position(Position),
    /// With the newest so many messages.
    Last(u32),
    /// With everything kept.
    First,
    /// With everything stored at or after this time, in ms since 1970 by the server's clock.
    Time(u64),
    /// After this device's durable cursor; the client's own last acknowledged position, if it had one, replaces a
    /// cursor that the server no longer has.
    Cursor(Option<Position>),
}

/// Where deliveries go on after a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetMode {
    /// With the oldest message kept.
    #[default]
    First,
    /// From now.
    Live,
}

/// `subscribe`, alone or in `hello` (there `req` may be 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Echoed in the answer.
    pub req: u64,
    /// The channel.
    pub channel: ChannelName,
    /// Where to begin.
    pub since: Since,
    /// Where to go on when `since` cannot be honoured.
    pub reset: ResetMode,
    /// The highest level wanted.
    pub qos: Qos,
    /// Whether the server keeps a cursor for (user, device, channel).
    pub durable: bool,
    /// Presence.
    pub presence: PresenceMode,
    /// Presence data of this member, as JSON text.
    pub state: Option<Bytes>,
    /// A token that adds grants for this channel.
    pub token: Option<Utf8Bytes>,
}

impl Subscribe {
    /// Returns a subscription from now at QoS 1, without cursor and presence.
    pub fn new(req: u64, channel: ChannelName) -> Self {
        Self {
            req,
            channel,
            since: Since::Now,
            reset: ResetMode::First,
            qos: Qos::AtLeastOnce,
            durable: false,
            presence: PresenceMode::None,
            state: None,
            token: None,
        }
    }
}

/// `unsubscribe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Echoed in the answer.
    pub req: u64,
    /// The channel.
    pub channel: ChannelRef,
    /// Whether the durable cursor goes too.
    pub forget: bool,
}

/// `ack`: everything up to `offset` is done with (cumulative).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The channel.
    pub channel: ChannelRef,
    /// The epoch of `offset`; an acknowledgement for another epoch is ignored.
    pub epoch: Epoch,
    /// The offset.
    pub offset: Offset,
}

/// `more`: confirms a replay page, ends a pause, or (with `rewind`) restarts the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct More {
    /// The channel.
    pub channel: ChannelRef,
    /// The epoch of `after`; a `more` for another epoch is ignored. Absent = the current one (for people).
    pub epoch: Option<Epoch>,
    /// Confirmed up to here, or restart after here.
    pub after: Offset,
    /// Whether the reader restarts after `after`; older confirmations are void then.
    pub rewind: bool,
}

/// `pause`: no deliveries until `more`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The channel.
    pub channel: ChannelRef,
}

open_enum! {
    /// How a subscription begins.
    Start {
        /// Nothing to replay.
        1 Live "live",
        /// Everything after `from` follows, complete.
        2 Replay "replay",
        /// The position cannot be honoured; deliveries begin after `from`.
        3 Reset "reset",
    }
}

open_enum! {
    /// Why a position cannot be honoured.
    ResetReason {
        /// Messages after it were removed by retention.
        1 Trimmed "trimmed",
        /// It belongs to another life of the log.
        2 Epoch "epoch",
    }
}

/// `subscribed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// From the `subscribe`.
    pub req: u64,
    /// The canonical name.
    pub channel: ChannelName,
    /// The channel's number in binary frames.
    pub number: ChannelNumber,
    /// The life of the log.
    pub epoch: Epoch,
    /// The newest offset.
    pub head: Offset,
    /// Exclusive: the first delivery has a higher offset.
    pub from: Offset,
    /// How it begins.
    pub start: Start,
    /// With [`Start::Reset`]: why.
    pub reason: Option<ResetReason>,
    /// With [`Start::Reset`]: the oldest offset kept.
    pub first: Option<Offset>,
    /// When the channel's own token expires, ms since 1970.
    pub expires: Option<u64>,
    /// Presence, if watched or joined.
    pub members: Option<MembersView>,
}

/// `unsubscribed`: the answer, or (without `req`) the server ended the subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribed {
    /// From the `unsubscribe`.
    pub req: Option<u64>,
    /// The channel.
    pub channel: ChannelName,
    /// Why the server ended it.
    pub code: Option<ErrorCode>,
}

/// `acked`: the cursor is durable up to here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acked {
    /// The channel.
    pub channel: ChannelRef,
    /// The life of the log.
    pub epoch: Epoch,
    /// The cursor.
    pub offset: Offset,
}

/// `deliver`: messages of a channel, in order. The same bytes for every receiver of a cohort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// The channel.
    pub channel: ChannelRef,
    /// Whether this is a replay page.
    pub replay: bool,
    /// Replay pages only: whether another page follows; after `false` the subscription is live.
    pub more: bool,
    /// Replay pages only: the offset reached, if that is beyond the last message (the tail has expired).
    pub at: Option<Offset>,
    /// The messages.
    pub messages: Vec<Message>,
}

/// What a packed live message was deflated against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedDictionary {
    /// How many preceding messages.
    pub count: u8,
    /// The oldest of them.
    pub oldest: Offset,
}

/// `packed`: a deflated `deliver` (binary only), for those who listed [`CAP`](Self::CAP). `data` is one raw deflate
/// stream; inflated it is the body of the `deliver` frame without its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The channel.
    pub channel: ChannelRef,
    /// The dictionary of live messages; `None` for what is deflated alone, such as a page.
    pub dictionary: Option<PackedDictionary>,
    /// Bytes after inflating.
    pub length: u32,
    /// CRC-32C of the inflated bytes.
    pub crc: u32,
    /// The deflate stream.
    pub data: Bytes,
}

impl Packed {
    /// The optional feature in `caps` that says that a client can read this frame.
    pub const CAP: &str = "dict";
}

/// `reset` in mid-stream: the reader's position can no longer be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The channel.
    pub channel: ChannelRef,
    /// The life of the log from now on.
    pub epoch: Epoch,
    /// The oldest offset kept; `head + 1` when empty.
    pub first: Offset,
    /// The newest offset.
    pub head: Offset,
    /// Deliveries go on after here.
    pub from: Offset,
    /// Why.
    pub reason: ResetReason,
}

/// `dropped`: so many QoS 0 messages were not sent to this subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The channel.
    pub channel: ChannelRef,
    /// How many since the last such frame.
    pub count: u64,
}
