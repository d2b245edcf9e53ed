//! From `hello` to `welcome`, tokens, displacement and revocation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use moorline_protocol::time::Now;
use moorline_protocol::{
    AppName, Auth, Authed, Call, ChannelName, CloseCode, Codec, DeviceId, ErrorCode, ErrorFrame, Hello, Packed,
    ProducerGrant, Push, ServerFrame, Unsubscribed, UserName, Utf8Bytes, Welcome,
};

use super::callout::{CalloutKind, questions_at_once};
use super::config::{AuthFailure, Claims, NodeConfig, Permissions};
use super::hub::HubNumber;
use super::io::ConnId;
use super::limits::Bucket;
use super::session::{Attaching, Caller, Conn, Extra, Flow, Session, State, Unread};
use super::subscribe::{NOT_A_CHANNEL, canonical};
use super::{Ending, Node, Output, Waiting, Warning};
use crate::engine::hooks::HookKind;
use crate::engine::{Attach, Attached, Command, Conflict, EngineError, Owner, Revocation, SessionId};
use crate::planted::Bug;

/// ms after which a client may ask again when the storage failed.
pub(super) const STORAGE_RETRY_MS: u32 = 1_000;

impl Node {
    pub(super) fn hello(&mut self, conn: ConnId, hello: Hello, now: Now) {
        if self.draining.is_some() {
            return self.end(conn, Ending(None, CloseCode::GOING_AWAY), now);
        }
        if hello.v != 1 {
            let error = ErrorFrame::new(ErrorCode::RequestUnsupported, "this server speaks protocol version 1");
            return self.end(conn, Ending(Some(error), CloseCode::VERSION), now);
        }
        let Some(entry) = self.conns.get(&conn) else { return };
        if let Some(terms) = self.config.callouts.of(&entry.app, CalloutKind::Connect, None) {
            return self.ask_connect(conn, hello, terms, now);
        }
        let token = hello.token.as_deref();
        let claims = match self.auth.verify(&entry.app, token, None, now.unix) {
            Ok(claims) => claims,
            Err(failure) => return self.end(conn, refused(failure), now),
        };
        self.attach(conn, hello, claims, Unread::default(), now);
    }

