//! Live and behind: how messages reach a subscription, at its own pace.

use bytes::Bytes;
use moorline_protocol::{
    Ack, ChannelRef, CloseCode, Codec, Dropped, Epoch, ErrorCode, ErrorFrame, More, Offset, Pause, Position, Qos,
    Reset, ResetMode, ResetReason, ServerFrame, Utf8Bytes, limits,
};

use super::cohorts::Seat;
use super::connect::storage_error;
use super::hub::{HubNumber, PageFrame, Tip, encode_page};
use super::io::{ConnId, Output, Pressure};
use super::session::{Conn, Flow, Reader, State};
use super::{Ending, Node, Waiting};
use crate::engine::{ChannelKey, Command, CursorAck, EngineError, Read, ReadPage, ReadRange, SessionId, Stored};
use crate::planted::Bug;
use moorline_protocol::time::Now;

/// Reads under way for one connection: with pages of 64 KiB, as much as its out-queue may hold.
const READS_PER_CONNECTION: u32 = 3;

/// Changes of cursors that may wait for their answers, on a connection with few channels: a client that keeps to one
/// acknowledgement per channel and half a second has three of them per channel at the most.
const MOVING: usize = 1_024;
/// ms after which it may be tried again: acknowledgements are answered within a second.
const MOVING_RETRY_MS: u32 = 1_000;

impl Node {
    /// Messages were stored: they go to everyone who is live, and the hub moves on.
    pub(super) fn published(&mut self, channel: &ChannelKey, epoch: Epoch, messages: &[Stored]) {
        let Some(hub) = self.numbers.get(channel).and_then(|number| self.hubs.get_mut(number)) else { return };
        // Before the first open is answered nobody is live, and its answer says how far the channel is.
        let Some(tip) = &mut hub.tip else { return };
        let fresh: Vec<_> =
            messages.iter().filter(|stored| stored.offset > tip.fanned).map(|m| m.bytes.clone()).collect();
        let Some(last) = messages.last() else { return };
        *tip = Tip { epoch, fanned: last.offset.max(tip.fanned) };
        let outputs = &mut self.outputs;
        self.counters.deliver(&channel.app, hub.live() * fresh.len());
        hub.fan_out(&fresh, Some(&mut self.packer), |output| outputs.push_back(output));
    }

    /// An ephemeral message goes to everyone who is live, and to nobody else.
    pub(super) fn ephemeral(&mut self, channel: &ChannelKey, message: Bytes) {
        let Some(number) = self.numbers.get(channel).copied() else { return };
        let behind = if self.config.bugs.has(Bug::EphemeralToBehind) { self.behind(number) } else { Vec::new() };
        let Some(hub) = self.hubs.get_mut(&number) else { return };
        behind.iter().for_each(|(conn, codec)| hub.join(*conn, Seat::plain(*codec)));
        let outputs = &mut self.outputs;
        self.counters.deliver(&channel.app, hub.live());
        hub.fan_out(std::slice::from_ref(&message), None, |output| outputs.push_back(output));
        if self.config.bugs.has(Bug::PackedWithEphemeral) {
            hub.remember_ephemeral(&message);
        }
        behind.iter().for_each(|(conn, codec)| hub.leave(*conn, *codec));
    }

    /// Planted: who reads the log of a channel.
    fn behind(&self, number: HubNumber) -> Vec<(ConnId, Codec)> {
        let is_behind = |entry: &Conn| match &entry.state {
            State::Open(session) => session.find(number).is_some_and(|s| matches!(s.flow, Flow::Behind(_))),
            State::AwaitingHello { .. } | State::Asking(_) | State::Attaching(_) => false,
        };
        let all = self.conns.iter().filter(|(_, entry)| is_behind(entry));
        all.map(|(conn, entry)| (*conn, entry.codec)).collect()
    }

