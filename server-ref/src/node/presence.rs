//! The members of channels and the status of users, as the connections of this shard see them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::time::Now;
use moorline_protocol::{
    AppName, ChannelName, ChannelRef, Codec, ErrorCode, ErrorFrame, Members, MembersView, PresenceChange,
    PresenceEvents, PresenceMode, PresenceOp, PresenceRequest, PresenceVersion, ServerFrame, StatusRequest, Statuses,
    Subscribe, UserName, UserStatus, limits,
};

use super::config::Permissions;
use super::connect::storage_error;
use super::hub::HubNumber;
use super::io::{ConnId, Output, Pressure};
use super::query::Query;
use super::session::State;
use super::{Node, Waiting};
use crate::engine::{
    ChannelKey, Command, Completion, EngineError, Presence, PresenceAct, PresenceEntry, SessionId, StatusQuery,
};
use crate::planted::Bug;

/// ms after which a client may try again to be a member of a channel that its app decides about now.
const UNDECIDED_RETRY_MS: u32 = 500;

/// Who looks at what; in rooms and lists of this shard alone.
#[derive(Debug, Default)]
pub(super) struct Watches {
    rooms: BTreeMap<HubNumber, Room>,
    users: BTreeMap<(AppName, UserName), Vec<ConnId>>,
    /// Connections that missed changes of users.
    missed: BTreeSet<ConnId>,
}

/// The connections that take part in a channel's presence.
#[derive(Debug, Default)]
struct Room {
    parts: BTreeMap<ConnId, Part>,
    /// Who gets the changes, by codec.
    told: [Arc<Vec<ConnId>>; 2],
    /// How many members there are.
    count: u64,
}

/// What a connection is to a room.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    watches: bool,
    is_member: bool,
    /// Whether it missed changes because too much waited for it.
    missed: bool,
}

impl Room {
    fn told_mut(&mut self, codec: Codec) -> &mut Vec<ConnId> {
        let [binary, json] = &mut self.told;
        Arc::make_mut(match codec {
            Codec::Binary => binary,
            Codec::Json => json,
        })
    }

    fn tell(&mut self, conn: ConnId, codec: Codec) {
        let told = self.told_mut(codec);
        if let Err(at) = told.binary_search(&conn) {
            told.insert(at, conn);
        }
    }

    fn hush(&mut self, conn: ConnId, codec: Codec) {
        let told = self.told_mut(codec);
        if let Ok(at) = told.binary_search(&conn) {
            told.remove(at);
        }
    }
}

impl Node {
    /// Checks what a `subscribe` wants of presence.
    pub(super) fn presence_permitted(
        &mut self,
        conn: ConnId,
        channel: &ChannelName,
        subscribe: &Subscribe,
        now: Now,
    ) -> Result<(), ErrorFrame> {
        if subscribe.presence == PresenceMode::None {
            return Ok(());
        }
        self.presence_granted(conn, channel, now)?;
        valid_state(subscribe.state.as_ref())
    }

    fn presence_granted(&mut self, conn: ConnId, channel: &ChannelName, now: Now) -> Result<(), ErrorFrame> {
        let Some(session) = self.session(conn) else {
            return Err(ErrorFrame::new(ErrorCode::RequestOrder, "not connected"));
        };
        if session.may(channel.as_str(), Permissions::PRESENCE, now.unix) {
            return Ok(());
        }
        let text = "the token has no `presence` grant for this channel";
        Err(ErrorFrame { channel: Some(channel.clone()), ..ErrorFrame::new(ErrorCode::ChannelDenied, text) })
    }

    /// A subscription takes part from now on; returns what the engine is to do with it.
    pub(super) fn take_part(
        &mut self,
        conn: ConnId,
        session: SessionId,
        number: HubNumber,
        subscribe: &Subscribe,
    ) -> Option<PresenceEntry> {
        let is_member = subscribe.presence == PresenceMode::Join;
        if subscribe.presence == PresenceMode::None {
            return None;
        }
        let part = Part { watches: true, is_member, missed: false };
        self.watches.rooms.entry(number).or_default().parts.insert(conn, part);
        let state = subscribe.state.clone();
        Some(if is_member { PresenceEntry::Join { session, state } } else { PresenceEntry::Watch })
    }

    /// The subscription stands: changes after this view are told.
    pub(super) fn begin_watch(&mut self, conn: ConnId, codec: Codec, number: HubNumber, view: &MembersView) {
        let is_full = self.pressure(conn) >= Pressure::High;
        let Some(room) = self.watches.rooms.get_mut(&number) else { return };
        room.count = view.count;
        let Some(part) = room.parts.get_mut(&conn) else { return };
        part.missed = is_full;
        if !is_full {
            room.tell(conn, codec);
        }
    }

