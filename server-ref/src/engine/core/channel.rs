use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Epoch, Offset, Position};

use super::ids::Ids;
use crate::engine::{ChannelKey, ShardId};

/// What the core knows of a channel; its messages are the store's.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) key: ChannelKey,
    /// While unwritten, the epoch that unwritten channels shared when it was first opened.
    pub(super) epoch: Epoch,
    /// Whether it stands in the records.
    pub(super) recorded: bool,
    pub(super) first: Offset,
    pub(super) head: Offset,
    /// When it was last written or opened, or a producer or a cursor of it was used: none of these outlives it.
    pub(super) time: UnixMillis,
    /// When a producer or a cursor of it was last used; 0 if it has none.
    pub(super) referred: UnixMillis,
    /// The last use that stands in the records.
    pub(super) noted: UnixMillis,
    /// The time of the newest message.
    pub(super) last_time: UnixMillis,
    /// Shards that get its events.
    pub(super) watchers: Vec<ShardId>,
    /// The ids that the store has not taken over.
    pub(super) ids: Ids,
    /// The newest offset whose id the store has taken over.
    pub(super) taken: Offset,
    /// The newest offset when the last checkpoint was made.
    pub(super) sealed: Offset,
}

impl Channel {
    pub(super) fn new(key: ChannelKey, epoch: Epoch, now: UnixMillis) -> Self {
        Self {
            key,
            epoch,
            recorded: false,
            first: Offset(1),
            head: Offset::ZERO,
            time: now,
            noted: now,
            referred: 0,
            last_time: 0,
            watchers: Vec::new(),
            ids: Ids::default(),
            taken: Offset::ZERO,
            sealed: Offset::ZERO,
        }
    }

    pub(super) fn position(&self, offset: Offset) -> Position {
        Position { epoch: self.epoch, offset }
    }
}
