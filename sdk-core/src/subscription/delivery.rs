//! Deliveries: in order, each once, as fast as the slowest reader takes them.

use moorline_protocol::time::Timestamp;
use moorline_protocol::{ClientFrame, Deliver, Dropped, Message, More, Offset, Pause, Ping, Position, Qos};

use super::Subscriptions;
use super::channel::{Channel, Continuity, Joined, State};
use crate::event::{Event, Received};
use crate::ids::SubscriptionId;
use crate::inflate::Recent;
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};

/// A server that sends so many pages without waiting for confirmation breaks the protocol.
const MAX_PAGES: usize = 64;

/// Back-pressure towards the server.
#[derive(Default)]
pub(super) struct Flow {
    /// Replay pages not confirmed yet, oldest first.
    pages: Vec<Page>,
    mode: Mode,
}

struct Page {
    /// How many messages were handed out when it ended.
    handed: u64,
    after: Offset,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Flowing,
    /// `pause` is sent.
    Paused,
}

/// A hole that the server was asked to fill.
pub(super) struct Repair {
    /// The position before the hole.
    at: Offset,
    fence: Fence,
}

/// Tells deliveries from before a rewind from those after it.
enum Fence {
    /// The answer to this `ping` follows everything that was under way.
    Waiting(u64),
    /// It has arrived: a hole at the same position is the server's fault now.
    Passed,
}

/// How much may wait for the app before the server is asked to pause.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) messages: u64,
    pub(super) bytes: usize,
}

/// The sizes of the messages that the slowest reader has not taken.
#[derive(Default)]
pub(super) struct Backlog {
    sizes: Vec<usize>,
    bytes: usize,
}

impl Backlog {
    fn add(&mut self, size: usize) {
        self.sizes.push(size);
        self.bytes += size;
    }

    /// Keeps the newest so many.
    fn keep(&mut self, messages: u64) {
        let taken = self.sizes.len().saturating_sub(usize::try_from(messages).unwrap_or(usize::MAX));
        self.bytes -= self.sizes.drain(..taken).sum::<usize>();
    }
}

impl Subscriptions {
    pub(crate) fn on_deliver(
        &mut self,
        deliver: Deliver,
        now: Timestamp,
        out: &mut Outgoing,
    ) -> Result<(), &'static str> {
        let (bugs, room) = (self.bugs, self.room);
        let Some(channel) = self.joined(&deliver.channel) else { return Ok(()) };
        for message in deliver.messages {
            if !channel.accept(message, deliver.replay, bugs, out)? {
                return Ok(());
            }
        }
        if channel.options.auto_ack {
            channel.consume_all();
            channel.ack_all(now, out);
        } else if bugs.has(Bug::AckBeforeConsumed) {
            channel.ack_all(now, out);
        }
        if deliver.replay {
            channel.end_page(deliver.at, deliver.more)?;
        }
        channel.confirm(room, out);
        Ok(())
    }

    /// Returns how many replay pages are not confirmed.
    pub(crate) fn unconfirmed_pages(&self) -> usize {
        let pages = |channel: &Channel| match &channel.state {
            State::Joined(joined) => joined.flow.pages.len(),
            State::Detached | State::Joining { .. } | State::Refused { .. } => 0,
        };
        self.channels.iter().map(pages).sum()
    }

    pub(crate) fn on_dropped(&mut self, dropped: &Dropped, out: &mut Outgoing) {
        if let Some(channel) = self.joined(&dropped.channel) {
            out.event(Event::Dropped { readers: channel.reader_ids.clone(), count: dropped.count });
        }
    }

    pub(crate) fn on_pong(&mut self, n: u64) {
        for channel in &mut self.channels {
            if let State::Joined(joined) = &mut channel.state
                && let Some(repair) = &mut joined.repair
                && matches!(repair.fence, Fence::Waiting(fence) if fence == n)
            {
                repair.fence = Fence::Passed;
            }
        }
    }
}

