use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moorline_protocol::time::{Now, Timestamp, UnixMillis};
use moorline_protocol::{
    AppName, CloseCode, Codec, Decoded, DeviceId, ErrorFrame, Payload, ServerFrame, UserName, Utf8Bytes,
};
use moorline_server::engine::core::{EngineCore, MemoryStore};
use moorline_server::engine::turn::{Sinks, Turns};
use moorline_server::engine::{Command, Reply, ShardId, Ticket};
use moorline_server::node::{self, CallFailure, CallId, ConnId, Node, Pressure};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::calls::question;
use crate::settings::Settings;
use crate::tokens::Tokens;

/// The shard of the node.
const NODE: ShardId = ShardId(0);
/// The shard that what the backend asks for comes from.
const BACKEND: ShardId = ShardId(1);

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// One WebSocket message for one connection.
    Send {
        /// To whom.
        conn: u32,
        /// Whether it is a text message.
        text: bool,
        /// The message.
        message: Bytes,
    },
    /// What was sent arrives, then the connection is closed.
    Close {
        /// Whom.
        conn: u32,
        /// Why.
        code: CloseCode,
    },
    /// The app's backend is asked something; an [`Ask::Called`](crate::Ask::Called) answers.
    Call {
        /// Which call; numbers begin anew when the server starts again.
        call: u64,
        /// JSON: app, user, device, and the `call` of the protocol as `frame`, with what is left of its time as `timeout`.
        question: Bytes,
    },
    /// Nobody waits for the answer of this call any more.
    Uncall(u64),
    /// Every connection is closed and every publish answered: the server has stopped.
    Drained,
}

/// A connection that the server has not closed.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) app: AppName,
    pub(crate) codec: Codec,
    pub(crate) opened: UnixMillis,
    pub(crate) session: Option<(Utf8Bytes, Option<UserName>, DeviceId)>,
    pressure: Pressure,
}

type Replies = Arc<Mutex<Vec<Reply>>>;

/// A server, with the log it has in memory. `now` is the same for all its clocks: ms since 1970, never less than before.
pub struct Machine {
    settings: Settings,
    dice: ChaCha8Rng,
    stores: u32,
    salt: u64,
    pub(crate) tokens: Arc<Tokens>,
    /// `None` while the server is down.
    node: Option<Node>,
    turns: Turns<MemoryStore>,
    to_node: Replies,
    to_backend: Replies,
    commands: Vec<(ShardId, Ticket, Command)>,
    asked: u64,
    pub(crate) conns: BTreeMap<u32, Connection>,
    outputs: VecDeque<Output>,
}