    /// A subscription is gone. Whose connection is gone as well leaves with it, in the engine.
    pub(super) fn leave_room(&mut self, conn: ConnId, codec: Codec, number: HubNumber, key: &ChannelKey) {
        let Some(room) = self.watches.rooms.get_mut(&number) else { return };
        room.hush(conn, codec);
        let part = room.parts.remove(&conn).unwrap_or_default();
        let is_empty = room.parts.is_empty();
        if let (true, Some(session)) = (part.is_member, self.session(conn).map(|session| session.id)) {
            let act = PresenceAct::Leave { session };
            self.ask(Waiting::Nothing, Command::Presence(Presence { channel: key.clone(), act }));
        }
        if is_empty {
            self.watches.rooms.remove(&number);
            self.ask(Waiting::Nothing, Command::UnwatchPresence(key.clone()));
        }
    }

    /// Tells whether a subscription rests on the grant `presence`, too.
    pub(super) fn takes_part(&self, conn: ConnId, number: HubNumber) -> bool {
        self.watches.rooms.get(&number).is_some_and(|room| room.parts.contains_key(&conn))
    }

    /// `presence`: reads members, enters, updates, leaves.
    pub(super) fn presence(&mut self, conn: ConnId, request: PresenceRequest, now: Now) {
        let req = request.req;
        if let Err(error) = self.try_presence(conn, request, now) {
            self.send(conn, &ServerFrame::Error(ErrorFrame { req: Some(req), ..*error }));
        }
    }

