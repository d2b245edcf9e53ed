use moorline_core::protocol::{
    Acked, Deliver, Message, Offset, Page, PresenceEvents, Published, Qos, Reset, ServerFrame, Start, Subscribed,
    limits,
};

use super::{Mode, Subscription, View, Wire};
use crate::model::{Violation, content};

/// A connection may be silent for the ping interval and this, and the server looks within a moment.
const SILENCE_MS: u64 = 10_000 + 100;
/// An open connection outlives its token by 30 s, and the server looks within a moment.
const TOKEN_GRACE_MS: u64 = 30_000 + 100;

impl Wire {
    /// Takes a frame that the server sends.
    pub(crate) fn down(&mut self, frame: &ServerFrame, view: &View<'_>) -> Option<Violation> {
        if let ServerFrame::Error(error) = frame {
            if let Some(req) = error.req {
                self.publishes.remove(&req);
                self.subscribes.remove(&req);
                self.auths.remove(&req);
            }
            return None;
        }
        self.may_stay(view).or_else(|| self.frame(frame, view))
    }

    fn frame(&mut self, frame: &ServerFrame, view: &View<'_>) -> Option<Violation> {
        match frame {
            ServerFrame::Welcome(welcome) => {
                self.owner = self.token.owner(&welcome.device);
                welcome.session.as_str().clone_into(&mut self.session);
                None
            }
            ServerFrame::Authed(authed) => {
                self.token = self.auths.remove(&authed.req)?;
                None
            }
            ServerFrame::Subscribed(subscribed) => self.subscribed(subscribed, view),
            ServerFrame::Unsubscribed(unsubscribed) => {
                self.subscriptions.retain(|_, subscription| subscription.channel != unsubscribed.channel);
                None
            }
            ServerFrame::Deliver(deliver) => self.deliver(deliver, view),
            ServerFrame::Presence(presence) => self.presence(presence),
            ServerFrame::Packed(packed) => match self.unpack(packed) {
                Ok(deliver) => self.deliver(&deliver, view),
                Err(violation) => Some(violation),
            },
            ServerFrame::Reset(reset) => self.reset(reset),
            ServerFrame::Published(published) => self.published(published, view),
            ServerFrame::Acked(acked) => self.acked(acked, view),
            ServerFrame::Page(page) => page_of(page, view),
            ServerFrame::Ping(ping) => {
                self.ping_ms = ping.next.map_or(self.ping_ms, u64::from);
                None
            }
            _ => None,
        }
    }

    /// Invariants 12 and 14: a connection stays only while it is heard of, and while its token holds.
    fn may_stay(&self, view: &View<'_>) -> Option<Violation> {
        let user = &self.token.user;
        if view.revoked.contains(user) {
            return Some(Violation::new(14, format!("{user} is spoken to after the revocation of its tokens")));
        }
        if self.ping_ms > 0 && self.heard + (self.ping_ms + SILENCE_MS) * 1_000 < view.now {
            return Some(Violation::new(12, format!("{user} is spoken to although it is silent since {}", self.heard)));
        }
        let late_by_clock = self.token.expires.is_some_and(|expires| expires + TOKEN_GRACE_MS < view.unix);
        let late = self.token.expires_us.is_some_and(|expires| expires + TOKEN_GRACE_MS * 1_000 < view.now);
        (late && late_by_clock).then(|| {
            Violation::new(14, format!("{user} is spoken to long after its token has expired ({:?})", self.token))
        })
    }

    fn subscribed(&mut self, subscribed: &Subscribed, view: &View<'_>) -> Option<Violation> {
        let Some(asked) = self.subscribes.remove(&subscribed.req) else {
            return Some(Violation::new(5, format!("{subscribed:?} answers nothing")));
        };
        let Subscribed { channel, number, epoch, head, from, start, .. } = subscribed;
        let cursor = self.owner.as_ref().and_then(|owner| view.log.cursor(owner, channel));
        let mode = if *start == Start::Live || from == head { Mode::Live } else { Mode::Replay };
        let subscription = Subscription {
            channel: channel.clone(),
            qos: asked.qos,
            epoch: *epoch,
            sent: *from,
            begins: Offset::ZERO,
            delivered: *from,
            cursor: cursor.filter(|cursor| cursor.epoch == *epoch).map_or(Offset::ZERO, |cursor| cursor.offset),
            mode,
            pages: Default::default(),
            held: Default::default(),
            rewound: false,
        };
        self.subscriptions.retain(|_, known| known.channel != asked.channel);
        self.subscriptions.insert(*number, subscription);
        self.names.insert(*number, channel.clone());
        let durable =
            view.log.head(channel).filter(|durable| durable.epoch == *epoch).map_or(Offset::ZERO, |d| d.offset);
        if *head > durable {
            return Some(Violation::new(1, format!("{channel}: {head} is shown as the head, {durable} is durable")));
        }
        let is_lost = asked.durable && cursor.is_none();
        is_lost.then(|| Violation::new(9, format!("{channel}: subscribed before the cursor is durable")))
    }

