use std::collections::VecDeque;

use bytes::Bytes;
use moorline_protocol::Offset;
use moorline_protocol::time::UnixMillis;
use rustc_hash::FxHashMap;

use super::state::StateKey;
use crate::engine::record::ChannelId;
use crate::engine::{EngineError, ReadPage, Stored};

/// A message as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its offset.
    pub offset: Offset,
    /// When it was stored, ms since 1970.
    pub time: UnixMillis,
    /// When it expires, ms since 1970.
    pub expires: Option<UnixMillis>,
    /// The message, encoded; empty if it expired and only its place is kept.
    pub bytes: Bytes,
}

/// A part of a channel, with its bounds resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Where.
    pub channel: ChannelId,
    /// Which part.
    pub part: Part,
    /// At most so many messages.
    pub max_messages: usize,
    /// At most so many encoded bytes; one larger message is returned all the same.
    pub max_bytes: usize,
}

/// A direction and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The oldest messages of `after < offset <= until`.
    Up {
        /// Exclusive.
        after: Offset,
        /// Inclusive.
        until: Offset,
    },
    /// The newest messages of `from <= offset < before`.
    Down {
        /// Inclusive.
        from: Offset,
        /// Exclusive.
        before: Offset,
    },
}

/// Where messages live, and what the core has written down of ids, producers and cursors. Everything else is the core's.
pub trait MessageStore {
    /// Returns what the store has taken over from the core under a key, by the checkpoints that were written; nothing
    /// of what is gone since.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] if it cannot be read.
    fn find(&mut self, key: StateKey) -> Result<Option<Bytes>, EngineError> {
        let _ = key;
        Ok(None)
    }

    /// Hands out every cursor that the store has taken over, of several of one key the newest.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] if they cannot be read.
    fn cursors(&mut self, each: &mut dyn FnMut(Bytes)) -> Result<(), EngineError> {
        let _ = each;
        Ok(())
    }

    /// Keeps a message: the channel's next offset.
    fn append(&mut self, channel: ChannelId, message: Kept);

    /// Reads a part, ascending; `None` if it must be fetched first: the host then answers the read later.
    fn read(&mut self, query: &Query) -> Option<Vec<Kept>>;

    /// Returns the first offset of a channel whose message was stored at or after `time`.
    fn first_at(&mut self, channel: ChannelId, time: UnixMillis) -> Option<Offset>;

    /// Returns the offset from which on the channel's messages have at most so many bytes.
    fn first_within(&mut self, channel: ChannelId, bytes: u64) -> Option<Offset>;

    /// Drops messages before `first`, sooner or later.
    fn trim(&mut self, channel: ChannelId, first: Offset);

    /// Drops a channel.
    fn forget(&mut self, channel: ChannelId);

    /// Drops all channels but those that are known.
    fn retain(&mut self, known: &dyn Fn(ChannelId) -> bool);

    /// Returns how many messages of a channel there are, and their bytes.
    fn size(&self, channel: ChannelId) -> (u64, u64);

    /// Returns when the oldest message of all was stored, or a moment before that.
    fn oldest(&self) -> Option<UnixMillis>;
}

/// A read that the store answers later: everything [`page`] needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageBounds {
    /// The life of the log.
    pub epoch: moorline_protocol::Epoch,
    /// The oldest offset kept.
    pub first: Offset,
    /// The newest durable offset.
    pub head: Offset,
    /// What is read.
    pub query: Query,
    /// When it is asked.
    pub now: UnixMillis,
}

