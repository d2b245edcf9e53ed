//! What a connection may say: watches the frames of each connection at the server's end, with the log in hand.
//!
//! Nothing undurable is shown, offsets rise without a hole, pages wait for their confirmation, a pause is a pause,
//! grants end deliveries, and no client asks for what it was not refused. The client's own checks would heal or hide
//! much of this; here it is seen.

mod down;
mod packed;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use moorline_core::protocol::{
    ChannelName, ChannelNumber, ChannelRef, ClientFrame, DeviceId, Epoch, More, Offset, Packed, Publish, Qos,
    Subscribe, UserName, Utf8Bytes,
};
use moorline_server::engine::Owner;

use crate::decisions::Decided;
use crate::model::{Log, Violation};
use crate::server::Token;
use crate::world::channel;

/// ms between two pings, until the server says otherwise.
const PING_MS: u64 = 25_000;

/// One connection.
#[derive(Default)]
pub(crate) struct Wire {
    device: Option<DeviceId>,
    token: Held,
    owner: Option<Owner>,
    subscribes: BTreeMap<u64, Asked>,
    subscriptions: BTreeMap<ChannelNumber, Subscription>,
    /// What each number has ever stood for: a client may not have heard yet that its subscription has ended.
    names: BTreeMap<ChannelNumber, ChannelName>,
    publishes: BTreeMap<u64, Sent>,
    auths: BTreeMap<u64, Held>,
    /// µs of the world when anything was heard last.
    pub(crate) heard: u64,
    /// ms between two pings.
    ping_ms: u64,
    /// Deliveries that the world has lost on purpose.
    pub(crate) lost: u32,
    /// Deliveries that the world has spoilt.
    pub(crate) spoilt: u32,
    /// Whether the client has said that it can inflate.
    packs: bool,
    /// Its session, as `welcome` named it.
    pub(crate) session: String,
    /// What the backend has said of channels, where it decides.
    pub(crate) decided: Option<Decided>,
}

/// What a token allows.
#[derive(Clone, Debug, Default)]
struct Held {
    user: String,
    /// ms since 1970.
    expires: Option<u64>,
    /// µs of the world at which it expires if no clock jumps.
    expires_us: Option<u64>,
    denied: BTreeSet<usize>,
}

/// A subscription that was asked for.
struct Asked {
    channel: ChannelName,
    qos: Qos,
    durable: bool,
}

/// A publish without an answer.
struct Sent {
    channel: Option<ChannelName>,
    id: Utf8Bytes,
}

/// A subscription that stands.
struct Subscription {
    channel: ChannelName,
    qos: Qos,
    epoch: Epoch,
    /// Everything up to here was sent, or need not be.
    sent: Offset,
    /// Where the last reset within this epoch put it.
    begins: Offset,
    /// The highest offset sent since it began.
    delivered: Offset,
    /// The cursor's offset when it began.
    cursor: Offset,
    mode: Mode,
    /// The last offsets of pages that are not confirmed.
    pages: VecDeque<Offset>,
    /// The payloads that were sent since it began, was reset or was rewound: the newest of them.
    held: BTreeMap<Offset, Bytes>,
    /// Whether it was rewound and is not live again.
    rewound: bool,
}

/// Where a subscription gets its messages from, as far as its frames tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Live,
    /// The log, until a page says that it was the last.
    Replay,
    /// The log, or live again: the server does not say.
    Behind,
    Paused,
}

/// What the watcher may look at.
pub(crate) struct View<'a> {
    pub(crate) log: &'a Log,
    /// µs of the world.
    pub(crate) now: u64,
    /// The server's clock.
    pub(crate) unix: u64,
    /// Who is revoked, as far as this shard was told.
    pub(crate) revoked: &'a BTreeSet<String>,
    /// Whether cursors may expire within the run.
    pub(crate) forgetful: bool,
}

impl Wire {
    /// Takes a frame that reaches the server. `forged`: the client's core knows nothing of it.
    pub(crate) fn up(&mut self, frame: &ClientFrame, forged: bool, view: &View<'_>) -> Option<Violation> {
        match frame {
            ClientFrame::Hello(hello) => {
                self.ping_ms = PING_MS;
                self.token = Held::of(hello.token.as_ref(), view);
                self.device = hello.device.clone();
                self.packs = hello.caps.iter().any(|cap| cap.as_str() == Packed::CAP);
                hello.subscribe.iter().for_each(|subscribe| self.ask(subscribe));
            }
            ClientFrame::Auth(auth) => {
                self.auths.insert(auth.req, Held::of(Some(&auth.token), view));
            }
            ClientFrame::Subscribe(subscribe) => self.ask(subscribe),
            ClientFrame::Publish(publish) => self.publish(publish),
            ClientFrame::More(more) => return self.more(more, forged),
            ClientFrame::Pause(pause) => {
                if let Some(subscription) = self.find(&pause.channel) {
                    subscription.mode = Mode::Paused;
                }
            }
            ClientFrame::Ack(ack) if !forged => {
                let subscription = self.find(&ack.channel)?;
                let reached = subscription.delivered.max(subscription.cursor);
                if subscription.epoch == ack.epoch && ack.offset > reached {
                    let what =
                        format!("{}: {} is acknowledged, {reached} was delivered", subscription.channel, ack.offset);
                    return Some(Violation::new(9, what));
                }
            }
            _ => {}
        }
        None
    }

