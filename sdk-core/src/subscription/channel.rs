use std::sync::Arc;
use std::time::Duration;

use moorline_protocol::limits::{MAX_SAFE_INTEGER, PRESENCE_STATE_BYTES};
use moorline_protocol::time::Timestamp;
use moorline_protocol::{
    ChannelName, ChannelNumber, ChannelRef, ClientFrame, Offset, Position, PresenceMode, Qos, ResetMode, Since, Start,
    Subscribe, Unsubscribe,
};

use super::acks::Acks;
use super::delivery::{Backlog, Flow, Repair};
use crate::config::{StartAt, SubscribeOptions};
use crate::error::SubscribeError;
use crate::event::Event;
use crate::ids::SubscriptionId;
use crate::inflate::Recent;
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};
use crate::presence::Room;
use crate::timer::{PATIENCE, earliest};

/// One channel that is read.
pub(super) struct Channel {
    /// As the app calls it.
    pub(super) name: ChannelName,
    /// As the server calls it.
    pub(super) canonical: ChannelName,
    pub(super) options: Options,
    pub(super) state: State,
    pub(super) readers: Vec<Reader>,
    pub(super) reader_ids: Arc<[SubscriptionId]>,
    /// The last position accepted into the app's queue, or where it begins.
    pub(super) position: Option<Position>,
    /// Messages handed out since the channel is read.
    pub(super) handed: u64,
    pub(super) backlog: Backlog,
    pub(super) acks: Acks,
    pub(super) continuity: Continuity,
    pub(super) room: Room,
    pub(super) bugs: Bugs,
}

/// The options of all readers.
#[derive(Clone, Copy)]
pub(super) struct Options {
    pub(super) since: StartAt,
    pub(super) reset: ResetMode,
    pub(super) qos: Qos,
    pub(super) is_durable: bool,
    pub(super) auto_ack: bool,
}

/// Where a channel stands on the current connection.
pub(super) enum State {
    /// Not asked for.
    Detached,
    /// `subscribe` is sent; deliveries before the answer are an older subscription's.
    Joining { req: u64, tries: u32, deadline: Timestamp },
    /// The server cannot take it now.
    Refused { until: Timestamp, tries: u32 },
    /// `subscribed` has arrived.
    Joined(Joined),
}

/// What a joined channel owns.
pub(super) struct Joined {
    pub(super) number: ChannelNumber,
    pub(super) head: Offset,
    pub(super) flow: Flow,
    pub(super) repair: Option<Repair>,
    /// What later messages may be deflated against, where the server does so.
    pub(super) recent: Option<Recent>,
}

/// Which messages an earlier process may have handed out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Continuity {
    /// No message arrived in this process yet.
    Fresh,
    /// Up to this offset of the epoch at that time.
    RedeliveredTo(Position),
    /// None.
    Known,
}

/// One reader of a channel.
pub(super) struct Reader {
    pub(super) id: SubscriptionId,
    /// How many of the channel's messages it has taken, those before its time included.
    pub(super) taken: u64,
    /// What it is done with; `None` before the channel has a position.
    pub(super) acked: Option<Offset>,
}

impl Options {
    pub(super) fn resolve(options: &SubscribeOptions) -> Result<Self, SubscribeError> {
        let is_durable = options.durable.unwrap_or(false);
        let qos = options.qos.unwrap_or(if is_durable { Qos::ExactlyOnce } else { Qos::AtLeastOnce });
        let since = options.since.unwrap_or_default();
        if since == StartAt::Cursor && !is_durable {
            return Err(SubscribeError::Options("`since: cursor` needs `durable`"));
        }
        if qos == Qos::AtMostOnce && (is_durable || !matches!(since, StartAt::Resume | StartAt::Live)) {
            return Err(SubscribeError::Options("QoS 0 is live only: neither `durable` nor an earlier `since`"));
        }
        if options.state.as_ref().is_some_and(|state| state.len() > PRESENCE_STATE_BYTES) {
            return Err(SubscribeError::Options("a presence state has at most 4,096 bytes"));
        }
        if options.state.is_some() && options.presence != Some(PresenceMode::Join) {
            return Err(SubscribeError::Options("only who joins has a presence state"));
        }
        let number = match since {
            StartAt::Position(position) => position.offset.0,
            StartAt::Time(unix) => unix,
            StartAt::Resume | StartAt::Live | StartAt::Cursor | StartAt::First | StartAt::Last(_) => 0,
        };
        if number > MAX_SAFE_INTEGER {
            return Err(SubscribeError::Options("an offset or a time is at most 2^53 − 1"));
        }
        Ok(Self {
            since,
            reset: options.reset.unwrap_or_default(),
            qos,
            is_durable,
            auto_ack: options.auto_ack.unwrap_or(false),
        })
    }

