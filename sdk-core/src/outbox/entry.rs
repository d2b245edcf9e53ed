use std::time::Duration;

use moorline_protocol::time::{Now, Timestamp, whole_millis};
use moorline_protocol::{ChannelName, Headers, Payload, ProducerId, Qos, Sequence, Utf8Bytes};

use crate::ids::PublishId;
use crate::io::Ticket;
use crate::outgoing::Outgoing;
use crate::store::{Key, StoredPublish};

/// The messages of one channel, in the order of publishing.
pub(super) struct Lane {
    pub(super) channel: ChannelName,
    #[expect(
        clippy::vec_box,
        reason = "what is settled goes from the front: thousands of addresses move, not of entries"
    )]
    pub(super) entries: Vec<Box<Entry>>,
    /// The sequence that the next message gets.
    pub(super) next_seq: Sequence,
    /// Where the store keeps `next_seq`.
    pub(super) record: Option<Key>,
    pub(super) flow: Flow,
    /// Refusals in a row.
    pub(super) tries: u32,
    /// How many entries have a `ttl`.
    expiring: usize,
}

/// Whether the channel's messages may go out.
#[derive(Clone, Copy)]
pub(super) enum Flow {
    Open,
    /// The server or the store refused for the moment, or the server asked for a rewind.
    Held {
        until: Timestamp,
    },
}

/// One message that is not settled.
pub(super) struct Entry {
    pub(super) id: PublishId,
    pub(super) key: Key,
    pub(super) qos: Qos,
    pub(super) message_id: Utf8Bytes,
    pub(super) payload: Payload,
    pub(super) headers: Headers,
    expires: Option<Expiry>,
    /// The batch that first stored it.
    pub(super) stored: Option<Ticket>,
    pub(super) origin: Origin,
    pub(super) number: Number,
    pub(super) progress: Progress,
}

/// When a message may be forgotten: in this process by the monotonic clock, over a restart by the wall clock.
#[derive(Clone, Copy)]
struct Expiry {
    mono: Timestamp,
    unix: u64,
}

/// Where an entry comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// From this process.
    Fresh,
    /// From the store: an earlier process may have sent it if it has a sequence.
    Restored,
    /// From the store, numbered under a producer that is not ours any more: its fate cannot be known.
    Orphaned,
}

/// The sequence of a QoS 2 message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    None,
    /// Not to be sent before this batch is durable.
    Committing {
        seq: Sequence,
        ticket: Ticket,
    },
    Durable {
        seq: Sequence,
    },
}

/// How far a message has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Never sent.
    Unsent,
    /// Sent and refused for the moment: the server does not have it.
    Refused,
    /// Sent, on an earlier connection or before a rewind: must be sent again.
    SentBefore,
    /// Sent on this connection as this request.
    Waiting {
        req: u64,
        /// Whether an earlier send has no answer.
        in_doubt: bool,
    },
}

impl Entry {
    pub(super) fn new(
        id: PublishId,
        key: Key,
        qos: Qos,
        message_id: Utf8Bytes,
        payload: Payload,
        (headers, ttl): (Headers, Option<u32>),
        now: Now,
    ) -> Self {
        let expires = ttl.map(|seconds| Expiry {
            mono: now.mono + Duration::from_secs(u64::from(seconds)),
            unix: now.unix.saturating_add(u64::from(seconds) * 1_000),
        });
        Self {
            id,
            key,
            qos,
            message_id,
            payload,
            headers,
            expires,
            stored: None,
            origin: Origin::Fresh,
            number: Number::None,
            progress: Progress::Unsent,
        }
    }

    pub(super) fn restored(
        id: PublishId,
        key: Key,
        stored: StoredPublish,
        producer: Option<ProducerId>,
        now: Now,
    ) -> Self {
        let expires = stored
            .expires
            .map(|unix| Expiry { mono: now.mono + Duration::from_millis(unix.saturating_sub(now.unix)), unix });
        let (origin, number) = match stored.seq {
            Some((of, seq)) if Some(of) == producer => (Origin::Restored, Number::Durable { seq }),
            Some(_) => (Origin::Orphaned, Number::None),
            None => (Origin::Restored, Number::None),
        };
        // What an earlier process did with a numbered message, or one at QoS 1, is not known: it may be sent.
        let progress = match (stored.qos, number) {
            (Qos::ExactlyOnce, Number::None) => Progress::Unsent,
            (Qos::AtMostOnce | Qos::AtLeastOnce | Qos::ExactlyOnce, _) => Progress::SentBefore,
        };
        Self {
            id,
            key,
            qos: stored.qos,
            message_id: stored.id,
            payload: stored.payload,
            headers: stored.headers,
            expires,
            stored: None,
            origin,
            number,
            progress,
        }
    }

