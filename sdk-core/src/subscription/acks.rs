//! Acknowledgements: cumulative, the lowest of all readers, at most one per channel and 500 ms.

use std::time::Duration;

use moorline_protocol::time::Timestamp;
use moorline_protocol::{Ack, Acked, ClientFrame, Offset, Position};

use super::channel::{Channel, State};
use super::{Cursor, Subscriptions};
use crate::event::Event;
use crate::ids::SubscriptionId;
use crate::outgoing::Outgoing;
use crate::planted::Bug;

const PAUSE: Duration = Duration::from_millis(500);

/// The durable cursor of a channel.
#[derive(Default)]
pub(super) struct Acks {
    /// As the app has it; in the store at the latest 500 ms later.
    cursor: Option<Cursor>,
    /// Whether `cursor` was told to the store and to the server on this connection.
    sent: Sent,
    /// Where the subscription began: nothing up to here is news to the server.
    base: Option<Position>,
    /// What the server has confirmed.
    confirmed: Option<Position>,
    last: Option<Timestamp>,
}

#[derive(Default)]
enum Sent {
    /// There is nothing to tell.
    #[default]
    All,
    /// The newest waits for this moment.
    Due(Timestamp),
    /// The store knows; the server is told with the next connection.
    Stored,
}

impl Acks {
    /// Takes what the store had. Whether the server has heard of it is not known.
    pub(super) fn adopt(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
    }

    /// The subscription begins here, for the first time or after a reset.
    pub(super) fn begin(&mut self, base: Position) {
        self.base = Some(base);
    }

    /// Continuity is broken: a cursor of another epoch, or beyond `begins`, is void.
    fn restart(&mut self, begins: Position) {
        self.begin(begins);
        if let Some(cursor) = &mut self.cursor
            && (cursor.position.epoch != begins.epoch || cursor.position.offset > begins.offset)
        {
            cursor.position = begins;
            self.confirmed = Some(begins);
            self.sent = Sent::All;
        }
    }

    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    fn is_confirmed(&self) -> bool {
        let is_known = |at: Position| self.confirmed.is_some_and(|of| of.epoch == at.epoch && of.offset >= at.offset);
        self.cursor.is_none_or(|cursor| is_known(cursor.position))
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self.sent {
            Sent::Due(at) => Some(at),
            Sent::All | Sent::Stored => None,
        }
    }
}

impl Channel {
    pub(super) fn ack(&mut self, id: SubscriptionId, position: Position, now: Timestamp, out: &mut Outgoing) {
        let Some(reached) = self.position.filter(|reached| reached.epoch == position.epoch) else { return };
        let offset = position.offset.min(reached.offset);
        for reader in self.readers.iter_mut().filter(|reader| reader.id == id) {
            reader.acked = Some(reader.acked.map_or(offset, |acked| acked.max(offset)));
        }
        self.advance_cursor(now, out);
    }

    /// All readers are done with everything: it counts as consumed the moment it is handed out.
    pub(super) fn ack_all(&mut self, now: Timestamp, out: &mut Outgoing) {
        let reached = self.position.map(|position| position.offset);
        for reader in &mut self.readers {
            reader.acked = reached;
        }
        self.advance_cursor(now, out);
    }

    /// Moves the cursor to the lowest position all readers are done with, never back.
    pub(super) fn advance_cursor(&mut self, now: Timestamp, out: &mut Outgoing) {
        let (Some(reached), true) = (self.position, self.options.is_durable) else { return };
        let acked = self.readers.iter().map(|reader| reader.acked.unwrap_or(Offset::ZERO));
        let Some(lowest) = (if self.bugs.has(Bug::AckOfFastest) { acked.max() } else { acked.min() }) else { return };
        let position = Position { epoch: reached.epoch, offset: lowest };
        let is_known = |known: Position| known.epoch == position.epoch && known.offset >= lowest;
        let cursor = self.acks.cursor.map(|cursor| cursor.position);
        if cursor.is_some_and(is_known) || self.acks.base.is_some_and(is_known) {
            return;
        }
        let key = self.acks.cursor.map_or_else(|| out.store.key(), |cursor| cursor.key);
        self.acks.cursor = Some(Cursor { key, position });
        if !matches!(self.acks.sent, Sent::Due(_)) {
            let last = self.acks.last.filter(|_| !self.bugs.has(Bug::AckAtOnce));
            let due = last.map_or(now, |last| (last + PAUSE).max(now));
            self.acks.sent = Sent::Due(due);
            if due <= now {
                self.flush_ack(now, out);
            }
        }
    }