impl Machine {
    /// Starts a server.
    pub fn new(settings: Settings, now: UnixMillis) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(settings.seed);
        let salt = dice.next_u64();
        let (to_node, to_backend) = (Replies::default(), Replies::default());
        let core = EngineCore::new(settings.engine(String::new(), salt), MemoryStore::default());
        let mut machine = Self {
            tokens: Arc::new(Tokens::new(settings.users.clone())),
            turns: Turns::new(core, Sinks::default()),
            settings,
            dice,
            stores: 0,
            salt,
            node: None,
            to_node,
            to_backend,
            commands: Vec::new(),
            asked: 0,
            conns: BTreeMap::new(),
            outputs: VecDeque::new(),
        };
        machine.start(false, now);
        machine
    }

    /// A WebSocket was opened. The number of a connection that is over may be used again.
    pub fn open(&mut self, conn: u32, app: AppName, codec: Codec, now: UnixMillis) {
        let Some(node) = &mut self.node else { return };
        node.handle_opened(ConnId(conn), app.clone(), codec, clock(now));
        let connection = Connection { app, codec, opened: now, session: None, pressure: Pressure::Low };
        self.conns.insert(conn, connection);
        self.drive(now);
    }

    /// A WebSocket message arrived.
    pub fn message(&mut self, conn: u32, is_text: bool, message: Bytes, now: UnixMillis) {
        let (Some(node), Some(connection)) = (&mut self.node, self.conns.get(&conn)) else { return };
        match (connection.codec, is_text) {
            (Codec::Json, true) | (Codec::Binary, false) => node.handle_message(ConnId(conn), message, clock(now)),
            (Codec::Json, false) => {
                node.handle_violation(ConnId(conn), "this connection speaks JSON: send text messages", clock(now));
            }
            (Codec::Binary, true) => {
                node.handle_violation(ConnId(conn), "this connection speaks binary: send binary messages", clock(now));
            }
        }
        self.drive(now);
    }

    /// The WebSocket is gone.
    pub fn closed(&mut self, conn: u32, now: UnixMillis) {
        self.conns.remove(&conn);
        if let Some(node) = &mut self.node {
            node.handle_closed(ConnId(conn), clock(now));
        }
        self.drive(now);
    }

    /// So many bytes of what was sent to a connection are not taken by it yet.
    pub fn queued(&mut self, conn: u32, bytes: usize, now: UnixMillis) {
        let (Some(node), Some(connection)) = (&mut self.node, self.conns.get_mut(&conn)) else { return };
        let pressure = Pressure::of(bytes);
        if pressure != connection.pressure {
            connection.pressure = pressure;
            node.handle_pressure(ConnId(conn), pressure, clock(now));
            self.drive(now);
        }
    }

    /// A deadline has passed; extra calls change nothing.
    pub fn timeout(&mut self, now: UnixMillis) {
        if let Some(node) = &mut self.node {
            node.handle_timeout(clock(now));
            self.take_turn(now);
            self.drive(now);
        }
    }

    /// Returns when [`timeout`](Self::timeout) is to be called next; `None` while the server is down.
    pub fn deadline(&self, now: UnixMillis) -> Option<UnixMillis> {
        let node = self.node.as_ref()?.poll_timeout().map(|(at, _)| at.since_origin());
        // Round up: a moment too early would change nothing.
        let node = node.map(|at| u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX));
        Some(node.unwrap_or(u64::MAX).min(now.saturating_add(self.turns.idle_ms(now))).max(now))
    }

    /// Returns the next thing to do. Call until `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Tells whether the server runs.
    pub fn is_running(&self) -> bool {
        self.node.is_some()
    }

    /// The process is gone, with whatever it had to say. What it had stored can be started with again.
    pub fn kill(&mut self) {
        self.node = None;
        self.conns.clear();
        self.outputs.clear();
        self.commands.clear();
    }

    /// Starts again, with what was stored or with nothing. Does nothing while it runs.
    pub fn start(&mut self, keep: bool, now: UnixMillis) {
        if self.node.is_some() {
            return;
        }
        let mut core = if keep { self.recovered() } else { self.empty() };
        core.begin(false, now);
        let sinks = Sinks::default();
        for (shard, replies) in [(NODE, &self.to_node), (BACKEND, &self.to_backend)] {
            let replies = Arc::clone(replies);
            lock(&replies).clear();
            sinks.register(shard, Box::new(move |new| lock(&replies).extend(new)));
        }
        self.turns = Turns::new(core, sinks);
        let mut seed = [0; 32];
        self.dice.fill_bytes(&mut seed);
        self.node = Some(Node::new(self.settings.node(), Arc::clone(&self.tokens) as _, seed));
        self.take_turn(now);
    }

    /// Begins a graceful stop; [`Output::Drained`] ends it.
    pub fn drain(&mut self, after_ms: u32, window_ms: u32, now: UnixMillis) {
        if let Some(node) = &mut self.node {
            node.drain(after_ms, window_ms, clock(now));
        }
        self.drive(now);
    }

    /// The app's backend has answered a call, or will not. Changes nothing if nobody waits for it.
    pub(crate) fn answered(&mut self, call: CallId, answer: Result<Payload, CallFailure>, now: UnixMillis) {
        if let Some(node) = &mut self.node {
            node.handle_called(call, answer, clock(now));
        }
        self.drive(now);
    }

    /// Says goodbye to a connection: an error, if there is one, and a close code.
    pub fn close(&mut self, conn: u32, error: Option<ErrorFrame>, code: CloseCode, now: UnixMillis) {
        let Some(connection) = self.conns.remove(&conn) else { return };
        if let Some(error) = error {
            let mut message = Vec::new();
            connection.codec.encode_server(&ServerFrame::Error(error), &mut message);
            let text = connection.codec == Codec::Json;
            self.outputs.push_back(Output::Send { conn, text, message: message.into() });
        }
        self.outputs.push_back(Output::Close { conn, code });
        self.closed(conn, now);
    }

    /// Asks the engine as the backend; the answer comes at once.
    pub(crate) fn ask(&mut self, command: Command, now: UnixMillis) -> Option<Reply> {
        self.asked += 1;
        let ticket = Ticket(self.asked);
        self.commands.push((BACKEND, ticket, command));
        self.take_turn(now);
        let replies = std::mem::take(&mut *lock(&self.to_backend));
        self.drive(now);
        replies.into_iter().find(|reply| matches!(reply, Reply::Completed(of, _) if *of == ticket))
    }

    /// The engine with what it had.
    fn recovered(&self) -> EngineCore<MemoryStore> {
        let old = self.turns.core();
        let mut core = EngineCore::new(self.settings.engine(self.store_id(), self.salt), old.store().clone());
        let mut strays = 0;
        old.snapshot(|record| strays += u32::from(core.apply(record, true).is_err()));
        debug_assert_eq!(strays, 0, "a snapshot follows from itself");
        core.settle_store();
        core
    }

    /// The engine with nothing, in a log of another name.
    fn empty(&mut self) -> EngineCore<MemoryStore> {
        self.stores += 1;
        EngineCore::new(self.settings.engine(self.store_id(), self.salt), MemoryStore::default())
    }

    fn store_id(&self) -> String {
        let drawn = self.salt.wrapping_add(u64::from(self.stores)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        format!("{drawn:08x}")
    }

    /// Does what the node wants, until it wants nothing more.
    fn drive(&mut self, now: UnixMillis) {
        loop {
            let replies = std::mem::take(&mut *lock(&self.to_node));
            let Some(node) = &mut self.node else { return };
            node.handle_replies(replies, clock(now));
            while let Some(output) = self.node.as_mut().and_then(Node::poll_output) {
                self.obey(output);
            }
            if self.commands.is_empty() {
                return;
            }
            self.take_turn(now);
        }
    }

    fn take_turn(&mut self, now: UnixMillis) {
        let commands = std::mem::take(&mut self.commands);
        if self.turns.take(commands, now).is_err() {
            // Memory takes every write, so this does not happen; an engine that stops takes its server along.
            self.kill();
        }
    }

    fn obey(&mut self, output: node::Output) {
        match output {
            node::Output::Send { conn, message } => self.send(conn, message),
            node::Output::Fanout { conns, message, .. } => {
                conns.iter().for_each(|conn| self.send(*conn, message.clone()));
            }
            node::Output::Close { conn, code } => {
                self.conns.remove(&conn.0);
                self.outputs.push_back(Output::Close { conn: conn.0, code });
            }
            node::Output::Engine(ticket, command) => self.commands.push((NODE, ticket, command)),
            node::Output::Drained => self.outputs.push_back(Output::Drained),
            node::Output::Call(id, calling) => {
                self.outputs.push_back(Output::Call { call: id.0, question: question(id, calling) });
            }
            node::Output::Uncall(id) => self.outputs.push_back(Output::Uncall(id.0)),
            // Who runs this server sees the refusal itself.
            node::Output::Ask { .. } | node::Output::Warn(_) => {}
        }
    }

    fn send(&mut self, conn: ConnId, message: Bytes) {
        let Some(connection) = self.conns.get_mut(&conn.0) else { return };
        if connection.session.is_none() {
            connection.session = welcomed(connection.codec, message.clone());
        }
        let text = connection.codec == Codec::Json;
        self.outputs.push_back(Output::Send { conn: conn.0, text, message });
    }
}

/// Returns whom a message welcomes: session, user and device.
fn welcomed(codec: Codec, mut message: Bytes) -> Option<(Utf8Bytes, Option<UserName>, DeviceId)> {
    match codec.decode_server(&mut message) {
        Ok(Some(Decoded::Frame(ServerFrame::Welcome(welcome)))) => {
            Some((welcome.session, welcome.user, welcome.device))
        }
        Ok(_) | Err(_) => None,
    }
}

fn clock(now: UnixMillis) -> Now {
    Now { mono: Timestamp::new(Duration::from_millis(now)), unix: now }
}

fn lock(replies: &Replies) -> std::sync::MutexGuard<'_, Vec<Reply>> {
    replies.lock().unwrap_or_else(PoisonError::into_inner)
}
