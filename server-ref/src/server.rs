//! A whole server in this process: engine, shards, listeners.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use moorline_protocol::Durability;
use tokio::sync::{mpsc, watch};

use crate::engine::core::{CoreConfig, EngineCore, MemoryStore, RetentionRules};
use crate::engine::hooks::HookRules;
use crate::engine::host::{EngineHandle, EngineThread};
use crate::engine::log::{self, Directory, Files, LogConfig, OpenError};
use crate::engine::turn::{Fatal, Persist};
use crate::engine::{EngineInfo, ShardId};
use crate::hooks::{self, Hook};
use crate::http::{self, ApiKeys, ConsoleConfig, ConsoleSight, Handed, HttpConfig, SyncTimes};
use crate::jwt::Tokens;
use crate::node::{CompressionRules, NodeConfig};
use crate::planted::Bugs;
use crate::shard::{self, Door, DoorConfig, Question, ShardConfig};
use crate::wall_clock::WallClock;

/// Where messages live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In memory: nothing survives the process.
    Memory,
    /// In a log on disk.
    Log {
        /// The data directory.
        dir: PathBuf,
        /// Whether publishes are answered after fdatasync.
        sync: bool,
        /// Whether the directory was restored from a backup.
        restored: bool,
        /// Bytes of memory for ids, producers and cursors.
        state_cache: usize,
    },
}

/// A server's settings.
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where messages live.
    pub engine: Engine,
    /// How long they are kept.
    pub retention: RetentionRules,
    /// Which channels may be compressed.
    pub compression: CompressionRules,
    /// Who may come in.
    pub tokens: Tokens,
    /// Whether an anonymous connection becomes the user `anon-<device>`.
    pub name_anonymous: bool,
    /// Whether a browser is shown a chat at `/`.
    pub page: bool,
    /// Threads for connections.
    pub shards: u16,
    /// Pages that may connect; empty = any.
    pub origins: Vec<String>,
    /// Ping interval in ms.
    pub ping_ms: u32,
    /// Bytes of a payload.
    pub max_message: u32,
    /// Channels per connection.
    pub max_channels: u32,
    /// Connections per user.
    pub max_connections: u32,
    /// Durable cursors per user, over all devices and channels.
    pub max_cursors: u32,
    /// Publishes per second and connection; `None` = no limit.
    pub publish_rate: Option<u32>,
    /// Publishes in a burst.
    pub publish_burst: u32,
    /// Sockets that clients may have together; `None` = as many as the system gives.
    pub max_sockets: Option<u32>,
    /// Upgrades in a second, all together; `None` = any number.
    pub accept_rate: Option<u32>,
    /// Connections of one address that have not said a good `hello` yet; `None` = any number.
    pub handshakes_per_address: Option<u32>,
    /// Addresses of proxies: many clients come from each.
    pub proxies: Vec<IpAddr>,
    /// ms within which the head of a request has to be whole.
    pub head_within_ms: u32,
    /// ms within which the other side has to confirm what was sent (`TCP_USER_TIMEOUT`).
    pub tcp_user_timeout_ms: u32,
    /// ms over which clients come back after a drain.
    pub drain_window_ms: u32,
    /// The files of the log: its directory, or what stands between.
    pub files: Arc<dyn Fn(Directory) -> Arc<dyn Files> + Send + Sync>,
    /// Whose requests the HTTP API takes.
    pub api_keys: ApiKeys,
    /// Where the HTTP API listens; `None` = where WebSockets do, if anybody has a key.
    pub http_listen: Option<SocketAddr>,
    /// Requests and messages per second and API key; `None` = no limit.
    pub api_rate: Option<u32>,
    /// Of those, so many at once.
    pub api_burst: u32,
    /// The console, if there is one.
    pub console: Option<ConsoleConfig>,
    /// What is told to whom.
    pub hooks: Vec<Hook>,
    /// Called when the engine has to stop; the server is of no use then.
    pub on_fatal: Arc<dyn Fn(&Fatal) + Send + Sync>,
}

