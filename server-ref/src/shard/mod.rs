//! A shard: one node, one thread, its sockets. The only async code of the server.
//!
//! A connection at rest is a task that waits for its socket to become readable; buffers belong to the shard. What the
//! node wants sent is written at once with one `writev` per connection; only what the socket does not take waits.

mod accept;
mod calls;
mod door;
mod goodbye;
mod journal;
mod outbox;
mod rate;
mod socket;
mod tcp;
mod traced;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{AppName, Codec};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, LocalSet};

pub use self::door::{Door, DoorConfig, Origins};
use self::outbox::Outbox;
use self::rate::Stranger;
use self::traced::Traced;
use crate::apps::AppTable;
use crate::callout::Callouts;
use crate::engine::host::EngineHandle;
use crate::engine::{ChannelKey, Command, Reply, SessionId, ShardId, Ticket};
use crate::net::Stream;
use crate::node::{
    AppNumbers, Authenticator, CallId, ConnId, ConnectionInfo, ConnectionsQuery, Node, NodeConfig, NodeRules, Output,
    Pressure, Warning,
};
use crate::wall_clock::WallClock;
use crate::ws;

/// What a shard needs to run.
pub struct ShardConfig {
    /// The node's settings.
    pub node: NodeConfig,
    /// Apps with limits of their own.
    pub apps: AppTable,
    /// Who may come in.
    pub auth: Arc<dyn Authenticator + Send + Sync>,
    /// Random bytes.
    pub seed: [u8; 32],
    /// Where clients come in.
    pub listener: StdListener,
    /// The log.
    pub engine: EngineHandle,
    /// The server's time.
    pub clock: WallClock,
    /// Who is let in.
    pub door: Arc<Door>,
    /// ms that clients spread their return over, after a drain.
    pub drain_window_ms: u32,
    /// What asks apps' backends.
    pub callouts: Callouts,
    /// Who asks for its numbers.
    pub asked: mpsc::Receiver<Question>,
    /// Other rules.
    pub rules: mpsc::UnboundedReceiver<NewRules>,
    /// Set to true for a graceful stop.
    pub stop: watch::Receiver<bool>,
}

/// What a shard is asked, and where its answer goes.
pub enum Question {
    /// Its numbers.
    Numbers(oneshot::Sender<BTreeMap<AppName, AppNumbers>>),
    /// Its connections, each with where it comes from.
    Connections(ConnectionsQuery, oneshot::Sender<Connections>),
    /// How many subscriptions each of these channels has.
    Subscribers(Arc<[ChannelKey]>, oneshot::Sender<Vec<u64>>),
}

/// Connections of a shard, and how many fitted the question.
#[derive(Debug)]
pub struct Connections {
    /// Each with its client's address.
    pub found: Vec<(ConnectionInfo, Option<IpAddr>)>,
    /// How many there are.
    pub total: usize,
}

/// Rules to go on under; what it holds beside them is dropped when they hold.
pub type NewRules = (Box<NodeRules>, std::sync::mpsc::Sender<()>);

/// The app whose messages are sent back, with the feature `echo`.
const ECHO: &str = "echo";

/// Connections that have not yet sent a whole request head, at most.
const MAX_HANDSHAKES: usize = 4_096;

/// What becomes due within this time is done at its end, in one go: waking up for each of many pings costs more than
/// the pings.
const TURN: Duration = Duration::from_millis(100);

/// A shard's state, shared by its tasks; never borrowed across an await.
struct Shard {
    node: Node,
    id: ShardId,
    engine: EngineHandle,
    clock: WallClock,
    started: Instant,
    conns: FxHashMap<ConnId, Connection>,
    next_conn: u32,
    handshakes: usize,
    /// Connections with something to write.
    dirty: Vec<ConnId>,
    /// What the engine will be asked at the end of this turn.
    commands: Vec<(Ticket, Command)>,
    /// What takes how long.
    traced: Traced,
    armed: Option<Timestamp>,
    drained: bool,
    callouts: Callouts,
    /// Calls that backends have not answered.
    calls: FxHashMap<CallId, AbortHandle>,
}

struct Connection {
    stream: Rc<Stream>,
    codec: Codec,
    outbox: Outbox,
    pressure: Pressure,
    /// Wakes the reader after a pause, and ends it; then says that the queue may be empty.
    wake: Rc<Notify>,
    closing: bool,
    /// While the client has not said a good `hello`.
    stranger: Option<Stranger>,
    /// What it was told in `welcome`.
    session: Option<SessionId>,
    /// Where the client is, as far as the proxies before it are believed.
    from: IpAddr,
    /// Whether its messages go back to it, and the node never hears of it.
    echoes: bool,
}

