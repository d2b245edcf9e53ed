use std::collections::BTreeMap;

use moorline_protocol::Position;
use moorline_protocol::time::UnixMillis;

use super::store::MessageStore;
use super::{ChannelId, EngineCore, completed};
use crate::engine::record::Record;
use crate::engine::{ChannelKey, Completion, CursorAck, Owner, ShardId, Ticket};
use crate::planted::Bug;

/// Where each device of each user is, in each channel it reads durably.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    by_owner: BTreeMap<(Owner, ChannelId), Cursor>,
    /// Cursors that moved since they were last written.
    dirty: Vec<(Owner, ChannelId)>,
    /// Acknowledgements that are answered when their cursor is written.
    waiting: Vec<(ShardId, Ticket, Owner, ChannelId)>,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    position: Position,
    used: UnixMillis,
    dirty: bool,
}

impl Cursors {
    pub(super) fn position(&self, owner: &Owner, channel: ChannelId) -> Option<Position> {
        // The key is a pair; a lookup needs an owned one.
        self.by_owner.get(&(owner.clone(), channel)).map(|cursor| cursor.position)
    }

    pub(super) fn create(&mut self, owner: Owner, channel: ChannelId, position: Position, now: UnixMillis) -> Record {
        self.put(owner.clone(), channel, position, now);
        Record::Cursor { owner, channel, position, used: now }
    }

    /// A device reads on from its cursor: it is in use, and that is written with the next one that moves.
    pub(super) fn touch(&mut self, owner: &Owner, channel: ChannelId, now: UnixMillis) {
        let key = (owner.clone(), channel);
        if let Some(cursor) = self.by_owner.get_mut(&key) {
            cursor.used = now;
            if !cursor.dirty {
                cursor.dirty = true;
                self.dirty.push(key);
            }
        }
    }

    /// Sets a cursor as a record says.
    pub(super) fn put(&mut self, owner: Owner, channel: ChannelId, position: Position, used: UnixMillis) {
        self.by_owner.insert((owner, channel), Cursor { position, used, dirty: false });
    }

    pub(super) fn remove(&mut self, owner: &Owner, channel: ChannelId) -> bool {
        self.by_owner.remove(&(owner.clone(), channel)).is_some()
    }

    pub(super) fn refers_to(&self, channel: ChannelId) -> bool {
        self.by_owner.keys().any(|(_, other)| *other == channel)
    }

    pub(super) fn expired(&self, before: UnixMillis) -> Vec<(Owner, ChannelId)> {
        self.by_owner.iter().filter(|(_, cursor)| cursor.used < before).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.by_owner.iter().map(|((owner, channel), cursor)| Record::Cursor {
            owner: owner.clone(),
            channel: *channel,
            position: cursor.position,
            used: cursor.used,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.by_owner.len()
    }
}

impl<S: MessageStore> EngineCore<S> {
    /// Moves a cursor forward; the answer waits until it is written.
    pub(super) fn ack(&mut self, shard: ShardId, ticket: Ticket, ack: CursorAck, now: UnixMillis) {
        let id = self.channel_id(&ack.channel, now);
        let epoch = self.channels.get(&id).map(|channel| channel.epoch);
        let key = (ack.owner, id);
        let back = self.config.bugs.has(Bug::CursorMovesBack);
        if let Some(cursor) = self.cursors.by_owner.get_mut(&key) {
            cursor.used = now;
            let newer = cursor.position.epoch != ack.position.epoch || cursor.position.offset < ack.position.offset;
            if Some(ack.position.epoch) == epoch && (newer || back) {
                cursor.position = ack.position;
                if !cursor.dirty {
                    cursor.dirty = true;
                    self.cursors.dirty.push(key.clone());
                }
            }
        }
        self.cursors.waiting.push((shard, ticket, key.0, id));
        if self.config.bugs.has(Bug::AckBeforeWrite) {
            self.answer_acks();
        }
    }

    /// Writes the cursors that have moved, and answers the acknowledgements that waited for it. The host calls it at
    /// most 1 s after an acknowledgement; a batch with other records takes them along.
    pub fn flush_cursors(&mut self, now: UnixMillis) {
        for (owner, channel) in std::mem::take(&mut self.cursors.dirty) {
            let key = (owner, channel);
            if let Some(cursor) = self.cursors.by_owner.get_mut(&key) {
                cursor.dirty = false;
                let (owner, position) = (key.0, cursor.position);
                self.records.push(Record::Cursor { owner, channel, position, used: now });
            }
        }
        self.answer_acks();
    }

    fn answer_acks(&mut self) {
        for (shard, ticket, owner, channel) in std::mem::take(&mut self.cursors.waiting) {
            let epoch = self.channels.get(&channel).map(|channel| channel.epoch).unwrap_or_default();
            let gone = Position { epoch, offset: moorline_protocol::Offset::ZERO };
            let position = self.cursors.position(&owner, channel).unwrap_or(gone);
            self.reply(shard, completed(ticket, Completion::Acked(position)));
        }
    }

    /// Tells whether acknowledgements wait for [`flush_cursors`](Self::flush_cursors).
    pub fn has_waiting_acks(&self) -> bool {
        !self.cursors.waiting.is_empty()
    }

    pub(super) fn forget_cursor(&mut self, owner: &Owner, key: &ChannelKey) {
        let Some(id) = self.by_key.get(key).copied() else { return };
        if self.cursors.remove(owner, id) {
            self.records.push(Record::ForgetCursor { owner: owner.clone(), channel: id });
        }
    }
}