    /// Checks a further reader's options: what it names must be as it is.
    fn accepts(&self, options: &SubscribeOptions) -> Result<(), SubscribeError> {
        let conflict = if options.since.is_some_and(|since| since != self.since) {
            "since"
        } else if options.reset.is_some_and(|reset| reset != self.reset) {
            "reset"
        } else if options.qos.is_some_and(|qos| qos != self.qos) {
            "qos"
        } else if options.durable.is_some_and(|durable| durable != self.is_durable) {
            "durable"
        } else if options.auto_ack.is_some_and(|auto_ack| auto_ack != self.auto_ack) {
            "auto_ack"
        } else {
            return Ok(());
        };
        Err(SubscribeError::Conflict(conflict))
    }
}

impl Channel {
    pub(super) fn new(name: ChannelName, options: Options, room: Room, bugs: Bugs) -> Self {
        Self {
            canonical: name.clone(),
            name,
            options,
            state: State::Detached,
            readers: Vec::new(),
            reader_ids: Arc::new([]),
            position: None,
            handed: 0,
            backlog: Backlog::default(),
            acks: Acks::default(),
            continuity: Continuity::Fresh,
            room,
            bugs,
        }
    }

    /// Checks a further reader's options: what it names must be as it is.
    pub(super) fn accepts(&self, options: &SubscribeOptions) -> Result<(), SubscribeError> {
        let fits = |mode| self.room.accepts(mode, options.state.as_ref());
        if !options.presence.is_none_or(fits) {
            return Err(SubscribeError::Conflict("presence"));
        }
        self.options.accepts(options)
    }

    pub(super) fn add_reader(&mut self, id: SubscriptionId, out: &mut Outgoing) {
        let acked = match self.state {
            State::Joined(_) => self.position.map(|position| position.offset),
            State::Detached | State::Joining { .. } | State::Refused { .. } => {
                self.readers.first().and(self.position).map(|position| position.offset)
            }
        };
        self.readers.push(Reader { id, taken: self.handed, acked });
        self.reader_ids = self.readers.iter().map(|reader| reader.id).collect();
        if let (Some(head), Some(position)) = (self.head(), self.position) {
            out.event(Event::Subscribed { readers: Arc::new([id]), head, from: position.offset, start: Start::Live });
        }
    }

    /// The newest position known, while the channel is being read.
    pub(super) fn head(&self) -> Option<Position> {
        let (State::Joined(joined), Some(position)) = (&self.state, self.position) else { return None };
        Some(Position { epoch: position.epoch, offset: joined.head.max(position.offset) })
    }

    pub(super) fn remove_reader(&mut self, id: SubscriptionId) {
        self.readers.retain(|reader| reader.id != id);
        self.reader_ids = self.readers.iter().map(|reader| reader.id).collect();
    }

    /// Asks for the channel on a new connection, or again on this one.
    pub(super) fn join(&mut self, now: Timestamp, out: &mut Outgoing) -> Subscribe {
        let req = out.req();
        let tries = match self.state {
            State::Refused { tries, .. } => tries,
            State::Detached | State::Joining { .. } | State::Joined(_) => 0,
        };
        self.state = State::Joining { req, tries, deadline: now + PATIENCE };
        let (presence, state) = self.room.mode();
        Subscribe {
            since: self.since(),
            reset: self.options.reset,
            qos: self.options.qos,
            durable: self.options.is_durable,
            presence,
            state,
            ..Subscribe::new(req, self.name.clone())
        }
    }