    fn deliver(&mut self, deliver: &Deliver, view: &View<'_>) -> Option<Violation> {
        let Some(name) = self.find(&deliver.channel).map(|subscription| subscription.channel.clone()) else {
            return Some(Violation::new(5, format!("a delivery in {:?}, which is not subscribed to", deliver.channel)));
        };
        if self.is_denied(&name) {
            let invariant = if self.decided.is_some() { 19 } else { 14 };
            return Some(Violation::new(invariant, format!("{name}: a delivery to whom it is denied")));
        }
        let subscription = self.find(&deliver.channel)?;
        if subscription.mode == Mode::Paused {
            let is_ephemeral = deliver.messages.iter().any(|message| message.offset.is_none());
            let invariant = if is_ephemeral { 4 } else { 12 };
            return Some(Violation::new(invariant, format!("{name}: a delivery during a pause")));
        }
        if deliver.replay && subscription.qos == Qos::AtMostOnce {
            return Some(Violation::new(4, format!("{name}: a page at QoS 0")));
        }
        let broken = if deliver.replay { subscription.page(deliver) } else { subscription.live(deliver) };
        let sent = deliver.messages.iter().find_map(|message| subscription.message(message, view));
        let end = if deliver.replay { subscription.end_page(deliver, view) } else { None };
        broken.or(sent).or(end)
    }

    fn presence(&mut self, presence: &PresenceEvents) -> Option<Violation> {
        let Some(name) = self.find(&presence.channel).map(|subscription| subscription.channel.clone()) else {
            return Some(Violation::new(13, format!("members of {:?}, which is not subscribed to", presence.channel)));
        };
        let invariant = if self.decided.is_some() { 19 } else { 14 };
        self.is_denied(&name)
            .then(|| Violation::new(invariant, format!("{name}: its members are told to whom it is denied")))
    }

    fn reset(&mut self, reset: &Reset) -> Option<Violation> {
        let subscription = self.find(&reset.channel)?;
        let is_within = subscription.epoch == reset.epoch;
        subscription.begins = if is_within { reset.from } else { Offset::ZERO };
        subscription.epoch = reset.epoch;
        subscription.sent = reset.from;
        subscription.delivered = reset.from;
        subscription.pages.clear();
        subscription.held.clear();
        subscription.rewound = false;
        None
    }

    fn published(&mut self, published: &Published, view: &View<'_>) -> Option<Violation> {
        let Some(sent) = self.publishes.remove(&published.req) else {
            return Some(Violation::new(11, format!("{published:?} answers nothing, or once more")));
        };
        let (channel, offset) = (sent.channel?, published.offset?);
        let stands = view.log.entry(&channel, published.epoch, offset);
        if stands.is_some_and(|entry| entry.id == sent.id.as_str()) {
            return None;
        }
        let what = format!("{} is answered {channel} {offset}; there is {stands:?}", sent.id.as_str());
        Some(Violation::new(1, what))
    }

    fn acked(&mut self, acked: &Acked, view: &View<'_>) -> Option<Violation> {
        let owner = self.owner.clone()?;
        let subscription = self.find(&acked.channel)?;
        let name = subscription.channel.clone();
        if acked.epoch != subscription.epoch {
            return None;
        }
        let reached = subscription.delivered.max(subscription.cursor);
        if acked.offset > reached {
            let what = format!("{name}: the cursor is at {}, {reached} was delivered", acked.offset);
            return Some(Violation::new(9, what));
        }
        let durable = view.log.cursor(&owner, &name);
        let stands = durable.is_some_and(|at| at.epoch != acked.epoch || at.offset >= acked.offset);
        let is_gone = durable.is_none() && view.forgetful;
        // Of a cursor that is gone, the answer says 0.
        (!stands && !is_gone && acked.offset > Offset::ZERO).then(|| {
            Violation::new(9, format!("{name}: {} is confirmed, the durable cursor is {durable:?}", acked.offset))
        })
    }
}

