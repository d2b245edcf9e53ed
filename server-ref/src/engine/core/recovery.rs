use std::collections::BTreeMap;

use moorline_protocol::time::UnixMillis;
use rustc_hash::FxHashMap;

use super::channel::Channel;
use super::cursor::Cursors;
use super::producer::Producer;
use super::session::Sessions;
use super::store::{Kept, MessageStore};
use super::{CoreConfig, EngineCore, epoch};
use crate::engine::record::{ChannelId, Outcome, Record, Verdict};
use crate::planted::Bug;

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
            channels: FxHashMap::default(),
            by_key: BTreeMap::new(),
            producers: BTreeMap::new(),
            cursors: Cursors::default(),
            sessions: Sessions::default(),
            revoked: BTreeMap::new(),
            shards: Vec::new(),
            records: Vec::new(),
            replies: Vec::new(),
            published: Vec::new(),
            behind_events: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Counts the start, which makes all earlier generations old. With `new_epochs` no position from before can be
    /// trusted: every channel begins a new life (its messages stay). What it records must be durable before the
    /// first command.
    pub fn begin(&mut self, new_epochs: bool, now: UnixMillis) {
        self.starts += 1;
        self.attaches = 0;
        self.records.push(Record::Start { counter: self.starts });
        // Nobody was attached while the server was down: what is known counts as used now.
        for producer in self.producers.values_mut() {
            producer.used = producer.used.max(now);
        }
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
    pub fn apply(&mut self, record: Record, stored: bool) {
        match record {
            Record::Start { counter } => self.starts = self.starts.max(counter),
            Record::SharedEpoch { n, next_channel } => {
                self.shared_n = self.shared_n.max(n);
                self.next_channel = self.next_channel.max(next_channel);
            }
            Record::Channel { id, key, epoch, first, head, time } => {
                let channel =
                    Channel { recorded: true, first, head, last_time: time, ..Channel::new(key.clone(), epoch, time) };
                self.next_channel = self.next_channel.max(id.0 + 1);
                self.by_key.insert(key, id);
                self.channels.insert(id, channel);
            }
            Record::Append { .. } => self.apply_append(record, stored),
            Record::Verdict { channel, producer, verdict } => {
                if let Some(producer) = self.producers.get_mut(&producer) {
                    producer.channels.entry(channel).or_default().settle(verdict);
                }
            }
            Record::Producer { id, owner, generation, used } => {
                let channels = self.producers.remove(&id).map(|producer| producer.channels).unwrap_or_default();
                self.producers.insert(id, Producer { owner, generation, used, session: None, channels });
            }
            Record::ProducerChannel { producer, channel, last, verdicts } => {
                if let Some(producer) = self.producers.get_mut(&producer) {
                    let track = producer.channels.entry(channel).or_default();
                    verdicts.into_iter().for_each(|verdict| track.settle(verdict));
                    track.last = track.last.max(last);
                }
            }
            Record::Ids { channel, entries } => {
                if let Some(channel) = self.channels.get_mut(&channel) {
                    entries.into_iter().for_each(|entry| channel.ids.insert(entry));
                }
            }
            Record::Cursor { owner, channel, position, used } => self.cursors.put(owner, channel, position, used),
            Record::ForgetCursor { owner, channel } => {
                self.cursors.remove(&owner, channel);
            }
            Record::ForgetProducer { id } => {
                self.producers.remove(&id);
            }
            Record::ForgetChannel { id } => self.remove_channel(id),
            Record::Trim { channel, first } => self.trim(channel, first),
            Record::NewEpoch { channel, epoch } => {
                if let Some(channel) = self.channels.get_mut(&channel) {
                    channel.epoch = epoch;
                }
            }
            Record::Revoke { revocation, .. } => self.apply_revocation(&revocation),
        }
    }

    fn apply_append(&mut self, record: Record, stored: bool) {
        let Record::Append { channel: id, id: entry, expires, producer, bytes } = record else { return };
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.head = channel.head.max(entry.offset);
        channel.last_time = channel.last_time.max(entry.time);
        channel.time = channel.time.max(entry.time);
        channel.ids.insert(entry);
        if let Some(sequence) = producer
            && let Some(producer) = self.producers.get_mut(&sequence.id)
        {
            let outcome = Outcome::Stored(entry.offset);
            let verdict = Verdict { seq: sequence.seq, hash: entry.hash, outcome };
            producer.channels.entry(id).or_default().settle(verdict);
            producer.used = producer.used.max(entry.time);
        }
        if !stored && entry.offset >= channel.first {
            self.store.append(id, Kept { offset: entry.offset, time: entry.time, expires, bytes });
        }
    }

    /// Returns records that rebuild everything but the messages: a checkpoint. Nothing may wait to be recorded.
    pub fn snapshot(&self) -> Vec<Record> {
        let mut records = vec![Record::Start { counter: self.starts }, self.shared_record()];
        let mut channels: Vec<_> = self.channels.iter().filter(|(_, channel)| channel.recorded).collect();
        channels.sort_unstable_by_key(|(id, _)| **id);
        for (id, channel) in channels {
            records.push(Record::Channel {
                id: *id,
                key: channel.key.clone(),
                epoch: channel.epoch,
                first: channel.first,
                head: channel.head,
                time: channel.last_time.max(channel.time),
            });
            if !channel.ids.is_empty() {
                records.push(Record::Ids { channel: *id, entries: channel.ids.entries().copied().collect() });
            }
        }
        for (id, producer) in &self.producers {
            let (owner, generation, used) = (producer.owner.clone(), producer.generation, producer.used);
            records.push(Record::Producer { id: *id, owner, generation, used });
            for (channel, track) in &producer.channels {
                let verdicts = track.verdicts.iter().cloned().collect();
                records.push(Record::ProducerChannel { producer: *id, channel: *channel, last: track.last, verdicts });
            }
        }
        records.extend(self.cursors.records());
        for ((app, is_user, name), moment) in &self.revoked {
            let revocation = if *is_user {
                moorline_protocol::UserName::new(name).ok().map(|user| crate::engine::Revocation::User {
                    app: app.clone(),
                    user,
                    issued_before: *moment,
                })
            } else {
                Some(crate::engine::Revocation::Token { app: app.clone(), jti: name.clone() })
            };
            records.extend(revocation.map(|revocation| Record::Revoke { revocation, time: 0 }));
        }
        records
    }

    pub(super) fn shared_record(&self) -> Record {
        Record::SharedEpoch { n: self.shared_n, next_channel: self.next_channel }
    }

    /// Drops from the store what the records say is gone. Called once, after the last record was applied.
    pub fn settle_store(&mut self) {
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

    /// Returns the time of the newest message or record use known: the clock never falls behind it.
    pub fn newest_time(&self) -> UnixMillis {
        self.channels.values().map(|channel| channel.last_time).max().unwrap_or(0)
    }

    /// Returns the epoch a new channel would have.
    pub fn unwritten_epoch(&self) -> moorline_protocol::Epoch {
        epoch(&self.config.store_id, self.shared_n)
    }
}
