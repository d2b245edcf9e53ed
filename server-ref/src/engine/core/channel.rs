use std::collections::VecDeque;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Epoch, Offset, Position};
use rustc_hash::FxHashMap;

use crate::engine::record::IdEntry;
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
    /// The time of the newest message.
    pub(super) last_time: UnixMillis,
    /// Shards that get its events.
    pub(super) watchers: Vec<ShardId>,
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
            last_time: 0,
            watchers: Vec::new(),
            ids: Ids::default(),
        }
    }

    pub(super) fn position(&self, offset: Offset) -> Position {
        Position { epoch: self.epoch, offset }
    }
}

/// The ids of a channel that are remembered, by age.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    by_key: FxHashMap<u128, IdEntry>,
    by_age: VecDeque<u128>,
}

impl Ids {
    pub(super) fn find(&self, key: u128) -> Option<&IdEntry> {
        self.by_key.get(&key)
    }

    pub(super) fn insert(&mut self, entry: IdEntry) {
        if self.by_key.insert(entry.key, entry).is_none() {
            self.by_age.push_back(entry.key);
        }
    }

    /// Forgets what is older than `before`, and the oldest beyond `max`.
    pub(super) fn expire(&mut self, before: UnixMillis, max: usize) {
        while let Some(oldest) = self.by_age.front() {
            let old = self.by_key.get(oldest).is_none_or(|entry| entry.time < before);
            if !old && self.by_age.len() <= max {
                break;
            }
            self.by_key.remove(oldest);
            self.by_age.pop_front();
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &IdEntry> {
        self.by_age.iter().filter_map(|key| self.by_key.get(key))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }
}
