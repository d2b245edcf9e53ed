use std::collections::BTreeMap;
use std::ops::Bound;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Offset, Position};

use super::store::MessageStore;
use super::{ChannelId, EngineCore, NOTE_EVERY_MS, completed};
use crate::engine::record::Record;
use crate::engine::{ChannelKey, Completion, CursorAck, Owner, ShardId, Ticket};
use crate::planted::Bug;

/// Where each device of each user is, in each channel it reads durably.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    by_owner: BTreeMap<Owner, Vec<(ChannelId, Cursor)>>,
    count: usize,
    /// Cursors that moved since they were last written.
    dirty: Vec<(Owner, ChannelId)>,
    /// Acknowledgements that are answered when their cursor is written.
    waiting: Vec<(ShardId, Ticket, Owner, ChannelKey)>,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    position: Position,
    used: UnixMillis,
    /// The last use that stands in the records.
    noted: UnixMillis,
    dirty: bool,
}

impl Cursors {
    pub(super) fn position(&self, owner: &Owner, channel: ChannelId) -> Option<Position> {
        let of = self.by_owner.get(owner)?;
        let at = of.binary_search_by_key(&channel, |(id, _)| *id).ok()?;
        of.get(at).map(|(_, cursor)| cursor.position)
    }

    fn cursor(&mut self, owner: &Owner, channel: ChannelId) -> Option<&mut Cursor> {
        let of = self.by_owner.get_mut(owner)?;
        let at = of.binary_search_by_key(&channel, |(id, _)| *id).ok()?;
        of.get_mut(at).map(|(_, cursor)| cursor)
    }

    /// Sets a cursor as a record says. Returns whether it is a new one.
    pub(super) fn put(&mut self, owner: Owner, channel: ChannelId, position: Position, used: UnixMillis) -> bool {
        let of = self.by_owner.entry(owner).or_default();
        let cursor = Cursor { position, used, noted: used, dirty: false };
        match of.binary_search_by_key(&channel, |(id, _)| *id) {
            Ok(at) => {
                if let Some((_, known)) = of.get_mut(at) {
                    *known = cursor;
                }
                false
            }
            Err(at) => {
                of.insert(at, (channel, cursor));
                self.count += 1;
                true
            }
        }
    }

    /// Returns whether there was one.
    pub(super) fn remove(&mut self, owner: &Owner, channel: ChannelId) -> bool {
        let Some(of) = self.by_owner.get_mut(owner) else { return false };
        let Ok(at) = of.binary_search_by_key(&channel, |(id, _)| *id) else { return false };
        of.remove(at);
        if of.is_empty() {
            self.by_owner.remove(owner);
        }
        self.count -= 1;
        true
    }

    /// A cursor is in use. Returns its record if that is to be written down.
    pub(super) fn touch(&mut self, owner: &Owner, channel: ChannelId, now: UnixMillis) -> Option<Record> {
        let cursor = self.cursor(owner, channel)?;
        cursor.used = now;
        if now.saturating_sub(cursor.noted) < NOTE_EVERY_MS {
            return None;
        }
        cursor.noted = now;
        Some(Record::Cursor { owner: owner.clone(), channel, position: cursor.position, used: now })
    }

    /// Returns the owners after one, at most so many.
    pub(super) fn owners(&self, after: Option<&Owner>, most: usize) -> Vec<Owner> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_owner.range((from, Bound::Unbounded)).take(most).map(|(owner, _)| owner.clone()).collect()
    }

    /// Returns the channels of an owner's cursors that were last used before a moment.
    pub(super) fn unused(&self, owner: &Owner, is_old: impl Fn(UnixMillis) -> bool) -> Vec<ChannelId> {
        let of = self.by_owner.get(owner).into_iter().flatten();
        of.filter(|(_, cursor)| is_old(cursor.used)).map(|(id, _)| *id).collect()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.iter().map(|(owner, channel, position, used)| Record::Cursor {
            owner: owner.clone(),
            channel,
            position,
            used,
        })
    }

    /// Returns every cursor: whose, where, how far, when it was last used.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Owner, ChannelId, Position, UnixMillis)> {
        self.by_owner.iter().flat_map(|(owner, of)| {
            of.iter().map(move |(channel, cursor)| (owner, *channel, cursor.position, cursor.used.max(cursor.noted)))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }
}