/// What the tasks of a shard share.
#[derive(Clone)]
struct Handle {
    shard: Rc<RefCell<Shard>>,
    /// Wakes the main loop when the next deadline has come nearer.
    rearm: Rc<Notify>,
    scratch: Rc<RefCell<Vec<u8>>>,
    door: Arc<Door>,
}

/// Makes everything that can fail. What it returns runs the shard on the thread that calls it, until it is drained.
///
/// # Errors
/// The system's, if the runtime or the listener cannot be set up.
pub fn prepare(config: ShardConfig) -> std::io::Result<impl FnOnce() + Send + 'static> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = config.listener.try_clone()?;
    listener.set_nonblocking(true)?;
    let entered = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    drop(entered);
    Ok(move || LocalSet::new().block_on(&runtime, main_loop(config, listener)))
}

#[expect(clippy::too_many_lines, reason = "the life of a shard, from start to end")]
async fn main_loop(config: ShardConfig, listener: tokio::net::TcpListener) {
    let (sender, mut inbox) = mpsc::unbounded_channel::<Vec<Reply>>();
    let id = config.node.shard;
    // The receiver goes only with the shard.
    config.engine.register(id, Box::new(move |replies| drop(sender.send(replies))));
    let mut node = Node::new(config.node, config.auth, config.seed);
    node.begin_with(config.apps);
    let shard = Shard {
        node,
        id,
        engine: config.engine,
        clock: config.clock,
        started: Instant::now(),
        conns: FxHashMap::default(),
        next_conn: 0,
        handshakes: 0,
        dirty: Vec::new(),
        commands: Vec::new(),
        traced: Traced::default(),
        armed: None,
        drained: false,
        callouts: config.callouts,
        calls: FxHashMap::default(),
    };
    let handle = Handle {
        shard: Rc::new(RefCell::new(shard)),
        rearm: Rc::new(Notify::new()),
        scratch: Rc::new(RefCell::new(vec![0; 64 * 1024])),
        door: config.door,
    };
    let accepting = tokio::task::spawn_local(accept::accept(handle.clone(), listener));
    let (mut stop, mut asked, mut rules) = (config.stop, config.asked, config.rules);
    let mut replies = Vec::new();
    let mut stopping = false;
    loop {
        let deadline = handle.shard.borrow_mut().arm();
        let sleep = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            count = inbox.recv_many(&mut replies, 64) => {
                if count > 0 {
                    handle.with(|shard, now| {
                        shard.traced.end(&replies);
                        shard.node.handle_replies(replies.drain(..).flatten(), now);
                    });
                }
            }
            changed = stop.changed(), if !stopping => {
                stopping = true;
                accepting.abort();
                let window = config.drain_window_ms;
                handle.door.shut();
                // Whoever could ask for a stop is gone: that is one, too.
                let _ = changed;
                handle.with(|shard, now| shard.node.drain(500, window, now));
            }
            Some(question) = asked.recv() => handle.shard.borrow().answer(question),
            Some((rules, applied)) = rules.recv() => {
                handle.with(|shard, now| shard.node.configure(*rules, now));
                drop(applied);
            }
            () = handle.rearm.notified() => {}
            () = sleep => handle.with(|shard, now| shard.node.handle_timeout(now)),
        }
        if handle.shard.borrow().drained {
            break;
        }
    }
    // What is queued gets a moment to leave.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    while !handle.shard.borrow().conns.is_empty() {
        tokio::select! {
            () = handle.rearm.notified() => {}
            () = tokio::time::sleep_until(deadline) => break,
        }
    }
}

fn warn(warning: &Warning) {
    match warning {
        Warning::SenselessAnswer(app, kind) => tracing::warn!(
            app = app.as_str(),
            kind = kind.name(),
            "a call-out answered something that is no answer to this; see docs/callouts.md"
        ),
        Warning::DeviceConflict(owner) => tracing::warn!(
            app = owner.app.as_str(),
            user = owner.user.as_str(),
            device = owner.device.as_str(),
            "two installations share one device id and displace each other, three times or more within a minute: was a \
             store copied?"
        ),
    }
}

impl Handle {
    /// Names a connection in the log: its shard, and its number there.
    fn name_of(&self, conn: ConnId) -> String {
        format!("{}-{}", self.shard.borrow().id.0, conn.0)
    }

    /// Runs something on the node, then does what the node asks for.
    fn with(&self, act: impl FnOnce(&mut Shard, Now)) {
        let mut shard = self.shard.borrow_mut();
        let now = shard.now();
        act(&mut shard, now);
        shard.drain_outputs(self);
        let due = shard.node.poll_timeout().map(|(at, _)| at);
        if shard.drained || due.is_some_and(|due| shard.armed.is_none_or(|armed| due < armed)) {
            self.rearm.notify_one();
        }
    }
}

