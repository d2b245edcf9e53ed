//! The node: sessions, channels and fan-out as a state machine without sockets, clock or threads.
//!
//! One node per shard. Inputs change its state; [`Node::poll_output`] drains one ordered queue;
//! [`Node::poll_timeout`] names the next deadline.

pub mod backend;
mod callout;
mod calls;
mod cohorts;
mod config;
mod configure;
mod connect;
mod counters;
mod drain;
mod heartbeat;
mod hub;
mod io;
mod limits;
pub mod operations;
mod outputs;
mod packing;
mod presence;
mod publish;
mod query;
mod session;
mod session_ids;
mod stream;
mod subscribe;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{
    AppName, ChannelRef, ClientFrame, CloseCode, Codec, Decoded, ErrorCode, ErrorFrame, ServerFrame, Utf8Bytes,
};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use rustc_hash::FxHashMap;

use self::callout::Questions;
pub use self::callout::{CalloutId, CalloutKind, CalloutRule, CalloutRules, Facts, OnFailure, QuestionId, Terms};
use self::calls::Calls;
pub use self::config::{
    AuthFailure, Authenticator, Claims, CompressionRules, Grant, NodeConfig, NodeRules, Permissions,
};
use self::connect::Revocations;
use self::counters::Counters;
pub use self::counters::{AppNumbers, ConnectionInfo, ConnectionsPage, ConnectionsQuery, SHOWN_CHANNELS};
use self::drain::Draining;
use self::hub::{Hub, HubNumber};
pub use self::io::{CallFailure, CallId, Calling, ConnId, NodeStats, Output, Pressure, TimerKind, Warning};
use self::outputs::Outputs;
pub use self::packing::PackedStats;
use self::packing::Packer;
use self::presence::Watches;
use self::session::{Conn, Session, State};
use self::session_ids::SessionIds;
use crate::apps::AppTable;
use crate::engine::{ChannelKey, Command, Completion, EngineError, Event, Gone, Reply, SessionId, Ticket};
use crate::planted::Bug;

/// See the module's documentation.
pub struct Node {
    config: NodeConfig,
    apps: AppTable,
    auth: Arc<dyn Authenticator + Send + Sync>,
    rng: ChaCha8Rng,
    conns: BTreeMap<ConnId, Conn>,
    sessions: BTreeMap<SessionId, ConnId>,
    hubs: BTreeMap<HubNumber, Hub>,
    numbers: FxHashMap<ChannelKey, HubNumber>,
    watches: Watches,
    revocations: Revocations,
    /// The last hub of each app, which stays: no number is used again.
    last_hubs: FxHashMap<AppName, HubNumber>,
    session_ids: SessionIds,
    tickets: FxHashMap<Ticket, Waiting>,
    next_ticket: u64,
    deadlines: BTreeSet<(Timestamp, ConnId)>,
    outputs: Outputs,
    counters: Counters,
    packer: Packer,
    questions: Questions,
    /// Publishes whose answers are pending.
    publishing: usize,
    calls: Calls,
    draining: Option<Draining>,
}

/// Bytes that a client may send before `welcome`: a whole message and a little more.
const MAX_WAITING: usize = moorline_protocol::limits::TRANSPORT_MESSAGE_BYTES + 64 * 1024;

/// What an answer of the engine is for.
#[derive(Clone, Debug)]
enum Waiting {
    Attach { conn: ConnId, session: SessionId },
    Open { conn: ConnId, session: SessionId, number: HubNumber, serial: u32 },
    Page { conn: ConnId, session: SessionId, number: HubNumber, serial: u32, turn: u32 },
    Publish { conn: ConnId, session: SessionId, req: u64, bytes: usize, why: Option<Utf8Bytes> },
    History { conn: ConnId, session: SessionId, req: u64, channel: moorline_protocol::ChannelName },
    Ack { conn: ConnId, session: SessionId, number: HubNumber },
    Forget { conn: ConnId, session: SessionId, req: u64, channel: moorline_protocol::ChannelName },
    Members { conn: ConnId, session: SessionId, req: u64, channel: moorline_protocol::ChannelName, queued: bool },
    Statuses { conn: ConnId, session: SessionId, req: Option<u64>, queued: bool },
    Nothing,
}

/// What the `welcome` of a connection said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcomed<'a> {
    /// Its session; `welcome` has it in hexadecimal.
    pub session: SessionId,
    /// Its app.
    pub app: &'a AppName,
}

/// Why a connection ends: an error frame, if there is something to say, and a close code.
struct Ending(Option<ErrorFrame>, CloseCode);

