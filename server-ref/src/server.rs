//! A whole server in this process: engine, shards, listeners.

mod engine;
mod http;
mod listen;
mod reload;
mod sockets;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use moorline_protocol::AppName;
use tokio::sync::{mpsc, watch};

use self::engine::start_engine;
use self::http::{Watched, http_thread, sight};
use self::listen::listen;
pub use self::reload::Reloads;
use self::reload::{Fixed, Live};
use self::sockets::Sockets;
use crate::apps::{AppLimits, AppTable};
use crate::callout::{self, Callout, CalloutThread};
use crate::engine::core::RetentionRules;
use crate::engine::host::{EngineHandle, EngineThread};
use crate::engine::log::{Directory, DiskWatch, Files, OpenError};
use crate::engine::turn::Fatal;
use crate::engine::{EngineInfo, ShardId};
use crate::hooks::{self, Hook, HookNumbers, NewHooks};
use crate::http::{ApiKeys, ConsoleConfig, LiveRules, SyncTimes};
use crate::jwks::Fetcher;
use crate::jwt::Tokens;
use crate::net::{Front, Tls};
use crate::node::{CompressionRules, NodeConfig};
use crate::planted::Bugs;
use crate::pulse::Pulse;
use crate::shard::{self, Door, DoorConfig, Origins, ShardConfig};
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
    /// Bytes of the disk that publishes leave free; 0 = none, `None` = what fits the disk
    /// ([`Space::default_reserve`](crate::engine::log::Space::default_reserve)).
    pub disk_reserve: Option<u64>,
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
    /// Those of apps with a list of their own.
    pub app_origins: BTreeMap<AppName, Vec<String>>,
    /// Apps with limits of their own.
    pub apps: AppTable,
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
    /// What stands in front of it.
    pub front: Front,
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
    /// What apps' backends are asked.
    pub callouts: Vec<Callout>,
    /// Called when the engine has to stop; the server is of no use then.
    pub on_fatal: Arc<dyn Fn(&Fatal) + Send + Sync>,
}

impl Options {
    /// Returns the defaults of `--dev` on a free port of the loopback interface, in memory.
    pub fn dev() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            engine: Engine::Memory,
            disk_reserve: None,
            retention: RetentionRules::default(),
            compression: CompressionRules::default(),
            tokens: Tokens::default().with_dev(),
            name_anonymous: true,
            page: true,
            shards: 1,
            origins: Vec::new(),
            app_origins: BTreeMap::new(),
            apps: AppTable::default(),
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
            front: Front::default(),
            head_within_ms: 5_000,
            tcp_user_timeout_ms: 60_000,
            drain_window_ms: 3_000,
            api_keys: ApiKeys::default().with_dev(),
            http_listen: None,
            api_rate: None,
            api_burst: 4_000,
            console: None,
            hooks: Vec::new(),
            callouts: Vec::new(),
            files: Arc::new(|directory| Arc::new(directory)),
            on_fatal: Arc::new(|fatal| tracing::error!(%fatal, "the engine stopped")),
        }
    }
}

impl Options {
    /// Returns the limits of apps that have none of their own.
    pub fn limits(&self) -> AppLimits {
        AppLimits {
            message: self.max_message,
            channels: self.max_channels,
            connections: None,
            connections_per_user: self.max_connections,
            cursors_per_user: self.max_cursors,
            publish_rate: self.publish_rate,
            publish_burst: self.publish_burst,
            api_rate: self.api_rate,
            api_burst: self.api_burst,
        }
    }

