use moorline_core::protocol::{ChannelName, Epoch, Offset, Position, ResetMode, ResetReason, Since, UserName};
use moorline_server::engine::{Completion, CursorAck, EngineError, Open, Opened, Owner, ShardId, Ticket};

use super::{Promised, Rules};
use crate::model::Violation;

impl Rules {
    /// Tells whether a user has as many cursors as a user may have.
    fn has_all_cursors(&self, user: &UserName) -> bool {
        let most = self.keeps.cursors.unwrap_or(usize::MAX);
        self.cursors.keys().filter(|(owner, _)| owner.user == *user).count() >= most
    }

    /// Only another cursor of a user who has all that it may have is one too many.
    pub(super) fn cursor_refused(&self, open: &Open) -> Option<Violation> {
        let Some(owner) = &open.cursor else { return Some(Violation::new(12, "no cursor is one too many")) };
        let is_there = self.cursors.contains_key(&(owner.clone(), open.channel.name.clone()));
        let is_right = !is_there && self.has_all_cursors(&owner.user);
        (!is_right).then(|| Violation::new(12, format!("{} may have a cursor in {}", owner.user, open.channel.name)))
    }

    pub(super) fn open(&mut self, key: (ShardId, Ticket), open: &Open, opened: &Opened) -> Option<Violation> {
        let name = open.channel.name.clone();
        let owned = open.cursor.clone().map(|owner| (owner, name.clone()));
        let cursor = owned.as_ref().and_then(|owned| self.cursors.get(owned)).copied();
        if let (Some((owner, _)), None) = (&owned, cursor)
            && self.has_all_cursors(&owner.user)
        {
            return Some(Violation::new(12, format!("{} has more cursors than it may", owner.user)));
        }
        let channel = self.channels.entry(name.clone()).or_default();
        let epoch = channel.epoch.unwrap_or(opened.epoch);
        let (floor, head) = (channel.floor, channel.head);
        let since = match (open.since, cursor) {
            (Since::Cursor(Some(own)), Some(cursor)) => Since::Position(further(epoch, own, cursor)),
            (Since::Cursor(_), Some(position)) | (Since::Cursor(Some(position)), None) => Since::Position(position),
            (since, _) => since,
        };
        let fallback = if open.reset == ResetMode::First { floor } else { head };
        let (from, reset) = match since {
            Since::Now | Since::Cursor(_) => (head, None),
            Since::First => (floor, None),
            Since::Last(count) => (Offset(head.0.saturating_sub(u64::from(count))).max(floor), None),
            // Not asked for by any app of the simulator.
            Since::Time(_) => (opened.from, None),
            Since::Position(at) if at.epoch != epoch || at.offset > head => (fallback, Some(ResetReason::Epoch)),
            Since::Position(at) if at.offset < floor => (fallback, Some(ResetReason::Trimmed)),
            Since::Position(at) => (at.offset, None),
        };
        let begins = Position { epoch, offset: from };
        let moves =
            cursor.is_none_or(|cursor| matches!(open.since, Since::Cursor(_)) && reset.is_none() && cursor != begins);
        if let Some(owned) = owned.filter(|_| moves) {
            self.cursors.insert(owned, begins);
            self.begun.insert(key, begins);
        }
        let members = opened.members.clone();
        let rules = Opened { epoch, first: floor.next(), head, from, reset, members };
        (rules != *opened).then(|| Violation::new(7, format!("{name}: {opened:?}; the rules say {rules:?}")))
    }

    pub(super) fn ack(&mut self, key: (ShardId, Ticket), ack: &CursorAck) {
        let name = &ack.channel.name;
        let epoch = self.channels.get(name).and_then(|channel| channel.epoch);
        let Some(cursor) = self.cursors.get_mut(&(ack.owner.clone(), name.clone())) else { return };
        if epoch == Some(ack.position.epoch)
            && (cursor.epoch != ack.position.epoch || cursor.offset < ack.position.offset)
        {
            *cursor = ack.position;
        }
        self.acks.insert(key, (ack.owner.clone(), name.clone(), *cursor));
    }

    /// Compares the answer to an acknowledgement with where the cursor was then.
    pub(super) fn acked(
        &mut self,
        key: (ShardId, Ticket),
        result: &Result<Completion, EngineError>,
    ) -> Option<Violation> {
        let (owner, channel, least) = self.acks.remove(&key)?;
        let Ok(Completion::Acked(position)) = result else { return None };
        let is_known = self.cursors.contains_key(&(owner, channel.clone()));
        let is_back = position.epoch == least.epoch && position.offset < least.offset;
        (is_known && is_back).then(|| {
            Violation::new(9, format!("the cursor in {channel} is at {position:?} and was at {least:?} before"))
        })
    }

    pub(super) fn forget(&mut self, owner: &Owner, channel: &ChannelName) {
        let key = (owner.clone(), channel.clone());
        self.cursors.remove(&key);
        self.promised.cursors.remove(&key);
    }

    /// A cursor that was made or moved must survive from the moment its subscription begins.
    pub(super) fn promise_cursor(&mut self, key: (ShardId, Ticket), open: &Open) {
        let (Some(owner), Some(position)) = (open.cursor.clone(), self.begun.remove(&key)) else { return };
        let owned = (owner, open.channel.name.clone());
        if self.cursors.contains_key(&owned) {
            self.promised.cursors.insert(owned, position);
        }
    }

    pub(super) fn promise_ack(&mut self, ack: &CursorAck, position: Position) {
        let key = (ack.owner.clone(), ack.channel.name.clone());
        if self.cursors.contains_key(&key) {
            self.promised.cursors.insert(key, position);
        }
    }

    /// Finds a cursor that was promised and did not survive.
    pub(super) fn lost_cursor(&self, promised: &Promised) -> Option<Violation> {
        let is_lost = |position: &Position, kept: Option<&Position>| {
            kept.is_none_or(|kept| kept.epoch == position.epoch && kept.offset < position.offset)
        };
        let lost = promised.cursors.iter().find(|(key, position)| is_lost(position, self.cursors.get(*key)));
        lost.map(|((owner, channel), position)| {
            let what = format!("the cursor of {} in {channel} was at {position:?} and is gone", owner.device);
            Violation::new(9, what)
        })
    }
}

/// Returns the further of a client's own position and its cursor: one of the current epoch goes before one of another,
/// then the larger offset counts.
fn further(epoch: Epoch, own: Position, cursor: Position) -> Position {
    match (own.epoch == epoch, cursor.epoch == epoch) {
        (true, false) => own,
        (false, true) => cursor,
        (true, true) | (false, false) if own.offset > cursor.offset => own,
        (true, true) | (false, false) => cursor,
    }
}
