use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::time::{Timestamp, UnixMillis};
use moorline_protocol::{
    AppName, Call, ChannelName, ChannelNumber, Codec, DeviceId, Hello, Offset, ProducerGrant, Qos, ResetMode, UserName,
};

use super::callout::{Asking, Facts, Held, Permit};
use super::cohorts::Seat;
use super::config::{Claims, Grant, Permissions};
use super::heartbeat::is_over;
use super::hub::HubNumber;
use super::io::{CallId, Pressure};
use super::limits::Bucket;
use super::query::Query;
use crate::engine::{Owner, SessionId};
use crate::planted::{Bug, Bugs};

/// A WebSocket and what has become of it.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) app: AppName,
    pub(super) codec: Codec,
    pub(super) pressure: Pressure,
    /// When anything was last heard.
    pub(super) heard: Timestamp,
    /// The entry in the node's table of deadlines.
    pub(super) armed: Option<Timestamp>,
    /// What is known beside what the client says.
    pub(super) facts: Option<Box<Facts>>,
    pub(super) state: State,
}

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing was said yet.
    AwaitingHello { deadline: Timestamp },
    /// The app decides about it; what the client says meanwhile waits.
    Asking(Box<Asking>),
    /// The engine orders it among the connections of its device; what the client says meanwhile waits.
    Attaching(Box<Attaching>),
    /// `welcome` was sent.
    Open(Box<Session>),
}

impl State {
    /// Returns whose connection this is, as far as that is known.
    pub(super) fn owner(&self) -> Option<&Owner> {
        match self {
            Self::AwaitingHello { .. } | Self::Asking(_) => None,
            Self::Attaching(attaching) => attaching.owner.as_ref(),
            Self::Open(session) => session.owner.as_ref(),
        }
    }

    /// Returns what the client says while it is not welcome yet.
    pub(super) fn waiting(&mut self) -> Option<&mut Unread> {
        match self {
            Self::Asking(asking) => Some(&mut asking.waiting),
            Self::Attaching(attaching) => Some(&mut attaching.waiting),
            Self::AwaitingHello { .. } | Self::Open(_) => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Attaching {
    pub(super) session: SessionId,
    pub(super) hello: Hello,
    pub(super) claims: Claims,
    pub(super) user: Option<UserName>,
    pub(super) device: DeviceId,
    pub(super) owner: Option<Owner>,
    pub(super) waiting: Unread,
}

/// Messages that nobody has looked into yet.
#[derive(Debug, Default)]
pub(super) struct Unread {
    pub(super) messages: VecDeque<Bytes>,
    pub(super) bytes: usize,
}

/// What a message that waits takes beside its bytes.
const WAITING_OVERHEAD: usize = 64;

impl Unread {
    pub(super) fn push(&mut self, message: Bytes) {
        self.bytes += message.len() + WAITING_OVERHEAD;
        self.messages.push_back(message);
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) user: Option<UserName>,
    pub(super) owner: Option<Owner>,
    /// Whose its message ids are; made with the first publish.
    pub(super) scope: Option<Arc<str>>,
    pub(super) claims: Claims,
    /// Whether the client can inflate.
    pub(super) packs: bool,
    /// With the feature `call`.
    pub(super) caller: Option<Box<Caller>>,
    /// Grants of channels' own tokens.
    pub(super) extra: Vec<Extra>,
    pub(super) producer: Option<ProducerGrant>,
    /// Whether its app is in the background.
    pub(super) parked: bool,
    pub(super) ping_ms: u32,
    pub(super) next_ping: Timestamp,
    pub(super) pings: u64,
    /// Subscriptions, by channel number.
    pub(super) subscriptions: Vec<Subscription>,
    /// Names each subscription of this connection; never used again.
    pub(super) serial: u32,
    /// Where the next round of reads begins.
    pub(super) next_reader: usize,
    /// Reads under way.
    pub(super) reads: u32,
    /// History queries that wait for their turn, and how many are being read.
    pub(super) queries: VecDeque<Query>,
    pub(super) querying: u32,
    /// Users whose status it watches, in order.
    pub(super) watched: Vec<UserName>,
    /// Bytes of publishes whose answers are pending.
    pub(super) pending_bytes: usize,
    /// Acknowledgements and ends of cursors whose answers are pending.
    pub(super) moving: usize,
    pub(super) bucket: Bucket,
    /// Questions that it may cause.
    pub(super) asking: Bucket,
    /// What the app lets it do in channels, beside its tokens.
    pub(super) permits: Vec<Permit>,
    /// Whether the app is asked about a new token.
    pub(super) refreshing: bool,
    /// Publishes that wait for the app, in order.
    pub(super) held: VecDeque<Held>,
}

/// A connection that can make calls.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) device: DeviceId,
    /// Those without an answer.
    pub(super) calls: Vec<CallId>,
}

impl Caller {
    /// Returns one, if the connection has the feature.
    pub(super) fn of(caps: &[&str], device: &DeviceId) -> Option<Box<Self>> {
        caps.contains(&Call::CAP).then(|| Box::new(Self { device: device.clone(), calls: Vec::new() }))
    }
}

/// A channel's own token.
#[derive(Debug)]
pub(super) struct Extra {
    pub(super) channel: ChannelName,
    pub(super) claims: Claims,
}

/// One channel on one connection.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) number: HubNumber,
    pub(super) serial: u32,
    pub(super) qos: Qos,
    pub(super) reset: ResetMode,
    pub(super) durable: bool,
    /// Since the last `subscribed`, `reset` or rewind, this connection was sent every message from here on.
    pub(super) held: Offset,
    /// Where the last `reset` of this life of the channel put it; a rewind to before that was sent before it came.
    pub(super) begins: Offset,
    pub(super) flow: Flow,
}

impl Subscription {
    /// Tells whether it waits for the app: until the answer comes it is nothing but asked for.
    pub(super) fn is_undecided(&self) -> bool {
        matches!(self.flow, Flow::Opening { undecided: true, .. })
    }

