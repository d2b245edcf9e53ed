//! Judges a run by its history: what publishers were told, what subscribers saw, and what the log holds.
//!
//! It knows nothing of the client or the server: every message carries a [`Mark`] in its payload, and the three
//! accounts are compared mark by mark and offset by offset.

mod report;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use report::{Report, Tally, Violation};

/// Names one message: who published it, and which one of theirs it is in this channel, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The publisher.
    pub publisher: u32,
    /// Its message, from 1.
    pub number: u64,
}

impl Mark {
    /// Reads the mark at the beginning of a payload that [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let publisher = words.next()?.strip_prefix('p')?.parse().ok()?;
        let number = words.next()?.strip_prefix('n')?.parse().ok()?;
        Some(Self { publisher, number })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{} n{}", self.publisher, self.number)
    }
}

/// A place in a log: its life and its offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The life of the log.
    pub epoch: Arc<str>,
    /// The offset.
    pub offset: u64,
}

/// What a publisher was told about a message in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is stored; the place may be unknown for an old duplicate.
    Stored(Option<Place>),
    /// It was refused and will never be stored.
    Refused,
    /// Nobody can know.
    Uncertain,
}

/// What a subscriber's app was handed, in the order it was handed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A message.
    Message {
        /// Where the client says it is.
        place: Place,
        /// What it carried; `None` if no mark could be read.
        mark: Option<Mark>,
        /// Whether the client said that an earlier process may have had it.
        redelivered: bool,
    },
    /// The client said that continuity is broken.
    Reset,
    /// The app was started anew, with what it kept on disk.
    Restarted,
}

/// A message in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub place: Place,
    /// What it carries; `None` if no mark could be read.
    pub mark: Option<Mark>,
}

/// Whether a publisher's messages must stand in the log in the order they were published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Yes (QoS 2).
    Kept,
    /// No (QoS 1).
    Free,
}

/// The three accounts of one channel.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    published: BTreeMap<u32, Publisher>,
    seen: BTreeMap<String, Subscriber>,
    log: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Publisher {
    order: Order,
    /// What was told, by number − 1.
    told: Vec<Option<Told>>,
}

#[derive(Clone, Debug)]
struct Subscriber {
    /// Everything after this offset must be seen.
    from: u64,
    seen: Vec<Seen>,
}

impl Channel {
    /// Adds a publisher; its messages are told apart by [`Mark::publisher`].
    pub fn add_publisher(&mut self, publisher: u32, order: Order) {
        self.published.insert(publisher, Publisher { order, told: Vec::new() });
    }

    /// Notes that a publisher hands a message to its client, and returns the mark to put in front of the payload.
    pub fn publish(&mut self, publisher: u32) -> Mark {
        let account = self.published.entry(publisher).or_insert(Publisher { order: Order::Free, told: Vec::new() });
        account.told.push(None);
        Mark { publisher, number: account.told.len() as u64 }
    }

    /// Notes what a publisher was told about a message.
    pub fn told(&mut self, mark: Mark, told: Told) {
        let index = usize::try_from(mark.number).unwrap_or(usize::MAX).wrapping_sub(1);
        let account = self.published.get_mut(&mark.publisher);
        if let Some(slot) = account.and_then(|account| account.told.get_mut(index)) {
            *slot = Some(told);
        }
    }

    /// Adds a subscriber, who must see everything after the offset `from`.
    pub fn add_subscriber(&mut self, name: &str, from: u64) {
        self.seen.insert(name.to_owned(), Subscriber { from, seen: Vec::new() });
    }

    /// Notes what a subscriber's app was handed.
    pub fn see(&mut self, subscriber: &str, seen: Seen) {
        if let Some(account) = self.seen.get_mut(subscriber) {
            account.seen.push(seen);
        }
    }

    /// Notes what the log holds, read at the end, in its order.
    pub fn set_log(&mut self, log: Vec<Entry>) {
        self.log = log;
    }

    /// Returns how many messages were handed to clients.
    pub fn published(&self) -> usize {
        self.published.values().map(|account| account.told.len()).sum()
    }

    /// Compares the accounts.
    pub fn judge(&self, name: &str) -> Report {
        rules::judge(name, self)
    }
}
