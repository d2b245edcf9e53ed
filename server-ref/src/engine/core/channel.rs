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
    /// When it was last written or opened.
    pub(super) time: UnixMillis,
    /// The last use that stands in the records.
    pub(super) noted: UnixMillis,
    /// The time of the newest message.
    pub(super) last_time: UnixMillis,
    /// Shards that get its events.
    pub(super) watchers: Vec<ShardId>,
    /// Cursors and producers that name it.
    pub(super) references: u32,
    pub(super) ids: Ids,
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
            last_time: 0,
            watchers: Vec::new(),
            references: 0,
            ids: Ids::default(),
        }
    }

    pub(super) fn position(&self, offset: Offset) -> Position {
        Position { epoch: self.epoch, offset }
    }
}
