//! Channels that the app decides about: who may read them, and for how long that is so.

use moorline_protocol::time::{Now, UnixMillis};
use moorline_protocol::{ChannelName, ErrorFrame, Qos, Subscribe};

use super::super::config::Permissions;
use super::super::io::ConnId;
use super::super::session::{Session, State, Subscription};
use super::super::{Node, Waiting};
use super::body::{self, Allowed, Ask};
use super::{CalloutId, CalloutKind, OnFailure, QuestionId, Terms, What, unavailable};
use crate::engine::{ChannelKey, Command, SessionId};
use crate::planted::Bug;

/// ms after which a standing subscription is asked about again, if the backend did not answer.
const AGAIN_MS: u64 = 5_000;

/// What the app lets a connection do in a channel.
#[derive(Debug)]
pub(in crate::node) struct Permit {
    channel: ChannelName,
    /// What was asked about: whoever may read at this QoS may at a lower one.
    qos: Qos,
    /// Who has said so, or is asked about it now.
    callout: CalloutId,
    can: Permissions,
    /// Asked about again from then on; `None`: good for as long as the connection.
    until: Option<UnixMillis>,
    /// The question that is asked about it now: until its answer comes, what was allowed is.
    asking: Option<QuestionId>,
}

impl Permit {
    /// Tells whether it allows something.
    pub(in crate::node) fn allows(&self, channel: &str, what: Permissions, now: UnixMillis) -> bool {
        self.channel.as_str() == channel && self.can.contains(what) && self.is_good(now)
    }

    fn is_good(&self, now: UnixMillis) -> bool {
        self.asking.is_some() || self.until.is_none_or(|until| until > now)
    }

    /// Returns when it has to be asked about again.
    pub(in crate::node) fn due(&self) -> Option<UnixMillis> {
        self.until.filter(|_| self.asking.is_none())
    }
}

/// A subscription that the app decides about.
#[derive(Debug)]
pub(super) struct Opening {
    subscribe: Subscribe,
    waiting: Waiting,
    command: Command,
}

/// A standing subscription that the app is asked about again.
#[derive(Debug)]
pub(super) struct Renewing {
    session: SessionId,
    channel: ChannelName,
    qos: Qos,
}

impl Session {
    /// Tells whether the app has allowed a subscription for a while, so that it need not be asked.
    pub(in crate::node) fn is_permitted(&self, channel: &ChannelName, qos: Qos, now: UnixMillis) -> bool {
        let cached = self.permits.iter().filter(|permit| permit.until.is_some() && permit.qos >= qos);
        cached.into_iter().any(|permit| permit.allows(channel.as_str(), Permissions::SUBSCRIBE, now))
    }

    /// A subscription is over, and with it what was allowed for as long as it stands.
    pub(in crate::node) fn end_permit(&mut self, channel: &ChannelName) {
        self.permits.retain(|permit| permit.until.is_some() || permit.channel != *channel);
    }

    fn keep_permit(&mut self, (channel, qos): (ChannelName, Qos), callout: CalloutId, allowed: Allowed) {
        let Allowed { can, until } = allowed;
        self.permits.retain(|permit| permit.channel != channel);
        self.permits.push(Permit { channel, qos, callout, can, until, asking: None });
    }
}

impl Node {
    /// Returns who decides about a subscription.
    pub(in crate::node) fn subscribe_terms(&self, conn: ConnId, channel: &ChannelName) -> Option<Terms> {
        let app = &self.conns.get(&conn)?.app;
        self.config.callouts.of(app, CalloutKind::Subscribe, Some(channel.as_str()))
    }

