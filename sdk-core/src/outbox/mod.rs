//! The outbox: every publish until it is settled, in the order of publishing per channel.

mod answers;
mod entry;
mod inbox;
mod producer;
mod send;

use moorline_protocol::limits::{self, PUBLISH_WINDOW};
use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{
    ChannelName, Generation, Limits, Payload, ProducerId, Qos, Sequence, Utf8Bytes, headers_are_valid,
};

pub(crate) use answers::Verdict;

use crate::config::{ClientConfig, PublishOptions};
use crate::dice::Dice;
use crate::error::PublishError;
use crate::event::{Event, Failure, OutboxStats, PublishOutcome};
use crate::ids::PublishId;
use crate::io::Ticket;
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};
use crate::sorted::search;
use crate::store::{Key, StoredPublish};
use crate::timer::earliest;
use entry::{Entry, Lane};

/// Sends that later ones replaced are forgotten when there are so many more of them than messages.
const STALE_SENDS: usize = 1_024;

/// Every message that is not settled.
pub(crate) struct Outbox {
    /// In the order of their channels' names.
    lanes: Vec<Lane>,
    stats: OutboxStats,
    limits: OutboxLimits,
    link: Link,
    /// The producer, as far as known.
    producer: Option<ProducerId>,
    tenure: Tenure,
    /// The user's own inbox, once known.
    inbox: Option<ChannelName>,
    /// Sends of this connection by request, ascending, with where the entry is.
    sends: Vec<Send>,
    /// Batches under way that give sequences, in order.
    commits: Vec<(Ticket, ChannelName)>,
    /// Publishes that batches under way store first, in order.
    storing: Vec<(Ticket, ChannelName, Key)>,
    /// Why nothing is sent any more.
    ended: Option<Failure>,
    next_id: u64,
    restored: Vec<(PublishId, ChannelName, Utf8Bytes)>,
    bugs: Bugs,
}

#[derive(Clone, Copy)]
struct OutboxLimits {
    messages: usize,
    bytes: usize,
    message: usize,
    window: usize,
    socket: usize,
}

/// What the current connection allows.
#[derive(Clone, Copy)]
enum Link {
    Down,
    /// QoS 2 needs the generation.
    Up {
        generation: Option<Generation>,
    },
}

/// Whether the producer is to be used further.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tenure {
    Staying,
    /// It gives no further sequences, and is left when nothing of it is in doubt.
    Leaving,
}

/// One send of an entry.
struct Send {
    req: u64,
    channel: ChannelName,
    key: Key,
    /// Its answer is awaited until then.
    deadline: Timestamp,
}

impl Outbox {
    /// Returns how many bytes the server allows in a payload.
    pub(crate) fn message_limit(&self) -> usize {
        self.limits.message
    }

    pub(crate) fn new(
        config: &ClientConfig,
        publishes: Vec<(Key, StoredPublish)>,
        sequences: Vec<(Key, ChannelName, ProducerId, Sequence)>,
        producer: Option<ProducerId>,
        now: Now,
    ) -> Self {
        let mut outbox = Self {
            lanes: Vec::new(),
            stats: OutboxStats::default(),
            limits: OutboxLimits {
                messages: config.outbox_messages,
                bytes: config.outbox_bytes,
                message: config.message_bytes,
                window: PUBLISH_WINDOW,
                socket: config.socket_bytes,
            },
            link: Link::Down,
            producer,
            tenure: Tenure::Staying,
            inbox: None,
            sends: Vec::new(),
            commits: Vec::new(),
            storing: Vec::new(),
            ended: None,
            next_id: 1,
            restored: Vec::new(),
            bugs: config.bugs,
        };
        for (key, channel, of, next) in sequences {
            let lane = outbox.lane(&channel);
            lane.record = Some(key);
            if Some(of) == producer {
                lane.next_seq = lane.next_seq.max(next);
            }
        }
        for (key, stored) in publishes {
            outbox.restore(key, stored, now);
        }
        outbox
    }

    fn restore(&mut self, key: Key, stored: StoredPublish, now: Now) {
        let id = PublishId(self.next_id);
        self.next_id += 1;
        self.restored.push((id, stored.channel.clone(), stored.id.clone()));
        self.stats.messages += 1;
        self.stats.bytes += stored.payload.bytes().len();
        let producer = self.producer;
        let lane = self.lane(&stored.channel);
        if let Some((of, seq)) = stored.seq
            && Some(of) == producer
        {
            lane.next_seq = lane.next_seq.max(seq + 1);
        }
        lane.push(Entry::restored(id, key, stored, producer, now));
    }

    pub(crate) fn publish(
        &mut self,
        channel: &ChannelName,
        payload: Payload,
        options: PublishOptions,
        now: Now,
        dice: &mut Dice,
        out: &mut Outgoing,
    ) -> Result<PublishId, PublishError> {
        let qos = options.qos.unwrap_or(Qos::AtLeastOnce);
        self.check(&payload, &options, qos)?;
        let channel = &self.canonical(channel);
        let id = PublishId(self.next_id);
        self.next_id += 1;
        if qos == Qos::AtMostOnce {
            let outcome = self.send_ephemeral(channel, payload, options, out);
            out.event(Event::PublishSettled { id, channel: channel.clone(), outcome });
            return Ok(id);
        }
        self.stats.messages += 1;
        self.stats.bytes += payload.bytes().len();
        let message_id = options.id.unwrap_or_else(|| Utf8Bytes::from(dice.name()));
        let key = out.store.key();
        let entry = Entry::new(id, key, qos, message_id, payload, (options.headers, options.ttl), now);
        self.storing.push((out.store.ticket(), channel.clone(), key));
        self.lane(channel).store(entry, out);
        self.pump(channel, now.mono, out);
        Ok(id)
    }

