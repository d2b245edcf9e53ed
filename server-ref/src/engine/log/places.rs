//! Where each message stands, and the newest messages of busy channels themselves.

use std::collections::VecDeque;

use moorline_protocol::Offset;
use rustc_hash::FxHashMap;

use super::segment::Lsn;
use crate::engine::core::{Kept, Part, Query, limited};
use crate::engine::record::ChannelId;

/// Messages kept in memory per channel.
const RING_MESSAGES: usize = 256;
/// Bytes of messages kept in memory per channel.
const RING_BYTES: usize = 64 * 1024;
/// Bytes of messages kept in memory in all.
const ALL_BYTES: usize = 64 << 20;

/// A record in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: Lsn,
    pub(super) at: u32,
    pub(super) len: u32,
}

#[derive(Debug, Default)]
struct Channel {
    /// The offset of the first place; they are contiguous.
    first: Offset,
    places: VecDeque<Place>,
    ring: VecDeque<Kept>,
    ring_bytes: usize,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Places {
    channels: FxHashMap<ChannelId, Channel>,
    /// Channels that have a ring, by when it was begun.
    rings: VecDeque<ChannelId>,
    ring_bytes: usize,
}

impl Places {
    /// Notes where the channel's next message stands. An offset that does not follow begins the channel anew.
    pub(super) fn place(&mut self, channel: ChannelId, offset: Offset, place: Place) {
        let entry = self.channels.entry(channel).or_default();
        let next = entry.first.0 + entry.places.len() as u64;
        if entry.places.is_empty() || next != offset.0 {
            entry.places.clear();
            entry.first = offset;
        }
        entry.places.push_back(place);
    }

    /// Keeps a message in memory.
    pub(super) fn keep(&mut self, channel: ChannelId, message: Kept) {
        let entry = self.channels.entry(channel).or_default();
        if entry.ring.is_empty() {
            self.rings.push_back(channel);
        }
        let size = message.bytes.len();
        entry.ring_bytes += size;
        self.ring_bytes += size;
        entry.ring.push_back(message);
        while entry.ring.len() > RING_MESSAGES || entry.ring_bytes > RING_BYTES && entry.ring.len() > 1 {
            let gone = entry.ring.pop_front().map_or(0, |message| message.bytes.len());
            entry.ring_bytes -= gone;
            self.ring_bytes -= gone;
        }
        while self.ring_bytes > ALL_BYTES
            && let Some(oldest) = self.rings.pop_front()
        {
            if oldest == channel {
                self.rings.push_back(oldest);
                continue;
            }
            self.drop_ring(oldest);
        }
    }

    fn drop_ring(&mut self, channel: ChannelId) {
        if let Some(entry) = self.channels.get_mut(&channel) {
            self.ring_bytes -= std::mem::take(&mut entry.ring_bytes);
            entry.ring = VecDeque::new();
        }
    }

    /// Reads from memory; `None` if the disk is needed.
    pub(super) fn read(&self, query: &Query) -> Option<Vec<Kept>> {
        let Some(entry) = self.channels.get(&query.channel) else { return Some(Vec::new()) };
        let oldest = entry.ring.front().map(|message| message.offset);
        let index = |offset: Offset| entry.ring.partition_point(|message| message.offset < offset);
        match query.part {
            Part::Up { after, until } => {
                if after >= until {
                    return Some(Vec::new());
                }
                oldest.filter(|oldest| *oldest <= after.next())?;
                let messages = entry.ring.range(index(after.next())..);
                Some(limited(messages.take_while(|message| message.offset <= until), query))
            }
            Part::Down { from, before } => {
                if from >= before {
                    return Some(Vec::new());
                }
                let newest_first = entry.ring.range(..index(before)).rev();
                let mut taken = limited(newest_first.take_while(|message| message.offset >= from), query);
                taken.reverse();
                let lowest = taken.first().map(|message| message.offset);
                let complete = lowest.is_some_and(|lowest| lowest <= from || taken.len() >= query.max_messages);
                let cut_by_bytes = lowest.is_some_and(|lowest| oldest.is_some_and(|oldest| oldest < lowest));
                (complete || cut_by_bytes).then_some(taken)
            }
        }
    }

    /// Returns the places that a read needs, ascending, as many as it may return.
    pub(super) fn find(&self, query: &Query) -> Vec<Place> {
        let Some(entry) = self.channels.get(&query.channel) else { return Vec::new() };
        let len = entry.places.len();
        let index = |offset: Offset| (offset.0.saturating_sub(entry.first.0) as usize).min(len);
        let (from, to) = match query.part {
            Part::Up { after, until } => {
                let from = index(after.next());
                (from, index(until.next()).min(from + query.max_messages))
            }
            Part::Down { from, before } => {
                let to = index(before);
                (index(from).max(to.saturating_sub(query.max_messages)), to)
            }
        };
        entry.places.range(from..to.max(from)).copied().collect()
    }

    /// Returns the offsets of a channel's messages, and where each stands.
    pub(super) fn of(&self, channel: ChannelId) -> Option<(Offset, &VecDeque<Place>)> {
        self.channels.get(&channel).map(|entry| (entry.first, &entry.places))
    }

    /// Drops messages before `first`; returns how many in which segments.
    pub(super) fn trim(&mut self, channel: ChannelId, first: Offset, mut dropped: impl FnMut(Lsn)) {
        let Some(entry) = self.channels.get_mut(&channel) else { return };
        while entry.first < first
            && let Some(place) = entry.places.pop_front()
        {
            dropped(place.segment);
            entry.first = entry.first.next();
        }
        while entry.ring.front().is_some_and(|message| message.offset < first) {
            let gone = entry.ring.pop_front().map_or(0, |message| message.bytes.len());
            entry.ring_bytes -= gone;
            self.ring_bytes -= gone;
        }
    }

    /// Drops a channel.
    pub(super) fn forget(&mut self, channel: ChannelId, mut dropped: impl FnMut(Lsn)) {
        self.drop_ring(channel);
        if let Some(entry) = self.channels.remove(&channel) {
            entry.places.iter().for_each(|place| dropped(place.segment));
        }
    }

    pub(super) fn channels(&self) -> Vec<ChannelId> {
        self.channels.keys().copied().collect()
    }
}
