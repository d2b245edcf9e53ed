//! What of producers and cursors is in memory: whatever changed since the last checkpoint that was written, whatever a
//! connection uses, and whatever was asked for since then. The rest is the store's, which is asked when it is needed.

use std::collections::BTreeMap;

use bytes::Bytes;
use moorline_protocol::ProducerId;
use moorline_protocol::time::UnixMillis;

use super::housekeeping::{IDLE_MS, IDLE_VERDICTS};
use super::producer::Producer;
use super::state::{Entries, Expiry, Snapshot, StateKey, encode_id};
use super::store::MessageStore;
use super::{ChannelId, EngineCore, NOTE_EVERY_MS};
use crate::engine::record::Record;
use crate::engine::{EngineError, Owner};

/// About the bytes of an id, a producer and a cursor in memory.
const ID_BYTES: usize = 40;
const PRODUCER_BYTES: usize = 1_024;
const CURSOR_BYTES: usize = 256;
const PUSH_BYTES: usize = 512;
const ROSTER_BYTES: usize = 512;

/// Counts checkpoints, so that it is known what the next one has to hold.
#[derive(Debug)]
pub(super) struct Residency {
    /// The number of the next checkpoint, from 1 on.
    round: u64,
    /// The newest one that was written.
    written: u64,
    /// About the bytes that came into memory since.
    bytes: usize,
    /// Those of them that came before the one that is being written.
    sealed: usize,
    gone_producers: BTreeMap<ProducerId, u64>,
    gone_cursors: BTreeMap<(Owner, ChannelId), u64>,
}

impl Default for Residency {
    fn default() -> Self {
        Self {
            round: 1,
            written: 0,
            bytes: 0,
            sealed: 0,
            gone_producers: BTreeMap::new(),
            gone_cursors: BTreeMap::new(),
        }
    }
}

/// Says of something in memory whether the store has it, too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// The checkpoint that has to hold it; 0 if it is as the store has it.
    round: u64,
    /// Whether the store has an earlier one.
    stored: bool,
}

impl Residency {
    pub(super) fn add_id(&mut self) {
        self.bytes += ID_BYTES;
    }

    pub(super) fn change_producer(&mut self, mark: &mut Mark) {
        self.change(mark, PRODUCER_BYTES);
    }

    pub(super) fn change_cursor(&mut self, mark: &mut Mark) {
        self.change(mark, CURSOR_BYTES);
    }

    pub(super) fn change_push(&mut self, mark: &mut Mark) {
        self.change(mark, PUSH_BYTES);
    }

    pub(super) fn change_roster(&mut self, mark: &mut Mark) {
        self.change(mark, ROSTER_BYTES);
    }

    /// Tells whether a cursor that the store has is gone.
    pub(super) fn is_cursor_gone(&self, owner: &Owner, channel: ChannelId) -> bool {
        self.gone_cursors.contains_key(&(owner.clone(), channel))
    }

    fn change(&mut self, mark: &mut Mark, bytes: usize) {
        if mark.round < self.round {
            self.bytes += bytes;
            mark.stored |= mark.round > 0;
            mark.round = self.round;
        }
    }

    /// Notes that a producer is gone, if the store has it or will.
    pub(super) fn drop_producer(&mut self, id: ProducerId, mark: Option<Mark>) {
        if self.is_stored(mark) {
            self.gone_producers.insert(id, self.round);
        }
    }

    /// Notes that a cursor is gone, if the store has it or will.
    pub(super) fn drop_cursor(&mut self, owner: Owner, channel: ChannelId, mark: Option<Mark>) {
        if self.is_stored(mark) {
            self.gone_cursors.insert((owner, channel), self.round);
        }
    }

    /// A cursor is made. Returns its mark; the store may have another one.
    pub(super) fn make_cursor(&mut self, owner: &Owner, channel: ChannelId) -> Mark {
        Mark { round: 0, stored: self.gone_cursors.remove(&(owner.clone(), channel)).is_some() }
    }

    fn is_stored(&self, mark: Option<Mark>) -> bool {
        mark.is_none_or(|mark| mark.stored || (1..self.round).contains(&mark.round))
    }

    /// Tells whether the next checkpoint has to hold something.
    fn is_due(&self, mark: Mark) -> bool {
        mark.round > self.written
    }
}