impl Node {
    /// Creates a node without connections. `seed` feeds session ids and made device ids.
    pub fn new(config: NodeConfig, auth: Arc<dyn Authenticator + Send + Sync>, seed: [u8; 32]) -> Self {
        let (bugs, session_ids) = (config.bugs, SessionIds::new(config.shard, seed));
        Self {
            config,
            apps: AppTable::default(),
            auth,
            rng: ChaCha8Rng::from_seed(seed),
            conns: BTreeMap::new(),
            sessions: BTreeMap::new(),
            hubs: BTreeMap::new(),
            numbers: FxHashMap::default(),
            watches: Watches::default(),
            revocations: Revocations::default(),
            last_hubs: FxHashMap::default(),
            session_ids,
            tickets: FxHashMap::default(),
            next_ticket: 1,
            deadlines: BTreeSet::new(),
            outputs: Outputs::default(),
            counters: Counters::default(),
            packer: Packer::new(bugs),
            questions: Questions::default(),
            publishing: 0,
            calls: Calls::default(),
            draining: None,
        }
    }

    /// A WebSocket was opened for `app`.
    pub fn handle_opened(&mut self, conn: ConnId, app: AppName, codec: Codec, now: Now) {
        let deadline = now.mono + heartbeat::HELLO_WITHIN;
        let state = State::AwaitingHello { deadline };
        let pressure = Pressure::Low;
        self.forget(conn, None, now);
        self.conns.insert(conn, Conn { app, codec, pressure, heard: now.mono, armed: None, facts: None, state });
        self.arm(conn, now);
    }

    /// A WebSocket message arrived. Any message counts as a sign of life.
    pub fn handle_message(&mut self, conn: ConnId, message: Bytes, now: Now) {
        self.handle_activity(conn, now);
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        if let Some(waiting) = entry.state.waiting() {
            waiting.push(message);
            if waiting.bytes > MAX_WAITING {
                let error = ErrorFrame::new(ErrorCode::LimitRate, "wait for `welcome` before sending more than 1 MiB");
                self.end(conn, Ending(Some(error), CloseCode::OVERLOADED), now);
            }
            return;
        }
        self.read_frames(conn, message, now);
    }

    /// A WebSocket message arrived that cannot hold frames of the connection's codec.
    pub fn handle_violation(&mut self, conn: ConnId, what: &'static str, now: Now) {
        let message = Utf8Bytes::from_static(what);
        let error = ErrorFrame::new(ErrorCode::RequestMalformed, message);
        self.end(conn, Ending(Some(error), CloseCode::PROTOCOL_ERROR), now);
    }

    fn read_frames(&mut self, conn: ConnId, mut message: Bytes, now: Now) {
        loop {
            let Some(entry) = self.conns.get_mut(&conn) else { return };
            if let Some(waiting) = entry.state.waiting() {
                // What follows `hello` in the same message waits for `welcome`.
                if !message.is_empty() {
                    waiting.push(message);
                }
                return;
            }
            match entry.codec.decode_client(&mut message) {
                Ok(None) => return,
                Ok(Some(Decoded::Frame(frame))) => self.handle_frame(conn, frame, now),
                Ok(Some(Decoded::Ignored)) => {}
                Ok(Some(Decoded::Unsupported { req })) => {
                    let text = "this server does not know this frame; see `caps` in welcome for what it can do";
                    let error = ErrorFrame { req, ..ErrorFrame::new(ErrorCode::RequestUnsupported, text) };
                    if self.config.bugs.has(Bug::UnknownEnds) {
                        return self.end(conn, Ending(Some(error), CloseCode::PROTOCOL_ERROR), now);
                    }
                    self.send(conn, &ServerFrame::Error(error));
                }
                Err(error) => {
                    let frame = ErrorFrame::new(ErrorCode::RequestMalformed, error.to_string());
                    return self.end(conn, Ending(Some(frame), CloseCode::PROTOCOL_ERROR), now);
                }
            }
        }
    }