    /// Where the next `subscribe` begins: after the last position, if there is one in this process.
    pub(super) fn since(&self) -> Since {
        if self.options.qos == Qos::AtMostOnce {
            return Since::Now;
        }
        if let Some(position) = self.position {
            return Since::Position(position);
        }
        match self.options.since {
            StartAt::Resume if !self.options.is_durable => Since::Now,
            StartAt::Resume | StartAt::Cursor if self.bugs.has(Bug::CursorWithoutPosition) => Since::Cursor(None),
            StartAt::Resume | StartAt::Cursor => Since::Cursor(self.acks.cursor().map(|cursor| cursor.position)),
            StartAt::Live => Since::Now,
            StartAt::First => Since::First,
            StartAt::Last(count) => Since::Last(count),
            StartAt::Position(position) => Since::Position(position),
            StartAt::Time(unix) => Since::Time(unix),
        }
    }

    /// The last reader is gone: the cursor stays.
    pub(super) fn leave(&mut self, now: Timestamp, out: &mut Outgoing) {
        self.flush_ack(now, out);
        if let Some(channel) = self.reference() {
            let req = out.req();
            out.send(&ClientFrame::Unsubscribe(Unsubscribe { req, channel, forget: false }));
        }
    }

    /// The connection is gone.
    pub(super) fn detach(&mut self) {
        self.state = State::Detached;
        self.room.on_lost();
    }

    pub(super) fn is_joined(&self) -> bool {
        matches!(self.state, State::Joined(_))
    }

    pub(super) fn number(&self) -> Option<ChannelNumber> {
        match &self.state {
            State::Joined(joined) => Some(joined.number),
            State::Detached | State::Joining { .. } | State::Refused { .. } => None,
        }
    }

    /// Returns how to name the channel to the server, if it knows of the subscription.
    pub(super) fn reference(&self) -> Option<ChannelRef> {
        match &self.state {
            State::Joined(joined) => Some(ChannelRef::Number(joined.number)),
            State::Joining { .. } => Some(ChannelRef::Name(self.name.clone())),
            State::Detached | State::Refused { .. } => None,
        }
    }

    /// Returns how many messages the slowest reader has taken.
    pub(super) fn taken(&self) -> u64 {
        let taken = self.readers.iter().map(|reader| reader.taken);
        let counts = if self.bugs.has(Bug::ConfirmForFastest) { taken.max() } else { taken.min() };
        counts.unwrap_or(self.handed)
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let state = match self.state {
            State::Refused { until, .. } => Some(until),
            State::Joining { deadline, .. } => Some(deadline),
            State::Detached | State::Joined(_) => None,
        };
        earliest(&[state, self.acks.deadline(), self.room.deadline()])
    }

    /// Tells whether the server has not answered a `subscribe` in time.
    pub(super) fn is_unanswered(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Joining { deadline, .. } if deadline <= now)
    }

    pub(super) fn on_timeout(&mut self, now: Timestamp, out: &mut Outgoing) {
        if matches!(self.state, State::Refused { until, .. } if until <= now) {
            let subscribe = self.join(now, out);
            out.send(&ClientFrame::Subscribe(subscribe));
        }
        if self.acks.deadline().is_some_and(|at| at <= now) {
            self.flush_ack(now, out);
        }
        let reference = self.reference();
        self.room.on_timeout(reference, now, out);
    }

    /// The server cannot take the subscription now: asks again later, on this connection.
    pub(super) fn on_refused(&mut self, tries: u32, after: Option<u32>, now: Timestamp) {
        let first = Duration::from_millis(after.map_or(1_000, u64::from).max(1));
        let pause = crate::connection::doubled(first, tries, Duration::from_secs(20));
        self.state = State::Refused { until: now + pause, tries: tries.saturating_add(1) };
    }
}