    fn check(&self, payload: &Payload, options: &PublishOptions, qos: Qos) -> Result<(), PublishError> {
        let size = payload.bytes().len();
        if size > self.limits.message {
            return Err(PublishError::TooLarge { size, limit: self.limits.message });
        }
        if options.id.as_ref().is_some_and(|id| !(1..=limits::MESSAGE_ID).contains(&id.as_bytes().len())) {
            return Err(PublishError::Id);
        }
        if !headers_are_valid(&options.headers) {
            return Err(PublishError::Headers);
        }
        let is_full = self.stats.messages >= self.limits.messages || self.stats.bytes + size > self.limits.bytes;
        let is_full = is_full && !self.bugs.has(Bug::OutboxUnbounded);
        if is_full && qos > Qos::AtMostOnce {
            return Err(PublishError::OutboxFull);
        }
        Ok(())
    }

    /// Returns how many publishes lack an answer; those that were sent again count each time.
    pub(crate) fn sends(&self) -> usize {
        self.sends.len()
    }

    pub(crate) fn stats(&self) -> OutboxStats {
        self.stats
    }

    pub(crate) fn producer(&self) -> Option<ProducerId> {
        self.producer
    }

    pub(crate) fn restored(&self) -> impl Iterator<Item = (PublishId, &ChannelName, &str)> {
        self.restored.iter().map(|(id, channel, message)| (*id, channel, message.as_str()))
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let lanes = self.lanes.iter().filter_map(|lane| earliest(&[lane.held_until(), lane.expiry()])).min();
        earliest(&[lanes, self.patience()])
    }

    /// Returns until when the oldest answer is awaited.
    fn patience(&self) -> Option<Timestamp> {
        self.sends.first().map(|send| send.deadline)
    }

    /// Learns what the server allows.
    fn adopt_limits(&mut self, limits: Limits) {
        self.limits.message = usize::try_from(limits.message).unwrap_or(usize::MAX);
        let window = usize::try_from(limits.window).unwrap_or(usize::MAX);
        self.limits.window = window.clamp(1, PUBLISH_WINDOW);
    }

    /// Returns the channel's lane, a new one if there is none.
    fn lane(&mut self, channel: &ChannelName) -> &mut Lane {
        let index = match search(&self.lanes, channel.as_str(), |lane| lane.channel.as_str()) {
            Ok(index) => index,
            Err(index) => {
                self.lanes.insert(index, Lane::new(channel.clone()));
                index
            }
        };
        // The index was found or made just now.
        #[expect(clippy::indexing_slicing, reason = "the index was found or made just now")]
        &mut self.lanes[index]
    }

    fn find_lane(&mut self, channel: &ChannelName) -> Option<&mut Lane> {
        let index = search(&self.lanes, channel.as_str(), |lane| lane.channel.as_str()).ok()?;
        self.lanes.get_mut(index)
    }

    /// Ends a publish; its place in the store goes with it.
    fn settle(&mut self, channel: &ChannelName, key: Key, outcome: PublishOutcome, out: &mut Outgoing) {
        out.store.delete_publish(key);
        self.release(channel, key, outcome, out);
    }

    /// Ends a publish in this process.
    fn release(&mut self, channel: &ChannelName, key: Key, outcome: PublishOutcome, out: &mut Outgoing) {
        let Some(lane) = self.find_lane(channel) else { return };
        let Some(entry) = lane.take(key) else { return };
        let is_idle = lane.is_idle();
        self.stats.messages = self.stats.messages.saturating_sub(1);
        self.stats.bytes = self.stats.bytes.saturating_sub(entry.payload.bytes().len());
        self.restored.retain(|(id, ..)| *id != entry.id);
        out.event(Event::PublishSettled { id: entry.id, channel: channel.clone(), outcome });
        if is_idle {
            self.lanes.retain(|lane| lane.channel != *channel);
        }
    }

    /// Sends nothing any more; answers still count.
    pub(crate) fn pause(&mut self) {
        self.link = Link::Down;
    }

    /// Tells of every message that it is kept; of one that the store is about to take, when it has.
    pub(crate) fn end_all(&mut self, failure: &Failure, out: &mut Outgoing) {
        self.ended = Some(failure.clone());
        for (channel, key) in self.entries(&|_| true) {
            if !self.storing.iter().any(|(_, _, of)| *of == key) {
                self.release(&channel, key, PublishOutcome::Kept(failure.clone()), out);
            }
        }
    }

    /// The store has not said in time whether it has the rest.
    pub(crate) fn give_up(&mut self, out: &mut Outgoing) {
        for (channel, key) in self.entries(&|_| true) {
            self.release(&channel, key, PublishOutcome::Uncertain, out);
        }
    }

    /// Settles everything, for a store that is cleared: what was sent may have been stored.
    pub(crate) fn wipe(&mut self, failure: &Failure, out: &mut Outgoing) {
        let sent = self.entries(&Entry::may_be_sent);
        for (channel, key) in self.entries(&|_| true) {
            let was_sent = sent.iter().any(|(_, of)| *of == key);
            let outcome = if was_sent { PublishOutcome::Uncertain } else { PublishOutcome::Failed(failure.clone()) };
            self.settle(&channel, key, outcome, out);
        }
    }

    /// Returns which messages are such, by channels.
    fn entries(&self, is_such: &dyn Fn(&Entry) -> bool) -> Vec<(ChannelName, Key)> {
        let mut found = Vec::new();
        for lane in &self.lanes {
            for entry in lane.entries.iter().filter(|entry| is_such(entry)) {
                found.push((lane.channel.clone(), entry.key));
            }
        }
        found
    }
}
