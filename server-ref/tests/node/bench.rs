//! A node on a bench: virtual time, the real engine core in memory, and clients that are lists of what was heard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{
    AppName, ChannelName, ClientFrame, Codec, Decoded, Durability, ErrorCode, Payload, ServerFrame, UserName,
};
use moorline_server::apps::{AppLimits, AppTable};
use moorline_server::engine::core::{CoreConfig, EngineCore, MemoryStore, RetentionRules};
use moorline_server::engine::hooks::HookRules;
use moorline_server::engine::{Command, Completion, EngineError, EngineInfo, Reply, ShardId, Ticket};
use moorline_server::node::{
    AuthFailure, Authenticator, CallFailure, CallId, Calling, CalloutKind, CalloutRules, Claims, ConnId, Grant, Node,
    NodeConfig, NodeRules, Output, Permissions, Pressure, QuestionId,
};
use moorline_server::planted::Bugs;
use serde_json::{Value, json};

/// The wall clock when the bench begins, ms since 1970.
pub(crate) const START: u64 = 1_700_000_000_000;
const SHARD: ShardId = ShardId(0);

/// What a client heard.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Frame(Value),
    Binary(Bytes),
    Closed(u16),
}

/// Who may come in: tokens and what they say.
#[derive(Clone, Default)]
pub(crate) struct Doors(Arc<Mutex<BTreeMap<String, Claims>>>);

impl Authenticator for Doors {
    fn verify(
        &self,
        _app: &AppName,
        token: Option<&str>,
        _channel: Option<&ChannelName>,
        now: u64,
    ) -> Result<Claims, AuthFailure> {
        let Some(token) = token else { return Ok(Claims::default()) };
        let invalid = AuthFailure { code: ErrorCode::AuthInvalid, message: "nobody made this token" };
        let claims = self.0.lock().unwrap().get(token).cloned().ok_or(invalid)?;
        if claims.expires.is_some_and(|expires| expires + 5_000 <= now) {
            return Err(AuthFailure { code: ErrorCode::AuthExpired, message: "the token has expired" });
        }
        Ok(claims)
    }

    fn has_app(&self, _app: &AppName) -> bool {
        true
    }
}