/// Makes a page of what a store returned: leaves out expired messages and marks what came before the next.
///
/// Retention may have taken messages since the bounds were drawn. The page says so, or the reader would pass over them
/// without a word.
pub fn page(bounds: &PageBounds, kept: Vec<Kept>) -> ReadPage {
    let mut messages = Vec::with_capacity(kept.len());
    let first = match bounds.query.part {
        Part::Up { after, until } if after < until => {
            let oldest = kept.first().map_or_else(|| until.next(), |message| message.offset);
            if oldest > after.next() { bounds.first.max(oldest) } else { bounds.first }
        }
        Part::Up { .. } | Part::Down { .. } => bounds.first,
    };
    let mut before = match bounds.query.part {
        Part::Up { after, .. } => Some(after),
        Part::Down { .. } => None,
    };
    let (lowest, highest) = (kept.first().map(|m| m.offset), kept.last().map(|m| m.offset));
    // What had expired once stays so, even if the clock was set back: its bytes may be gone.
    let lives = |message: &Kept| !message.bytes.is_empty() && message.expires.is_none_or(|at| at > bounds.now);
    for message in kept.into_iter().filter(lives) {
        let prev = before.filter(|before| before.next() != message.offset);
        before = Some(message.offset);
        messages.push(Stored { offset: message.offset, prev, bytes: message.bytes });
    }
    let (reached, more) = match bounds.query.part {
        Part::Up { after, until } => {
            let reached = highest.unwrap_or_else(|| until.max(after));
            (reached, reached < until)
        }
        Part::Down { from, .. } => {
            let reached = lowest.unwrap_or(from);
            (reached, reached > from)
        }
    };
    ReadPage { epoch: bounds.epoch, first, head: bounds.head, messages, reached, more }
}

/// Messages in memory: the whole store of the `memory` engine and of the simulator's.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    channels: FxHashMap<ChannelId, VecDeque<Kept>>,
}

impl MemoryStore {
    fn index(messages: &VecDeque<Kept>, offset: Offset) -> usize {
        messages.partition_point(|message| message.offset < offset)
    }
}

/// Takes messages from an iterator until a limit is reached; always one, if there is one.
pub fn limited<'a>(kept: impl Iterator<Item = &'a Kept>, query: &Query) -> Vec<Kept> {
    let mut bytes = 0;
    let mut taken = Vec::new();
    for message in kept.take(query.max_messages) {
        bytes += message.bytes.len();
        if bytes > query.max_bytes && !taken.is_empty() {
            break;
        }
        taken.push(message.clone());
    }
    taken
}

impl MessageStore for MemoryStore {
    fn append(&mut self, channel: ChannelId, message: Kept) {
        self.channels.entry(channel).or_default().push_back(message);
    }

    fn read(&mut self, query: &Query) -> Option<Vec<Kept>> {
        let Some(messages) = self.channels.get(&query.channel) else { return Some(Vec::new()) };
        Some(match query.part {
            Part::Up { after, until } => {
                let from = Self::index(messages, after.next());
                limited(messages.range(from..).take_while(|message| message.offset <= until), query)
            }
            Part::Down { from, before } => {
                let end = Self::index(messages, before);
                let newest_first = messages.range(..end).rev().take_while(|message| message.offset >= from);
                let mut taken = limited(newest_first, query);
                taken.reverse();
                taken
            }
        })
    }

    fn first_at(&mut self, channel: ChannelId, time: UnixMillis) -> Option<Offset> {
        let messages = self.channels.get(&channel)?;
        messages.get(messages.partition_point(|message| message.time < time)).map(|message| message.offset)
    }

    fn first_within(&mut self, channel: ChannelId, bytes: u64) -> Option<Offset> {
        let messages = self.channels.get(&channel)?;
        let mut sum = 0;
        let fits = messages.iter().rev().take_while(|message| {
            sum += message.bytes.len() as u64;
            sum <= bytes
        });
        fits.last().map(|message| message.offset)
    }

    fn trim(&mut self, channel: ChannelId, first: Offset) {
        if let Some(messages) = self.channels.get_mut(&channel) {
            let gone = Self::index(messages, first);
            messages.drain(..gone);
        }
    }

    fn forget(&mut self, channel: ChannelId) {
        self.channels.remove(&channel);
    }

    fn retain(&mut self, known: &dyn Fn(ChannelId) -> bool) {
        self.channels.retain(|id, _| known(*id));
    }

    fn size(&self, channel: ChannelId) -> (u64, u64) {
        let Some(messages) = self.channels.get(&channel) else { return (0, 0) };
        (messages.len() as u64, messages.iter().map(|message| message.bytes.len() as u64).sum())
    }

    fn oldest(&self) -> Option<UnixMillis> {
        self.channels.values().filter_map(|messages| messages.front()).map(|message| message.time).min()
    }
}