    /// Says whether it waits for the app.
    pub(super) fn set_undecided(&mut self, is: bool) {
        if let Flow::Opening { undecided, .. } = &mut self.flow {
            *undecided = is;
        }
    }

    /// Returns how it takes live messages, on a connection that can or cannot inflate.
    pub(super) fn seat(&self, codec: Codec, packs: bool, bugs: Bugs) -> Seat {
        let packs = packs && self.qos > Qos::AtMostOnce;
        let held = if bugs.has(Bug::PackedTooEarly) { Offset::ZERO } else { self.held };
        if packs { Seat::Packed { held } } else { Seat::plain(codec) }
    }
}

/// Where a subscription gets its messages from.
#[derive(Debug)]
pub(super) enum Flow {
    /// The app decides about it (`undecided`), and then the engine resolves where it begins.
    Opening { req: u64, expires: Option<UnixMillis>, undecided: bool },
    /// At the head: every message is sent as it comes.
    Live,
    /// QoS 0 under pressure or paused: nothing is sent; `since` counts what the hub had fanned out.
    Dropping { since: u64, paused: bool },
    /// Reading the log.
    Behind(Reader),
}

/// A reader of the log.
#[derive(Debug)]
pub(super) struct Reader {
    /// The client's position: what was last sent.
    pub(super) sent: Offset,
    /// The highest offset sent before a rewind.
    pub(super) delivered: Offset,
    /// Read up to here; beyond `sent` where messages have expired.
    pub(super) position: Offset,
    /// The last offsets of pages that are not confirmed.
    pub(super) pages: VecDeque<Offset>,
    /// Grows with each rewind and each read: answers to others are dropped.
    pub(super) turn: u32,
    pub(super) reading: bool,
    pub(super) paused: bool,
    /// Whether the client has asked for pages again, which it may not have been able to inflate.
    pub(super) plain: bool,
    /// Whether the client waits for a page that says `more: false`.
    pub(super) announced: bool,
}

impl Reader {
    pub(super) fn at(position: Offset, announced: bool, paused: bool) -> Self {
        Self {
            sent: position,
            delivered: position,
            position,
            pages: VecDeque::new(),
            turn: 0,
            reading: false,
            paused,
            plain: false,
            announced,
        }
    }
}

impl Session {
    pub(super) fn find(&self, number: HubNumber) -> Option<&Subscription> {
        self.subscriptions.binary_search_by_key(&number, |s| s.number).ok().and_then(|at| self.subscriptions.get(at))
    }