impl Mark {
    /// Of what the store has as it is.
    fn loaded() -> Self {
        Self { round: 0, stored: true }
    }

    /// The store may have an earlier one.
    pub(super) fn stored(&mut self) {
        self.stored = true;
    }
}

impl<S: MessageStore> EngineCore<S> {
    /// Sees to it that a producer is in memory, if there is one. One that was not used for too long is forgotten
    /// instead.
    pub(super) fn recall_producer(&mut self, id: ProducerId, now: UnixMillis) -> Result<(), EngineError> {
        if !self.load_producer(id)? {
            return Ok(());
        }
        let used = self.producers.get(&id).map_or(now, |producer| producer.used);
        if self.is_over(used, self.config.producers_ms, now) {
            self.forget_producer(id);
        } else if used < now.saturating_sub(IDLE_MS) {
            self.producers.entry(id).and_modify(|producer| producer.keep(IDLE_VERDICTS));
        }
        Ok(())
    }

    /// As [`recall_producer`](Self::recall_producer), however old it is. Returns whether it was not in memory.
    pub(super) fn load_producer(&mut self, id: ProducerId) -> Result<bool, EngineError> {
        if self.producers.contains_key(&id) || self.residency.gone_producers.contains_key(&id) {
            return Ok(false);
        }
        let Some(value) = self.store.find(StateKey::of_producer(id))? else { return Ok(false) };
        let (known, mut producer) = decode_producer(value).ok_or(EngineError::Unavailable)?;
        producer.mark = Mark::loaded();
        self.residency.bytes += PRODUCER_BYTES;
        // Nobody else's producer has this key, but for an accident.
        let is_it = known == id;
        if is_it {
            self.producers.insert(id, producer);
        }
        Ok(is_it)
    }

    /// Sees to it that a cursor is in memory, if there is one. One that was not used for too long is forgotten instead.
    pub(super) fn recall_cursor(
        &mut self,
        owner: &Owner,
        channel: ChannelId,
        now: UnixMillis,
    ) -> Result<(), EngineError> {
        let is_gone = || self.residency.gone_cursors.contains_key(&(owner.clone(), channel));
        if self.cursors.position(owner, channel).is_some() || is_gone() {
            return Ok(());
        }
        let key = StateKey::of_cursor(owner, channel, self.config.salt);
        let Some(mut value) = self.store.find(key)? else { return Ok(()) };
        self.residency.bytes += CURSOR_BYTES;
        match Record::decode(&mut value) {
            Ok(Record::Cursor { owner: whose, channel: of, position, used }) if whose == *owner && of == channel => {
                self.cursors.put(whose, channel, position, used, Mark::loaded());
                if self.is_over(used, self.config.cursors_ms, now) {
                    let record = self.drop_cursor(owner.clone(), channel);
                    self.records.extend(record);
                }
                Ok(())
            }
            // Somebody else's, by an accident.
            Ok(Record::Cursor { .. }) => Ok(()),
            _ => Err(EngineError::Unavailable),
        }
    }

    /// Returns about how many bytes came into memory since the last checkpoint that was written.
    pub fn waiting_bytes(&self) -> usize {
        self.residency.bytes
    }

    /// Makes a checkpoint. The host says with [`checkpointed`](Self::checkpointed) when it is written; if it cannot
    /// be, the next one holds all of it.
    pub fn checkpoint(&mut self, now: UnixMillis) -> Snapshot {
        let mut snapshot = Snapshot { expiry: self.expiry(now), ..Snapshot::default() };
        self.snapshot_base(|record| record.encode(&mut snapshot.records));
        self.collect(&mut snapshot.state);
        for channel in self.channels.values_mut() {
            channel.sealed = channel.head;
        }
        self.residency.round += 1;
        self.residency.sealed = self.residency.bytes;
        snapshot
    }

    /// The newest checkpoint is written: what it holds, and nobody uses, leaves the memory.
    pub fn checkpointed(&mut self) {
        let residency = &mut self.residency;
        residency.written = residency.round - 1;
        residency.bytes -= std::mem::take(&mut residency.sealed);
        let written = residency.written;
        residency.gone_producers.retain(|_, round| *round > written);
        residency.gone_cursors.retain(|_, round| *round > written);
        let residency = &self.residency;
        self.producers.retain(|_, producer| producer.session.is_some() || residency.is_due(producer.mark));
        let sessions = &self.sessions;
        self.cursors.keep(|owner, channel, mark| residency.is_due(mark) || sessions.is_reading(owner, channel));
        self.push.keep(|mark| residency.is_due(mark));
        self.rosters.keep(|user, mark| residency.is_due(mark) || sessions.has(user));
        for channel in self.channels.values_mut() {
            channel.taken = channel.sealed;
            channel.ids.forget_until(channel.sealed);
        }
    }

