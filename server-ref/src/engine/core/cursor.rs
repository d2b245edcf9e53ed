use std::collections::BTreeMap;
use std::ops::Bound;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Offset, Position};

use super::resident::Mark;
use super::store::MessageStore;
use super::{ChannelId, EngineCore, NOTE_EVERY_MS};
use crate::engine::record::Record;
use crate::engine::{ChannelKey, Completion, CursorAck, EngineError, Owner, Reply, ShardId, Ticket};
use crate::planted::Bug;

/// Where each device of each user is, in each channel it reads durably: those that are in memory.
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
    /// Whether it moved since it was last written.
    dirty: bool,
    /// Whether the store has it.
    mark: Mark,
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

    /// Sets a cursor.
    pub(super) fn put(&mut self, owner: Owner, channel: ChannelId, position: Position, used: UnixMillis, mark: Mark) {
        let of = self.by_owner.entry(owner).or_default();
        let cursor = Cursor { position, used, noted: used, dirty: false, mark };
        match of.binary_search_by_key(&channel, |(id, _)| *id) {
            Ok(at) => of.get_mut(at).into_iter().for_each(|(_, known)| *known = cursor),
            Err(at) => {
                of.insert(at, (channel, cursor));
                self.count += 1;
            }
        }
    }

    /// Returns the mark of what was removed, if there was one.
    fn remove(&mut self, owner: &Owner, channel: ChannelId) -> Option<Mark> {
        let of = self.by_owner.get_mut(owner)?;
        let at = of.binary_search_by_key(&channel, |(id, _)| *id).ok()?;
        let (_, removed) = of.remove(at);
        if of.is_empty() {
            self.by_owner.remove(owner);
        }
        self.count -= 1;
        Some(removed.mark)
    }

    /// Keeps some, by owner, channel and mark, and those that wait to be written.
    pub(super) fn keep(&mut self, is_kept: impl Fn(&Owner, ChannelId, Mark) -> bool) {
        self.by_owner.retain(|owner, of| {
            of.retain(|(channel, cursor)| cursor.dirty || is_kept(owner, *channel, cursor.mark));
            !of.is_empty()
        });
        self.count = self.by_owner.values().map(Vec::len).sum();
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

    /// Returns every cursor: whose, where, its record, its mark.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Owner, ChannelId, Record, Mark)> {
        self.iter().map(|(owner, channel, cursor)| {
            let (position, used) = (cursor.position, cursor.used.max(cursor.noted));
            (owner, channel, Record::Cursor { owner: owner.clone(), channel, position, used }, cursor.mark)
        })
    }

    /// Returns when each was last used.
    pub(super) fn uses(&self) -> impl Iterator<Item = UnixMillis> {
        self.iter().map(|(_, _, cursor)| cursor.used.max(cursor.noted))
    }

    fn iter(&self) -> impl Iterator<Item = (&Owner, ChannelId, &Cursor)> {
        self.by_owner.iter().flat_map(|(owner, of)| of.iter().map(move |(channel, cursor)| (owner, *channel, cursor)))
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }
}

impl<S: MessageStore> EngineCore<S> {
    /// Sets a cursor that was looked for before; returns its record.
    pub(super) fn put_cursor(
        &mut self,
        owner: Owner,
        channel: ChannelId,
        position: Position,
        used: UnixMillis,
    ) -> Record {
        let known = self.cursors.cursor(&owner, channel).map(|cursor| cursor.mark);
        let mut mark = known.unwrap_or_else(|| self.residency.make_cursor(&owner, channel));
        self.residency.change_cursor(&mut mark);
        self.refer(channel, used);
        self.follow(&owner, channel, used);
        if known.is_none() {
            self.enroll(&owner, channel, used);
        }
        self.cursors.put(owner.clone(), channel, position, used, mark);
        Record::Cursor { owner, channel, position, used }
    }

    /// Sets a cursor as a record says; the store may have an earlier one.
    pub(super) fn restore_cursor(&mut self, owner: Owner, channel: ChannelId, position: Position, used: UnixMillis) {
        self.put_cursor(owner.clone(), channel, position, used);
        self.cursors.cursor(&owner, channel).into_iter().for_each(|cursor| cursor.mark.stored());
    }

    /// Drops a cursor, if one is in memory; returns its record.
    pub(super) fn drop_cursor(&mut self, owner: Owner, channel: ChannelId) -> Option<Record> {
        let mark = self.cursors.remove(&owner, channel)?;
        self.residency.drop_cursor(owner.clone(), channel, Some(mark));
        self.unfollow(&owner, channel);
        self.strike(&owner, channel);
        Some(Record::ForgetCursor { owner, channel })
    }

