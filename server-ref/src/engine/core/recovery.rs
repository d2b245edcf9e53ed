use std::collections::BTreeMap;
use std::sync::Arc;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{ProducerId, UserName};
use rustc_hash::FxHashMap;

use super::channel::Channel;
use super::conflict::Takeovers;
use super::cursor::Cursors;
use super::hooks::{Hooks, PushHandles};
use super::housekeeping::Housekeeping;
use super::presence::Registry;
use super::producer::Producer;
use super::resident::Residency;
use super::roster::Rosters;
use super::session::Sessions;
use super::store::{Kept, MessageStore};
use super::{CoreConfig, EngineCore, epoch};
use crate::engine::Revocation;
use crate::engine::record::{ChannelId, Outcome, Record, Verdict};
use crate::planted::Bug;

/// A record of a channel or producer that the records before it do not know: some are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record does not follow from those before it: some are missing")]
pub struct Stray;

impl<S: MessageStore> EngineCore<S> {
    /// Creates a core without content. The host applies the records it has, then calls [`begin`](Self::begin).
    pub fn new(config: CoreConfig, store: S) -> Self {
        Self {
            config,
            store,
            shared_n: 0,
            starts: 0,
            attaches: 0,
            next_channel: 0,
            newest: 0,
            channels: FxHashMap::default(),
            by_key: BTreeMap::new(),
            producers: BTreeMap::new(),
            cursors: Cursors::default(),
            rosters: Rosters::default(),
            residency: Residency::default(),
            sessions: Sessions::default(),
            takeovers: Takeovers::default(),
            presence: Registry::default(),
            hooks: Hooks::default(),
            push: PushHandles::default(),
            housekeeping: Housekeeping::default(),
            revoked: BTreeMap::new(),
            shards: Vec::new(),
            records: Vec::new(),
            replies: Vec::new(),
            published_now: Vec::new(),
            published: Default::default(),
            behind_events: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Counts the start, which makes all earlier generations old. With `new_epochs` no position from before can be
    /// trusted: every channel begins a new life (its messages stay). What it records must be durable before the
    /// first command.
    pub fn begin(&mut self, new_epochs: bool, now: UnixMillis) {
        self.housekeeping.begin(now, self.newest_time());
        self.starts += 1;
        self.attaches = 0;
        self.records.push(Record::Start { counter: self.starts });
        self.begin_presence(now);
        self.begin_hooks(now);
        if !new_epochs || self.config.bugs.has(Bug::PowerCutKeepsEpoch) {
            return;
        }
        self.shared_n += 1;
        self.records.push(self.shared_record());
        let fresh = self.shared_epoch();
        let mut ids: Vec<ChannelId> = self.channels.keys().copied().collect();
        ids.sort_unstable();
        for channel in ids {
            self.records.push(Record::NewEpoch { channel, epoch: fresh });
            if let Some(channel) = self.channels.get_mut(&channel) {
                channel.epoch = fresh;
            }
        }
    }

    /// Applies one record of an earlier start. With `stored`, the store has an append's message already.
    ///
    /// # Errors
    /// [`Stray`] if the record cannot follow those before it.
    pub fn apply(&mut self, record: Record, stored: bool) -> Result<(), Stray> {
        match record {
            Record::Start { counter } => self.starts = self.starts.max(counter),
            Record::SharedEpoch { n, next_channel } => {
                self.shared_n = self.shared_n.max(n);
                self.next_channel = self.next_channel.max(next_channel);
            }
            Record::ChannelReferred { id, time } => self.refer(id, time),
            Record::Clock { time } => self.newest = self.newest.max(time),
            Record::Channel { id, key, epoch, first, head, time } => {
                let new = Channel::new(key.clone(), epoch, time);
                // Whether the store has the ids of its messages is the store's to say.
                let channel = Channel { recorded: true, first, head, last_time: time, taken: head, ..new };
                self.next_channel = self.next_channel.max(id.0 + 1);
                self.by_key.insert(key, id);
                self.channels.insert(id, channel);
            }
            Record::Append { .. } => return self.apply_append(record, stored),
            // Where a message stands is the store's business.
            Record::Moved { .. } => {}
            Record::Verdict { channel, producer, verdict } => return self.apply_verdict(producer, channel, &verdict),
            Record::Producer { id, owner, generation, used } => {
                let new = Producer::new(owner, generation, used);
                self.apply_producer(id, new)?;
            }
            Record::ProducerChannel { producer, channel, last, verdicts } => {
                for verdict in &verdicts {
                    self.apply_verdict(producer, channel, verdict)?;
                }
                let Some(producer) = self.producers.get_mut(&producer) else { return Err(Stray) };
                producer.track_mut(channel).into_iter().for_each(|track| track.last = track.last.max(last));
            }
            Record::Ids { channel, entries } => {
                let most = self.config.ids_per_channel;
                let Some(channel) = self.channels.get_mut(&channel) else { return Err(Stray) };
                entries.into_iter().for_each(|entry| channel.ids.insert(entry, most));
            }
            Record::Cursor { owner, channel, position, used } => {
                let known = self.channels.get_mut(&channel).ok_or(Stray)?;
                known.time = known.time.max(used);
                self.restore_cursor(owner, channel, position, used);
            }
            Record::ForgetCursor { owner, channel } => {
                if self.drop_cursor(owner.clone(), channel).is_none() {
                    self.strike(&owner, channel);
                    self.residency.drop_cursor(owner, channel, None);
                }
            }
            Record::ForgetProducer { id } => self.remove_producer(id),
            Record::ChannelUsed { id, time } => {
                let channel = self.channels.get_mut(&id).ok_or(Stray)?;
                (channel.time, channel.noted) = (time, time);
            }
            Record::ForgetChannel { id } => self.remove_channel(id),
            Record::Trim { channel, first } => self.trim(channel, first),
            Record::NewEpoch { channel, epoch } => {
                self.channels.get_mut(&channel).ok_or(Stray)?.epoch = epoch;
            }
            Record::Hook(record) => self.apply_hook(record),
            Record::Push { app, user, devices } => self.put_devices((app, user), devices),
            Record::Revoke { revocation, time } => self.apply_revocation(&revocation, time),
        }
        Ok(())
    }

    /// Sets generation and use of a producer, which may be in the store.
    fn apply_producer(&mut self, id: ProducerId, new: Producer) -> Result<(), Stray> {
        self.load_producer(id).map_err(|_| Stray)?;
        let (generation, used) = (new.generation, new.used);
        let known = self.producers.entry(id).or_insert(new);
        (known.generation, known.used, known.noted) = (generation, used, used);
        self.residency.change_producer(&mut known.mark);
        for (channel, _) in known.tracks() {
            self.channels.entry(channel).and_modify(|channel| {
                channel.time = channel.time.max(used);
                channel.referred = channel.referred.max(used);
            });
        }
        Ok(())
    }

    fn apply_verdict(&mut self, producer: ProducerId, channel: ChannelId, verdict: &Verdict) -> Result<(), Stray> {
        self.channels.get(&channel).ok_or(Stray)?;
        self.load_producer(producer).map_err(|_| Stray)?;
        if self.rule(producer, channel, verdict) { Ok(()) } else { Err(Stray) }
    }

    fn apply_append(&mut self, record: Record, stored: bool) -> Result<(), Stray> {
        let Record::Append { channel: id, id: entry, expires, producer, bytes } = record else { return Ok(()) };
        let most = self.config.ids_per_channel;
        let channel = self.channels.get_mut(&id).ok_or(Stray)?;
        channel.head = channel.head.max(entry.offset);
        channel.last_time = channel.last_time.max(entry.time);
        channel.time = channel.time.max(entry.time);
        channel.noted = channel.time;
        channel.ids.insert(entry, most);
        self.residency.add_id();
        let first = channel.first;
        if let Some(sequence) = producer {
            let outcome = Outcome::Stored(entry.offset);
            self.apply_verdict(sequence.id, id, &Verdict { seq: sequence.seq, hash: entry.hash, outcome })?;
            if let Some(producer) = self.producers.get_mut(&sequence.id) {
                producer.used = producer.used.max(entry.time);
                (producer.noted, producer.published) = (producer.used, producer.used);
            }
        }
        if !stored && entry.offset >= first {
            self.store.append(id, Kept { offset: entry.offset, time: entry.time, expires, bytes });
        }
        Ok(())
    }

    /// Hands out records that rebuild everything but the messages and what the store has taken over. Nothing may wait
    /// to be recorded.
    pub fn snapshot(&self, mut out: impl FnMut(Record)) {
        self.snapshot_base(&mut out);
        for (id, channel) in self.channels.iter().filter(|(_, channel)| channel.ids.len() > 0) {
            out(Record::Ids { channel: *id, entries: channel.ids.entries().collect() });
        }
        for (id, producer) in &self.producers {
            self.producer_records(*id, producer, &mut out);
        }
        let of_known = |(_, channel, record, _)| self.channels.contains_key(&channel).then_some(record);
        self.cursors.records().filter_map(of_known).for_each(&mut out);
        self.push.records().for_each(|(_, record)| out(record));
    }

    /// Hands out the records that no store takes over.
    pub(super) fn snapshot_base(&self, mut out: impl FnMut(Record)) {
        out(Record::Clock { time: self.newest_time() });
        out(Record::Start { counter: self.starts });
        out(self.shared_record());
        let mut channels: Vec<_> = self.channels.iter().filter(|(_, channel)| channel.recorded).collect();
        channels.sort_unstable_by_key(|(id, _)| **id);
        for (id, channel) in channels {
            let (key, epoch, first, head) = (channel.key.clone(), channel.epoch, channel.first, channel.head);
            out(Record::Channel { id: *id, key, epoch, first, head, time: channel.last_time.max(channel.time) });
            if channel.referred > 0 {
                out(Record::ChannelReferred { id: *id, time: channel.referred });
            }
        }
        self.hook_records(&mut out);
        for ((app, is_user, name), revoked) in &self.revoked {
            let (app, time, issued_before) = (app.clone(), revoked.time, revoked.issued_before);
            let revocation = match UserName::new(name) {
                Ok(user) if *is_user => Revocation::User { app, user, issued_before },
                _ => Revocation::Token { app, jti: Arc::clone(name) },
            };
            out(Record::Revoke { revocation, time });
        }
    }

    pub(super) fn shared_record(&self) -> Record {
        Record::SharedEpoch { n: self.shared_n, next_channel: self.next_channel }
    }

    /// Drops from the store what the records say is gone. Called once, after the last record was applied.
    pub fn settle_store(&mut self) {
        for producer in self.producers.values() {
            for (id, _) in producer.tracks() {
                self.channels.entry(id).and_modify(|channel| {
                    channel.time = channel.time.max(producer.used);
                    channel.referred = channel.referred.max(producer.used);
                });
            }
        }
        for (id, channel) in &self.channels {
            self.store.trim(*id, channel.first);
        }
        let channels = &self.channels;
        self.store.retain(&|id| channels.contains_key(&id));
    }

    /// Returns every channel that was written: key, epoch, oldest and newest offset, its number.
    pub fn channels(
        &self,
    ) -> impl Iterator<
        Item = (&crate::engine::ChannelKey, moorline_protocol::Epoch, [moorline_protocol::Offset; 2], ChannelId),
    > {
        self.by_key.iter().filter_map(|(key, id)| {
            let channel = self.channels.get(id).filter(|channel| channel.recorded)?;
            Some((key, channel.epoch, [channel.first, channel.head], *id))
        })
    }

    /// Returns the newest time on record: the clock never falls behind it.
    pub fn newest_time(&self) -> UnixMillis {
        let channels = self.channels.values().map(|channel| channel.last_time.max(channel.time));
        let producers = self.producers.values().map(|producer| producer.used.max(producer.noted));
        let revocations = self.revoked.values().map(|revoked| revoked.time);
        channels.chain(producers).chain(self.cursors.uses()).chain(revocations).fold(self.newest, UnixMillis::max)
    }

    /// Returns the epoch a new channel would have.
    pub fn unwritten_epoch(&self) -> moorline_protocol::Epoch {
        epoch(&self.config.store_id, self.shared_n)
    }
}