impl Subscription {
    fn live(&mut self, deliver: &Deliver) -> Option<Violation> {
        let is_ephemeral = deliver.messages.iter().any(|message| message.offset.is_none());
        if self.mode == Mode::Replay {
            let invariant = if is_ephemeral { 4 } else { 5 };
            return Some(Violation::new(invariant, format!("{}: a live delivery during a replay", self.channel)));
        }
        self.mode = Mode::Live;
        None
    }

    fn page(&self, deliver: &Deliver) -> Option<Violation> {
        let bytes: usize = deliver.messages.iter().map(|message| message.payload.bytes().len()).sum();
        let count = deliver.messages.len();
        let size = count > limits::PAGE_MESSAGES || (bytes > limits::PAGE_BYTES && count > 1);
        let what = if self.pages.len() >= limits::PAGES_IN_FLIGHT {
            format!("a page while {} are unconfirmed", self.pages.len())
        } else if size {
            format!("a page of {count} messages and {bytes} bytes")
        } else {
            return None;
        };
        Some(Violation::new(12, format!("{}: {what}", self.channel)))
    }

    fn message(&mut self, message: &Message, view: &View<'_>) -> Option<Violation> {
        let offset = message.offset?;
        let at = format!("{} {offset}", self.channel);
        if offset <= self.sent {
            return Some(Violation::new(5, format!("{at} is sent after {}", self.sent)));
        }
        let missing = view.log.missing(&self.channel, self.epoch, self.sent, offset);
        if let Some(missing) = missing.filter(|_| self.qos > Qos::AtMostOnce) {
            return Some(Violation::new(5, format!("{at} is sent after {}, without {missing}", self.sent)));
        }
        self.sent = offset;
        self.delivered = self.delivered.max(offset);
        self.hold(offset, message.payload.bytes());
        shown(&at, message, view.log.entry(&self.channel, self.epoch, offset))
    }

    fn end_page(&mut self, deliver: &Deliver, view: &View<'_>) -> Option<Violation> {
        if let Some(at) = deliver.at {
            let missing = view.log.missing(&self.channel, self.epoch, self.sent, at.next());
            if let Some(missing) = missing {
                return Some(Violation::new(5, format!("{}: a page reaches {at} without {missing}", self.channel)));
            }
            self.sent = self.sent.max(at);
            self.delivered = self.delivered.max(at);
        }
        if deliver.more {
            self.pages.push_back(self.sent);
        } else {
            self.mode = Mode::Live;
            self.pages.clear();
            self.rewound = false;
        }
        None
    }
}

/// Checks the answer to a history query.
fn page_of(page: &Page, view: &View<'_>) -> Option<Violation> {
    let mut before: Option<Offset> = None;
    for message in &page.messages {
        let offset = message.offset?;
        let at = format!("{} {offset}, from a history query", page.channel);
        let missing = before.and_then(|before| view.log.missing(&page.channel, page.epoch, before, offset));
        if before.is_some_and(|before| before >= offset) || missing.is_some() {
            return Some(Violation::new(5, format!("{at} after {before:?}, without {missing:?}")));
        }
        before = Some(offset);
        let broken = shown(&at, message, view.log.entry(&page.channel, page.epoch, offset));
        if broken.is_some() {
            return broken;
        }
    }
    None
}

/// Compares a message that is shown with what the log holds in its place.
fn shown(at: &str, message: &Message, entry: Option<&crate::model::Entry>) -> Option<Violation> {
    match entry {
        None => Some(Violation::new(1, format!("{at} is shown before it is durable"))),
        Some(entry) if entry.id == message.id.as_str() && entry.content == content(message) => None,
        Some(entry) => Some(Violation::new(8, format!("{at} is sent as {}, and is {}", message.id.as_str(), entry.id))),
    }
}
