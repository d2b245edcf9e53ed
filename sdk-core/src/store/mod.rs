//! The client's store: what it holds, and the batches that change it.

mod record;
#[cfg(test)]
mod tests;

use moorline_protocol::{ChannelName, DeviceId, Position, ProducerId, Sequence};

pub(crate) use record::StoredPublish;

use crate::error::StoreError;
use crate::io::{StoreBatch, StoreEntry, Ticket};
use crate::planted::{Bug, Bugs};
use record::{Meta, Record};

/// A record's number within its kind; never used again while the client lives.
pub(crate) type Key = u64;

/// What was found at start.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) publishes: Vec<(Key, StoredPublish)>,
    pub(crate) sequences: Vec<(Key, ChannelName, ProducerId, Sequence)>,
    pub(crate) cursors: Vec<(Key, ChannelName, Position)>,
}

/// How far the first batch of this process is: it holds the boot counter and the device id, and no `hello` goes out
/// before it is durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boot {
    Unwritten,
    InFlight(Ticket),
    Durable,
}

/// Collects the writes of a call and knows what is under way.
pub(crate) struct Store {
    meta: Meta,
    boot: Boot,
    pending: StoreBatch,
    is_meta_dirty: bool,
    next_ticket: u64,
    next_key: Key,
    /// Removals under way; those of a failed batch are tried again, so that nothing settled comes back for ever.
    in_flight: Vec<(Ticket, Vec<Vec<u8>>)>,
    wipe: Wipe,
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
    pub(crate) fn load(entries: Vec<StoreEntry>, device: DeviceId, bugs: Bugs) -> Result<(Self, Loaded), StoreError> {
        let mut meta = Meta { device, boot: 0, producer: None };
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
            }
        }
        loaded.publishes.sort_unstable_by_key(|(key, _)| *key);
        if !bugs.has(Bug::BootNotCounted) {
            meta.boot += 1;
        }
        let store = Self {
            meta,
            boot: Boot::Unwritten,
            pending: StoreBatch::default(),
            is_meta_dirty: false,
            next_ticket: 1,
            next_key,
            in_flight: Vec::new(),
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

    /// Clears everything; later writes are dropped.
    pub(crate) fn wipe(&mut self) {
        self.pending = StoreBatch { clear: true, ..StoreBatch::default() };
        self.is_meta_dirty = false;
        self.wipe = Wipe::Yes;
    }

    /// Returns how many batches are not answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Tells whether every batch is answered and nothing waits to be written.
    pub(crate) fn is_settled(&self) -> bool {
        self.in_flight.is_empty() && self.pending == StoreBatch::default() && !self.is_meta_dirty
    }

    pub(crate) fn take_batch(&mut self) -> Option<(Ticket, StoreBatch)> {
        if self.wipe == Wipe::No
            && (self.is_meta_dirty || (self.boot == Boot::Unwritten && self.pending != StoreBatch::default()))
        {
            self.is_meta_dirty = false;
            self.put(record::META_KEY.to_vec(), record::encode_meta(&self.meta));
            if self.boot == Boot::Unwritten {
                self.boot = Boot::InFlight(self.ticket());
            }
        }
        if self.pending == StoreBatch::default() {
            return None;
        }
        let batch = std::mem::take(&mut self.pending);
        let ticket = self.ticket();
        self.next_ticket += 1;
        self.in_flight.push((ticket, batch.deletes.clone()));
        Some((ticket, batch))
    }

    /// Takes the host's answer; `None` for a ticket that is not under way.
    pub(crate) fn on_persisted(&mut self, ticket: Ticket, is_ok: bool) -> Option<()> {
        let index = self.in_flight.iter().position(|(under_way, _)| *under_way == ticket)?;
        let (_, deletes) = self.in_flight.remove(index);
        if self.boot == Boot::InFlight(ticket) {
            self.boot = if is_ok { Boot::Durable } else { Boot::Unwritten };
        }
        if !is_ok && self.wipe == Wipe::No {
            self.is_meta_dirty |= self.boot == Boot::Durable;
            for key in deletes {
                self.delete(key);
            }
        }
        Some(())
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