    /// The channel begins a new life: every reader is told where it stands now.
    pub(super) fn new_epoch(&mut self, channel: &ChannelKey, epoch: Epoch, head: Offset) {
        let Some(number) = self.numbers.get(channel).copied() else { return };
        let Some(hub) = self.hubs.get_mut(&number) else { return };
        hub.begin_anew(Tip { epoch, fanned: head }, self.config.bugs);
        let fanned_out = hub.fanned_out;
        let all: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in all {
            let Some(subscription) = self.session(conn).and_then(|session| session.find_mut(number)) else { continue };
            let live = match &mut subscription.flow {
                // The answer says where it begins.
                Flow::Opening { .. } => continue,
                Flow::Behind(reader) if reader.paused => {
                    *reader = Reader { turn: reader.turn + 1, ..Reader::at(head, false, true) };
                    false
                }
                Flow::Dropping { since, .. } => {
                    *since = fanned_out;
                    false
                }
                Flow::Live | Flow::Behind(_) => {
                    subscription.flow = Flow::Live;
                    true
                }
            };
            (subscription.held, subscription.begins) = (head.next(), Offset::ZERO);
            let reset = (head.next(), head, head, ResetReason::Epoch);
            self.send_reset(conn, number, epoch, reset);
            if live {
                self.join_hub(conn, number);
            }
            self.apply_pressure(conn);
        }
    }

    fn send_reset(
        &mut self,
        conn: ConnId,
        number: HubNumber,
        epoch: Epoch,
        (first, head, from, reason): (Offset, Offset, Offset, ResetReason),
    ) {
        if let Some(channel) = self.channel_ref(conn, number) {
            self.send(conn, &ServerFrame::Reset(Reset { channel, epoch, first, head, from, reason }));
        }
    }