impl Shard {
    fn now(&mut self) -> Now {
        Now { mono: Timestamp::new(self.started.elapsed()), unix: self.clock.now_ms() }
    }

    /// Answers who watches the server; whoever has stopped waiting gets nothing.
    fn answer(&self, question: Question) {
        match question {
            Question::Numbers(to) => drop(to.send(self.node.numbers())),
            Question::Subscribers(channels, to) => drop(to.send(self.node.subscribers(&channels))),
            Question::Connections(query, to) => {
                let page = self.node.list_connections(&query);
                let from = |conn| self.conns.get(&conn).map(|known| known.from);
                let found = page.connections.into_iter().map(|info| (from(info.conn), info));
                let found = found.map(|(from, info)| (info, from)).collect();
                drop(to.send(Connections { found, total: page.total }));
            }
        }
    }

    /// Returns a number that no connection has.
    fn new_conn(&mut self) -> ConnId {
        loop {
            let conn = ConnId(self.next_conn);
            self.next_conn = self.next_conn.wrapping_add(1);
            if !self.conns.contains_key(&conn) {
                return conn;
            }
        }
    }

    /// Returns when the main loop has to wake for the node.
    fn arm(&mut self) -> Option<Instant> {
        self.armed = self.node.poll_timeout().map(|(at, _)| at);
        let turns = self.armed?.since_origin().as_millis().div_ceil(TURN.as_millis());
        self.started.checked_add(TURN.saturating_mul(u32::try_from(turns).ok()?))
    }

    fn drain_outputs(&mut self, handle: &Handle) {
        loop {
            while let Some(output) = self.node.poll_output() {
                self.obey(output, handle);
            }
            if !self.flush(handle) {
                break;
            }
        }
        if !self.commands.is_empty() {
            self.traced.begin(&self.commands);
            self.engine.submit(self.id, self.commands.drain(..));
        }
    }

    fn obey(&mut self, output: Output, handle: &Handle) {
        match output {
            Output::Send { conn, message } => {
                self.tell_welcome(conn);
                if let Some(connection) = self.conns.get_mut(&conn).filter(|connection| !connection.closing) {
                    connection.outbox.push(ws::frame(connection.codec == Codec::Json, &message));
                    self.dirty.push(conn);
                }
            }
            Output::Fanout { conns, codec, message } => {
                let frame = ws::frame(codec == Codec::Json, &message);
                for conn in conns.iter() {
                    if let Some(connection) = self.conns.get_mut(conn).filter(|connection| !connection.closing) {
                        connection.outbox.push(frame.clone());
                        self.dirty.push(*conn);
                    }
                }
            }
            Output::Close { conn, code } => {
                let reason = goodbye::reason(code);
                self.tell_close(conn, code, reason);
                self.close(conn, code, reason);
            }
            Output::Engine(ticket, command) => self.commands.push((ticket, command)),
            Output::Ask { question, callout, kind, body } => {
                // At once: what the rules name now may be gone later.
                let (handle, asked) = (handle.clone(), self.callouts.call(callout, kind, body));
                tokio::task::spawn_local(async move {
                    let body = asked.await.ok().map(|answer| answer.body);
                    handle.with(|shard, now| shard.node.handle_answer(question, body, now));
                });
            }
            Output::Call(id, calling) => self.call(id, &calling, handle),
            Output::Uncall(id) => self.uncall(id),
            Output::Warn(warning) => warn(&warning),
            Output::Drained => self.drained = true,
        }
    }

    /// Writes what waits, and tells the node where queues grew or shrank. Returns whether it told anything.
    fn flush(&mut self, handle: &Handle) -> bool {
        let mut told = false;
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            let Some(connection) = self.conns.get_mut(&conn) else { continue };
            if connection.outbox.write(&connection.stream) {
                tokio::task::spawn_local(socket::write_on(handle.clone(), conn, Rc::clone(&connection.stream)));
            }
            if Pressure::of(connection.outbox.bytes()) != connection.pressure {
                told |= self.report(conn);
            }
        }
        self.dirty = dirty;
        told
    }

    fn report(&mut self, conn: ConnId) -> bool {
        let Some(connection) = self.conns.get_mut(&conn) else { return false };
        let pressure = Pressure::of(connection.outbox.bytes());
        if pressure == connection.pressure {
            return false;
        }
        if connection.pressure == Pressure::Full {
            connection.wake.notify_one();
        }
        connection.pressure = pressure;
        let now = self.now();
        self.node.handle_pressure(conn, pressure, now);
        true
    }
}