impl Options {
    /// Returns the defaults of `--dev` on a free port of the loopback interface, in memory.
    pub fn dev() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            engine: Engine::Memory,
            retention: RetentionRules::default(),
            compression: CompressionRules::default(),
            tokens: Tokens::default().with_dev(),
            name_anonymous: true,
            page: true,
            shards: 1,
            origins: Vec::new(),
            ping_ms: 25_000,
            max_message: moorline_protocol::limits::MESSAGE_BYTES as u32,
            max_channels: 256,
            max_connections: 20,
            max_cursors: 1_000,
            publish_rate: None,
            publish_burst: 100,
            max_sockets: None,
            accept_rate: None,
            handshakes_per_address: None,
            proxies: Vec::new(),
            head_within_ms: 5_000,
            tcp_user_timeout_ms: 60_000,
            drain_window_ms: 3_000,
            api_keys: ApiKeys::default().with_dev(),
            http_listen: None,
            api_rate: None,
            api_burst: 4_000,
            console: None,
            hooks: Vec::new(),
            files: Arc::new(|directory| Arc::new(directory)),
            on_fatal: Arc::new(|fatal| tracing::error!(%fatal, "the engine stopped")),
        }
    }
}

/// Why a server did not start; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}. Stop what uses it, or choose another with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// There is no room for the log.
    #[error(
        "no room in the data directory {path}: {source}. A log begins with 128 MiB: make room, or choose another with --data"
    )]
    Full {
        /// Which.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The log cannot be opened.
    #[error(transparent)]
    Log(OpenError),
    /// The system refused something else.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// A running server. Dropping it drains it and waits.
pub struct Server {
    address: SocketAddr,
    http_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    shards: Vec<JoinHandle<()>>,
    http: Option<JoinHandle<()>>,
    couriers: Option<JoinHandle<()>>,
    engine: Option<EngineThread>,
}

impl Server {
    /// Starts a server on threads of its own.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(mut options: Options) -> Result<Self, StartError> {
        let listeners = listen(options.listen, options.shards.max(1))?;
        let address = listeners.first().map_or(Ok(options.listen), TcpListener::local_addr)?;
        let http_listener = options.http_listen.map(|at| listen(at, 1)).transpose()?.and_then(|mut one| one.pop());
        let http_address = http_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let sight = sight(&mut options, address)?;
        let (on_fatal, sync_times) = (Arc::clone(&options.on_fatal), SyncTimes::default());
        let mut rules = hooks::rules(&options.hooks);
        rules.return_ms = u64::from(options.drain_window_ms) + RETURN_MS;
        let (engine, clock, durability) = start_engine(&options, &rules, &sync_times, move |fatal| on_fatal(&fatal))?;
        let node = |id| NodeConfig {
            shard: ShardId(id),
            ping_ms: options.ping_ms,
            max_message: options.max_message,
            max_channels: options.max_channels,
            max_connections: options.max_connections,
            publish_rate: options.publish_rate,
            publish_burst: options.publish_burst,
            spread_ms: options.drain_window_ms,
            name_anonymous: options.name_anonymous,
            compression: options.compression.clone(),
            hooks: rules.clone(),
            engine: EngineInfo { durability: durability.clone() },
            bugs: Bugs::default(),
        };
        let (stop, stopped) = watch::channel(false);
        let couriers = hooks_thread(&options, &engine.handle(), &clock, &stopped)?;
        let (ask, asked): (Vec<_>, Vec<_>) = (0..listeners.len()).map(|_| mpsc::channel(NUMBERS_ASKED)).unzip();
        let watched = Watched { sync_times, shards: ask, sight };
        let (http, handed) = http_thread(&options, http_listener, watched, &engine.handle(), &clock, &stopped)?;
        let door = Arc::new(Door::new(DoorConfig {
            origins: options.origins,
            head_within: Duration::from_millis(options.head_within_ms.into()),
            unconfirmed: Duration::from_millis(options.tcp_user_timeout_ms.into()),
            max_sockets: options.max_sockets,
            accept_rate: options.accept_rate,
            handshakes_per_address: options.handshakes_per_address,
            proxies: options.proxies,
            page: options.page,
            http: handed,
        }));
        let auth = Arc::new(options.tokens);
        let mut shards = Vec::new();
        for (id, (listener, asked)) in (0_u16..).zip(listeners.into_iter().zip(asked)) {
            let config = ShardConfig {
                node: node(id),
                auth: Arc::clone(&auth) as _,
                seed: seed()?,
                listener,
                engine: engine.handle(),
                clock: clock.clone(),
                door: Arc::clone(&door),
                drain_window_ms: options.drain_window_ms,
                asked,
                stop: stopped.clone(),
            };
            let run = shard::prepare(config)?;
            shards.push(std::thread::Builder::new().name(format!("moorline-{id}")).spawn(run)?);
        }
        Ok(Self { address, http_address, stop, shards, http, couriers, engine: Some(engine) })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL for clients of the app `default`.
    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Returns where the HTTP API is.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address.unwrap_or(self.address)
    }

    /// Begins a graceful stop; [`wait`](Self::wait) ends with it.
    pub fn drain(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until all shards are drained, then closes the log in good order.
    pub fn wait(mut self) {
        self.join();
    }

    fn join(&mut self) {
        for shard in self.shards.drain(..).chain(self.http.take()).chain(self.couriers.take()) {
            // A panic of the thread has been printed.
            let _ = shard.join();
        }
        if let Some(engine) = self.engine.take() {
            engine.close();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain();
        self.join();
    }
}

/// Starts the couriers of the hooks, if there are any.
fn hooks_thread(
    options: &Options,
    engine: &EngineHandle,
    clock: &WallClock,
    stop: &watch::Receiver<bool>,
) -> std::io::Result<Option<JoinHandle<()>>> {
    if options.hooks.is_empty() {
        return Ok(None);
    }
    let (run, placed) = hooks::prepare(options.hooks.clone(), engine, clock.clone(), seed()?, stop.clone())?;
    let couriers = std::thread::Builder::new().name("moorline-hooks".into()).spawn(run)?;
    // A new hook is told what happens from now on: all that clients do.
    let _ = placed.recv();
    Ok(Some(couriers))
}

/// Starts the HTTP API, if it has a listener or anybody has a key. Without a listener of its own, it takes connections
/// from the shards.
fn http_thread(
    options: &Options,
    listener: Option<TcpListener>,
    watched: Watched,
    engine: &EngineHandle,
    clock: &WallClock,
    stop: &watch::Receiver<bool>,
) -> std::io::Result<HttpThread> {
    if listener.is_none() && options.api_keys.is_empty() && options.console.is_none() {
        return Ok((None, None));
    }
    let (hand, handed) = mpsc::channel(HANDED);
    let shows_metrics = listener.is_some() || options.page;
    let hand = listener.is_none().then_some(hand);
    let config = HttpConfig {
        keys: options.api_keys.clone(),
        listener,
        handed,
        max_message: options.max_message,
        rate: options.api_rate,
        burst: options.api_burst,
        max_connections: HTTP_CONNECTIONS,
        within: Duration::from_millis(options.head_within_ms.into()),
        shows_metrics,
        sync_times: watched.sync_times,
        shards: watched.shards,
        console: options.console.clone().zip(watched.sight),
        clock: clock.clone(),
        stop: stop.clone(),
    };
    let (run, recovered) = http::prepare(config, engine, seed()?)?;
    let thread = std::thread::Builder::new().name("moorline-http".into()).spawn(run)?;
    let _ = recovered.recv();
    Ok((Some(thread), hand))
}

/// What has numbers.
struct Watched {
    sync_times: SyncTimes,
    shards: Vec<mpsc::Sender<Question>>,
    sight: Option<ConsoleSight>,
}

/// What the console learns of the server, if there is one; its tokens are good from now on.
fn sight(options: &mut Options, address: SocketAddr) -> std::io::Result<Option<ConsoleSight>> {
    if options.console.is_none() {
        return Ok(None);
    }
    let (dir, durability) = match &options.engine {
        Engine::Memory => (None, "memory"),
        Engine::Log { dir, sync: true, .. } => (Some(dir.clone()), "disk"),
        Engine::Log { dir, sync: false, .. } => (Some(dir.clone()), "process"),
    };
    let (secret, apps) = (seed()?, options.tokens.shown());
    options.tokens = std::mem::take(&mut options.tokens).with_console(&secret);
    Ok(Some(ConsoleSight {
        secret,
        socket_port: options.http_listen.map(|_| address.port()),
        proxies: options.proxies.clone(),
        dir,
        durability: durability.into(),
        is_dev: options.page,
        apps,
    }))
}

/// Its thread, and where connections that came in elsewhere go.
type HttpThread = (Option<JoinHandle<()>>, Option<mpsc::Sender<Handed>>);

/// Returns random bytes.
fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(seed)
}

fn start_engine(
    options: &Options,
    rules: &HookRules,
    sync_times: &SyncTimes,
    on_fatal: impl FnOnce(Fatal) + Send + 'static,
) -> Result<(EngineThread, WallClock, Durability), StartError> {
    match &options.engine {
        Engine::Memory => {
            let mut dice = [0; 12];
            getrandom::fill(&mut dice).map_err(|error| std::io::Error::other(error.to_string()))?;
            let [a, b, c, d, salt @ ..] = dice;
            let mut config = CoreConfig::new(format!("{:08x}", u32::from_le_bytes([a, b, c, d])));
            (config.salt, config.retention) = (u64::from_le_bytes(salt), options.retention.clone());
            config.hooks = rules.clone();
            config.cursors_per_user = options.max_cursors as usize;
            let mut clock = WallClock::new(0);
            let mut core = EngineCore::new(config, MemoryStore::default());
            core.begin(false, clock.now_ms());
            Ok((spawn(core, &clock, on_fatal)?, clock, Durability::Memory))
        }
        Engine::Log { dir, sync, restored, state_cache } => {
            let (sync, restored, state_cache) = (*sync, *restored, *state_cache);
            let mut config = LogConfig { sync, restored, state_cache, ..LogConfig::new(dir) };
            config.core.retention = options.retention.clone();
            config.core.hooks = rules.clone();
            config.core.cursors_per_user = options.max_cursors as usize;
            let opened = log::open_over(&config, |directory| sync_times.watch((options.files)(directory)));
            let (core, clock) = opened.map_err(|error| refused(error, dir))?;
            let durability = if sync { Durability::Disk } else { Durability::Process };
            Ok((spawn(core, &clock, on_fatal)?, clock, durability))
        }
    }
}

/// Says why a log cannot be opened.
#[expect(clippy::wildcard_enum_match_arm, reason = "everything else is the log's own to say")]
fn refused(error: OpenError, dir: &Path) -> StartError {
    match error {
        OpenError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            StartError::Full { path: dir.display().to_string(), source }
        }
        other => StartError::Log(other),
    }
}