    /// The out-queue of a connection crossed a mark of [`Pressure`], in either direction.
    pub fn handle_pressure(&mut self, conn: ConnId, pressure: Pressure, _now: Now) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        entry.pressure = pressure;
        self.apply_pressure(conn);
        self.presence_pressure(conn);
        self.read_on(conn);
        self.query_on(conn);
    }

    /// Under high pressure live subscriptions fall behind; when it is gone they come back.
    pub(super) fn apply_pressure(&mut self, conn: ConnId) {
        let bugs = self.config.bugs;
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let (pressure, codec) = (entry.pressure, entry.codec);
        let State::Open(session) = &mut entry.state else { return };
        let packs = session.packs;
        let mut told = Vec::new();
        for subscription in &mut session.subscriptions {
            let Some(hub) = self.hubs.get_mut(&subscription.number) else { continue };
            let Some(tip) = hub.tip else { continue };
            match subscription.flow {
                Flow::Live if pressure >= Pressure::High && !bugs.has(Bug::PressureIgnored) => {
                    hub.leave(conn, codec);
                    subscription.flow = if subscription.qos == Qos::AtMostOnce {
                        Flow::Dropping { since: hub.fanned_out, paused: false }
                    } else {
                        Flow::Behind(Reader::at(tip.fanned, false, false))
                    };
                }
                Flow::Dropping { since, paused: false } if pressure == Pressure::Low => {
                    hub.join(conn, subscription.seat(codec, packs, bugs));
                    subscription.flow = Flow::Live;
                    told.push((subscription.number, hub.fanned_out - since));
                }
                Flow::Live | Flow::Dropping { .. } | Flow::Opening { .. } | Flow::Behind(_) => {}
            }
        }
        for (number, count) in told.into_iter().filter(|(_, count)| *count > 0) {
            if let Some(channel) = self.channel_ref(conn, number) {
                self.send(conn, &ServerFrame::Dropped(Dropped { channel, count }));
            }
        }
    }

    /// Reads pages for the subscriptions of a connection that are behind, in turn, while there is room for them.
    pub(super) fn read_on(&mut self, conn: ConnId) {
        let bugs = self.config.bugs;
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        if entry.pressure > Pressure::Low {
            return;
        }
        let codec = entry.codec;
        let State::Open(session) = &mut entry.state else { return };
        let mut asks = Vec::new();
        let (id, packs, mut reads) = (session.id, session.packs, session.reads);
        let count = session.subscriptions.len();
        let start = session.next_reader.checked_rem(count).unwrap_or(0);
        let (front, back) = session.subscriptions.split_at_mut(start);
        for subscription in back.iter_mut().chain(front) {
            let Flow::Behind(reader) = &mut subscription.flow else { continue };
            let Some(hub) = self.hubs.get_mut(&subscription.number) else { continue };
            let Some(tip) = hub.tip else { continue };
            let unconfirmed = if bugs.has(Bug::PagesUnbounded) { 0 } else { reader.pages.len() };
            if reader.paused || reader.reading || unconfirmed >= limits::PAGES_IN_FLIGHT {
                continue;
            }
            if reader.sent == tip.fanned && !reader.announced {
                hub.join(conn, subscription.seat(codec, packs, bugs));
                subscription.flow = Flow::Live;
                continue;
            }
            if reads >= READS_PER_CONNECTION {
                continue;
            }
            reads += 1;
            reader.reading = true;
            reader.turn += 1;
            let (number, serial, turn) = (subscription.number, subscription.serial, reader.turn);
            let read = Read {
                channel: hub.key.clone(),
                range: ReadRange::After(reader.position),
                max_messages: limits::PAGE_MESSAGES,
                max_bytes: limits::PAGE_BYTES,
            };
            asks.push((Waiting::Page { conn, session: id, number, serial, turn }, Command::Read(read)));
        }
        session.reads = reads;
        // The next round begins with another subscription, so that none starves.
        session.next_reader = start.wrapping_add(asks.len());
        for (waiting, command) in asks {
            self.ask(waiting, command);
        }
    }

    /// A page was read: what the hub has fanned out of it goes to the client.
    pub(super) fn page(
        &mut self,
        conn: ConnId,
        session: SessionId,
        number: HubNumber,
        (serial, turn): (u32, u32),
        page: ReadPage,
    ) {
        let bugs = self.config.bugs;
        let is_full = self.conns.get(&conn).is_some_and(|entry| entry.pressure >= Pressure::High);
        let Some(open) = self.session_if(conn, session) else { return };
        open.reads = open.reads.saturating_sub(1);
        let any = bugs.has(Bug::LatePages);
        if let Some(subscription) = open.find_mut(number).filter(|subscription| subscription.serial == serial || any)
            && let Flow::Behind(reader) = &mut subscription.flow
            && (reader.turn == turn || any)
        {
            reader.reading = false;
            // What was read when the pause, or the pressure, came is read again after it.
            if !reader.paused && !is_full {
                self.use_page(conn, number, page);
            }
        }
        self.read_on(conn);
    }

    /// A page could not be read. A subscription that waits for it would wait for ever, so the client is sent away; it
    /// comes back, and resumes.
    pub(super) fn page_failed(&mut self, conn: ConnId, session: SessionId, error: EngineError, now: Now) {
        if self.session_if(conn, session).is_some() {
            self.end(conn, Ending(Some(storage_error(error)), CloseCode::STORAGE_UNAVAILABLE), now);
        }
    }

    fn use_page(&mut self, conn: ConnId, number: HubNumber, mut page: ReadPage) {
        let bugs = self.config.bugs;
        let (codec, channel) = (self.codec(conn), self.channel_ref(conn, number));
        let hub = self.hubs.get(&number).and_then(|hub| Some((hub.tip?, hub.packs)));
        let (Some(channel), Some((tip, packs))) = (channel, hub) else { return };
        let Some(session) = self.session(conn) else { return };
        let packs = packs && session.packs;
        let Some(subscription) = session.find_mut(number) else { return };
        let mode = subscription.reset;
        let Flow::Behind(reader) = &mut subscription.flow else { return };
        if page.epoch != tip.epoch {
            // The channel began a new life meanwhile, and its event has told the reader so.
            return;
        }
        let floor = page.first.previous();
        if reader.position < floor && !bugs.has(Bug::SkipTrimmed) {
            let from = if mode == ResetMode::First { floor.min(tip.fanned) } else { tip.fanned };
            let announced = reader.announced;
            *reader = Reader { turn: reader.turn, ..Reader::at(from, announced, reader.paused) };
            if !bugs.has(Bug::PackedAcrossResets) {
                subscription.held = from.next();
            }
            subscription.begins = from;
            let reset = (page.first, tip.fanned, from, ResetReason::Trimmed);
            return self.send_reset(conn, number, tip.epoch, reset);
        }
        if !bugs.has(Bug::PagePastHub) {
            page.messages.retain(|stored| stored.offset <= tip.fanned);
            page.reached = page.reached.min(tip.fanned);
        }
        let more = page.reached.0 + u64::from(bugs.has(Bug::LiveOneEarly)) < tip.fanned.0;
        let sent = reader.sent;
        let last = page.messages.last().map_or(sent, |stored| stored.offset);
        reader.position = reader.position.max(page.reached);
        if more && page.messages.is_empty() {
            return;
        }
        let says = !more && page.reached > last && !bugs.has(Bug::PageWithoutAt);
        let at = says.then_some(page.reached);
        reader.sent = at.unwrap_or(last);
        let packs = packs && !reader.plain;
        if !bugs.has(Bug::PackedOverGap) {
            subscription.held = held_after(subscription.held, sent, at, &page.messages);
        }
        if more {
            reader.pages.push_back(last);
        } else {
            subscription.flow = Flow::Live;
        }
        if let Some(hub) = self.hubs.get(&number) {
            self.counters.deliver(&hub.key.app, page.messages.len());
        }
        let frame = PageFrame { codec, channel, packs, more, at, sent, messages: &page.messages };
        let message = encode_page(&frame, &mut self.packer);
        self.outputs.push_back(Output::Send { conn, message });
        if !more {
            self.join_hub(conn, number);
        }
        self.apply_pressure(conn);
    }

    /// `more`: confirms, ends a pause, or restarts the reader.
    pub(super) fn more(&mut self, conn: ConnId, more: &More) {
        let bugs = self.config.bugs;
        let Some(number) = self.number_of(conn, &more.channel) else {
            return self.not_subscribed(conn, None, &more.channel);
        };
        let Some(tip) = self.hubs.get(&number).and_then(|hub| hub.tip) else { return };
        if more.epoch.is_some_and(|epoch| epoch != tip.epoch) && !bugs.has(Bug::MoreIgnoresEpoch) {
            return;
        }
        let codec = self.codec(conn);
        let Some(subscription) = self.session(conn).and_then(|session| session.find_mut(number)) else { return };
        let rewind = more.rewind && (more.after >= subscription.begins || bugs.has(Bug::RewindBeforeReset));
        match &mut subscription.flow {
            Flow::Behind(reader) if rewind || bugs.has(Bug::MoreMovesBack) => {
                let (turn, delivered) = (reader.turn + 1, reader.delivered.max(reader.sent));
                let after = more.after.min(tip.fanned);
                let delivered = if bugs.has(Bug::RewindLowersDelivered) { after } else { delivered };
                let plain = rewind && !bugs.has(Bug::PackedAfterRewind);
                *reader = Reader { turn, delivered, plain, ..Reader::at(after, true, false) };
                subscription.held = after.next();
            }
            Flow::Dropping { paused, .. } => *paused = false,
            // At QoS 0 there is nothing to go back to.
            Flow::Live if rewind && subscription.qos > Qos::AtMostOnce => {
                let after = more.after.min(tip.fanned);
                let plain = !bugs.has(Bug::PackedAfterRewind);
                let delivered = if bugs.has(Bug::RewindLowersDelivered) { after } else { tip.fanned };
                let reader = Reader { delivered, plain, ..Reader::at(after, true, false) };
                subscription.flow = Flow::Behind(reader);
                subscription.held = after.next();
                if let Some(hub) = self.hubs.get_mut(&number) {
                    hub.leave(conn, codec);
                }
            }
            Flow::Behind(reader) => {
                reader.paused = false;
                while reader.pages.front().is_some_and(|page| *page <= more.after) {
                    reader.pages.pop_front();
                }
            }
            Flow::Live | Flow::Opening { .. } => {}
        }
        self.apply_pressure(conn);
        self.read_on(conn);
    }

    /// `pause`: the subscription falls behind until `more`; at QoS 0 it misses what comes.
    pub(super) fn pause(&mut self, conn: ConnId, pause: &Pause) {
        let Some(number) = self.number_of(conn, &pause.channel) else {
            return self.not_subscribed(conn, None, &pause.channel);
        };
        if self.config.bugs.has(Bug::PauseIgnored) {
            return;
        }
        let codec = self.codec(conn);
        let hub = self.hubs.get(&number).and_then(|hub| Some((hub.tip?, hub.fanned_out)));
        let Some(subscription) = self.session(conn).and_then(|session| session.find_mut(number)) else { return };
        match (&mut subscription.flow, hub) {
            (Flow::Behind(reader), _) => reader.paused = true,
            (Flow::Dropping { paused, .. }, _) => *paused = true,
            (Flow::Live, Some((tip, fanned_out))) => {
                subscription.flow = if subscription.qos == Qos::AtMostOnce {
                    Flow::Dropping { since: fanned_out, paused: true }
                } else {
                    Flow::Behind(Reader::at(tip.fanned, false, true))
                };
                if let Some(hub) = self.hubs.get_mut(&number) {
                    hub.leave(conn, codec);
                }
            }
            (Flow::Live | Flow::Opening { .. }, _) => {}
        }
    }

    /// Takes a live connection into its cohort.
    pub(super) fn join_hub(&mut self, conn: ConnId, number: HubNumber) {
        let (codec, bugs) = (self.codec(conn), self.config.bugs);
        let Some(session) = self.session(conn) else { return };
        let packs = session.packs;
        let Some(seat) = session.find(number).map(|subscription| subscription.seat(codec, packs, bugs)) else { return };
        if let Some(hub) = self.hubs.get_mut(&number) {
            hub.join(conn, seat);
        }
    }

    pub(super) fn not_subscribed(&mut self, conn: ConnId, req: Option<u64>, channel: &ChannelRef) {
        let channel = match channel {
            ChannelRef::Name(name) => Some(name.clone()),
            ChannelRef::Number(_) => None,
        };
        let text = Utf8Bytes::from_static("this connection is not subscribed to the channel");
        let error = ErrorFrame::new(ErrorCode::ChannelNotSubscribed, text);
        self.send(conn, &ServerFrame::Error(ErrorFrame { req, channel, ..error }));
    }

    /// `ack`: moves the durable cursor, never past what was delivered.
    pub(super) fn ack(&mut self, conn: ConnId, ack: &Ack) {
        let Some(number) = self.decided_number(conn, &ack.channel) else {
            return self.not_subscribed(conn, None, &ack.channel);
        };
        let Some((key, Some(tip))) = self.hubs.get(&number).map(|hub| (hub.key.clone(), hub.tip)) else { return };
        let bugs = self.config.bugs;
        let Some(session) = self.session(conn) else { return };
        let (id, owner) = (session.id, session.owner.clone());
        let Some(subscription) = session.find(number) else { return };
        let delivered = match &subscription.flow {
            Flow::Live => tip.fanned,
            Flow::Behind(reader) => reader.sent.max(reader.delivered),
            Flow::Opening { .. } | Flow::Dropping { .. } => Offset::ZERO,
        };
        let (true, Some(owner)) = (subscription.durable, owner) else {
            return self.error(conn, None, ErrorCode::ChannelNotDurable, "this subscription has no durable cursor");
        };
        if ack.epoch != tip.epoch {
            return;
        }
        if ack.offset > delivered && !bugs.has(Bug::AckPastDelivered) {
            let text = "the acknowledgement is beyond what was delivered";
            return self.error(conn, None, ErrorCode::RequestOrder, text);
        }
        if let Err(error) = self.may_move(conn) {
            let channel = Some(key.name);
            return self.send(conn, &ServerFrame::Error(ErrorFrame { channel, ..error }));
        }
        if let Some(session) = self.session(conn) {
            session.moving += 1;
        }
        let position = Position { epoch: ack.epoch, offset: ack.offset };
        let ack = CursorAck { owner, channel: key, position };
        self.ask(Waiting::Ack { conn, session: id, number }, Command::Ack(ack));
    }

    /// Tells whether one more change of a cursor may wait for its answer.
    ///
    /// # Errors
    /// `limit.rate`, if too many wait.
    pub(super) fn may_move(&mut self, conn: ConnId) -> Result<(), ErrorFrame> {
        let most = MOVING.max(4 * self.limits_of(conn).channels as usize);
        let Some(session) = self.session(conn) else { return Ok(()) };
        if session.moving >= most {
            let text = "too many unanswered acknowledgements; wait for answers: the next one counts for all before it";
            return Err(ErrorFrame { after: Some(MOVING_RETRY_MS), ..ErrorFrame::new(ErrorCode::LimitRate, text) });
        }
        Ok(())
    }

    /// One of them has its answer.
    pub(super) fn moved(&mut self, conn: ConnId, session: SessionId) {
        if let Some(session) = self.session_if(conn, session) {
            session.moving = session.moving.saturating_sub(1);
        }
    }

    pub(super) fn acked(&mut self, conn: ConnId, session: SessionId, number: HubNumber, position: Position) {
        if self.session_if(conn, session).is_none_or(|session| session.find(number).is_none()) {
            return;
        }
        if let Some(channel) = self.channel_ref(conn, number) {
            let acked = moorline_protocol::Acked { channel, epoch: position.epoch, offset: position.offset };
            self.send(conn, &ServerFrame::Acked(acked));
        }
    }
}

/// Returns from where on a reader was sent everything, after a page that goes on from `sent`: what has expired was not
/// sent.
fn held_after(held: Offset, sent: Offset, at: Option<Offset>, messages: &[Stored]) -> Offset {
    let mut before = sent;
    let mut held = held;
    for stored in messages {
        if before.next() != stored.offset {
            held = stored.offset;
        }
        before = stored.offset;
    }
    at.map_or(held, Offset::next)
}
