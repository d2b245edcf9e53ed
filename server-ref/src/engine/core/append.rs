use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Message, Offset, ReusedBy, Utf8Bytes};
use xxhash_rust::xxh3::Xxh3;

use super::producer::{Check, Settled, Track};
use super::state::{StateKey, decode_id};
use super::store::{Kept, MessageStore};
use super::{ChannelId, EngineCore};
use crate::engine::record::{IdEntry, Outcome, Record, Verdict};
use crate::engine::{Append, Appended, EngineError, Stored};
use crate::planted::Bug;

impl<S: MessageStore> EngineCore<S> {
    /// Checks generation, sequence, the node's verdict and the id, in this order; then stores. How many channels a
    /// producer writes to is checked with the sequence, since a verdict needs a place, too.
    pub(super) fn append(&mut self, append: Append, now: UnixMillis) -> Result<Appended, EngineError> {
        let known = self.by_key.get(&append.channel).copied();
        if let Some(answer) = self.check_sequence(known, &append, now)? {
            return Ok(answer);
        }
        if let Err(code) = &append.verdict {
            if !self.config.bugs.has(Bug::RefusalLeavesSequence) {
                self.settle(&append, Outcome::Refused(code.clone()), now);
            }
            return Ok(Appended::Refused(code.clone()));
        }
        let key = id_key(self.config.salt, &append.scope, &append.id);
        Ok(match self.find_id(known, key, now)? {
            Some(entry) if entry.hash == append.hash => {
                self.settle(&append, Outcome::Duplicate(entry.offset), now);
                self.duplicate(known, entry.offset)
            }
            Some(_) => {
                if !self.config.bugs.has(Bug::ReusedLeavesSequence) {
                    self.settle(&append, Outcome::ReusedId, now);
                }
                Appended::Reused(ReusedBy::Id)
            }
            None => self.store_message(append, key, now),
        })
    }

    /// Returns the message with this id that is still remembered.
    fn find_id(
        &mut self,
        channel: Option<ChannelId>,
        key: u64,
        now: UnixMillis,
    ) -> Result<Option<IdEntry>, EngineError> {
        let Some(id) = channel else { return Ok(None) };
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(None) };
        let oldest = now.saturating_sub(self.config.ids_ms);
        // The newest so many count, wherever they are.
        let floor = (channel.head.0 + 1).saturating_sub(self.config.ids_per_channel as u64);
        let mut entry = channel.ids.find(key);
        if entry.is_none() && channel.taken.0 >= floor.max(1) {
            let value = self.store.find(StateKey::of_id(id, key))?;
            entry = value.map(|value| decode_id(key, &value).ok_or(EngineError::Unavailable)).transpose()?;
        }
        Ok(entry.filter(|entry| entry.time >= oldest && entry.offset.0 >= floor))
    }

    fn check_sequence(
        &mut self,
        channel: Option<ChannelId>,
        append: &Append,
        now: UnixMillis,
    ) -> Result<Option<Appended>, EngineError> {
        let Some(sequence) = append.producer else { return Ok(None) };
        let bugs = self.config.bugs;
        self.recall_producer(sequence.id, now)?;
        let Some(producer) = self.producers.get_mut(&sequence.id) else { return Ok(Some(Appended::UnknownProducer)) };
        if sequence.generation != producer.generation && !bugs.has(Bug::IgnoreGeneration) {
            return Ok(Some(Appended::Fenced));
        }
        (producer.used, producer.published) = (now, now);
        self.residency.change_producer(&mut producer.mark);
        let track = channel.and_then(|channel| producer.track(channel));
        Ok(match Track::check(track, sequence.seq, append.hash, bugs) {
            Check::Next if track.is_none() && !producer.has_room() => Some(Appended::TooManyChannels),
            Check::Next => None,
            Check::Settled(Settled::As(answer)) => Some(answer),
            Check::Settled(Settled::Duplicate(offset)) => Some(self.duplicate(channel, offset)),
        })
    }

    /// Planted: a sequence is used up by a refusal for the moment.
    pub(super) fn use_up(&mut self, append: &Append, now: UnixMillis) {
        self.settle(append, Outcome::Refused(moorline_protocol::ErrorCode::StorageUnavailable), now);
    }

    fn duplicate(&self, channel: Option<ChannelId>, offset: Offset) -> Appended {
        match channel.and_then(|id| self.channels.get(&id)) {
            Some(channel) => Appended::Duplicate(channel.position(offset)),
            None => Appended::UnknownProducer,
        }
    }

    /// Consumes a sequence without a message.
    fn settle(&mut self, append: &Append, outcome: Outcome, now: UnixMillis) {
        let Some(sequence) = append.producer else { return };
        let channel = self.establish(&append.channel, now);
        self.use_channel(channel, now);
        let verdict = Verdict { seq: sequence.seq, hash: append.hash, outcome };
        if self.rule(sequence.id, channel, &verdict) {
            self.records.push(Record::Verdict { channel, producer: sequence.id, verdict });
        }
    }

    pub(super) fn store_message(&mut self, append: Append, key: u64, now: UnixMillis) -> Appended {
        let id = self.establish(&append.channel, now);
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
        self.hook_message(id, &append.channel, &message, now);
        let Some(channel) = self.channels.get_mut(&id) else { return Appended::UnknownProducer };
        let entry = IdEntry { key, hash: append.hash, offset, time };
        let producer = append.producer.filter(|_| !self.config.bugs.has(Bug::ForgetVerdictInRecord));
        self.records.push(Record::Append { channel: id, id: entry, expires, producer, bytes: bytes.clone() });
        channel.head = offset;
        channel.last_time = time;
        (channel.time, channel.noted) = (now, now);
        channel.ids.insert(entry, self.config.ids_per_channel);
        self.residency.add_id();
        let position = channel.position(offset);
        if let Some(sequence) = append.producer {
            let outcome = Outcome::Stored(offset);
            self.rule(sequence.id, id, &Verdict { seq: sequence.seq, hash: append.hash, outcome });
            if let Some(producer) = self.producers.get_mut(&sequence.id) {
                producer.noted = now;
            }
        }
        self.store.append(id, Kept { offset, time, expires, bytes: bytes.clone() });
        let stored = Stored { offset, prev: None, bytes };
        match self.published_now.iter_mut().find(|(channel, _)| *channel == id) {
            Some((_, messages)) => messages.push(stored),
            None => self.published_now.push((id, vec![stored])),
        }
        Appended::Stored(position)
    }
}

/// Returns the key under which an id is remembered. The salt is the store's secret: nobody can make up ids that meet.
pub(super) fn id_key(salt: u64, scope: &str, id: &str) -> u64 {
    let mut hash = Xxh3::with_seed(salt);
    hash.update(&(scope.len() as u64).to_le_bytes());
    hash.update(scope.as_bytes());
    hash.update(id.as_bytes());
    hash.digest()
}