    /// Opens a subscription that is checked as far as the node can: asks the engine, or the app first.
    pub(in crate::node) fn open_or_ask(
        &mut self,
        conn: ConnId,
        key: &ChannelKey,
        subscribe: Subscribe,
        (waiting, command): (Waiting, Command),
        now: Now,
    ) {
        let Waiting::Open { number, .. } = waiting else { return };
        let terms = self.subscribe_terms(conn, &key.name);
        let Some(session) = self.session(conn) else { return };
        let is_permitted = terms.is_some() && session.is_permitted(&key.name, subscribe.qos, now.unix);
        let Some(terms) = terms.filter(|_| !is_permitted) else {
            // What was allowed for a while is not the answer to everything that can be asked for.
            if is_permitted && let Err(error) = self.presence_permitted(conn, &key.name, &subscribe, now) {
                return self.open_refused(conn, number, error);
            }
            return self.ask(waiting, command);
        };
        if let Err(error) = self.take_question(conn, now) {
            return self.open_refused(conn, number, error);
        }
        let Some(session) = self.session(conn) else { return };
        // What was allowed at a lower QoS is no answer, also where none comes; nor is what is still asked about it.
        for permit in session.permits.iter_mut().filter(|permit| permit.channel == key.name) {
            permit.can = permit.can.without(Permissions::SUBSCRIBE);
            if permit.asking.take().is_some() {
                permit.until = Some(now.unix + AGAIN_MS);
            }
        }
        session.find_mut(number).into_iter().for_each(|subscription| subscription.set_undecided(true));
        let ask = Ask::of(CalloutKind::Subscribe, &key.app, session.id, session.user.as_ref());
        let body = ask.about(&key.name, subscribe.qos).body();
        let opening = Opening { subscribe, waiting, command };
        self.question(conn, CalloutKind::Subscribe, terms, What::Subscribe(Box::new(opening)), body, now);
    }

    pub(super) fn subscribe_answered(
        &mut self,
        conn: ConnId,
        opening: Opening,
        (callout, on_failure): (CalloutId, OnFailure),
        answer: Option<&[u8]>,
        now: Now,
    ) {
        let Opening { subscribe, waiting, command } = opening;
        let Waiting::Open { session, number, serial, .. } = waiting else { return };
        let channel = self.hubs.get(&number).map(|hub| hub.key.name.clone());
        let (Some(open), Some(channel)) = (self.session_if(conn, session), channel) else { return };
        let asked = open.find_mut(number).filter(|asked| asked.serial == serial && asked.is_undecided());
        let Some(subscription) = asked else { return };
        // What becomes of its grants while the engine opens it counts.
        subscription.set_undecided(false);
        let meaning = answer.and_then(|body| body::subscribe(body, now.unix));
        if answer.is_some() && meaning.is_none() {
            self.senseless(conn, CalloutKind::Subscribe);
        }
        if let (Some(Err(_)), Some(open)) = (&meaning, self.session(conn)) {
            open.permits.retain(|permit| permit.channel != channel);
        }
        let refusal = match (meaning, on_failure) {
            (Some(Ok(allowed)), _) => {
                if let Some(open) = self.session(conn) {
                    open.keep_permit((channel.clone(), subscribe.qos), callout, allowed);
                }
                self.forget_permits(conn);
                self.presence_permitted(conn, &channel, &subscribe, now).err()
            }
            (Some(Err(_)), _) if self.config.bugs.has(Bug::DenialIgnored) => None,
            (Some(Err(no)), _) => Some(ErrorFrame::new(no.code, no.reason)),
            (None, OnFailure::Deny) => Some(unavailable()),
            (None, OnFailure::Allow) => self.granted(conn, &channel, &subscribe, now).err(),
        };
        match refusal {
            None => {
                self.ask(waiting, command);
                self.recheck_permits(conn, now);
                self.arm(conn, now);
            }
            Some(error) => self.open_refused(conn, number, error),
        }
    }

    /// Tells whether a subscription waits for the app. Where nobody decides any more, the token does.
    pub(in crate::node) fn is_undecided(&self, conn: ConnId, subscription: &Subscription) -> bool {
        let channel = self.hubs.get(&subscription.number).map(|hub| &hub.key.name);
        let is_asked = |channel| self.subscribe_terms(conn, channel).is_some();
        subscription.is_undecided() && channel.is_some_and(is_asked)
    }

