//! Questions about a channel's log.

use super::ChannelRef;
use crate::message::Message;
use crate::types::{ChannelName, Epoch, Offset};

/// Which part of a channel's log a `history` query returns, always in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryRange {
    /// The newest messages (absent in JSON).
    #[default]
    Newest,
    /// The oldest messages after this offset.
    After(Offset),
    /// The oldest messages stored at or after this time (ms since 1970).
    AfterTime(u64),
    /// The newest messages before this offset.
    Before(Offset),
    /// The newest messages stored before this time (ms since 1970).
    BeforeTime(u64),
}

/// `history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Echoed in the answer.
    pub req: u64,
    /// The channel.
    pub channel: ChannelRef,
    /// Which part.
    pub range: HistoryRange,
    /// At most so many messages: 1–256; `None` = 50.
    pub limit: Option<u32>,
}

/// `page`: the answer to `history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// From the `history`.
    pub req: u64,
    /// The canonical name.
    pub channel: ChannelName,
    /// The life of the log.
    pub epoch: Epoch,
    /// The oldest offset kept; `head + 1` when empty.
    pub first: Offset,
    /// The newest offset.
    pub head: Offset,
    /// Whether there is more in the direction of the query.
    pub more: bool,
    /// The messages, ascending.
    pub messages: Vec<Message>,
}