    pub(super) fn seq(&self) -> Option<Sequence> {
        match self.number {
            Number::None => None,
            Number::Committing { seq, .. } | Number::Durable { seq } => Some(seq),
        }
    }

    /// Tells whether the server may have it.
    pub(super) fn may_be_sent(&self) -> bool {
        let is_under_way = match self.progress {
            Progress::Unsent | Progress::Refused => false,
            Progress::SentBefore | Progress::Waiting { .. } => true,
        };
        is_under_way || self.origin == Origin::Orphaned
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.progress, Progress::Waiting { .. })
    }

    /// Tells whether this request is its last send, and has no answer.
    pub(super) fn is_waiting_for(&self, request: u64) -> bool {
        matches!(self.progress, Progress::Waiting { req, .. } if req == request)
    }

    /// Returns when it is given up, while nothing depends on it.
    pub(super) fn expiry(&self) -> Option<Timestamp> {
        if self.number == Number::None && !self.is_waiting() { self.expires.map(|expires| expires.mono) } else { None }
    }

    /// Returns the seconds that remain, at least one: what has a sequence is not given up.
    pub(super) fn remaining_ttl(&self, now: Timestamp) -> Option<u32> {
        let left = whole_millis(self.expires?.mono.since(now)).div_ceil(1_000).max(1);
        Some(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// The connection is gone, or the server wants it again.
    pub(super) fn rewind(&mut self) {
        if self.is_waiting() {
            self.progress = Progress::SentBefore;
        }
    }

    /// The server answers that it does not take it now.
    pub(super) fn refuse(&mut self) {
        if let Progress::Waiting { in_doubt, .. } = self.progress {
            self.progress = if in_doubt { Progress::SentBefore } else { Progress::Refused };
        }
    }

    /// The server cannot have it, whatever became of its sends.
    pub(super) fn void(&mut self) {
        if self.progress != Progress::Unsent {
            self.progress = Progress::Refused;
        }
    }
}

impl Lane {
    pub(super) fn new(channel: ChannelName) -> Self {
        Self { channel, entries: Vec::new(), next_seq: 1, record: None, flow: Flow::Open, tries: 0, expiring: 0 }
    }

    /// Adds an entry and stores it.
    pub(super) fn store(&mut self, mut entry: Entry, out: &mut Outgoing) {
        entry.stored = Some(out.store.ticket());
        self.put(&entry, None, out);
        self.push(entry);
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.expiring += usize::from(entry.expires.is_some());
        self.entries.push(Box::new(entry));
    }

    /// Adds an entry of another lane, in the order of publishing.
    pub(super) fn insert(&mut self, entry: Box<Entry>) {
        self.expiring += usize::from(entry.expires.is_some());
        let at = self.entries.partition_point(|earlier| earlier.key < entry.key);
        self.entries.insert(at, entry);
    }

    /// Writes an entry as it is now.
    pub(super) fn put(&self, entry: &Entry, producer: Option<ProducerId>, out: &mut Outgoing) {
        let stored = StoredPublish {
            channel: self.channel.clone(),
            qos: entry.qos,
            id: entry.message_id.clone(),
            seq: producer.zip(entry.seq()),
            expires: entry.expires.map(|expires| expires.unix),
            headers: entry.headers.clone(),
            payload: entry.payload.clone(),
        };
        out.store.put_publish(entry.key, &stored);
    }

    pub(super) fn index(&self, key: Key) -> Option<usize> {
        self.entries.binary_search_by_key(&key, |entry| entry.key).ok()
    }

    pub(super) fn take(&mut self, key: Key) -> Option<Box<Entry>> {
        let entry = self.entries.remove(self.index(key)?);
        self.expiring -= usize::from(entry.expires.is_some());
        Some(entry)
    }

    /// Tells whether nothing would be lost with the lane.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.next_seq == 1 && self.record.is_none()
    }

    pub(super) fn held_until(&self) -> Option<Timestamp> {
        match self.flow {
            Flow::Open => None,
            Flow::Held { until } => Some(until),
        }
    }

    pub(super) fn expiry(&self) -> Option<Timestamp> {
        if self.expiring == 0 { None } else { self.entries.iter().filter_map(|entry| entry.expiry()).min() }
    }
}