    /// Where there are more permits than channels on a connection, those go that nothing rests on.
    fn forget_permits(&mut self, conn: ConnId) {
        let most = self.limits_of(conn).channels as usize;
        let Some(State::Open(session)) = self.conns.get(&conn).map(|entry| &entry.state) else { return };
        if session.permits.len() <= most {
            return;
        }
        let used = session.permits.iter().map(|permit| &permit.channel);
        let used = used.filter(|channel| self.subscribed_number(conn, channel).is_some()).cloned();
        let used: Vec<ChannelName> = used.collect();
        if let Some(session) = self.session(conn) {
            session.permits.retain(|permit| used.contains(&permit.channel));
        }
    }

    /// What was allowed for a while is asked about again where it is in use, and forgotten elsewhere.
    pub(in crate::node) fn renew_permits(&mut self, conn: ConnId, now: Now) {
        let Some(session) = self.session(conn) else { return };
        let over = session.permits.iter().filter(|permit| permit.due().is_some_and(|until| until <= now.unix));
        let over: Vec<ChannelName> = over.map(|permit| permit.channel.clone()).collect();
        self.ask_again(conn, over, now);
    }

    /// What was allowed by a call-out that does not decide any more is asked about again where it is in use, and forgotten
    /// elsewhere. Where nobody decides any more, the token does.
    pub(super) fn recheck_permits(&mut self, conn: ConnId, now: Now) {
        let Some(State::Open(session)) = self.conns.get(&conn).map(|entry| &entry.state) else { return };
        let decides = |channel| self.subscribe_terms(conn, channel).map(|terms| terms.id);
        let other = session.permits.iter().filter(|permit| decides(&permit.channel) != Some(permit.callout));
        let other: Vec<ChannelName> = other.map(|permit| permit.channel.clone()).collect();
        if other.is_empty() {
            return;
        }
        self.ask_again(conn, other, now);
        self.arm(conn, now);
        self.recheck_grants(conn, now);
    }

    fn ask_again(&mut self, conn: ConnId, channels: Vec<ChannelName>, now: Now) {
        for channel in channels {
            let number = self.subscribed_number(conn, &channel);
            let terms = self.subscribe_terms(conn, &channel);
            let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return };
            let Some(session) = self.session(conn) else { return };
            let qos = number.and_then(|number| session.find(number)).map(|subscription| subscription.qos);
            let Some((terms, qos)) = terms.zip(qos) else {
                session.permits.retain(|permit| permit.channel != channel);
                continue;
            };
            let ask = Ask::of(CalloutKind::Subscribe, &app, session.id, session.user.as_ref());
            let body = ask.about(&channel, qos).body();
            let renewing = Renewing { session: session.id, channel: channel.clone(), qos };
            let id = self.question(conn, CalloutKind::Subscribe, terms, What::Renew(renewing), body, now);
            let permits = self.session(conn).into_iter().flat_map(|session| session.permits.iter_mut());
            permits
                .filter(|permit| permit.channel == channel)
                .for_each(|permit| (permit.callout, permit.asking) = (terms.id, Some(id)));
        }
    }

    pub(super) fn renew_answered(
        &mut self,
        (conn, id): (ConnId, QuestionId),
        renewing: Renewing,
        answer: Option<&[u8]>,
        now: Now,
    ) {
        let Renewing { session, channel, qos } = renewing;
        let meaning = answer.and_then(|body| body::subscribe(body, now.unix));
        if answer.is_some() && meaning.is_none() {
            self.senseless(conn, CalloutKind::Subscribe);
        }
        let Some(open) = self.session_if(conn, session) else { return };
        // Something else was asked meanwhile, or nobody decides any more.
        let Some(permit) = open.permits.iter_mut().find(|permit| permit.asking == Some(id)) else { return };
        match meaning {
            Some(Ok(allowed)) => {
                let callout = permit.callout;
                open.keep_permit((channel, qos), callout, allowed);
            }
            // A backend that is down ends nothing that stands.
            None => (permit.asking, permit.until) = (None, Some(now.unix + AGAIN_MS)),
            Some(Err(no)) => {
                open.permits.retain(|permit| permit.channel != channel);
                if let Some(number) = self.subscribed_number(conn, &channel) {
                    self.end_subscription(conn, number, channel, no.code);
                }
            }
        }
        self.arm(conn, now);
        self.recheck_grants(conn, now);
    }
}