    /// Returns the hub of a channel by the number that the client knows: all are of its app.
    pub(super) fn hub_number(&self, channel: ChannelNumber) -> Option<HubNumber> {
        let at = self.subscriptions.binary_search_by_key(&channel, |s| s.number.channel).ok()?;
        self.subscriptions.get(at).map(|subscription| subscription.number)
    }

    pub(super) fn find_mut(&mut self, number: HubNumber) -> Option<&mut Subscription> {
        let at = self.subscriptions.binary_search_by_key(&number, |s| s.number).ok()?;
        self.subscriptions.get_mut(at)
    }

    pub(super) fn insert(&mut self, subscription: Subscription) {
        if let Err(at) = self.subscriptions.binary_search_by_key(&subscription.number, |s| s.number) {
            self.subscriptions.insert(at, subscription);
        }
    }

    pub(super) fn remove(&mut self, number: HubNumber) -> Option<Subscription> {
        let at = self.subscriptions.binary_search_by_key(&number, |s| s.number).ok()?;
        Some(self.subscriptions.remove(at))
    }

    /// Returns the text that stands for the scope of this connection's message ids.
    pub(super) fn scope(&mut self) -> Arc<str> {
        let made = || match &self.user {
            Some(user) => Arc::from(user.as_str()),
            // A user's name has no control character, so a session's cannot be one.
            None => Arc::from(format!("\u{1}{:x}", self.id.0)),
        };
        Arc::clone(self.scope.get_or_insert_with(made))
    }

    /// Tells whether a channel is the inbox of somebody else, which no grant opens.
    pub(super) fn is_foreign(&self, channel: &ChannelName) -> bool {
        let inbox = channel.as_str().strip_prefix('@');
        inbox.is_some() && inbox != self.user.as_ref().map(UserName::as_str)
    }

    /// Tells whether the connection's token allows a method. A channel's own token grants none.
    pub(super) fn may_call(&self, method: &str) -> bool {
        self.claims.grants.iter().any(|grant| grant.can.contains(Permissions::CALL) && grant.matches(method))
    }

    /// Tells whether the tokens of this connection allow something on a channel at a moment.
    pub(super) fn may(&self, channel: &str, what: Permissions, now: UnixMillis) -> bool {
        let own = self.user.as_ref().is_some_and(|user| channel.strip_prefix('@') == Some(user.as_str()));
        if own && !Permissions::PUBLISH.contains(what) {
            return true;
        }
        let extra = self.extra.iter().filter(|extra| extra.channel.as_str() == channel);
        let extra = extra.filter(|extra| !extra.claims.expires.is_some_and(|expires| is_over(expires, now)));
        let allowed = |grants: &[Grant]| grants.iter().any(|grant| grant.can.contains(what) && grant.matches(channel));
        let permitted = || self.permits.iter().any(|permit| permit.allows(channel, what, now));
        allowed(&self.claims.grants) || extra.into_iter().any(|extra| allowed(&extra.claims.grants)) || permitted()
    }
}

impl Grant {
    /// Tells whether the pattern fits a channel: an exact name, or a prefix and a trailing `*`.
    pub fn matches(&self, channel: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(prefix) => channel.starts_with(prefix),
            None => *self.pattern == *channel,
        }
    }
}