    fn all_origins(&self) -> Origins {
        Origins { all: self.origins.clone(), apps: self.app_origins.clone() }
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
    callouts: Option<CalloutThread>,
    engine: Option<EngineThread>,
    live: Live,
    pulse: Pulse,
}

impl Server {
    /// Starts a server on threads of its own.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    #[expect(clippy::too_many_lines, reason = "each part once, in the order in which they need each other")]
    pub fn start(mut options: Options) -> Result<Self, StartError> {
        let listeners = listen(options.listen, options.shards.max(1))?;
        let address = listeners.first().map_or(Ok(options.listen), TcpListener::local_addr)?;
        let http_listener = options.http_listen.map(|at| listen(at, 1)).transpose()?.and_then(|mut one| one.pop());
        let http_address = http_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let sight = sight(&mut options, address)?;
        let on_fatal = Arc::clone(&options.on_fatal);
        let (sync_times, disk) = (SyncTimes::default(), DiskWatch::default());
        let mut hook_rules = hooks::rules(&options.hooks);
        hook_rules.return_ms = u64::from(options.drain_window_ms) + RETURN_MS;
        let (engine, clock, durability) =
            start_engine(&options, &hook_rules, (&sync_times, &disk), move |fatal| on_fatal(&fatal))?;
        let callouts_thread = callout::start(clock.clone(), seed()?)?;
        let callouts = callouts_thread.handle().replace(std::mem::take(&mut options.callouts));
        let asking =
            (callouts_thread.handle(), reload::node_rules(&options, hook_rules.clone(), callouts.rules().clone()));
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
            callouts: callouts.rules().clone(),
            compression: options.compression.clone(),
            hooks: hook_rules.clone(),
            engine: EngineInfo { durability: durability.clone() },
            bugs: Bugs::default(),
        };
        let tls = options.front.tls.clone().map(Tls::new);
        let tls = tls.transpose().map_err(std::io::Error::other)?;
        let (stop, stopped) = watch::channel(false);
        let (fixed, reloads) = (Fixed::of(&options), Reloads::default());
        let told = HookNumbers::default();
        let (hooks, couriers) = hooks_thread(&options, &engine.handle(), &clock, (&stopped, told.clone()))?;
        let (ask, asked): (Vec<_>, Vec<_>) = (0..listeners.len()).map(|_| mpsc::channel(NUMBERS_ASKED)).unzip();
        let pulse = Pulse::new(ask.clone());
        let rules = LiveRules::new(reload::http_rules(&options));
        let auth = Arc::new(std::mem::take(&mut options.tokens));
        let watched = Watched {
            sync_times,
            disk: disk.clone(),
            tls: tls.clone(),
            shards: ask,
            reloads: reloads.clone(),
            callouts: callouts_thread.handle(),
            hooks: told,
            tokens: Arc::clone(&auth),
            sight,
        };
        let shared = (&engine.handle(), &clock, &stopped);
        let (http, handed) = http_thread(&options, http_listener, rules.clone(), watched, shared)?;
        let door = Arc::new(Door::new(DoorConfig {
            origins: options.all_origins(),
            head_within: Duration::from_millis(options.head_within_ms.into()),
            unconfirmed: Duration::from_millis(options.tcp_user_timeout_ms.into()),
            max_sockets: Sockets::share(options.max_sockets, options.http_listen.is_some()).clients,
            accept_rate: options.accept_rate,
            handshakes_per_address: options.handshakes_per_address,
            proxies: options.front.proxies,
            forwarded: options.front.forwarded,
            proxy_protocol: options.front.listen.proxy_protocol,
            tls: tls.clone().filter(|_| options.front.listen.tls),
            page: options.page,
            disk,
            http: handed,
            hands: !options.api_keys.is_empty() || options.console.is_some(),
        }));
        let fetcher = (!auth.sets().is_empty()).then(|| Fetcher::start(stopped.clone())).transpose()?;
        fetcher.iter().for_each(|fetcher| fetcher.work_for(auth.sets(), FETCHED_WITHIN));
        let (mut shards, mut nodes) = (Vec::new(), Vec::new());
        for (id, (listener, asked)) in (0_u16..).zip(listeners.into_iter().zip(asked)) {
            let (change, changed) = mpsc::unbounded_channel();
            nodes.push(change);
            let config = ShardConfig {
                node: node(id),
                apps: options.apps.clone(),
                rules: changed,
                auth: Arc::clone(&auth) as _,
                seed: seed()?,
                listener,
                engine: engine.handle(),
                clock: clock.clone(),
                door: Arc::clone(&door),
                drain_window_ms: options.drain_window_ms,
                callouts: callouts_thread.handle(),
                asked,
                stop: stopped.clone(),
            };
            let run = shard::prepare(config)?;
            shards.push(std::thread::Builder::new().name(format!("moorline-{id}")).spawn(run)?);
        }
        let told = (auth, rules, door, tls);
        let live = Live::new(fixed, engine.handle(), told, (nodes, hooks), asking, (reloads, fetcher, stopped));
        let callouts = Some(callouts_thread);
        Ok(Self { address, http_address, stop, shards, http, couriers, callouts, engine: Some(engine), live, pulse })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL for clients of the app `default`.
    pub fn url(&self) -> String {
        let scheme = if self.live.is_secure() { "wss" } else { "ws" };
        format!("{scheme}://{}/ws", self.address)
    }

    /// Returns where the HTTP API is.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address.unwrap_or(self.address)
    }

    /// Returns the URL of the HTTP API.
    pub fn http_url(&self) -> String {
        let scheme = if self.live.is_http_secure(self.http_address.is_some()) { "https" } else { "http" };
        format!("{scheme}://{}", self.http_address())
    }

    /// Goes on with other options, as far as they can change while it runs. Returns once everything is measured by them,
    /// and names those that hold with the next start only.
    pub fn reload(&self, options: Options) -> Vec<&'static str> {
        self.live.apply(options)
    }

    /// Looks at what time alone changes: to be called once in a while.
    pub fn look(&self) {
        self.live.look();
    }

    /// Returns the count of reloads, for whoever has to count one that did not come so far.
    pub fn reloads(&self) -> &Reloads {
        &self.live.reloads
    }

    /// Returns what tells whether its shards go on.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
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
        self.live.join();
        if let Some(callouts) = self.callouts.take() {
            callouts.close();
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

/// Starts the couriers of the hooks.
fn hooks_thread(
    options: &Options,
    engine: &EngineHandle,
    clock: &WallClock,
    (stop, numbers): (&watch::Receiver<bool>, HookNumbers),
) -> std::io::Result<(mpsc::UnboundedSender<NewHooks>, Option<JoinHandle<()>>)> {
    let (change, changed) = mpsc::unbounded_channel();
    let hooks = options.hooks.clone();
    let (run, placed) = hooks::prepare(hooks, engine, clock.clone(), (seed()?, numbers), changed, stop.clone())?;
    let couriers = std::thread::Builder::new().name("moorline-hooks".into()).spawn(run)?;
    // A new hook is told what happens from now on: all that clients do. What the engine is asked stands in order, so nobody
    // waits for its answer.
    let _ = placed.recv();
    Ok((change, Some(couriers)))
}

/// How long a start waits for the first keys of issuers.
const FETCHED_WITHIN: Duration = Duration::from_secs(5);

/// Returns random bytes.
fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(seed)
}

/// ms after which, beyond the window, whoever has not come back after a start counts as gone.
const RETURN_MS: u64 = 30_000;
/// Questions for its numbers that a shard has not answered.
const NUMBERS_ASKED: usize = 4;