impl Channel {
    /// Hands a message out, drops it, or has a hole before it filled; tells whether the frame goes on.
    fn accept(
        &mut self,
        message: Message,
        replayed: bool,
        bugs: Bugs,
        out: &mut Outgoing,
    ) -> Result<bool, &'static str> {
        let Some(position) = &mut self.position else { return Ok(false) };
        if let Some(offset) = message.offset {
            let previous = message.previous().filter(|_| !bugs.has(Bug::PrevIgnored));
            let is_hole = previous.unwrap_or_else(|| offset.previous()) > position.offset;
            if let State::Joined(Joined { recent: Some(recent), .. }) = &mut self.state
                && !is_hole
            {
                recent.push(offset, message.payload.bytes());
            }
            if offset <= position.offset && !bugs.has(Bug::DuplicatesAccepted) {
                return Ok(true);
            }
            if is_hole && self.options.qos > Qos::AtMostOnce && !bugs.has(Bug::HoleIgnored) {
                if bugs.has(Bug::PositionBeforeAccept) {
                    position.offset = offset;
                }
                self.repair(out)?;
                return Ok(false);
            }
            position.offset = offset;
        }
        let epoch = position.epoch;
        let redelivered = match self.continuity {
            Continuity::RedeliveredTo(until) => {
                let is_within = message.offset.is_some_and(|offset| offset <= until.offset);
                until.epoch == epoch && is_within && !bugs.has(Bug::RepeatsUnmarked)
            }
            Continuity::Fresh | Continuity::Known => false,
        };
        self.handed += 1;
        self.backlog.add(message.payload.bytes().len());
        let message = Received { channel: self.canonical.clone(), epoch, message, replayed, redelivered };
        out.event(Event::Message { readers: self.reader_ids.clone(), message });
        Ok(true)
    }

    /// Tells whether everything after the position was asked for, and what was under way then may still come.
    pub(super) fn is_repairing(&self) -> bool {
        let State::Joined(Joined { repair: Some(repair), .. }) = &self.state else { return false };
        let at = self.position.is_some_and(|position| position.offset == repair.at);
        at && matches!(repair.fence, Fence::Waiting(_))
    }

    /// Asks for everything after the position, once per position.
    pub(super) fn repair(&mut self, out: &mut Outgoing) -> Result<(), &'static str> {
        let (Some(position), Some(channel)) = (self.position, self.reference()) else { return Ok(()) };
        let State::Joined(joined) = &mut self.state else { return Ok(()) };
        match &joined.repair {
            _ if self.bugs.has(Bug::RepairEveryHole) => {}
            Some(Repair { at, fence: Fence::Waiting(_) }) if *at == position.offset => return Ok(()),
            Some(Repair { at, fence: Fence::Passed }) if *at == position.offset => {
                return Err("a hole that a rewind did not fill");
            }
            Some(_) | None => {}
        }
        let n = out.req();
        joined.repair = Some(Repair { at: position.offset, fence: Fence::Waiting(n) });
        joined.flow = Flow::default();
        let Position { epoch, offset } = position;
        out.send(&ClientFrame::More(More { channel, epoch: Some(epoch), after: offset, rewind: true }));
        out.send(&ClientFrame::Ping(Ping { n, next: None }));
        Ok(())
    }

    /// Notes a page that the server wants confirmed. After the last one it is live and forgets them all.
    fn end_page(&mut self, at: Option<Offset>, more: bool) -> Result<(), &'static str> {
        let Some(position) = &mut self.position else { return Ok(()) };
        if let Some(at) = at {
            position.offset = position.offset.max(at);
        }
        let page = Page { handed: self.handed, after: position.offset };
        if let State::Joined(joined) = &mut self.state {
            if !more {
                joined.flow.pages.clear();
                return Ok(());
            }
            joined.flow.pages.push(page);
            if joined.flow.pages.len() > MAX_PAGES {
                return Err("more pages than were confirmed");
            }
        }
        Ok(())
    }

    pub(super) fn consumed(&mut self, id: SubscriptionId, messages: u64) {
        for reader in self.readers.iter_mut().filter(|reader| reader.id == id) {
            reader.taken = reader.taken.saturating_add(messages).min(self.handed);
        }
    }

    fn consume_all(&mut self) {
        for reader in &mut self.readers {
            reader.taken = self.handed;
        }
    }

    /// The server begins anew somewhere else: nothing of the old pages is to be confirmed, and it may have forgotten
    /// that it is asked to pause.
    pub(super) fn restart_flow(&mut self, out: &mut Outgoing) {
        let Some(channel) = self.reference() else { return };
        let State::Joined(joined) = &mut self.state else { return };
        joined.repair = None;
        joined.recent = joined.recent.take().map(|_| Recent::default());
        joined.flow.pages.clear();
        if joined.flow.mode == Mode::Paused {
            out.send(&ClientFrame::Pause(Pause { channel }));
        }
    }

    /// Confirms the pages that all readers have taken, and pauses or goes on as the queue fills or empties.
    pub(super) fn confirm(&mut self, room: Room, out: &mut Outgoing) {
        let taken = self.taken();
        let waiting = self.handed - taken;
        self.backlog.keep(waiting);
        let bytes = self.backlog.bytes;
        let (Some(position), Some(channel)) = (self.position, self.reference()) else { return };
        let State::Joined(joined) = &mut self.state else { return };
        let flow = &mut joined.flow;
        let more = |after| {
            ClientFrame::More(More { channel: channel.clone(), epoch: Some(position.epoch), after, rewind: false })
        };
        match flow.mode {
            Mode::Paused if waiting <= room.messages / 2 && bytes <= room.bytes / 2 => {
                flow.mode = Mode::Flowing;
                flow.pages.clear();
                out.send(&more(position.offset));
            }
            Mode::Paused => {}
            Mode::Flowing if (waiting > room.messages || bytes > room.bytes) && !self.bugs.has(Bug::NeverPauses) => {
                flow.mode = Mode::Paused;
                out.send(&ClientFrame::Pause(Pause { channel }));
            }
            Mode::Flowing => {
                let whole = flow.pages.partition_point(|page| page.handed <= taken);
                let confirmed = flow.pages.drain(..whole).next_back();
                if let Some(Page { after, .. }) = confirmed.filter(|_| !self.bugs.has(Bug::PagesUnconfirmed)) {
                    out.send(&more(after));
                }
            }
        }
    }
}
