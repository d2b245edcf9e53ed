use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Offset, Position, ResetMode, ResetReason, Since};

use super::store::{MessageStore, PageBounds, Part, Query, page};
use super::{ChannelId, EngineCore, PendingRead, completed};
use crate::engine::{ChannelKey, Completion, Open, Opened, Read, ReadPage, ReadRange, Reply, ShardId, Ticket};
use crate::planted::Bug;

impl<S: MessageStore> EngineCore<S> {
    /// Resolves where a subscription begins, creates its cursor, and makes the shard a watcher.
    pub(super) fn open(&mut self, shard: ShardId, ticket: Ticket, open: Open, now: UnixMillis) {
        // Events of this batch belong to whoever watched when they happened.
        self.flush_events();
        let id = self.channel_id(&open.channel, now);
        if let Some(owner) = &open.cursor
            && let Err(error) = self.recall_cursor(owner, id, now)
        {
            return self.reply(shard, Reply::Completed(ticket, Err(error)));
        }
        let cursor = open.cursor.as_ref().and_then(|owner| self.cursors.position(owner, id));
        if let (Some(owner), None) = (&open.cursor, cursor)
            && let Err(error) = self.room_for_cursor(owner, now)
        {
            return self.reply(shard, Reply::Completed(ticket, Err(error)));
        }
        let resumes = matches!(open.since, Since::Cursor(_));
        let since = match open.since {
            Since::Cursor(Some(_)) if cursor.is_none() && self.config.bugs.has(Bug::CursorFromHead) => Since::Now,
            Since::Cursor(own) => self.further(id, own, cursor).map_or(Since::Now, Since::Position),
            Since::Now | Since::Position(_) | Since::Last(_) | Since::First | Since::Time(_) => open.since,
        };
        self.use_channel(id, now);
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if !channel.watchers.contains(&shard) {
            channel.watchers.push(shard);
            if let [_] = channel.watchers.as_slice() {
                self.hook_channel(&open.channel, true, now);
            }
        }
        let Some(channel) = self.channels.get(&id) else { return };
        let (epoch, first, head) = (channel.epoch, channel.first, channel.head);
        let (from, reset) = self.resolve(id, since, open.reset);
        let begins = Position { epoch, offset: from };
        // What the client has acknowledged and this cursor had not heard of moves it.
        let moves = resumes && reset.is_none() && cursor != Some(begins) && !self.config.bugs.has(Bug::CursorUnmoved);
        if let Some(owner) = open.cursor {
            self.sessions.reads(&owner, id);
            if cursor.is_some() && !moves {
                self.touch_cursor(&owner, id, now);
            } else {
                self.establish(&open.channel, now);
                let record = self.put_cursor(owner, id, begins, now);
                if cursor.is_some() || !self.config.bugs.has(Bug::CursorUnwritten) {
                    self.records.push(record);
                }
            }
        }
        let members = open.presence.map(|entry| self.enter_presence(shard, &open.channel, entry, now));
        let opened = Opened { epoch, first, head, from, reset, members };
        self.reply(shard, completed(ticket, Completion::Opened(opened)));
    }

    /// Returns the further of a client's own position and its cursor; one of the current epoch, if there is one.
    fn further(&self, id: ChannelId, own: Option<Position>, cursor: Option<Position>) -> Option<Position> {
        let epoch = self.channels.get(&id)?.epoch;
        let rank = |position: Position| (position.epoch == epoch, position.offset);
        match (own, cursor) {
            (Some(own), Some(cursor)) if rank(own) > rank(cursor) && !self.config.bugs.has(Bug::OwnCursorIgnored) => {
                Some(own)
            }
            (own, cursor) => cursor.or(own),
        }
    }

    /// Returns after which offset deliveries begin, and why that is not what was asked for.
    fn resolve(&mut self, id: ChannelId, since: Since, reset: ResetMode) -> (Offset, Option<ResetReason>) {
        let Some(channel) = self.channels.get(&id) else { return (Offset::ZERO, None) };
        let (floor, head) = (channel.first.previous(), channel.head);
        let broken = match since {
            Since::Position(Position { epoch, offset }) => {
                if epoch != channel.epoch || offset > head && !self.config.bugs.has(Bug::ForgedPositionCounts) {
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
                let newer = u64::from(self.config.bugs.has(Bug::TimeFindsNewer));
                let first = self.store.first_at(id, time + newer);
                return (first.map_or(head, |first| first.previous().max(floor)), None);
            }
        };
        (if reset == ResetMode::First { floor } else { head }, broken)
    }

    pub(super) fn unwatch(&mut self, shard: ShardId, key: &ChannelKey, now: UnixMillis) {
        // Events of this batch belong to whoever watched when they happened.
        self.flush_events();
        let Some(id) = self.by_key.get(key).copied() else { return };
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.watchers.retain(|watcher| *watcher != shard);
        if channel.watchers.is_empty() {
            self.hook_channel(key, false, now);
        }
        let Some(channel) = self.channels.get(&id) else { return };
        if channel.watchers.is_empty() && !channel.recorded {
            // Nothing is known of it that a new look at it would not tell.
            self.remove_channel(id);
        }
    }

    pub(super) fn read(&mut self, shard: ShardId, ticket: Ticket, read: &Read, now: UnixMillis) {
        let known = self.by_key.get(&read.channel).and_then(|id| Some((*id, self.channels.get(id)?)));
        let Some((id, channel)) = known else {
            let (epoch, first, reached) = (self.shared_epoch(), Offset(1), Offset::ZERO);
            let (head, messages) = (Offset::ZERO, Vec::new());
            let page = ReadPage { epoch, first, head, messages, reached, more: false };
            return self.reply(shard, completed(ticket, Completion::Read(page)));
        };
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