    /// A cursor in memory is in use, and so is its channel. From time to time that is written down.
    pub(super) fn touch_cursor(&mut self, owner: &Owner, channel: ChannelId, now: UnixMillis) {
        let Some(cursor) = self.cursors.cursor(owner, channel) else { return };
        cursor.used = now;
        self.residency.change_cursor(&mut cursor.mark);
        if now.saturating_sub(cursor.noted) >= NOTE_EVERY_MS {
            cursor.noted = now;
            let (owner, position) = (owner.clone(), cursor.position);
            self.records.push(Record::Cursor { owner: owner.clone(), channel, position, used: now });
            self.enroll(&owner, channel, now);
        }
        self.touch_follower(owner, now);
        self.refer(channel, now);
        self.use_channel(channel, now);
    }

    /// Moves a cursor forward; the answer waits until it is written. One that has expired while it was in use begins
    /// anew.
    pub(super) fn ack(&mut self, shard: ShardId, ticket: Ticket, ack: CursorAck, now: UnixMillis) {
        if let Err(error) = self.move_cursor(&ack, now) {
            return self.reply(shard, Reply::Completed(ticket, Err(error)));
        }
        self.cursors.waiting.push((shard, ticket, ack.owner, ack.channel));
        if self.config.bugs.has(Bug::AckBeforeWrite) {
            self.answer_acks(now);
        }
    }

    fn move_cursor(&mut self, ack: &CursorAck, now: UnixMillis) -> Result<(), EngineError> {
        let CursorAck { owner, channel, position } = ack;
        let known = self.by_key.get(channel).and_then(|id| Some((*id, self.channels.get(id)?.epoch)));
        let Some((id, epoch)) = known else { return Ok(()) };
        self.recall_cursor(owner, id, now)?;
        let back = self.config.bugs.has(Bug::CursorMovesBack);
        match self.cursors.cursor(owner, id) {
            Some(cursor) => {
                cursor.used = now;
                self.residency.change_cursor(&mut cursor.mark);
                let newer = cursor.position.epoch != position.epoch || cursor.position.offset < position.offset;
                if position.epoch == epoch && (newer || back) {
                    cursor.position = *position;
                    if !std::mem::replace(&mut cursor.dirty, true) {
                        self.cursors.dirty.push((owner.clone(), id));
                    }
                }
            }
            None if position.epoch == epoch => {
                self.establish(channel, now);
                let record = self.put_cursor(owner.clone(), id, *position, now);
                self.records.push(record);
            }
            None => {}
        }
        if self.cursors.position(owner, id).is_some() {
            self.refer(id, now);
        }
        self.use_channel(id, now);
        Ok(())
    }

    /// Writes the cursors that have moved, and answers the acknowledgements that waited for it. The host calls it at
    /// most 1 s after an acknowledgement; a batch with other records takes them along.
    pub fn flush_cursors(&mut self, now: UnixMillis) {
        for (owner, channel) in std::mem::take(&mut self.cursors.dirty) {
            if let Some(cursor) = self.cursors.cursor(&owner, channel).filter(|cursor| cursor.dirty) {
                (cursor.dirty, cursor.noted) = (false, now);
                self.residency.change_cursor(&mut cursor.mark);
                let position = cursor.position;
                self.enroll(&owner, channel, now);
                self.records.push(Record::Cursor { owner, channel, position, used: now });
                // As after a start, which reads this record: no channel is forgotten before its cursors.
                self.refer(channel, now);
            }
        }
        self.answer_acks(now);
    }

    fn answer_acks(&mut self, now: UnixMillis) {
        for (shard, ticket, owner, channel) in std::mem::take(&mut self.cursors.waiting) {
            let id = self.by_key.get(&channel).copied();
            let epoch = id.and_then(|id| self.channels.get(&id)).map_or_else(|| self.shared_epoch(), |c| c.epoch);
            let none = Position { epoch, offset: Offset::ZERO };
            // One that has not moved may have left the memory meanwhile.
            let recalled = id.map_or(Ok(()), |id| self.recall_cursor(&owner, id, now));
            let position = id.and_then(|id| self.cursors.position(&owner, id)).unwrap_or(none);
            self.reply(shard, Reply::Completed(ticket, recalled.map(|()| Completion::Acked(position))));
        }
    }

    /// Returns how many acknowledgements wait for [`flush_cursors`](Self::flush_cursors).
    pub fn waiting_acks(&self) -> usize {
        self.cursors.waiting.len()
    }

    pub(super) fn forget_cursor(&mut self, owner: Owner, key: &ChannelKey, now: UnixMillis) -> Result<(), EngineError> {
        let Some(id) = self.by_key.get(key).copied() else { return Ok(()) };
        self.recall_cursor(&owner, id, now)?;
        let record = self.drop_cursor(owner, id);
        self.records.extend(record);
        Ok(())
    }
}
