use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Message, Offset, ReusedBy, Utf8Bytes};
use xxhash_rust::xxh3::Xxh3;

use super::producer::{Check, Settled};
use super::store::{Kept, MessageStore};
use super::{ChannelId, EngineCore};
use crate::engine::record::{IdEntry, Outcome, Record, Verdict};
use crate::engine::{Append, Appended, Stored};
use crate::planted::Bug;

impl<S: MessageStore> EngineCore<S> {
    /// Checks generation, sequence, the node's verdict and the id, in this order; then stores.
    pub(super) fn append(&mut self, append: Append, now: UnixMillis) -> Appended {
        let id = self.channel_id(&append.channel, now);
        if let Some(answer) = self.check_sequence(id, &append, now) {
            return answer;
        }
        if let Err(code) = &append.verdict {
            if !self.config.bugs.has(Bug::RefusalLeavesSequence) {
                self.settle(id, &append, Outcome::Refused(code.clone()), now);
            }
            return Appended::Refused(code.clone());
        }
        let key = id_key(&append.scope, &append.id);
        let oldest = now.saturating_sub(self.config.ids_ms);
        let known = self.channels.get(&id).and_then(|channel| channel.ids.find(key)).copied();
        match known.filter(|entry| entry.time >= oldest) {
            Some(entry) if entry.hash == append.hash => {
                self.settle(id, &append, Outcome::Duplicate(entry.offset), now);
                self.duplicate(id, entry.offset)
            }
            Some(_) => {
                self.settle(id, &append, Outcome::ReusedId, now);
                Appended::Reused(ReusedBy::Id)
            }
            None => self.store_message(id, append, key, now),
        }
    }

    fn check_sequence(&mut self, id: ChannelId, append: &Append, now: UnixMillis) -> Option<Appended> {
        let sequence = append.producer?;
        let bugs = self.config.bugs;
        let Some(producer) = self.producers.get_mut(&sequence.id) else { return Some(Appended::UnknownProducer) };
        if sequence.generation != producer.generation && !bugs.has(Bug::IgnoreGeneration) {
            return Some(Appended::Fenced);
        }
        producer.used = now;
        if !producer.has_room_for(id) {
            return Some(Appended::TooManyChannels);
        }
        let track = producer.channels.entry(id).or_default();
        match track.check(sequence.seq, append.hash, bugs) {
            Check::Next => None,
            Check::Settled(Settled::As(answer)) => Some(answer),
            Check::Settled(Settled::Duplicate(offset)) => Some(self.duplicate(id, offset)),
        }
    }

    /// Planted: a sequence is used up by a refusal for the moment.
    pub(super) fn use_up(&mut self, append: &Append, now: UnixMillis) {
        let id = self.channel_id(&append.channel, now);
        if let Some(sequence) = append.producer
            && let Some(producer) = self.producers.get_mut(&sequence.id)
        {
            let track = producer.channels.entry(id).or_default();
            track.last = track.last.max(sequence.seq);
        }
    }

    fn duplicate(&self, id: ChannelId, offset: Offset) -> Appended {
        match self.channels.get(&id) {
            Some(channel) => Appended::Duplicate(channel.position(offset)),
            None => Appended::UnknownProducer,
        }
    }

    /// Consumes a sequence without a message.
    fn settle(&mut self, id: ChannelId, append: &Append, outcome: Outcome, now: UnixMillis) {
        let Some(sequence) = append.producer else { return };
        self.establish(id, now);
        let verdict = Verdict { seq: sequence.seq, hash: append.hash, outcome };
        if let Some(producer) = self.producers.get_mut(&sequence.id) {
            producer.channels.entry(id).or_default().settle(verdict.clone());
            self.records.push(Record::Verdict { channel: id, producer: sequence.id, verdict });
        }
    }

    fn store_message(&mut self, id: ChannelId, append: Append, key: u128, now: UnixMillis) -> Appended {
        self.establish(id, now);
        let Some(channel) = self.channels.get_mut(&id) else { return Appended::UnknownProducer };
        let offset = channel.head.next();
        let time = if self.config.bugs.has(Bug::TimeFalls) { now } else { channel.last_time.max(now) };
        let expires = append.ttl.map(|ttl| time + u64::from(ttl) * 1000);
        let message = Message {
            offset: Some(offset),
            prev: None,
            id: append.id,
            user: append.user.map(|user| Utf8Bytes::from(user.as_str())),
            time,
            headers: append.headers,
            payload: append.payload,
        };
        let mut encoded = Vec::with_capacity(message.payload.bytes().len() + 96);
        moorline_protocol::binary::encode_message(&message, &mut encoded);
        let bytes = bytes::Bytes::from(encoded);
        let entry = IdEntry { key, hash: append.hash, offset, time };
        let producer = append.producer.filter(|_| !self.config.bugs.has(Bug::ForgetVerdictInRecord));
        self.records.push(Record::Append { channel: id, id: entry, expires, producer, bytes: bytes.clone() });
        channel.head = offset;
        channel.last_time = time;
        channel.time = now;
        channel.ids.insert(entry);
        let position = channel.position(offset);
        if let Some(sequence) = append.producer
            && let Some(producer) = self.producers.get_mut(&sequence.id)
        {
            let outcome = Outcome::Stored(offset);
            producer.channels.entry(id).or_default().settle(Verdict { seq: sequence.seq, hash: append.hash, outcome });
        }
        self.store.append(id, Kept { offset, time, expires, bytes: bytes.clone() });
        let stored = Stored { offset, prev: None, bytes };
        match self.published.iter_mut().find(|(channel, _)| *channel == id) {
            Some((_, messages)) => messages.push(stored),
            None => self.published.push((id, vec![stored])),
        }
        Appended::Stored(position)
    }
}

/// Returns the key under which an id is remembered: ids of different scopes never meet.
fn id_key(scope: &str, id: &str) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&(scope.len() as u64).to_le_bytes());
    hash.update(scope.as_bytes());
    hash.update(id.as_bytes());
    hash.digest128()
}