    /// Stores the cursor and tells the server.
    pub(super) fn flush_ack(&mut self, now: Timestamp, out: &mut Outgoing) {
        let Some(cursor) = self.acks.cursor else { return };
        if matches!(self.acks.sent, Sent::Due(_)) {
            out.store.put_cursor(cursor.key, &self.name, cursor.position);
            self.acks.sent = Sent::Stored;
            self.acks.last = Some(now);
        }
        self.tell_cursor(out);
    }

    /// Stores where a cursor began, so that a server that has lost it does not take this for its first use.
    pub(super) fn keep_cursor(&mut self, out: &mut Outgoing) {
        if let (Some(position), true, None) = (self.position, self.options.is_durable, self.acks.cursor) {
            let key = out.store.key();
            out.store.put_cursor(key, &self.name, position);
            self.acks.cursor = Some(Cursor { key, position });
            self.acks.confirmed = Some(position);
        }
    }

    /// Takes where the server's cursor is at least: it has found ours, or a further one.
    pub(super) fn resume_cursor(&mut self, begins: Position) {
        let cursor = self.acks.cursor.map(|cursor| cursor.position);
        self.acks.confirmed = cursor.filter(|cursor| cursor.epoch == begins.epoch && cursor.offset <= begins.offset);
    }

    /// Tells the server where the cursor is, if it does not know.
    pub(super) fn tell_cursor(&mut self, out: &mut Outgoing) {
        let (State::Joined(_), Some(cursor), Some(channel)) = (&self.state, self.acks.cursor, self.reference()) else {
            return;
        };
        if matches!(self.acks.sent, Sent::Stored) && self.has_reached(cursor.position) {
            self.acks.sent = Sent::All;
            let Position { epoch, offset } = cursor.position;
            out.send(&ClientFrame::Ack(Ack { channel, epoch, offset }));
        }
    }

    /// The server has forgotten what was not confirmed when the connection broke.
    pub(super) fn retell_cursor(&mut self, out: &mut Outgoing) {
        if !matches!(self.acks.sent, Sent::Due(_)) {
            self.acks.sent = if self.acks.is_confirmed() { Sent::All } else { Sent::Stored };
        }
        self.tell_cursor(out);
    }

    /// A reset: every reader begins anew after `begins`.
    pub(super) fn restart_acks(&mut self, begins: Position) {
        for reader in &mut self.readers {
            reader.acked = Some(begins.offset);
        }
        self.acks.restart(begins);
    }

    /// Tells whether the server has confirmed the cursor, or cannot be told.
    pub(super) fn is_acked(&self) -> bool {
        let can_be_told = self.acks.cursor.is_some_and(|cursor| self.has_reached(cursor.position));
        !self.is_joined() || !can_be_told || self.acks.is_confirmed()
    }

    /// Tells whether this position was delivered: the server takes no acknowledgement beyond that.
    fn has_reached(&self, at: Position) -> bool {
        self.position.is_some_and(|position| position.epoch == at.epoch && position.offset >= at.offset)
    }
}

impl Subscriptions {
    pub(crate) fn on_acked(&mut self, acked: &Acked, out: &mut Outgoing) {
        let Some(channel) = self.joined(&acked.channel) else { return };
        let position = Position { epoch: acked.epoch, offset: acked.offset };
        channel.acks.confirmed = Some(position);
        out.event(Event::Acked { readers: channel.reader_ids.clone(), position });
    }
}
