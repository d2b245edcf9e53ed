//! Subscriptions: from `subscribe` to `subscribed`, and their end.

use moorline_protocol::time::Now;
use moorline_protocol::{
    ChannelName, ChannelRef, Codec, ErrorCode, ErrorFrame, Offset, Qos, ServerFrame, Since, Start, Subscribe,
    Subscribed, Unsubscribe, Unsubscribed, Utf8Bytes,
};

use super::config::Permissions;
use super::connect::storage_error;
use super::hub::{Hub, HubNumber, Tip};
use super::io::ConnId;
use super::session::{Extra, Flow, Reader, Subscription};
use super::{Node, Waiting};
use crate::engine::hooks::is_reserved;
use crate::engine::{ChannelKey, Command, EngineError, Open, Opened, Owner, SessionId};
use crate::planted::Bug;

impl Node {
    pub(super) fn subscribe(&mut self, conn: ConnId, subscribe: Subscribe, now: Now) {
        let req = subscribe.req;
        let channel = match self.permitted(conn, &subscribe, now) {
            Ok(channel) => channel,
            Err(error) => {
                let (req, channel) = (Some(req), Some(subscribe.channel));
                return self.send(conn, &ServerFrame::Error(ErrorFrame { req, channel, ..error }));
            }
        };
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return };
        let key = ChannelKey { app, name: channel };
        let number = self.hub_number(&key);
        let live_only = subscribe.qos == Qos::AtMostOnce;
        let Some(session) = self.session(conn) else { return };
        session.serial += 1;
        let (serial, id) = (session.serial, session.id);
        let cursor = session.owner.clone().filter(|_| subscribe.durable);
        let own = session.extra.iter().find(|extra| extra.channel == key.name);
        let expires = own.and_then(|extra| extra.claims.expires);
        let flow = Flow::Opening { req, expires, undecided: false };
        let (qos, reset, durable) = (subscribe.qos, subscribe.reset, subscribe.durable);
        let held = Offset::ZERO;
        session.insert(Subscription { number, serial, qos, reset, durable, held, begins: Offset::ZERO, flow });
        let since = if live_only { Since::Now } else { subscribe.since };
        let presence = self.take_part(conn, id, number, &subscribe);
        let open = Open { channel: key.clone(), since, reset, cursor, presence };
        let open = (Waiting::Open { conn, session: id, number, serial }, Command::Open(open));
        self.open_or_ask(conn, &key, subscribe, open, now);
    }

    /// Checks a `subscribe` and returns the channel's canonical name.
    fn permitted(&mut self, conn: ConnId, subscribe: &Subscribe, now: Now) -> Result<ChannelName, ErrorFrame> {
        let refuse = |code, text: &'static str| Err(ErrorFrame::new(code, text));
        let app = self.conns.get(&conn).map(|entry| entry.app.clone());
        let token = match (&subscribe.token, app) {
            (Some(token), Some(app)) => match self.auth.verify(&app, Some(token), Some(&subscribe.channel), now.unix) {
                Ok(claims) if self.is_revoked(&app, &claims) => {
                    return refuse(ErrorCode::AuthRevoked, "the channel's token was revoked");
                }
                Ok(claims) => Some(claims),
                Err(failure) => return refuse(failure.code, failure.message),
            },
            _ => None,
        };
        let (max, bugs) = (self.limits_of(conn).channels as usize, self.config.bugs);
        let Some(session) = self.session(conn) else { return refuse(ErrorCode::RequestOrder, "not connected") };
        let channel = canonical(&subscribe.channel, session.user.as_ref())
            .ok_or_else(|| ErrorFrame::new(ErrorCode::ChannelInvalid, NOT_A_CHANNEL))?;
        if let Some(claims) = token {
            if claims.user.is_some() && claims.user != session.user {
                return refuse(ErrorCode::AuthInvalid, "the channel's token is another user's");
            }
            let extra = Extra { channel: channel.clone(), claims };
            self.keep_extra(conn, extra);
            self.arm(conn, now);
        }
        // What the app decides about needs no grant: that is the app's answer.
        let is_asked = self.subscribe_terms(conn, &channel).is_some();
        let Some(session) = self.session(conn) else { return refuse(ErrorCode::RequestOrder, "not connected") };
        if session.is_foreign(&channel) {
            return refuse(ErrorCode::ChannelDenied, "an inbox is read by its user only");
        }
        if !is_asked {
            self.granted(conn, &channel, subscribe, now)?;
        }
        let Some(session) = self.session(conn) else { return refuse(ErrorCode::RequestOrder, "not connected") };
        if subscribe.durable && session.owner.is_none() && !bugs.has(Bug::NobodyIsDurable) {
            return refuse(ErrorCode::ChannelNotDurable, "a durable subscription needs a named user and a device");
        }
        if session.subscriptions.len() >= max {
            return refuse(
                ErrorCode::LimitChannels,
                "too many channels on this connection; unsubscribe from one first",
            );
        }
        if self.subscribed_number(conn, &channel).is_some() {
            return refuse(ErrorCode::ChannelAlreadySubscribed, "this connection is subscribed to the channel already");
        }
        Ok(channel)
    }

    /// Checks what the tokens allow.
    pub(super) fn granted(
        &mut self,
        conn: ConnId,
        channel: &ChannelName,
        subscribe: &Subscribe,
        now: Now,
    ) -> Result<(), ErrorFrame> {
        let bugs = self.config.bugs;
        let may = self.session(conn).is_some_and(|open| open.may(channel.as_str(), Permissions::SUBSCRIBE, now.unix));
        if !may && !bugs.has(Bug::GrantUnchecked) {
            let text = "the token has no `subscribe` grant for this channel";
            return Err(ErrorFrame::new(ErrorCode::ChannelDenied, text));
        }
        self.presence_permitted(conn, channel, subscribe, now)
    }

    /// Returns the number of a channel that a connection is subscribed to, by its canonical name.
    pub(super) fn subscribed_number(&self, conn: ConnId, channel: &ChannelName) -> Option<HubNumber> {
        let entry = self.conns.get(&conn)?;
        let key = ChannelKey { app: entry.app.clone(), name: channel.clone() };
        let number = *self.numbers.get(&key)?;
        match &entry.state {
            super::State::Open(session) => session.find(number).map(|_| number),
            super::State::AwaitingHello { .. } | super::State::Asking(_) | super::State::Attaching(_) => None,
        }
    }

    /// Returns the number of a channel that a frame refers to, if this connection is subscribed to it.
    pub(super) fn number_of(&mut self, conn: ConnId, channel: &ChannelRef) -> Option<HubNumber> {
        match channel {
            ChannelRef::Number(number) => self.session(conn)?.hub_number(*number),
            ChannelRef::Name(name) => {
                let name = canonical(name, self.session(conn)?.user.as_ref())?;
                self.subscribed_number(conn, &name)
            }
        }
    }

    /// The same, without what the app still decides about: nothing can rest on that.
    pub(super) fn decided_number(&mut self, conn: ConnId, channel: &ChannelRef) -> Option<HubNumber> {
        let number = self.number_of(conn, channel)?;
        self.session(conn)?.find(number).filter(|subscription| !subscription.is_undecided()).map(|_| number)
    }

    /// Returns the canonical name of the channel that a frame is about, subscribed or not.
    ///
    /// # Errors
    /// What to answer: a number means something only to its subscribers, and `@me` only to a named user.
    pub(super) fn name_of(&mut self, conn: ConnId, channel: &ChannelRef) -> Result<ChannelName, Box<ErrorFrame>> {
        let (name, code, text) = match channel {
            ChannelRef::Name(name) => {
                let user = self.session(conn).and_then(|session| session.user.as_ref());
                (canonical(name, user), ErrorCode::ChannelInvalid, NOT_A_CHANNEL)
            }
            ChannelRef::Number(_) => {
                let hub = self.number_of(conn, channel).and_then(|number| self.hubs.get(&number));
                let text = "no channel has this number on this connection";
                (hub.map(|hub| hub.key.name.clone()), ErrorCode::ChannelNotSubscribed, text)
            }
        };
        name.ok_or_else(|| Box::new(ErrorFrame::new(code, Utf8Bytes::from_static(text))))
    }

    fn hub_number(&mut self, key: &ChannelKey) -> HubNumber {
        let number = match self.numbers.get(key) {
            Some(number) => *number,
            None => {
                let apps = self.last_hubs.len() as u32;
                let last = self.last_hubs.entry(key.app.clone()).or_insert_with(|| HubNumber::before_first(apps));
                let number = last.next();
                *last = number;
                self.numbers.insert(key.clone(), number);
                let packs = self.config.compression.of(&key.app, key.name.as_str());
                self.hubs.insert(number, Hub::new(key.clone(), number, packs));
                number
            }
        };
        if let Some(hub) = self.hubs.get_mut(&number) {
            hub.subscribers += 1;
        }
        number
    }

    /// A subscription is gone; with the last one the shard stops watching the channel.
    pub(super) fn leave_hub(&mut self, conn: ConnId, codec: Codec, number: HubNumber) {
        let Some(key) = self.hubs.get(&number).map(|hub| hub.key.clone()) else { return };
        self.leave_room(conn, codec, number, &key);
        if let Some(session) = self.session(conn) {
            session.end_permit(&key.name);
        }
        let Some(hub) = self.hubs.get_mut(&number) else { return };
        hub.leave(conn, codec);
        hub.subscribers = hub.subscribers.saturating_sub(1);
        if hub.subscribers == 0 {
            self.hubs.remove(&number);
            self.numbers.remove(&key);
            self.ask(Waiting::Nothing, Command::Unwatch(key));
        }
    }

    pub(super) fn opened(&mut self, conn: ConnId, session: SessionId, number: HubNumber, serial: u32, opened: &Opened) {
        let (epoch, head) = (opened.epoch, opened.head);
        let Some(hub) = self.hubs.get_mut(&number) else { return };
        let tip = *hub.tip.get_or_insert(Tip { epoch, fanned: head });
        let channel = hub.key.name.clone();
        let Some(subscription) = self.session_if(conn, session).and_then(|session| session.find_mut(number)) else {
            return;
        };
        let Flow::Opening { req, expires, .. } = subscription.flow else { return };
        if subscription.serial != serial {
            return;
        }
        let live = opened.from == tip.fanned || subscription.qos == Qos::AtMostOnce;
        let from = if subscription.qos == Qos::AtMostOnce { tip.fanned } else { opened.from };
        subscription.held = from.next();
        subscription.flow = if live { Flow::Live } else { Flow::Behind(Reader::at(from, true, false)) };
        let start = match (&opened.reset, live) {
            (Some(_), _) => Start::Reset,
            (None, true) => Start::Live,
            (None, false) => Start::Replay,
        };
        let first = opened.reset.as_ref().map(|_| opened.first);
        let subscribed = Subscribed {
            req,
            channel,
            number: number.channel,
            epoch: tip.epoch,
            head: tip.fanned,
            from,
            start,
            reason: opened.reset.clone(),
            first,
            expires,
            members: opened.members.clone(),
        };
        self.send(conn, &ServerFrame::Subscribed(subscribed));
        if let Some(view) = &opened.members {
            let codec = self.codec(conn);
            self.begin_watch(conn, codec, number, view);
        }
        if live {
            self.join_hub(conn, number);
            self.apply_pressure(conn);
        } else {
            self.read_on(conn);
        }
    }

    pub(super) fn open_failed(
        &mut self,
        conn: ConnId,
        session: SessionId,
        number: HubNumber,
        serial: u32,
        error: EngineError,
    ) {
        let Some(open) = self.session_if(conn, session) else { return };
        let Some(subscription) = open.find(number).filter(|subscription| subscription.serial == serial) else { return };
        let Flow::Opening { .. } = subscription.flow else { return };
        self.open_refused(conn, number, storage_error(error));
    }

    /// A subscription that was asked for does not come about.
    pub(super) fn open_refused(&mut self, conn: ConnId, number: HubNumber, error: ErrorFrame) {
        let codec = self.codec(conn);
        let removed = self.session(conn).and_then(|session| session.remove(number));
        let Some(Flow::Opening { req, .. }) = removed.map(|subscription| subscription.flow) else { return };
        let channel = self.hubs.get(&number).map(|hub| hub.key.name.clone());
        self.send(conn, &ServerFrame::Error(ErrorFrame { req: Some(req), channel, ..error }));
        self.leave_hub(conn, codec, number);
    }

    pub(super) fn unsubscribe(&mut self, conn: ConnId, unsubscribe: Unsubscribe) {
        if let (true, Err(error)) = (unsubscribe.forget, self.may_move(conn)) {
            return self.send(conn, &ServerFrame::Error(ErrorFrame { req: Some(unsubscribe.req), ..error }));
        }
        let Some(number) = self.number_of(conn, &unsubscribe.channel) else {
            let forgets = unsubscribe.forget && !self.config.bugs.has(Bug::ForgetNeedsSubscription);
            if let (true, ChannelRef::Name(name)) = (forgets, &unsubscribe.channel) {
                return self.forget_unread(conn, unsubscribe.req, name);
            }
            return self.not_subscribed(conn, Some(unsubscribe.req), &unsubscribe.channel);
        };
        let codec = self.codec(conn);
        let Some(session) = self.session(conn) else { return };
        let owner = session.owner.clone().filter(|_| unsubscribe.forget);
        session.remove(number);
        if let Some(key) = self.hubs.get(&number).map(|hub| hub.key.clone()) {
            let req = unsubscribe.req;
            match owner {
                Some(owner) => self.forget_cursor(conn, req, owner, key),
                None => self.unsubscribed(conn, req, key.name),
            }
        }
        self.leave_hub(conn, codec, number);
    }

    fn unsubscribed(&mut self, conn: ConnId, req: u64, channel: ChannelName) {
        self.send(conn, &ServerFrame::Unsubscribed(Unsubscribed { req: Some(req), channel, code: None }));
    }
}