    /// Whose connection it is, is known: the engine orders it among the others of its device.
    pub(super) fn attach(&mut self, conn: ConnId, hello: Hello, claims: Claims, waiting: Unread, now: Now) {
        let Some(entry) = self.conns.get(&conn) else { return };
        let app = entry.app.clone();
        let named = hello.device.is_some();
        let device = match hello.device.clone() {
            Some(device) => device,
            None => self.made_device(),
        };
        let mut user = claims.user.clone();
        if user.is_none() && self.config.name_anonymous {
            user = UserName::new(&format!("anon-{device}")).ok();
        }
        let owner = user.clone().filter(|_| named).map(|user| Owner { app: app.clone(), user, device: device.clone() });
        let session = self.session_ids.make();
        let max_connections = self.limits(&app).connections_per_user;
        let attach = Attach {
            session,
            app,
            user: user.clone(),
            device: hello.device.clone(),
            run: hello.run.unwrap_or_default(),
            producer: hello.producer.filter(|_| owner.is_some()),
            max_connections,
            token_id: claims.id.clone(),
            token_issued: claims.issued,
        };
        let attaching = Attaching { session, hello, claims, user, device, owner, waiting };
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.state = State::Attaching(Box::new(attaching));
        }
        self.sessions.insert(session, conn);
        self.ask(Waiting::Attach { conn, session }, Command::Attach(attach));
        self.arm(conn, now);
    }

    fn made_device(&mut self) -> DeviceId {
        loop {
            if let Ok(device) = DeviceId::new(&self.random_name(22)) {
                return device;
            }
        }
    }

    pub(super) fn attached(&mut self, conn: ConnId, session: SessionId, attached: Attached, now: Now) {
        let expected = self.sessions.get(&session) == Some(&conn);
        if !expected {
            return;
        }
        match attached {
            Attached::Accepted { producer } => self.welcome(conn, producer, now),
            Attached::Superseded { .. } if self.config.bugs.has(Bug::AfterRefusedHello) => {
                self.welcome(conn, None, now)
            }
            Attached::Superseded { conflict } => self.displaced(conn, CloseCode::DISPLACED, conflict, now),
            Attached::TooManyConnections => {
                let text = "this user has too many connections; close another one first";
                let error = ErrorFrame::new(ErrorCode::LimitConnections, text);
                self.end(conn, Ending(Some(error), CloseCode::OVERLOADED), now);
            }
            Attached::AppIsFull => {
                let text = "this app has as many connections as it may have; try again later";
                let error = ErrorFrame::new(ErrorCode::LimitConnections, text);
                self.end(conn, Ending(Some(error), CloseCode::OVERLOADED), now);
            }
            Attached::Revoked => {
                let error = ErrorFrame::new(ErrorCode::AuthRevoked, "this token was revoked; sign in again");
                self.end(conn, Ending(Some(error), CloseCode::REVOKED), now);
            }
        }
    }

    /// Another connection of this device stands. If that happens again and again, client and operator are told.
    pub(super) fn displaced(&mut self, conn: ConnId, code: CloseCode, conflict: Option<Conflict>, now: Now) {
        if conflict.is_some_and(|conflict| conflict.is_news)
            && let Some(owner) = self.conns.get(&conn).and_then(|entry| entry.state.owner())
        {
            self.outputs.push_back(Output::Warn(Warning::DeviceConflict(owner.clone())));
        }
        let text = "two installations share one device id and displace each other: was a store copied? Give each a \
                    store of its own";
        let error = conflict.map(|_| ErrorFrame::new(ErrorCode::DeviceConflict, text));
        self.end(conn, Ending(error, code), now);
    }

    pub(super) fn attach_failed(&mut self, conn: ConnId, session: SessionId, error: EngineError, now: Now) {
        if self.sessions.get(&session) == Some(&conn) {
            let error = storage_error(error);
            self.end(conn, Ending(Some(error), CloseCode::STORAGE_UNAVAILABLE), now);
        }
    }

    fn welcome(&mut self, conn: ConnId, producer: Option<ProducerGrant>, now: Now) {
        let (own, told) = self.told_limits(conn);
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let fresh = State::AwaitingHello { deadline: now.mono };
        let State::Attaching(attaching) = std::mem::replace(&mut entry.state, fresh) else { return };
        let attaching = *attaching;
        let caps = shared_caps(&attaching, entry, &self.config);
        let session = Session {
            id: attaching.session,
            user: attaching.user.clone(),
            owner: attaching.owner,
            scope: None,
            claims: attaching.claims,
            packs: caps.contains(&Packed::CAP),
            caller: Caller::of(&caps, &attaching.device),
            extra: Vec::new(),
            producer: producer.clone(),
            parked: false,
            ping_ms: self.config.ping_ms,
            next_ping: now.mono + std::time::Duration::from_millis(u64::from(self.config.ping_ms)),
            pings: 0,
            subscriptions: Vec::new(),
            serial: 0,
            next_reader: 0,
            reads: 0,
            queries: VecDeque::new(),
            querying: 0,
            watched: Vec::new(),
            pending_bytes: 0,
            moving: 0,
            bucket: Bucket::full(own.publish_burst, now.mono),
            asking: Bucket::full(questions_at_once(&own), now.mono),
            permits: Vec::new(),
            refreshing: false,
            held: VecDeque::new(),
        };
        let welcome = Welcome {
            v: 1,
            session: Utf8Bytes::from(format!("{:x}", session.id.0)),
            user: attaching.user,
            device: attaching.device,
            time: now.unix,
            ping: self.config.ping_ms,
            durability: self.config.engine.durability.clone(),
            producer,
            expires: session.claims.expires,
            caps: caps.into_iter().map(Utf8Bytes::from_static).collect(),
            limits: told,
        };
        entry.state = State::Open(Box::new(session));
        self.send(conn, &ServerFrame::Welcome(welcome));
        if attaching.hello.producer.is_some() && self.session(conn).is_some_and(|session| session.owner.is_none()) {
            let text = "publishing at QoS 2 needs a named user and a device";
            self.error(conn, None, ErrorCode::FeatureDisabled, text);
        }
        self.arm(conn, now);
        for subscribe in attaching.hello.subscribe {
            self.subscribe(conn, subscribe, now);
        }
        attaching.waiting.messages.into_iter().for_each(|message| self.read_frames(conn, message, now));
    }

    /// `auth`: a new token for the connection or for one channel.
    pub(super) fn refresh(&mut self, conn: ConnId, auth: Auth, now: Now) {
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return };
        let terms = self.config.callouts.of(&app, CalloutKind::Connect, None).filter(|_| auth.channel.is_none());
        if let Some(terms) = terms.filter(|terms| !terms.verifies) {
            return self.ask_refresh(conn, &auth, None, terms, now);
        }
        let verified = self.auth.verify(&app, Some(&auth.token), auth.channel.as_ref(), now.unix);
        let user = self.session(conn).and_then(|session| session.user.clone());
        let claims = match verified {
            Ok(claims) if self.is_revoked(&app, &claims) => {
                return self.error(conn, Some(auth.req), ErrorCode::AuthRevoked, "this token was revoked");
            }
            Ok(claims) if claims.user.is_none() || claims.user == user => claims,
            Ok(_) => return self.error(conn, Some(auth.req), ErrorCode::AuthInvalid, "the token is another user's"),
            Err(failure) => return self.error(conn, Some(auth.req), failure.code, failure.message),
        };
        if let Some(terms) = terms {
            return self.ask_refresh(conn, &auth, Some(claims), terms, now);
        }
        let expires = claims.expires;
        let Some(session) = self.session(conn) else { return };
        match auth.channel {
            None => return self.refresh_with(conn, auth.req, claims, now),
            Some(channel) => {
                let Some(channel) = canonical(&channel, session.user.as_ref()) else {
                    return self.error(conn, Some(auth.req), ErrorCode::ChannelInvalid, NOT_A_CHANNEL);
                };
                self.keep_extra(conn, Extra { channel, claims });
            }
        }
        self.send(conn, &ServerFrame::Authed(Authed { req: auth.req, expires }));
        self.arm(conn, now);
        self.recheck_grants(conn, now);
    }

    /// From now on a connection rests on these claims.
    pub(super) fn refresh_with(&mut self, conn: ConnId, req: u64, claims: Claims, now: Now) {
        let Some(session) = self.session(conn) else { return };
        if claims.user != session.claims.user {
            return self.error(conn, Some(req), ErrorCode::AuthInvalid, "the token names no user, or another one");
        }
        let expires = claims.expires;
        session.claims = claims;
        self.send(conn, &ServerFrame::Authed(Authed { req, expires }));
        self.arm(conn, now);
        self.recheck_grants(conn, now);
    }

    /// Keeps a channel's own token. There are never more of them than channels on a connection: the oldest that no
    /// subscription rests on makes room.
    pub(super) fn keep_extra(&mut self, conn: ConnId, extra: Extra) {
        let max = self.limits_of(conn).channels as usize;
        let Some(session) = self.session(conn) else { return };
        session.extra.retain(|other| other.channel != extra.channel);
        let names: Vec<_> = session.extra.iter().map(|other| other.channel.clone()).collect();
        let spare = names.iter().position(|name| self.subscribed_number(conn, name).is_none());
        let Some(session) = self.session(conn) else { return };
        if session.extra.len() >= max.max(1) {
            session.extra.remove(spare.unwrap_or(0));
        }
        session.extra.push(extra);
    }

    /// Ends the subscriptions that the tokens do not allow any more.
    pub(super) fn recheck_grants(&mut self, conn: ConnId, now: Now) {
        if self.config.bugs.has(Bug::KeepOldGrants) {
            return;
        }
        let Some(State::Open(session)) = self.conns.get(&conn).map(|entry| &entry.state) else { return };
        let lost: Vec<_> = session
            .subscriptions
            .iter()
            .filter(|subscription| !self.is_undecided(conn, subscription))
            .filter_map(|subscription| {
                Some((subscription.number, self.hubs.get(&subscription.number)?.key.name.clone()))
            })
            .filter(|(number, name)| {
                let is_lost = |what| !session.may(name.as_str(), what, now.unix);
                is_lost(Permissions::SUBSCRIBE) || self.takes_part(conn, *number) && is_lost(Permissions::PRESENCE)
            })
            .collect();
        for (number, channel) in lost {
            self.end_subscription(conn, number, channel, ErrorCode::ChannelDenied);
        }
        self.recheck_statuses(conn, now);
    }

    /// Ends a subscription that is not allowed any more.
    pub(super) fn end_subscription(&mut self, conn: ConnId, number: HubNumber, channel: ChannelName, code: ErrorCode) {
        let codec = self.codec(conn);
        let ended = self.session(conn).and_then(|session| session.remove(number));
        self.leave_hub(conn, codec, number);
        let frame = match ended.map(|subscription| subscription.flow) {
            // Its `subscribe` has no answer yet: this is the answer.
            Some(Flow::Opening { req, .. }) => {
                let text = "the token has no `subscribe` grant for this channel any more";
                let error = ErrorFrame::new(code, text);
                let req = Some(req).filter(|_| !self.config.bugs.has(Bug::GrantLostUnanswered));
                ServerFrame::Error(ErrorFrame { req, channel: Some(channel), ..error })
            }
            Some(Flow::Live | Flow::Dropping { .. } | Flow::Behind(_)) | None => {
                ServerFrame::Unsubscribed(Unsubscribed { req: None, channel, code: Some(code) })
            }
        };
        self.send(conn, &frame);
    }

    /// Tells whether a token was revoked before it was shown.
    pub(super) fn is_revoked(&self, app: &AppName, claims: &Claims) -> bool {
        let token = claims.id.as_ref().is_some_and(|id| self.revocations.tokens.contains(&(app.clone(), id.clone())));
        let user = claims.user.as_ref().and_then(|user| self.revocations.users.get(&(app.clone(), user.clone())));
        token || user.is_some_and(|before| claims.issued.unwrap_or(0) < *before)
    }

    pub(super) fn revoked(&mut self, revocation: &Revocation, now: Now) {
        if self.config.bugs.has(Bug::IgnoreRevocation) {
            return;
        }
        self.revocations.add(revocation);
        let (mut gone, mut poorer) = (Vec::new(), Vec::new());
        for (conn, entry) in &mut self.conns {
            let State::Open(session) = &mut entry.state else { continue };
            if hits(revocation, &entry.app, session.user.as_ref(), &session.claims) {
                gone.push(*conn);
                continue;
            }
            let before = session.extra.len();
            session.extra.retain(|own| !hits(revocation, &entry.app, own.claims.user.as_ref(), &own.claims));
            if session.extra.len() < before {
                poorer.push(*conn);
            }
        }
        for conn in poorer {
            self.recheck_grants(conn, now);
        }
        for conn in gone {
            let error = ErrorFrame::new(ErrorCode::AuthRevoked, "this token was revoked; sign in again");
            self.end(conn, Ending(Some(error), CloseCode::REVOKED), now);
        }
    }
}

