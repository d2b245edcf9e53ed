//! The newest messages of busy channels, in memory.

use std::collections::VecDeque;

use moorline_protocol::Offset;
use rustc_hash::FxHashMap;

use crate::engine::core::{Kept, Part, Query, limited};
use crate::engine::record::ChannelId;

/// Messages kept per channel.
const RING_MESSAGES: usize = 256;
/// Bytes of messages kept per channel.
const RING_BYTES: usize = 64 * 1024;
/// Bytes of messages kept in all.
const ALL_BYTES: usize = 64 << 20;

/// The newest messages of a channel, without a hole. Those of the batch under way are among them.
#[derive(Debug, Default)]
struct Ring {
    messages: VecDeque<Kept>,
    bytes: usize,
    /// How many of them have no place on the disk yet.
    fresh: usize,
    /// Whether there was a new one since it was last spared.
    touched: bool,
}

impl Ring {
    fn index(&self, offset: Offset) -> usize {
        self.messages.partition_point(|message| message.offset < offset)
    }

    fn drop_front(&mut self) -> usize {
        let gone = self.messages.pop_front().map_or(0, |message| message.bytes.len());
        self.bytes -= gone;
        self.fresh = self.fresh.min(self.messages.len());
        gone
    }

    fn is_over(&self) -> bool {
        self.messages.len() > RING_MESSAGES || self.bytes > RING_BYTES && self.messages.len() > 1
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Hot {
    rings: FxHashMap<ChannelId, Ring>,
    /// The channels that have a ring, in the order in which they lose it: who was touched meanwhile is spared once.
    order: VecDeque<ChannelId>,
    /// The channels with messages in the batch under way.
    fresh: Vec<ChannelId>,
    bytes: usize,
}

impl Hot {
    /// Keeps the next message of a channel, at least until [`settle`](Self::settle).
    pub(super) fn push(&mut self, channel: ChannelId, message: Kept) {
        let ring = self.rings.entry(channel).or_insert_with(|| {
            self.order.push_back(channel);
            Ring::default()
        });
        if ring.fresh == 0 {
            self.fresh.push(channel);
        }
        ring.fresh += 1;
        ring.touched = true;
        ring.bytes += message.bytes.len();
        self.bytes += message.bytes.len();
        ring.messages.push_back(message);
    }

    /// The batch under way has got its places: what is too much goes.
    pub(super) fn settle(&mut self) {
        for channel in std::mem::take(&mut self.fresh) {
            let Some(ring) = self.rings.get_mut(&channel) else { continue };
            ring.fresh = 0;
            while ring.is_over() {
                self.bytes -= ring.drop_front();
            }
        }
        while self.bytes > ALL_BYTES
            && let Some(channel) = self.order.pop_front()
        {
            let touched = self.rings.get_mut(&channel).map(|ring| std::mem::take(&mut ring.touched));
            match touched {
                Some(true) => self.order.push_back(channel),
                Some(false) => self.remove(channel),
                None => {}
            }
        }
    }

    fn remove(&mut self, channel: ChannelId) {
        self.bytes -= self.rings.remove(&channel).map_or(0, |ring| ring.bytes);
    }

    /// Reads; `None` if not all of it is here.
    pub(super) fn read(&self, query: &Query) -> Option<Vec<Kept>> {
        let ring = self.rings.get(&query.channel)?;
        let oldest = ring.messages.front()?.offset;
        match query.part {
            Part::Up { after, until } => {
                let messages = ring.messages.range(ring.index(after.next())..);
                (oldest <= after.next()).then(|| limited(messages.take_while(|m| m.offset <= until), query))
            }
            Part::Down { from, before } => {
                let newest_first = ring.messages.range(..ring.index(before)).rev();
                let mut taken = limited(newest_first.take_while(|m| m.offset >= from), query);
                taken.reverse();
                let lowest = taken.first()?.offset;
                // All that is asked for, or cut by a limit before the ring ends.
                (lowest <= from || lowest > oldest || taken.len() >= query.max_messages).then_some(taken)
            }
        }
    }

    /// Returns the messages of a channel that have no place yet.
    pub(super) fn fresh(&self, channel: ChannelId) -> impl DoubleEndedIterator<Item = &Kept> {
        let ring = self.rings.get(&channel);
        ring.into_iter().flat_map(|ring| ring.messages.range(ring.messages.len() - ring.fresh..))
    }

    /// Drops messages before `first`.
    pub(super) fn trim(&mut self, channel: ChannelId, first: Offset) {
        let Some(ring) = self.rings.get_mut(&channel) else { return };
        while ring.messages.front().is_some_and(|message| message.offset < first) {
            self.bytes -= ring.drop_front();
        }
    }

    /// Drops a channel.
    pub(super) fn forget(&mut self, channel: ChannelId) {
        if self.rings.contains_key(&channel) {
            self.remove(channel);
            self.order.retain(|other| *other != channel);
        }
    }
}