    fn try_presence(&mut self, conn: ConnId, request: PresenceRequest, now: Now) -> Result<(), Box<ErrorFrame>> {
        let refuse = |code, text: &'static str| Err(Box::new(ErrorFrame::new(code, text)));
        let name = self.name_of(conn, &request.channel)?;
        if self.session(conn).is_some_and(|session| session.is_foreign(&name)) {
            return refuse(ErrorCode::ChannelDenied, "an inbox is its user's alone, and so are its members");
        }
        self.presence_granted(conn, &name, now)?;
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return Ok(()) };
        let Some(session) = self.session(conn).map(|session| session.id) else { return Ok(()) };
        let channel = ChannelKey { app, name: name.clone() };
        let ask = |act| Command::Presence(Presence { channel, act });
        let waiting = |queued| Waiting::Members { conn, session, req: request.req, channel: name.clone(), queued };
        if request.op == PresenceOp::Get {
            let Ok(after) =
                request.cursor.filter(|cursor| !cursor.as_str().is_empty()).map(|at| UserName::new(&at)).transpose()
            else {
                return refuse(ErrorCode::RequestMalformed, "`cursor` is one that an answer gave");
            };
            return self.enqueue(conn, Query::new(waiting(true), ask(PresenceAct::Read { after })));
        }
        let Some(number) = self.number_of(conn, &request.channel) else {
            return refuse(ErrorCode::ChannelNotSubscribed, "only who is subscribed can be a member");
        };
        if self.decided_number(conn, &request.channel).is_none() {
            let error = ErrorFrame::new(ErrorCode::AppUnavailable, "the app has not decided about the channel yet");
            return Err(Box::new(ErrorFrame { after: Some(UNDECIDED_RETRY_MS), ..error }));
        }
        valid_state(request.state.as_ref())?;
        let part = self.watches.rooms.get(&number).and_then(|room| room.parts.get(&conn)).copied();
        let is_member = part.is_some_and(|part| part.is_member);
        if request.op == PresenceOp::Update && !is_member {
            return refuse(ErrorCode::RequestOrder, "only a member has a state; enter first");
        }
        self.take_rate(conn, now)?;
        let part = self.watches.rooms.entry(number).or_default().parts.entry(conn).or_default();
        part.is_member = request.op != PresenceOp::Leave;
        let act = match request.op {
            PresenceOp::Leave => PresenceAct::Leave { session },
            PresenceOp::Enter | PresenceOp::Update | PresenceOp::Get => {
                PresenceAct::Enter { session, state: request.state }
            }
        };
        self.ask(waiting(false), ask(act));
        Ok(())
    }

    pub(super) fn members_done(
        &mut self,
        (conn, session, req): (ConnId, SessionId, u64),
        (channel, queued): (ChannelName, bool),
        result: Result<Completion, EngineError>,
    ) {
        let Some(open) = self.session_if(conn, session) else { return };
        open.querying = open.querying.saturating_sub(u32::from(queued));
        let frame = match result {
            Ok(Completion::Members(view)) => ServerFrame::Members(Members { req, channel, view }),
            Ok(_) => return,
            Err(error) => ServerFrame::Error(ErrorFrame { req: Some(req), ..storage_error(error) }),
        };
        self.send(conn, &frame);
        self.query_on(conn);
    }

    /// Members changed: whoever watches here is told, with the same bytes.
    pub(super) fn members_changed(
        &mut self,
        channel: &ChannelKey,
        version: PresenceVersion,
        count: u64,
        events: Vec<PresenceChange>,
    ) {
        let Some(number) = self.numbers.get(channel).copied() else { return };
        let Some(room) = self.watches.rooms.get_mut(&number) else { return };
        room.count = count;
        let told = room.told.clone();
        let mut frame = PresenceEvents { channel: ChannelRef::Number(number.channel), version, count, events };
        for (conns, codec) in told.into_iter().zip([Codec::Binary, Codec::Json]) {
            if conns.is_empty() {
                continue;
            }
            if codec == Codec::Json {
                frame.channel = ChannelRef::Name(channel.name.clone());
            }
            let mut message = Vec::new();
            let whole = ServerFrame::Presence(frame.clone());
            codec.encode_server(&whole, &mut message);
            self.outputs.push_back(Output::Fanout { conns, codec, message: message.into() });
        }
    }

    fn pressure(&self, conn: ConnId) -> Pressure {
        self.conns.get(&conn).map_or(Pressure::Low, |entry| entry.pressure)
    }

    /// Under high pressure changes are not told. When it is gone, the connection learns that it missed some: a version
    /// of no run has it fetch the members.
    pub(super) fn presence_pressure(&mut self, conn: ConnId) {
        let Some(entry) = self.conns.get(&conn) else { return };
        let (pressure, codec) = (entry.pressure, entry.codec);
        let State::Open(session) = &entry.state else { return };
        let numbers: Vec<HubNumber> = session.subscriptions.iter().map(|subscription| subscription.number).collect();
        let mut behind = Vec::new();
        for number in numbers {
            let Some(room) = self.watches.rooms.get_mut(&number) else { continue };
            let Some(part) = room.parts.get_mut(&conn).filter(|part| part.watches) else { continue };
            match pressure {
                Pressure::High | Pressure::Full if !part.missed => {
                    part.missed = true;
                    room.hush(conn, codec);
                }
                Pressure::Low if part.missed => {
                    part.missed = false;
                    room.tell(conn, codec);
                    behind.push((number, room.count));
                }
                Pressure::Low | Pressure::Elevated | Pressure::High | Pressure::Full => {}
            }
        }
        for (number, count) in behind {
            if let Some(channel) = self.channel_ref(conn, number) {
                let version = PresenceVersion::default();
                self.send(conn, &ServerFrame::Presence(PresenceEvents { channel, version, count, events: Vec::new() }));
            }
        }
        if pressure == Pressure::Low && self.watches.missed.remove(&conn) {
            self.tell_all_statuses(conn);
        }
    }

    /// `status`: who of these is online, and perhaps what changes of that.
    pub(super) fn status(&mut self, conn: ConnId, request: StatusRequest, now: Now) {
        let req = request.req;
        if let Err(error) = self.try_status(conn, request, now) {
            self.send(conn, &ServerFrame::Error(ErrorFrame { req: Some(req), ..*error }));
        }
    }

    fn try_status(&mut self, conn: ConnId, request: StatusRequest, now: Now) -> Result<(), Box<ErrorFrame>> {
        let StatusRequest { req, mut users, watch } = request;
        users.sort_unstable();
        users.dedup();
        if users.len() > limits::STATUS_USERS {
            return Err(Box::new(ErrorFrame::new(ErrorCode::RequestMalformed, "a list has at most 500 users")));
        }
        for user in &users {
            self.status_granted(conn, user, now)?;
        }
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return Ok(()) };
        let Some(session) = self.session(conn).map(|session| session.id) else { return Ok(()) };
        let query = Command::Status(StatusQuery { app, users: users.clone(), watch });
        let waiting = |queued| Waiting::Statuses { conn, session, req: Some(req), queued };
        if !watch {
            return self.enqueue(conn, Query::new(waiting(true), query));
        }
        self.take_rate(conn, now)?;
        self.ask(waiting(false), query);
        self.watch_users(conn, users);
        Ok(())
    }

    /// Whether a user is online may see who may see the presence in the user's inbox.
    fn status_granted(&mut self, conn: ConnId, user: &UserName, now: Now) -> Result<(), Box<ErrorFrame>> {
        let Ok(inbox) = ChannelName::new(&format!("@{user}")) else {
            let text = "a user whose name has 128 bytes has no inbox, and so no status";
            return Err(Box::new(ErrorFrame::new(ErrorCode::ChannelInvalid, text)));
        };
        Ok(self.presence_granted(conn, &inbox, now)?)
    }

    /// Replaces the users whose changes a connection is told.
    fn watch_users(&mut self, conn: ConnId, users: Vec<UserName>) {
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return };
        let Some(session) = self.session(conn) else { return };
        let before = std::mem::replace(&mut session.watched, users.clone());
        for user in &users {
            let conns = self.watches.users.entry((app.clone(), user.clone())).or_default();
            if let Err(at) = conns.binary_search(&conn) {
                conns.insert(at, conn);
            }
        }
        let gone = before.into_iter().filter(|user| users.binary_search(user).is_err());
        self.unwatch_users(conn, &app, gone.collect());
    }

    /// A connection is not told of these users any more; nor is the shard, of those that nobody here watches.
    pub(super) fn unwatch_users(&mut self, conn: ConnId, app: &AppName, users: Vec<UserName>) {
        let mut nobody = Vec::new();
        for user in users {
            let key = (app.clone(), user);
            let Some(conns) = self.watches.users.get_mut(&key) else { continue };
            conns.retain(|other| *other != conn);
            if conns.is_empty() {
                self.watches.users.remove(&key);
                nobody.push(key.1);
            }
        }
        if !nobody.is_empty() {
            self.ask(Waiting::Nothing, Command::UnwatchStatus(app.clone(), nobody));
        }
    }

    /// The connection is gone.
    pub(super) fn forget_watches(&mut self, conn: ConnId, app: &AppName, users: Vec<UserName>) {
        self.watches.missed.remove(&conn);
        self.unwatch_users(conn, app, users);
    }

    /// Takes users off whose status the tokens do not allow any more, and says so.
    pub(super) fn recheck_statuses(&mut self, conn: ConnId, now: Now) {
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return };
        let watched = self.session(conn).map(|session| session.watched.clone()).unwrap_or_default();
        let mut denied = Vec::new();
        for user in watched {
            if let Err(error) = self.status_granted(conn, &user, now) {
                self.send(conn, &ServerFrame::Error(*error));
                denied.push(user);
            }
        }
        if let Some(session) = self.session(conn) {
            session.watched.retain(|user| !denied.contains(user));
        }
        self.unwatch_users(conn, &app, denied);
    }

    fn tell_all_statuses(&mut self, conn: ConnId) {
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return };
        let Some(session) = self.session(conn) else { return };
        let (id, users) = (session.id, session.watched.clone());
        let query = StatusQuery { app, users, watch: true };
        self.ask(Waiting::Statuses { conn, session: id, req: None, queued: false }, Command::Status(query));
    }

    pub(super) fn statuses_done(
        &mut self,
        (conn, session, req): (ConnId, SessionId, Option<u64>),
        queued: bool,
        result: Result<Completion, EngineError>,
    ) {
        let Some(open) = self.session_if(conn, session) else { return };
        open.querying = open.querying.saturating_sub(u32::from(queued));
        let frame = match result {
            Ok(Completion::Statuses(users)) => ServerFrame::Statuses(Statuses { req, users }),
            Ok(_) => return,
            Err(error) => ServerFrame::Error(ErrorFrame { req, ..storage_error(error) }),
        };
        self.send(conn, &frame);
        self.query_on(conn);
    }

    /// Users came or went: each connection is told of those that it watches.
    pub(super) fn statuses_changed(&mut self, app: &AppName, users: Vec<UserStatus>) {
        let mut told: BTreeMap<ConnId, Vec<UserStatus>> = BTreeMap::new();
        for status in users {
            for conn in self.watches.users.get(&(app.clone(), status.user.clone())).into_iter().flatten() {
                told.entry(*conn).or_default().push(status.clone());
            }
        }
        for (conn, users) in told {
            if self.pressure(conn) >= Pressure::High {
                self.watches.missed.insert(conn);
            } else if !self.config.bugs.has(Bug::StatusUntold) {
                self.send(conn, &ServerFrame::Statuses(Statuses { req: None, users }));
            }
        }
    }
}

/// Checks that a state is JSON that every reader can take.
fn valid_state(state: Option<&Bytes>) -> Result<(), ErrorFrame> {
    if state.is_none_or(|state| moorline_protocol::json::is_valid(state)) {
        return Ok(());
    }
    let text = "the state is not valid JSON, or nested more than 64 deep";
    Err(ErrorFrame::new(ErrorCode::RequestMalformed, text))
}