    fn handle_frame(&mut self, conn: ConnId, frame: ClientFrame, now: Now) {
        let open = self.conns.get(&conn).is_some_and(|entry| matches!(entry.state, State::Open(_)));
        match (frame, open) {
            (ClientFrame::Hello(hello), false) => self.hello(conn, hello, now),
            (ClientFrame::Hello(_), true) => {
                let error = ErrorFrame::new(ErrorCode::RequestOrder, "`hello` is sent once, first");
                self.end(conn, Ending(Some(error), CloseCode::PROTOCOL_ERROR), now);
            }
            (_, false) => {
                let error = ErrorFrame::new(ErrorCode::RequestOrder, "the first frame must be `hello`");
                self.end(conn, Ending(Some(error), CloseCode::PROTOCOL_ERROR), now);
            }
            (ClientFrame::Auth(auth), true) => self.refresh(conn, auth, now),
            (ClientFrame::Subscribe(subscribe), true) => self.subscribe(conn, subscribe, now),
            (ClientFrame::Unsubscribe(unsubscribe), true) => self.unsubscribe(conn, unsubscribe),
            (ClientFrame::Publish(publish), true) => self.publish(conn, publish, now),
            (ClientFrame::Ack(ack), true) => self.ack(conn, &ack),
            (ClientFrame::More(more), true) => self.more(conn, &more),
            (ClientFrame::Pause(pause), true) => self.pause(conn, &pause),
            (ClientFrame::History(history), true) => self.history(conn, &history, now),
            (ClientFrame::Call(call), true) => self.call(conn, call, now),
            (ClientFrame::Presence(presence), true) => self.presence(conn, presence, now),
            (ClientFrame::Status(status), true) => self.status(conn, status, now),
            (ClientFrame::Park(park), true) => self.park(conn, park, now),
            (ClientFrame::Unpark, true) => self.unpark(conn, now),
            (ClientFrame::Push(push), true) => self.push(conn, push),
            (ClientFrame::Ping(ping), true) => {
                self.send(conn, &ServerFrame::Pong(moorline_protocol::Pong { n: ping.n }));
            }
            (ClientFrame::Pong(_), true) => {}
        }
    }