    fn ask(&mut self, subscribe: &Subscribe) {
        let asked = Asked { channel: subscribe.channel.clone(), qos: subscribe.qos, durable: subscribe.durable };
        self.subscribes.insert(subscribe.req, asked);
    }

    fn publish(&mut self, publish: &Publish) {
        let (Some(req), Some(id)) = (publish.req, publish.id.clone()) else { return };
        let channel = match &publish.channel {
            ChannelRef::Name(name) => Some(name.clone()),
            ChannelRef::Number(number) => self.subscriptions.get(number).map(|s| s.channel.clone()),
        };
        self.publishes.insert(req, Sent { channel, id });
    }

    fn more(&mut self, more: &More, forged: bool) -> Option<Violation> {
        let subscription = self.find(&more.channel)?;
        if more.epoch.is_some_and(|epoch| epoch != subscription.epoch) {
            return None;
        }
        // A rewind to before a reset crossed that on its way, and is none.
        if !more.rewind || more.after < subscription.begins {
            while subscription.pages.front().is_some_and(|page| *page <= more.after) {
                subscription.pages.pop_front();
            }
            if subscription.mode == Mode::Paused {
                subscription.mode = Mode::Behind;
            }
            return None;
        }
        subscription.mode = Mode::Replay;
        subscription.pages.clear();
        subscription.held.clear();
        subscription.rewound = true;
        subscription.sent = more.after.min(subscription.sent);
        let at = format!("{} after {}", subscription.channel, more.after);
        (!forged && self.lost + self.spoilt == 0)
            .then(|| Violation::new(5, format!("{at}: asked for again, although nothing was lost")))
    }

    /// The server was told that the connection's out-queue is full: live subscriptions fall behind.
    pub(crate) fn fall_behind(&mut self) {
        for subscription in self.subscriptions.values_mut() {
            if subscription.mode == Mode::Live {
                subscription.mode = Mode::Behind;
            }
        }
    }

    /// Tells whether nothing of a channel may be sent.
    fn is_denied(&self, name: &ChannelName) -> bool {
        match &self.decided {
            Some(decided) => decided.denies(name),
            None => self.token.denied.iter().any(|index| channel(*index) == *name),
        }
    }

    fn find(&mut self, channel: &ChannelRef) -> Option<&mut Subscription> {
        match channel {
            ChannelRef::Number(number) => self.subscriptions.get_mut(number),
            ChannelRef::Name(name) => self.subscriptions.values_mut().find(|s| s.channel == *name),
        }
    }

    /// Returns the channel of a number, whether it is still subscribed to or not.
    pub(crate) fn channel_of(&self, channel: &ChannelRef) -> Option<ChannelName> {
        match channel {
            ChannelRef::Number(number) => self.names.get(number).cloned(),
            ChannelRef::Name(name) => Some(name.clone()),
        }
    }

    /// Returns a subscription to forge frames for: its number, its epoch, what was delivered.
    pub(crate) fn any_subscription(&self) -> Option<(ChannelNumber, Epoch, Offset)> {
        let (number, subscription) = self.subscriptions.iter().find(|(_, s)| s.qos > Qos::AtMostOnce)?;
        Some((*number, subscription.epoch, subscription.delivered))
    }
}

impl Held {
    fn of(token: Option<&Utf8Bytes>, view: &View<'_>) -> Self {
        let Some(token) = token.and_then(|token| Token::parse(token)) else { return Self::default() };
        let left = token.expires.map(|expires| expires.saturating_sub(view.unix));
        Self {
            user: token.user.to_owned(),
            expires: token.expires,
            expires_us: left.map(|ms| view.now + ms * 1_000),
            denied: token.denied,
        }
    }

    fn owner(&self, device: &DeviceId) -> Option<Owner> {
        let user = UserName::new(&self.user).ok()?;
        Some(Owner { app: moorline_core::protocol::AppName::default_app(), user, device: device.clone() })
    }
}
