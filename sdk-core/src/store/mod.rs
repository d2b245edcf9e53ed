//! The client's store: what it holds, and the batches that change it.

mod record;
#[cfg(test)]
mod tests;

use std::time::Duration;

use moorline_protocol::time::Timestamp;
use moorline_protocol::{Bytes, ChannelName, DeviceId, Headers, Payload, Position, ProducerId, Sequence, UserName};

pub(crate) use record::{StoredNetwork, StoredPublish};

use crate::connection::doubled;
use crate::error::StoreError;
use crate::io::{StoreBatch, StoreEntry, Ticket};
use crate::planted::{Bug, Bugs};
use crate::timer::is_due;
use record::{Meta, Record};

/// A record's number within its kind; never used again while the client lives.
pub(crate) type Key = u64;

/// The first pause after a batch failed, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// What was found at start.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) publishes: Vec<(Key, StoredPublish)>,
    pub(crate) sequences: Vec<(Key, ChannelName, ProducerId, Sequence)>,
    pub(crate) cursors: Vec<(Key, ChannelName, Position)>,
    pub(crate) forgotten: Vec<(Key, ChannelName)>,
    pub(crate) networks: Vec<StoredNetwork>,
}

/// How far the first batch of this process is: it holds the boot counter and the device id, and no `hello` goes out
/// before it is durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boot {
    Unwritten,
    InFlight(Ticket),
    Durable,
}

/// Returns an entry's value with another payload and other headers, if it is a message of the outbox.
pub(crate) fn with_payload(
    key: &[u8],
    value: Vec<u8>,
    payload: fn(&Payload) -> Payload,
    headers: fn(&Headers) -> Headers,
) -> Vec<u8> {
    let value = Bytes::from(value);
    match record::decode(key, value.clone()) {
        Ok((_, Record::Publish(publish))) => record::encode_publish(&StoredPublish {
            payload: payload(&publish.payload),
            headers: headers(&publish.headers),
            ..publish
        }),
        Ok(_) | Err(_) => value.into(),
    }
}

/// Collects the writes of a call and knows what is under way.
pub(crate) struct Store {
    pub(crate) bugs: Bugs,
    meta: Meta,
    boot: Boot,
    pending: StoreBatch,
    is_meta_dirty: bool,
    next_ticket: u64,
    next_key: Key,
    in_flight: Vec<InFlight>,
    debt: Option<Debt>,
    /// Batches that failed in a row.
    failures: u32,
    wipe: Wipe,
}

/// A batch that is not answered.
struct InFlight {
    ticket: Ticket,
    deletes: Vec<Vec<u8>>,
    cursors: Vec<StoreEntry>,
    has_meta: bool,
}

/// What failed batches were to do and nobody else does again: it goes with the next batch, at the latest when it is
/// due. Without it what is settled, or acknowledged, would come back for ever.
struct Debt {
    deletes: Vec<Vec<u8>>,
    cursors: Vec<StoreEntry>,
    has_meta: bool,
    due: Timestamp,
}

/// Whether this store is being cleared for good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wipe {
    No,
    /// Nothing is written any more.
    Yes,
}

impl Store {
    /// Reads everything the host found. `device` is used if there is none yet.
    pub(crate) fn load(entries: Vec<StoreEntry>, device: DeviceId) -> Result<(Self, Loaded), StoreError> {
        let mut meta = Meta { device, boot: 0, producer: None, user: None };
        let mut loaded = Loaded::default();
        let mut next_key = 1;
        for (key, value) in entries {
            let (number, record) = record::decode(&key, value.into())?;
            next_key = next_key.max(number.saturating_add(1));
            match record {
                Record::Meta(found) => meta = found,
                Record::Publish(publish) => loaded.publishes.push((number, publish)),
                Record::Sequence { channel, producer, next } => {
                    loaded.sequences.push((number, channel, producer, next));
                }
                Record::Cursor { channel, position } => loaded.cursors.push((number, channel, position)),
                Record::Forgotten { channel } => loaded.forgotten.push((number, channel)),
                Record::Networks(networks) => loaded.networks = networks,
                Record::Later => {}
            }
        }
        loaded.publishes.sort_unstable_by_key(|(key, _)| *key);
        meta.boot += 1;
        let store = Self {
            bugs: Bugs::default(),
            meta,
            boot: Boot::Unwritten,
            pending: StoreBatch::default(),
            is_meta_dirty: false,
            next_ticket: 1,
            next_key,
            in_flight: Vec::new(),
            debt: None,
            failures: 0,
            wipe: Wipe::No,
        };
        Ok((store, loaded))
    }

