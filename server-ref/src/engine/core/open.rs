use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Offset, Position, ResetMode, ResetReason, Since};

use super::store::{MessageStore, PageBounds, Part, Query, page};
use super::{ChannelId, EngineCore, PendingRead, completed};
use crate::engine::{ChannelKey, Completion, Open, Opened, Read, ReadRange, ShardId, Ticket};
use crate::planted::Bug;

impl<S: MessageStore> EngineCore<S> {
    /// Resolves where a subscription begins, creates its cursor, and makes the shard a watcher.
    pub(super) fn open(&mut self, shard: ShardId, ticket: Ticket, open: Open, now: UnixMillis) {
        let id = self.channel_id(&open.channel, now);
        let cursor = open.cursor.as_ref().and_then(|owner| self.cursors.position(owner, id));
        let since = match (open.since, cursor) {
            // The client has stored an acknowledgement that never arrived here: it is as good as the cursor.
            (Since::Cursor(Some(acked)), Some(position)) => Since::Position(self.further(id, position, acked)),
            (Since::Cursor(None), Some(position)) => Since::Position(position),
            (Since::Cursor(Some(_)), None) if self.config.bugs.has(Bug::CursorFromHead) => Since::Now,
            (Since::Cursor(Some(position)), None) => Since::Position(position),
            (Since::Cursor(None), None) => Since::Now,
            (since, _) => since,
        };
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.time = now;
        if !channel.watchers.contains(&shard) {
            channel.watchers.push(shard);
        }
        let (epoch, first, head) = (channel.epoch, channel.first, channel.head);
        let (from, reset) = self.resolve(id, since, open.reset);
        if let (Some(owner), Some(_)) = (&open.cursor, cursor) {
            self.cursors.touch(owner, id, now);
        }
        if let Some(owner) = open.cursor.filter(|_| cursor.is_none()) {
            self.establish(id, now);
            let record = self.cursors.create(owner, id, Position { epoch, offset: from }, now);
            if !self.config.bugs.has(Bug::CursorUnwritten) {
                self.records.push(record);
            }
        }
        let opened = Opened { epoch, first, head, from, reset };
        self.reply(shard, completed(ticket, Completion::Opened(opened)));
    }

    /// Returns the further of a cursor and what its device says to have acknowledged.
    fn further(&self, id: ChannelId, cursor: Position, acked: Position) -> Position {
        let head = self.channels.get(&id).map_or(Offset::ZERO, |channel| channel.head);
        let is_further = acked.epoch == cursor.epoch && acked.offset > cursor.offset && acked.offset <= head;
        if is_further { acked } else { cursor }
    }

    /// Returns after which offset deliveries begin, and why that is not what was asked for.
    fn resolve(&mut self, id: ChannelId, since: Since, reset: ResetMode) -> (Offset, Option<ResetReason>) {
        let Some(channel) = self.channels.get(&id) else { return (Offset::ZERO, None) };
        let (floor, head) = (channel.first.previous(), channel.head);
        let broken = match since {
            Since::Position(Position { epoch, offset }) => {
                if epoch != channel.epoch || offset > head {
                    Some(ResetReason::Epoch)
                } else if offset < floor && !self.config.bugs.has(Bug::ResumeTrimmed) {
                    Some(ResetReason::Trimmed)
                } else {
                    return (offset, None);
                }
            }
            Since::Now | Since::Cursor(_) => return (head, None),
            Since::First => return (floor, None),
            Since::Last(count) => return (Offset(head.0.saturating_sub(u64::from(count))).max(floor), None),
            Since::Time(time) => {
                let first = self.store.first_at(id, time);
                return (first.map_or(head, |first| first.previous().max(floor)), None);
            }
        };
        (if reset == ResetMode::First { floor } else { head }, broken)
    }

    pub(super) fn unwatch(&mut self, shard: ShardId, key: &ChannelKey) {
        // Events of this batch belong to whoever watched when they happened.
        self.flush_events();
        let Some(id) = self.by_key.get(key) else { return };
        if let Some(channel) = self.channels.get_mut(id) {
            channel.watchers.retain(|watcher| *watcher != shard);
        }
    }

    pub(super) fn read(&mut self, shard: ShardId, ticket: Ticket, read: &Read, now: UnixMillis) {
        let id = self.channel_id(&read.channel, now);
        let Some(channel) = self.channels.get(&id) else { return };
        let (epoch, first, head) = (channel.epoch, channel.first, channel.head);
        let floor = first.previous();
        let part = match read.range {
            ReadRange::After(after) => Part::Up { after: after.max(floor), until: head },
            ReadRange::AfterTime(time) => {
                let after = self.store.first_at(id, time).map_or(head, Offset::previous);
                Part::Up { after: after.max(floor), until: head }
            }
            ReadRange::Before(before) => Part::Down { from: first, before: before.min(head.next()) },
            ReadRange::BeforeTime(time) => {
                let before = self.store.first_at(id, time).unwrap_or_else(|| head.next());
                Part::Down { from: first, before }
            }
            ReadRange::Newest => Part::Down { from: first, before: head.next() },
        };
        let query = Query { channel: id, part, max_messages: read.max_messages, max_bytes: read.max_bytes };
        let bounds = PageBounds { epoch, first, head, query, now };
        match self.store.read(&query) {
            Some(kept) => self.reply(shard, completed(ticket, Completion::Read(page(&bounds, kept)))),
            None => {
                self.flush_events();
                self.pending.push(PendingRead { shard, ticket, bounds });
            }
        }
    }
}