impl Node {
    /// Drops the cursor of a channel that this connection does not read; that there is none is no fault.
    fn forget_unread(&mut self, conn: ConnId, req: u64, name: &ChannelName) {
        let Some(session) = self.session(conn) else { return };
        let (owner, name) = (session.owner.clone(), canonical(name, session.user.as_ref()));
        let (Some(owner), Some(channel)) = (owner, name) else {
            let text = "a cursor needs a named user and a device";
            return self.error(conn, Some(req), ErrorCode::ChannelNotDurable, text);
        };
        let key = ChannelKey { app: owner.app.clone(), name: channel };
        self.forget_cursor(conn, req, owner, key);
    }

    /// Has the engine drop a cursor, if there is one; that is answered when it is durable.
    fn forget_cursor(&mut self, conn: ConnId, req: u64, owner: Owner, key: ChannelKey) {
        let Some(session) = self.session(conn) else { return };
        session.moving += 1;
        let session = session.id;
        let waiting = Waiting::Forget { conn, session, req, channel: key.name.clone() };
        self.ask(waiting, Command::Forget { owner, channel: key });
    }

    pub(super) fn forgotten(
        &mut self,
        conn: ConnId,
        session: SessionId,
        req: u64,
        channel: ChannelName,
        error: Option<EngineError>,
    ) {
        if self.session_if(conn, session).is_none() {
            return;
        }
        match error {
            None => self.unsubscribed(conn, req, channel),
            Some(error) => {
                let (req, channel) = (Some(req), Some(channel));
                self.send(conn, &ServerFrame::Error(ErrorFrame { req, channel, ..storage_error(error) }));
            }
        }
    }
}

/// Why there is no canonical name.
pub(super) const NOT_A_CHANNEL: &str = "`@me` needs a named user, and names that begin with `$` are the server's";

/// Resolves `@me`; `None` for an anonymous connection, and for names that are the server's.
pub(super) fn canonical(channel: &ChannelName, user: Option<&moorline_protocol::UserName>) -> Option<ChannelName> {
    if channel.as_str() != "@me" {
        return Some(channel.clone()).filter(|name| !is_reserved(name.as_str()));
    }
    ChannelName::new(&format!("@{}", user?)).ok()
}