    pub(crate) fn device(&self) -> &DeviceId {
        &self.meta.device
    }

    pub(crate) fn boot(&self) -> u64 {
        self.meta.boot
    }

    pub(crate) fn producer(&self) -> Option<ProducerId> {
        self.meta.producer
    }

    pub(crate) fn set_producer(&mut self, producer: Option<ProducerId>) {
        if self.meta.producer != producer {
            self.meta.producer = producer;
            self.is_meta_dirty = true;
        }
    }

    /// Tells whether what is stored is this user's; the first user of all is remembered.
    pub(crate) fn belongs_to(&mut self, user: Option<&UserName>) -> bool {
        if self.meta.user.is_none() && user.is_some() {
            self.meta.user = user.cloned();
            self.is_meta_dirty = true;
        }
        self.meta.user.as_ref() == user
    }

    /// Tells whether this process is recorded, and otherwise sees to it.
    pub(crate) fn is_booted(&mut self) -> bool {
        if self.boot == Boot::Unwritten {
            self.is_meta_dirty = true;
        }
        self.boot == Boot::Durable
    }

    /// Returns a fresh key.
    pub(crate) fn key(&mut self) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        key
    }

    /// Returns the ticket of the batch that this call's writes go into.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.next_ticket)
    }

    pub(crate) fn put_publish(&mut self, key: Key, publish: &StoredPublish) {
        self.put(record::publish_key(key), record::encode_publish(publish));
    }

    pub(crate) fn delete_publish(&mut self, key: Key) {
        self.delete(record::publish_key(key));
    }

    pub(crate) fn put_sequence(&mut self, key: Key, channel: &ChannelName, producer: ProducerId, next: Sequence) {
        self.put(record::sequence_key(key), record::encode_sequence(channel, producer, next));
    }

    pub(crate) fn delete_sequence(&mut self, key: Key) {
        self.delete(record::sequence_key(key));
    }

    pub(crate) fn put_cursor(&mut self, key: Key, channel: &ChannelName, position: Position) {
        self.put(record::cursor_key(key), record::encode_cursor(channel, position));
    }

    pub(crate) fn delete_cursor(&mut self, key: Key) {
        self.delete(record::cursor_key(key));
    }

    pub(crate) fn put_forgotten(&mut self, key: Key, channel: &ChannelName) {
        self.put(record::forgotten_key(key), record::encode_forgotten(channel));
    }

    pub(crate) fn delete_forgotten(&mut self, key: Key) {
        self.delete(record::forgotten_key(key));
    }

    /// Replaces what is known of networks.
    pub(crate) fn put_networks(&mut self, networks: &[StoredNetwork]) {
        self.put(record::networks_key(), record::encode_networks(networks));
    }

    /// Clears everything; later writes are dropped.
    pub(crate) fn wipe(&mut self) {
        self.pending = StoreBatch { clear: true, ..StoreBatch::default() };
        self.is_meta_dirty = false;
        self.debt = None;
        self.wipe = Wipe::Yes;
    }

    /// Returns how many batches are not answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Returns when what a failed batch left is due.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.debt.as_ref().map(|debt| debt.due)
    }

    pub(crate) fn on_timeout(&mut self, now: Timestamp) {
        if is_due(self.deadline(), now) {
            self.pay_debt();
        }
    }

    /// Writes what failed batches left with this call's batch.
    pub(crate) fn pay_debt(&mut self) {
        if let Some(debt) = self.debt.take() {
            self.is_meta_dirty |= debt.has_meta;
            for (key, value) in debt.cursors {
                if !touches(&self.pending.deletes, &self.pending.puts, &key) {
                    self.put(key, value);
                }
            }
            for key in debt.deletes {
                self.delete(key);
            }
        }
    }

    /// Tells whether every batch is answered and nothing waits to be written, but for what a failed one left.
    pub(crate) fn is_settled(&self) -> bool {
        self.in_flight.is_empty() && self.pending.is_empty() && !self.is_meta_dirty
    }

    pub(crate) fn take_batch(&mut self) -> Option<(Ticket, StoreBatch)> {
        if self.is_meta_dirty || !self.pending.is_empty() {
            self.pay_debt();
        }
        let has_meta =
            self.wipe == Wipe::No && (self.is_meta_dirty || (self.boot == Boot::Unwritten && !self.pending.is_empty()));
        if has_meta {
            self.is_meta_dirty = false;
            self.put(record::META_KEY.to_vec(), record::encode_meta(&self.meta));
            if self.boot == Boot::Unwritten {
                self.boot = Boot::InFlight(self.ticket());
            }
        }
        if self.pending.is_empty() {
            return None;
        }
        let batch = std::mem::take(&mut self.pending);
        let ticket = self.ticket();
        self.next_ticket += 1;
        let cursors = batch.puts.iter().filter(|(key, _)| record::is_cursor(key)).cloned().collect();
        self.in_flight.push(InFlight { ticket, deletes: batch.deletes.clone(), cursors, has_meta });
        Some((ticket, batch))
    }

    /// Takes the host's answer; `None` for a ticket that is not under way.
    pub(crate) fn on_persisted(&mut self, ticket: Ticket, is_ok: bool, now: Timestamp) -> Option<()> {
        let index = self.in_flight.iter().position(|batch| batch.ticket == ticket)?;
        let batch = self.in_flight.remove(index);
        if self.boot == Boot::InFlight(ticket) {
            self.boot = if is_ok { Boot::Durable } else { Boot::Unwritten };
        }
        if is_ok {
            self.failures = 0;
        } else if self.wipe == Wipe::No {
            self.owe(batch, now);
        }
        Some(())
    }

    fn owe(&mut self, mut batch: InFlight, now: Timestamp) {
        let due = now + doubled(FIRST_PAUSE, self.failures, MAX_PAUSE);
        self.failures = self.failures.saturating_add(1);
        // The first record of all is written again by the next attempt to connect.
        let has_meta = batch.has_meta && self.boot == Boot::Durable;
        // A batch after it may have a later position.
        batch
            .cursors
            .retain(|(key, _)| !self.in_flight.iter().any(|later| touches(&later.deletes, &later.cursors, key)));
        if !has_meta && batch.deletes.is_empty() && batch.cursors.is_empty() || self.bugs.has(Bug::RemovalsDropped) {
            return;
        }
        let debt = self.debt.get_or_insert(Debt { deletes: Vec::new(), cursors: Vec::new(), has_meta: false, due });
        debt.deletes.append(&mut batch.deletes);
        debt.cursors.retain(|(key, _)| !touches(&[], &batch.cursors, key));
        debt.cursors.append(&mut batch.cursors);
        debt.has_meta |= has_meta;
        debt.due = due;
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        if self.wipe == Wipe::Yes {
            return;
        }
        match self.pending.puts.iter_mut().rev().find(|(present, _)| *present == key) {
            Some(entry) => entry.1 = value,
            None => self.pending.puts.push((key, value)),
        }
    }

    fn delete(&mut self, key: Vec<u8>) {
        if self.wipe == Wipe::Yes {
            return;
        }
        self.pending.puts.retain(|(present, _)| *present != key);
        if !self.pending.deletes.contains(&key) {
            self.pending.deletes.push(key);
        }
    }
}

/// Tells whether these writes decide what becomes of a key.
fn touches(deletes: &[Vec<u8>], puts: &[StoreEntry], key: &[u8]) -> bool {
    deletes.iter().any(|other| other == key) || puts.iter().any(|(other, _)| other == key)
}