/// Returns the features that both sides can do.
fn shared_caps(attaching: &Attaching, entry: &Conn, config: &NodeConfig) -> Vec<&'static str> {
    let told = config.hooks.has(&entry.app, HookKind::MessageOffline);
    let can = [(Packed::CAP, entry.codec == Codec::Binary), (Push::CAP, told && attaching.owner.is_some())];
    let can = can.into_iter().chain([(Call::CAP, config.callouts.of(&entry.app, CalloutKind::Rpc, None).is_some())]);
    let offered = |cap: &str| attaching.hello.caps.iter().any(|offered| offered.as_str() == cap);
    can.filter(|(cap, can)| *can && offered(cap)).map(|(cap, _)| cap).collect()
}

/// Tells whether a revocation is about a user's token.
fn hits(revocation: &Revocation, app: &AppName, user: Option<&UserName>, claims: &Claims) -> bool {
    match revocation {
        Revocation::Token { app: of, jti } => of == app && claims.id.as_ref() == Some(jti),
        Revocation::User { app: of, user: whose, issued_before } => {
            of == app && user == Some(whose) && claims.issued.unwrap_or(0) < *issued_before
        }
    }
}

/// What is revoked, as the engine has told: all there is before the first connection, then what is added.
#[derive(Debug, Default)]
pub(super) struct Revocations {
    tokens: BTreeSet<(AppName, Arc<str>)>,
    /// Tokens of these users that were issued before a moment, in s since 1970.
    users: BTreeMap<(AppName, UserName), u64>,
}