/// See the module's documentation.
pub(crate) struct Bench {
    pub(crate) node: Node,
    pub(crate) core: EngineCore<MemoryStore>,
    doors: Doors,
    config: NodeConfig,
    mono: Duration,
    /// How far the wall clock has been moved.
    skew_ms: i64,
    codecs: BTreeMap<u32, Codec>,
    heard: BTreeMap<u32, VecDeque<Heard>>,
    /// What the node has asked the engine, and nobody has done yet.
    pub(crate) asked: VecDeque<(Ticket, Command)>,
    /// What the node has asked an app's backend.
    pub(crate) questions: VecDeque<(QuestionId, CalloutKind, Value)>,
    /// Whether the engine waits for [`Bench::engine`].
    pub(crate) slow_engine: bool,
    pub(crate) drained: bool,
    /// What apps' backends were asked.
    pub(crate) calling: Vec<(CallId, Calling)>,
    /// Whose answers nobody waits for.
    pub(crate) uncalled: Vec<CallId>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut NodeConfig)) -> Self {
        let mut config = NodeConfig {
            shard: SHARD,
            ping_ms: 25_000,
            max_message: 65_536,
            max_channels: 256,
            max_connections: 20,
            publish_rate: None,
            publish_burst: 100,
            spread_ms: 1_000,
            name_anonymous: false,
            callouts: CalloutRules::default(),
            compression: moorline_server::node::CompressionRules::default(),
            hooks: HookRules::default(),
            engine: EngineInfo { durability: Durability::Disk },
            bugs: Bugs::default(),
        };
        change(&mut config);
        let doors = Doors::default();
        let mut core_config = CoreConfig::new("bench000");
        core_config.retention = RetentionRules::new(Vec::new());
        let mut core = EngineCore::new(core_config, MemoryStore::default());
        core.begin(false, START);
        Self {
            node: Node::new(config.clone(), Arc::new(doors.clone()), [7; 32]),
            core,
            doors,
            config,
            mono: Duration::from_secs(1_000),
            skew_ms: 0,
            codecs: BTreeMap::new(),
            heard: BTreeMap::new(),
            asked: VecDeque::new(),
            questions: VecDeque::new(),
            slow_engine: false,
            drained: false,
            calling: Vec::new(),
            uncalled: Vec::new(),
        }
    }

    /// The next start of the server of another bench: its log, and nothing else.
    pub(crate) fn after(mut other: Self, seed: [u8; 32]) -> Self {
        let mut bench = Self::new();
        std::mem::swap(&mut bench.core, &mut other.core);
        bench.node = Node::new(other.config, Arc::new(bench.doors.clone()), seed);
        bench
    }

    pub(crate) fn now(&self) -> Now {
        let unix = (START as i64 + self.mono.as_millis() as i64 - 1_000_000 + self.skew_ms) as u64;
        Now { mono: Timestamp::new(self.mono), unix }
    }

    /// Makes a token.
    pub(crate) fn token(&self, name: &str, claims: Claims) {
        self.doors.0.lock().unwrap().insert(name.to_owned(), claims);
    }

    /// The backend answers a call, or does not.
    pub(crate) fn called(&mut self, id: CallId, answer: Result<Payload, CallFailure>) {
        self.node.handle_called(id, answer, self.now());
        self.settle();
    }

    /// Opens a WebSocket, without `hello`.
    pub(crate) fn open(&mut self, conn: u32, codec: Codec) {
        self.open_at(AppName::default_app(), conn, codec);
    }

    /// The same, for this app.
    pub(crate) fn open_at(&mut self, app: AppName, conn: u32, codec: Codec) {
        self.codecs.insert(conn, codec);
        self.heard.insert(conn, VecDeque::new());
        self.node.handle_opened(ConnId(conn), app, codec, self.now());
        self.settle();
    }

    /// Opens a WebSocket that speaks JSON, with `hello`; a user of this name may do everything.
    pub(crate) fn join(&mut self, conn: u32, user: &str) {
        self.token(user, everything(user));
        self.hello(conn, json!({"token": user}));
        assert!(self.hear(conn).iter().any(|heard| is(heard, "welcome")));
    }

    /// Opens a WebSocket that speaks JSON, and says `hello` with these fields.
    pub(crate) fn hello(&mut self, conn: u32, mut hello: Value) {
        self.open(conn, Codec::Json);
        hello["t"] = json!("hello");
        hello["v"] = json!(1);
        self.say(conn, hello);
    }

    /// A client says something.
    pub(crate) fn say(&mut self, conn: u32, frame: Value) {
        self.bytes(conn, frame.to_string().into());
    }

    /// A client sends a message.
    pub(crate) fn bytes(&mut self, conn: u32, message: Bytes) {
        self.node.handle_message(ConnId(conn), message, self.now());
        self.settle();
    }

    /// Publishes at QoS 1 and waits until it is answered.
    pub(crate) fn publish(&mut self, conn: u32, channel: &str, id: &str, text: &str) {
        self.say(conn, json!({"t": "publish", "channel": channel, "req": 1, "id": id, "text": text}));
    }

    pub(crate) fn pressure(&mut self, conn: u32, pressure: Pressure) {
        self.node.handle_pressure(ConnId(conn), pressure, self.now());
        self.settle();
    }

    /// Time passes, and the node is woken whenever it wants to be.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.mono + Duration::from_millis(ms);
        loop {
            let engine = self.core.presence_idle_ms(self.now().unix).filter(|_| !self.slow_engine);
            let engine = engine.map(|ms| self.mono + Duration::from_millis(ms));
            let node = self.node.poll_timeout().map(|(at, _)| at.since_origin());
            let Some(at) = engine.into_iter().chain(node).min().filter(|at| *at <= end) else { break };
            self.mono = self.mono.max(at);
            self.node.handle_timeout(self.now());
            self.settle();
            self.engine_turn();
        }
        self.mono = end;
    }

    /// Time passes while the node sleeps: a suspended machine, a stopped process.
    pub(crate) fn sleep(&mut self, ms: u64) {
        self.mono += Duration::from_millis(ms);
        self.node.handle_timeout(self.now());
        self.settle();
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set_clock(&mut self, by_ms: i64) {
        self.skew_ms += by_ms;
    }

    pub(crate) fn drain(&mut self, after_ms: u32, window_ms: u32) {
        self.node.drain(after_ms, window_ms, self.now());
        self.settle();
    }

    /// The engine does everything it was asked.
    pub(crate) fn engine(&mut self) {
        while !self.asked.is_empty() {
            self.engine_once();
        }
    }

    /// The engine does the next thing it was asked.
    pub(crate) fn engine_once(&mut self) {
        let Some((ticket, command)) = self.asked.pop_front() else { return };
        self.core.handle(SHARD, ticket, command, self.now().unix);
        self.engine_turn();
    }

    /// The engine ends a turn.
    fn engine_turn(&mut self) {
        let unix = self.now().unix;
        self.core.flush_cursors(unix);
        self.core.take_records(unix);
        let replies: Vec<Reply> = self.core.take_replies().into_iter().map(|(_, reply)| reply).collect();
        self.node.handle_replies(replies, self.now());
        self.collect();
    }

    /// The engine does everything it was asked, and what it has read arrives first, as from another thread. Returns
    /// what arrives later.
    pub(crate) fn read_ahead(&mut self) -> Vec<Reply> {
        let unix = self.now().unix;
        for (ticket, command) in std::mem::take(&mut self.asked) {
            self.core.handle(SHARD, ticket, command, unix);
        }
        self.core.take_records(unix);
        let replies = self.core.take_replies().into_iter().map(|(_, reply)| reply);
        let is_read = |reply: &Reply| matches!(reply, Reply::Completed(_, Ok(Completion::Read(_))));
        let (read, later): (Vec<_>, Vec<_>) = replies.partition(is_read);
        self.node.handle_replies(read, self.now());
        self.collect();
        later
    }

    /// An app's backend answers; `None`: it does not, and that is known.
    pub(crate) fn answer(&mut self, question: QuestionId, answer: Option<Value>) {
        let body = answer.map(|answer| answer.to_string().into());
        self.node.handle_answer(question, body, self.now());
        self.settle();
    }

    /// Other rules say who decides.
    pub(crate) fn set_callouts(&mut self, callouts: CalloutRules) {
        let config = &self.config;
        let rules = NodeRules {
            limits: AppLimits {
                message: config.max_message,
                channels: config.max_channels,
                connections: None,
                connections_per_user: config.max_connections,
                cursors_per_user: 1_000,
                publish_rate: config.publish_rate,
                publish_burst: config.publish_burst,
                api_rate: None,
                api_burst: 4_000,
            },
            apps: AppTable::default(),
            compression: config.compression.clone(),
            hooks: config.hooks.clone(),
            callouts,
            ping_ms: config.ping_ms,
        };
        self.node.configure(rules, self.now());
        self.settle();
    }

    /// The client's socket is gone.
    pub(crate) fn cut(&mut self, conn: u32) {
        self.node.handle_closed(ConnId(conn), self.now());
        self.settle();
    }

    /// A client that speaks the binary codec says something.
    pub(crate) fn say_binary(&mut self, conn: u32, frame: &ClientFrame) {
        let mut message = Vec::new();
        Codec::Binary.encode_client(frame, &mut message);
        self.bytes(conn, message.into());
    }

    /// Returns the frames that a client that speaks the binary codec has heard since it was last asked.
    pub(crate) fn binary_frames(&mut self, conn: u32) -> Vec<ServerFrame> {
        let mut frames = Vec::new();
        for heard in self.hear(conn) {
            let Heard::Binary(mut message) = heard else { panic!("not a binary frame: {heard:?}") };
            while let Some(decoded) = Codec::Binary.decode_server(&mut message).unwrap() {
                let Decoded::Frame(frame) = decoded else { panic!("{decoded:?}") };
                frames.push(frame);
            }
        }
        frames
    }

    /// The engine fails at the next thing it was asked.
    pub(crate) fn fail(&mut self, error: EngineError) {
        let (ticket, _) = self.asked.pop_front().unwrap();
        self.reply(Reply::Completed(ticket, Err(error)));
    }

    /// The engine says something by itself.
    pub(crate) fn reply(&mut self, reply: Reply) {
        self.node.handle_replies([reply], self.now());
        self.settle();
    }

    /// The engine is asked from outside.
    pub(crate) fn command(&mut self, command: Command) {
        self.asked.push_back((Ticket(0), command));
        self.engine();
    }

    /// Returns what a client has heard since it was last asked.
    pub(crate) fn hear(&mut self, conn: u32) -> Vec<Heard> {
        self.heard.get_mut(&conn).map(std::mem::take).unwrap_or_default().into()
    }

    /// Returns the frames a client has heard since it was last asked.
    pub(crate) fn frames(&mut self, conn: u32) -> Vec<Value> {
        self.hear(conn)
            .into_iter()
            .map(|heard| match heard {
                Heard::Frame(frame) => frame,
                other => panic!("not a frame: {other:?}"),
            })
            .collect()
    }

    /// Returns the only frame a client has heard.
    pub(crate) fn frame(&mut self, conn: u32) -> Value {
        let mut frames = self.frames(conn);
        assert_eq!(frames.len(), 1, "{frames:?}");
        frames.remove(0)
    }

    /// The client heard this error and was closed with this code.
    pub(crate) fn was_ended(&mut self, conn: u32, error: &str, code: u16) {
        let heard = self.hear(conn);
        let [Heard::Frame(frame), Heard::Closed(closed)] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!((frame["t"].as_str(), frame["code"].as_str(), *closed), (Some("error"), Some(error), code));
    }

    fn settle(&mut self) {
        self.collect();
        if !self.slow_engine {
            self.engine();
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { conn, message } => self.note(conn, &message),
                Output::Fanout { conns, message, .. } => conns.iter().for_each(|conn| self.note(*conn, &message)),
                Output::Close { conn, code } => {
                    self.heard.entry(conn.0).or_default().push_back(Heard::Closed(code.0));
                    self.node.handle_closed(conn, self.now());
                }
                Output::Engine(ticket, command) => self.asked.push_back((ticket, command)),
                Output::Ask { question, kind, body, .. } => {
                    self.questions.push_back((question, kind, serde_json::from_slice(&body).unwrap()));
                }
                Output::Call(id, calling) => self.calling.push((id, calling)),
                Output::Uncall(id) => self.uncalled.push(id),
                Output::Warn(_) => {}
                Output::Drained => {
                    assert!(!self.drained, "drained twice");
                    self.drained = true;
                }
            }
        }
    }

    fn note(&mut self, conn: ConnId, message: &Bytes) {
        let heard = self.heard.entry(conn.0).or_default();
        match self.codecs.get(&conn.0) {
            Some(Codec::Binary) => heard.push_back(Heard::Binary(message.clone())),
            _ => {
                let text = std::str::from_utf8(message).unwrap();
                heard.extend(text.lines().map(|line| Heard::Frame(serde_json::from_str(line).unwrap())));
            }
        }
    }
}

/// Claims of a user who may do everything, for ever.
pub(crate) fn everything(user: &str) -> Claims {
    Claims { user: Some(UserName::new(user).unwrap()), grants: vec![grant("*", Permissions::ALL)], ..Claims::default() }
}

pub(crate) fn grant(pattern: &str, can: Permissions) -> Grant {
    Grant { pattern: pattern.into(), can }
}

/// Tells whether a frame of this type was heard.
pub(crate) fn is(heard: &Heard, t: &str) -> bool {
    matches!(heard, Heard::Frame(frame) if frame["t"] == t)
}

/// Returns the offsets of all messages delivered in these frames.
pub(crate) fn offsets(frames: &[Value]) -> Vec<u64> {
    let delivers = frames.iter().filter(|frame| frame["t"] == "deliver");
    let messages = delivers.flat_map(|frame| frame["messages"].as_array().unwrap());
    messages.filter_map(|message| message["offset"].as_u64()).collect()
}