fn spawn<S: Persist>(
    core: EngineCore<S>,
    clock: &WallClock,
    on_fatal: impl FnOnce(Fatal) + Send + 'static,
) -> std::io::Result<EngineThread> {
    let mut clock = clock.clone();
    EngineThread::spawn(core, move || clock.now_ms(), on_fatal)
}

/// Opens one listener per shard on the same address; the kernel spreads clients over them.
fn listen(address: SocketAddr, count: u16) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for _ in 0..count {
        // All but the first take the port that the first was given.
        let wanted = listeners.first().map_or(Ok(address), TcpListener::local_addr)?;
        let open = || {
            let domain = socket2::Domain::for_address(wanted);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            // The first takes the port as if it were alone, and so finds out whether another server has it; only then
            // are the others let in.
            if !listeners.is_empty() {
                socket.set_reuse_port(true)?;
            }
            socket.bind(&wanted.into())?;
            socket.set_reuse_port(count > 1)?;
            socket.listen(BACKLOG)?;
            Ok(TcpListener::from(socket))
        };
        listeners.push(open().map_err(|source| StartError::Listen { address: wanted, source })?);
    }
    Ok(listeners)
}

/// ms after which, beyond the window, whoever has not come back after a start counts as gone.
const RETURN_MS: u64 = 30_000;
/// Connections for the HTTP API that wait for its thread.
const HANDED: usize = 256;
/// Questions for its numbers that a shard has not answered.
const NUMBERS_ASKED: usize = 4;
/// Connections of the HTTP API at a time.
const HTTP_CONNECTIONS: u32 = 1_024;
/// Clients that the system keeps until they are taken in.
const BACKLOG: i32 = 4_096;