impl Revocations {
    fn add(&mut self, revocation: &Revocation) {
        match revocation.clone() {
            Revocation::Token { app, jti } => drop(self.tokens.insert((app, jti))),
            Revocation::User { app, user, issued_before } => {
                let known = self.users.entry((app, user)).or_default();
                *known = issued_before.max(*known);
            }
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other code means a token that is of no use")]
/// Says why a token was refused, and closes with the code that tells the client what to do.
pub(super) fn refused(failure: AuthFailure) -> Ending {
    let code = match failure.code {
        ErrorCode::AuthExpired => CloseCode::TOKEN_EXPIRED,
        ErrorCode::AuthRevoked => CloseCode::REVOKED,
        ErrorCode::AppUnknown => CloseCode::UNKNOWN_APP,
        ErrorCode::AppUnavailable => CloseCode::OVERLOADED,
        _ => CloseCode::TOKEN_INVALID,
    };
    Ending(Some(ErrorFrame::new(failure.code, failure.message)), code)
}

/// Makes an error frame of an engine's failure.
pub(super) fn storage_error(error: EngineError) -> ErrorFrame {
    let (code, text) = match error {
        EngineError::Unavailable => (ErrorCode::StorageUnavailable, "the log takes no writes now; try again"),
        EngineError::Full => (ErrorCode::StorageFull, "the log has no room left; tell the operator"),
        EngineError::TooManyCursors => {
            let text = "the user has too many durable cursors; unsubscribe from channels with `forget` first";
            // Waiting does not help.
            return ErrorFrame { retry: false, ..ErrorFrame::new(ErrorCode::LimitChannels, text) };
        }
    };
    ErrorFrame { after: Some(STORAGE_RETRY_MS), ..ErrorFrame::new(code, text) }
}