    /// Any other bytes arrived (WebSocket pings, parts of messages): a sign of life.
    pub fn handle_activity(&mut self, conn: ConnId, now: Now) {
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.heard = entry.heard.max(now.mono);
        }
    }

    /// The WebSocket is gone. Harmless after [`Output::Close`].
    pub fn handle_closed(&mut self, conn: ConnId, now: Now) {
        self.forget(conn, None, now);
    }

    /// Replies of the engine, in order. What a batch publishes on a channel is fanned out as one message, and answers
    /// to one connection that follow on each other are one message.
    pub fn handle_replies(&mut self, replies: impl IntoIterator<Item = Reply>, now: Now) {
        for reply in replies {
            match reply {
                Reply::Completed(ticket, result) => {
                    if let Some(waiting) = self.tickets.remove(&ticket) {
                        self.completed(waiting, result, now);
                    }
                }
                Reply::Event(event) => self.event(event, now),
            }
        }
        self.outputs.end_answers();
    }

    fn completed(&mut self, waiting: Waiting, result: Result<Completion, EngineError>, now: Now) {
        match (waiting, result) {
            (Waiting::Attach { conn, session }, Ok(Completion::Attached(attached))) => {
                self.attached(conn, session, attached, now);
            }
            (Waiting::Attach { conn, session }, Err(error)) => self.attach_failed(conn, session, error, now),
            (Waiting::Open { conn, session, number, serial }, Ok(Completion::Opened(opened))) => {
                self.opened(conn, session, number, serial, &opened);
            }
            (Waiting::Open { conn, session, number, serial }, Err(error)) => {
                self.open_failed(conn, session, number, serial, error);
            }
            (Waiting::Page { conn, session, number, serial, turn }, Ok(Completion::Read(page))) => {
                self.page(conn, session, number, (serial, turn), page);
            }
            (Waiting::Publish { conn, session, req, bytes, why }, result) => {
                self.publish_done((conn, session, req), (bytes, why), result, now);
            }
            (Waiting::History { conn, session, req, channel }, result) => {
                self.history_done(conn, session, req, channel, result);
            }
            (Waiting::Ack { conn, session, number }, result) => {
                self.moved(conn, session);
                // A cursor that could not be written is written with the next acknowledgement.
                if let Ok(Completion::Acked(position)) = result {
                    self.acked(conn, session, number, position);
                }
            }
            (Waiting::Forget { conn, session, req, channel }, result) => {
                self.moved(conn, session);
                self.forgotten(conn, session, req, channel, result.err());
            }
            (Waiting::Members { conn, session, req, channel, queued }, result) => {
                self.members_done((conn, session, req), (channel, queued), result);
            }
            (Waiting::Statuses { conn, session, req, queued }, result) => {
                self.statuses_done((conn, session, req), queued, result);
            }
            (Waiting::Page { conn, session, .. }, Err(error)) => self.page_failed(conn, session, error, now),
            (_, _) => {}
        }
    }

    fn event(&mut self, event: Event, now: Now) {
        match event {
            Event::Published { channel, epoch, messages } => self.published(&channel, epoch, &messages),
            Event::Ephemeral { channel, message } => self.ephemeral(&channel, message),
            Event::NewEpoch { channel, epoch, head } => self.new_epoch(&channel, epoch, head),
            Event::Displaced { session, code, conflict } => {
                if let Some(conn) = self.sessions.get(&session).copied() {
                    self.displaced(conn, code, conflict, now);
                }
            }
            Event::Revoked(revocation) => self.revoked(&revocation, now),
            Event::Presence { channel, version, count, changes } => {
                self.members_changed(&channel, version, count, changes);
            }
            Event::Statuses { app, users } => self.statuses_changed(&app, users),
        }
    }

    /// Returns the next thing to do. Call until `None` after each input or batch of inputs.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns how much there is.
    pub fn stats(&self) -> NodeStats {
        NodeStats {
            connections: self.conns.len(),
            sessions: self.sessions.len(),
            channels: self.hubs.len(),
            questions: self.tickets.len() + self.questions.len(),
            deadlines: self.deadlines.len(),
            calls: self.calls.len(),
            packed: self.packer.stats,
        }
    }

    /// Returns what the `welcome` of a connection said, once its `hello` was good.
    pub fn welcomed(&self, conn: ConnId) -> Option<Welcomed<'_>> {
        let entry = self.conns.get(&conn)?;
        let State::Open(session) = &entry.state else { return None };
        Some(Welcomed { session: session.id, app: &entry.app })
    }

    /// Returns the number of open connections.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    fn ask(&mut self, waiting: Waiting, command: Command) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        if !matches!(waiting, Waiting::Nothing) {
            self.tickets.insert(ticket, waiting);
        }
        self.outputs.push_back(Output::Engine(ticket, command));
    }

    fn session(&mut self, conn: ConnId) -> Option<&mut Session> {
        match &mut self.conns.get_mut(&conn)?.state {
            State::Open(session) => Some(session),
            State::AwaitingHello { .. } | State::Asking(_) | State::Attaching(_) => None,
        }
    }

    /// Returns the session if it is still the one that asked.
    fn session_if(&mut self, conn: ConnId, id: SessionId) -> Option<&mut Session> {
        self.session(conn).filter(|session| session.id == id)
    }

    fn codec(&self, conn: ConnId) -> Codec {
        self.conns.get(&conn).map_or(Codec::Binary, |entry| entry.codec)
    }

    fn send(&mut self, conn: ConnId, frame: &ServerFrame) {
        self.count(conn, frame);
        let Some(entry) = self.conns.get(&conn) else { return };
        let mut message = Vec::new();
        entry.codec.encode_server(frame, &mut message);
        self.outputs.push_back(Output::Send { conn, message: message.into() });
    }

    fn error(&mut self, conn: ConnId, req: Option<u64>, code: ErrorCode, text: &'static str) {
        let message = Utf8Bytes::from_static(text);
        self.send(conn, &ServerFrame::Error(ErrorFrame { req, ..ErrorFrame::new(code, message) }));
    }

    /// Names a channel to a connection, in its codec.
    fn channel_ref(&self, conn: ConnId, number: HubNumber) -> Option<ChannelRef> {
        let hub = self.hubs.get(&number)?;
        Some(match self.codec(conn) {
            Codec::Binary => ChannelRef::Number(number.channel),
            Codec::Json => ChannelRef::Name(hub.key.name.clone()),
        })
    }

    /// Says what there is to say, and closes.
    fn end(&mut self, conn: ConnId, Ending(error, code): Ending, now: Now) {
        if let Some(error) = error {
            self.send(conn, &ServerFrame::Error(error));
        }
        if self.conns.contains_key(&conn) {
            self.forget(conn, Some(code), now);
            self.outputs.push_back(Output::Close { conn, code });
        }
    }

    /// Removes a connection and everything that hangs on it. With a code the node closes it, else its socket is gone.
    fn forget(&mut self, conn: ConnId, code: Option<CloseCode>, now: Now) {
        let Some(entry) = self.conns.remove(&conn) else { return };
        if let Some(armed) = entry.armed {
            self.deadlines.remove(&(armed, conn));
        }
        match entry.state {
            State::AwaitingHello { .. } => {}
            State::Asking(asking) => self.forget_question(asking.question),
            State::Attaching(attaching) => {
                self.sessions.remove(&attaching.session);
                if !self.config.bugs.has(Bug::AttachingStays) {
                    self.ask(Waiting::Nothing, Command::Detach(attaching.session, Gone::Left));
                }
            }
            State::Open(session) => {
                self.sessions.remove(&session.id);
                self.forget_held(&session);
                for subscription in &session.subscriptions {
                    self.leave_hub(conn, entry.codec, subscription.number);
                }
                self.uncall(session.caller.as_deref());
                let gone = session.gone(code, entry.heard, now.mono);
                self.forget_watches(conn, &entry.app, session.watched);
                self.ask(Waiting::Nothing, Command::Detach(session.id, gone));
            }
        }
        self.drain_on(now);
    }

    /// Returns so many random characters of `[A-Za-z0-9_-]`.
    fn random_name(&mut self, len: usize) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        let mut bytes = vec![0; len];
        self.rng.fill_bytes(&mut bytes);
        bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63))).map(|byte| char::from(*byte)).collect()
    }
}