    /// Collects what has changed since the last checkpoint that was written.
    fn collect(&self, out: &mut Entries) {
        for (id, channel) in self.channels.iter().filter(|(_, channel)| channel.recorded) {
            for entry in channel.ids.entries() {
                out.push(StateKey::of_id(*id, entry.key), |bytes| encode_id(&entry, bytes));
            }
        }
        for (id, producer) in self.producers.iter().filter(|(_, producer)| self.residency.is_due(producer.mark)) {
            out.push(StateKey::of_producer(*id), |bytes| {
                self.producer_records(*id, producer, |record| record.encode(bytes));
            });
        }
        for (owner, channel, record, mark) in self.cursors.records() {
            if self.residency.is_due(mark) {
                out.push(StateKey::of_cursor(owner, channel, self.config.salt), |bytes| record.encode(bytes));
            }
        }
        for (mark, record) in self.push.records().filter(|(mark, _)| self.residency.is_due(*mark)) {
            let Record::Push { app, user, .. } = &record else { continue };
            let _ = mark;
            out.push(StateKey::of_push(app, user, self.config.salt), |bytes| record.encode(bytes));
        }
        for (user, roster, mark) in self.rosters.iter() {
            if self.residency.is_due(mark) {
                let key = StateKey::of_roster(&user.0, &user.1, self.config.salt);
                out.push(key, |bytes| roster.encode(user, bytes));
            }
        }
        for id in self.residency.gone_producers.keys() {
            out.push(StateKey::of_producer(*id), |_| ());
        }
        for (owner, channel) in self.residency.gone_cursors.keys() {
            out.push(StateKey::of_cursor(owner, *channel, self.config.salt), |_| ());
        }
    }

    /// Hands out the records that rebuild a producer.
    pub(super) fn producer_records(&self, id: ProducerId, producer: &Producer, mut out: impl FnMut(Record)) {
        let (owner, generation) = (producer.owner.clone(), producer.generation);
        out(Record::Producer { id, owner, generation, used: producer.used.max(producer.noted) });
        for (channel, track) in producer.tracks().filter(|(channel, _)| self.channels.contains_key(channel)) {
            let verdicts = track.verdicts().collect();
            out(Record::ProducerChannel { producer: id, channel, last: track.last, verdicts });
        }
    }

    /// Returns what may be forgotten for good.
    fn expiry(&self, now: UnixMillis) -> Expiry {
        if self.is_resting(now) {
            return Expiry::default();
        }
        let most = self.config.ids_per_channel as u64;
        let floor = |head: u64| moorline_protocol::Offset((head + 1).saturating_sub(most));
        let full = self.channels.iter().filter(|(_, channel)| channel.head.0 > most);
        Expiry {
            ids_before: now.saturating_sub(self.config.ids_ms),
            floors: full.map(|(id, channel)| (*id, floor(channel.head.0))).collect(),
            // What is in use may have been written down so long ago.
            producers_before: now.saturating_sub(self.config.producers_ms.saturating_add(NOTE_EVERY_MS)),
            cursors_before: now.saturating_sub(self.config.cursors_ms.saturating_add(NOTE_EVERY_MS)),
        }
    }
}

/// Rebuilds a producer from its records.
fn decode_producer(mut value: Bytes) -> Option<(ProducerId, Producer)> {
    let Ok(Record::Producer { id, owner, generation, used }) = Record::decode(&mut value) else { return None };
    let mut producer = Producer::new(owner, generation, used);
    while !value.is_empty() {
        let Ok(Record::ProducerChannel { channel, last, verdicts, .. }) = Record::decode(&mut value) else {
            return None;
        };
        if let Some(track) = producer.track_mut(channel) {
            verdicts.iter().for_each(|verdict| track.settle(verdict));
            track.last = track.last.max(last);
        }
    }
    Some((id, producer))
}