impl<S: MessageStore> EngineCore<S> {
    /// Sets a cursor; returns its record.
    pub(super) fn put_cursor(
        &mut self,
        owner: Owner,
        channel: ChannelId,
        position: Position,
        used: UnixMillis,
    ) -> Record {
        if self.cursors.put(owner.clone(), channel, position, used) {
            self.refer(channel);
        }
        Record::Cursor { owner, channel, position, used }
    }

    /// Drops a cursor, if there is one; returns its record.
    pub(super) fn drop_cursor(&mut self, owner: Owner, channel: ChannelId) -> Option<Record> {
        self.cursors.remove(&owner, channel).then(|| {
            self.unrefer(channel);
            Record::ForgetCursor { owner, channel }
        })
    }

    /// Moves a cursor forward; the answer waits until it is written. One that has expired while it was in use begins
    /// anew.
    pub(super) fn ack(&mut self, shard: ShardId, ticket: Ticket, ack: CursorAck, now: UnixMillis) {
        let CursorAck { owner, channel, position } = ack;
        let known = self.by_key.get(&channel).and_then(|id| Some((*id, self.channels.get(id)?.epoch)));
        if let Some((id, epoch)) = known {
            let back = self.config.bugs.has(Bug::CursorMovesBack);
            match self.cursors.cursor(&owner, id) {
                Some(cursor) => {
                    cursor.used = now;
                    let newer = cursor.position.epoch != position.epoch || cursor.position.offset < position.offset;
                    if position.epoch == epoch && (newer || back) {
                        cursor.position = position;
                        if !std::mem::replace(&mut cursor.dirty, true) {
                            self.cursors.dirty.push((owner.clone(), id));
                        }
                    }
                }
                None if position.epoch == epoch => {
                    let id = self.establish(&channel, now);
                    let record = self.put_cursor(owner.clone(), id, position, now);
                    self.records.push(record);
                }
                None => {}
            }
        }
        self.cursors.waiting.push((shard, ticket, owner, channel));
        if self.config.bugs.has(Bug::AckBeforeWrite) {
            self.answer_acks();
        }
    }

    /// Writes the cursors that have moved, and answers the acknowledgements that waited for it. The host calls it at
    /// most 1 s after an acknowledgement; a batch with other records takes them along.
    pub fn flush_cursors(&mut self, now: UnixMillis) {
        for (owner, channel) in std::mem::take(&mut self.cursors.dirty) {
            if let Some(cursor) = self.cursors.cursor(&owner, channel).filter(|cursor| cursor.dirty) {
                (cursor.dirty, cursor.noted) = (false, now);
                let position = cursor.position;
                self.records.push(Record::Cursor { owner, channel, position, used: now });
            }
        }
        self.answer_acks();
    }

    fn answer_acks(&mut self) {
        for (shard, ticket, owner, channel) in std::mem::take(&mut self.cursors.waiting) {
            let id = self.by_key.get(&channel).copied();
            let epoch = id.and_then(|id| self.channels.get(&id)).map_or_else(|| self.shared_epoch(), |c| c.epoch);
            let none = Position { epoch, offset: Offset::ZERO };
            let position = id.and_then(|id| self.cursors.position(&owner, id)).unwrap_or(none);
            self.reply(shard, completed(ticket, Completion::Acked(position)));
        }
    }

    /// Returns how many acknowledgements wait for [`flush_cursors`](Self::flush_cursors).
    pub fn waiting_acks(&self) -> usize {
        self.cursors.waiting.len()
    }

    pub(super) fn forget_cursor(&mut self, owner: Owner, key: &ChannelKey) {
        let id = self.by_key.get(key).copied();
        let record = id.and_then(|id| self.drop_cursor(owner, id));
        self.records.extend(record);
    }
}
