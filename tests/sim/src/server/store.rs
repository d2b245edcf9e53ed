use std::collections::BTreeMap;

use moorline_core::protocol::Offset;
use moorline_server::engine::core::{Kept, MemoryStore, MessageStore, Part, Query};
use moorline_server::engine::record::ChannelId;

/// Messages in memory, of which only the newest answer a read at once: the others stand for a disk.
#[derive(Debug, Default)]
pub(super) struct SimStore {
    pub(super) inner: MemoryStore,
    hot: u64,
    heads: BTreeMap<ChannelId, Offset>,
}

impl SimStore {
    pub(super) fn new(hot: usize) -> Self {
        Self { hot: hot as u64, ..Self::default() }
    }
}

impl MessageStore for SimStore {
    fn append(&mut self, channel: ChannelId, message: Kept) {
        self.heads.insert(channel, message.offset);
        self.inner.append(channel, message);
    }

    fn read(&mut self, query: &Query) -> Option<Vec<Kept>> {
        let head = self.heads.get(&query.channel).map_or(0, |head| head.0);
        let oldest = match query.part {
            Part::Up { after, .. } => after.next(),
            Part::Down { from, .. } => from,
        };
        if oldest.0.saturating_add(self.hot) <= head { None } else { self.inner.read(query) }
    }

    fn first_at(&mut self, channel: ChannelId, time: u64) -> Option<Offset> {
        self.inner.first_at(channel, time)
    }

    fn first_within(&mut self, channel: ChannelId, bytes: u64) -> Option<Offset> {
        self.inner.first_within(channel, bytes)
    }

    fn trim(&mut self, channel: ChannelId, first: Offset) {
        self.inner.trim(channel, first);
    }

    fn forget(&mut self, channel: ChannelId) {
        self.heads.remove(&channel);
        self.inner.forget(channel);
    }

    fn retain(&mut self, known: &dyn Fn(ChannelId) -> bool) {
        self.inner.retain(known);
    }

    fn size(&self, channel: ChannelId) -> (u64, u64) {
        self.inner.size(channel)
    }

    fn oldest(&self) -> Option<u64> {
        self.inner.oldest()
    }
}
