//! The HTTP API of an app's backend: a listener or connections handed over, on a thread of its own.
//!
//! Nothing is decided here: what a request wants is made a command by [`node::backend`](crate::node::backend), and the
//! engine answers when that is durable. See `docs/adr/0021-http-api.md`.

mod asyncapi;
mod body;
mod caller;
mod console;
mod keys;
mod live;
mod log;
mod message;
mod meta;
mod metrics;
mod operations;
mod problem;
mod publish;
#[expect(unused_qualifications, reason = "what utoipa makes of parameters")]
mod read;
mod rights;
mod serve;
mod timed;
mod users;

use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::StatusCode;
use moorline_protocol::ErrorCode;
use moorline_protocol::time::{Timestamp, UnixMillis};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use tokio::sync::{Notify, mpsc, watch};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::console::Console;
pub(crate) use self::console::KEY_ID;
pub use self::console::{AppTokens, ConsoleConfig, ConsoleKey, ConsoleSight, TokenKey};
pub use self::keys::{ApiKey, ApiKeys, Caller, make, read_hash};
pub use self::live::{HttpRules, LiveRules};
use self::problem::Problem;
pub use self::rights::{Right, Rights};
pub use self::serve::Handed;
pub use self::timed::SyncTimes;
use crate::asker::Asker;
use crate::callout::Callouts;
use crate::engine::ShardId;
use crate::engine::host::EngineHandle;
use crate::engine::log::DiskWatch;
use crate::hooks::HookNumbers;
use crate::jwt::Tokens;
use crate::net::{Expiry, ForwardedHeader, Proxies, Tls};
use crate::node::backend::Rates;
use crate::node::operations::Operations;
use crate::server::Reloads;
use crate::shard::Question;
use crate::wall_clock::WallClock;

/// No node has so many shards, and hooks ask under the number after it.
const SHARD: ShardId = ShardId(u16::MAX - 1);
/// Bytes of a request's body.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// What the API is made of.
pub struct HttpConfig {
    /// Whose requests are taken, and how many.
    pub rules: LiveRules,
    /// Its own listener, if it has one.
    pub listener: Option<TcpListener>,
    /// Connections that came in elsewhere.
    pub handed: mpsc::Receiver<Handed>,
    /// Connections at a time.
    pub max_connections: u32,
    /// The head of a request, and its body, must be whole within this time each.
    pub within: Duration,
    /// Whether `/metrics` is answered.
    pub shows_metrics: bool,
    /// How long syncs took.
    pub sync_times: SyncTimes,
    /// How much of the disk is free.
    pub disk: DiskWatch,
    /// When the certificate in use expires.
    pub expiry: Expiry,
    /// What clients of the own listener are shown.
    pub tls: Option<Tls>,
    /// Whether connections of the own listener begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Who is believed when it speaks for others.
    pub proxies: Proxies,
    /// The header in which they say whom they speak for.
    pub forwarded: ForwardedHeader,
    /// Who knows numbers.
    pub shards: Vec<mpsc::Sender<Question>>,
    /// How often the configuration was reloaded.
    pub reloads: Reloads,
    /// Who knows what apps' backends were asked.
    pub callouts: Callouts,
    /// What hooks did.
    pub hooks: HookNumbers,
    /// Who knows the keys that issuers publish.
    pub tokens: Arc<Tokens>,
    /// The console, if there is one.
    pub console: Option<(ConsoleConfig, ConsoleSight)>,
    /// The server's time.
    pub clock: WallClock,
    /// Set to true for a graceful stop.
    pub stop: watch::Receiver<bool>,
}

/// Tells whether a path is the API's where it shares a listener with WebSockets.
pub fn has_path(path: &str) -> bool {
    path.starts_with("/v1/")
        || path.starts_with("/console/")
        || matches!(path, "/v1" | "/openapi.json" | "/asyncapi.json" | "/metrics" | "/console")
}

/// What `/readyz` says of a server that takes clients. One whose disk is nearly full takes them, too: it serves all but
/// publishes, and clients that were sent away would find no other log.
pub fn readiness(disk: &DiskWatch) -> &'static str {
    if disk.is_low() { "degraded: the disk is nearly full, publishes are refused" } else { "ready" }
}

/// What the handlers share.
struct Api {
    asker: Asker,
    rules: LiveRules,
    within: Duration,
    rates: Mutex<Rates>,
    started: Instant,
    clock: Mutex<WallClock>,
    random: Mutex<ChaCha8Rng>,
    stop: watch::Receiver<bool>,
    openapi: String,
    shows_metrics: bool,
    sync_times: SyncTimes,
    disk: DiskWatch,
    expiry: Expiry,
    proxies: Proxies,
    forwarded: ForwardedHeader,
    shards: Vec<mpsc::Sender<Question>>,
    reloads: Reloads,
    callouts: Callouts,
    hooks: HookNumbers,
    tokens: Arc<Tokens>,
    answered: Mutex<metrics::Answered>,
    operations: Mutex<Operations>,
    /// An operation waits.
    accepted: Notify,
    /// Held by whoever learns what the log holds of an app's operations.
    learning: tokio::sync::Mutex<()>,
    console: Option<Console>,
}

impl Api {
    fn unix(&self) -> UnixMillis {
        lock(&self.clock).now_ms()
    }

    /// Returns the rules of now.
    fn live(&self) -> Arc<HttpRules> {
        self.rules.now()
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(self.started.elapsed())
    }

    /// Returns 32 random hexadecimal digits.
    fn random_name(&self) -> String {
        let mut bytes = [0; 16];
        lock(&self.random).fill_bytes(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The handlers, and what they say of themselves.
fn described() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(meta::Document::openapi())
        .routes(routes!(publish::publish))
        .routes(routes!(operations::operation))
        .routes(routes!(read::channels))
        .routes(routes!(read::messages))
        .routes(routes!(read::presence))
        .routes(routes!(users::status))
        .routes(routes!(users::disconnect))
        .routes(routes!(users::revoke))
        .routes(routes!(meta::healthz))
        .routes(routes!(meta::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(meta::openapi))
        .routes(routes!(meta::asyncapi))
}

fn router(api: Arc<Api>) -> axum::Router {
    let router = described().split_for_parts().0;
    let router = if api.console.is_some() { router.merge(console::routes(&api)) } else { router };
    let router = router.fallback(unknown).method_not_allowed_fallback(not_allowed);
    router.layer(axum::middleware::from_fn_with_state(Arc::clone(&api), log::logged)).with_state(api)
}

async fn unknown(request: Request) -> Problem {
    let detail = format!("there is nothing at {}; /openapi.json says what there is", request.uri().path());
    Problem::new(&ErrorCode::RequestUnsupported, detail)
}

async fn not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not for this path; the header `Allow` says what is", request.method());
    Problem::with_status(StatusCode::METHOD_NOT_ALLOWED, &ErrorCode::RequestUnsupported, detail)
}

/// Makes everything that can fail. What it returns serves on the thread that calls it, until `stop` is true; the receiver
/// beside it ends once what was half done is done: before that nobody may be served.
///
/// # Errors
/// The system's, if runtime or listener cannot be set up.
pub fn prepare(
    config: HttpConfig,
    engine: &EngineHandle,
    seed: [u8; 32],
) -> std::io::Result<(impl FnOnce() + Send + 'static, std::sync::mpsc::Receiver<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let listener = config.listener.map(|listener| {
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    });
    let listener = listener.transpose()?;
    drop(entered);
    let mut clock = config.clock;
    let since = clock.now_ms();
    let console = config.console.map(|(console, sight)| Console::new(console, sight, since));
    let api = Arc::new(Api {
        asker: Asker::new(engine.clone(), SHARD),
        rules: config.rules,
        within: config.within,
        rates: Mutex::new(Rates::default()),
        started: Instant::now(),
        clock: Mutex::new(clock),
        random: Mutex::new(ChaCha8Rng::from_seed(seed)),
        stop: config.stop.clone(),
        openapi: described().to_openapi().to_json().map_err(std::io::Error::other)?,
        shows_metrics: config.shows_metrics,
        sync_times: config.sync_times,
        disk: config.disk,
        expiry: config.expiry,
        proxies: config.proxies.clone(),
        forwarded: config.forwarded,
        shards: config.shards,
        reloads: config.reloads,
        callouts: config.callouts,
        hooks: config.hooks,
        tokens: config.tokens,
        answered: Mutex::default(),
        operations: Mutex::default(),
        accepted: Notify::new(),
        learning: tokio::sync::Mutex::default(),
        console,
    });
    let serving = serve::Serving {
        router: router(Arc::clone(&api)),
        within: config.within,
        most: config.max_connections as usize,
        stop: config.stop,
        greeting: serve::Greeting { tls: config.tls, proxy_protocol: config.proxy_protocol, proxies: config.proxies },
    };
    let (recovering, recovered) = std::sync::mpsc::channel();
    let run = async move {
        api.recover().await;
        drop::<std::sync::mpsc::Sender<()>>(recovering);
        let watching = api.console.is_some().then(|| tokio::spawn(watch(Arc::clone(&api))));
        let working = tokio::spawn(api.work(operations::NEW_APPS));
        serving.run(listener, config.handed).await;
        // What is half done is ended by the next start.
        working.abort();
        watching.inspect(tokio::task::JoinHandle::abort);
    };
    Ok((move || runtime.block_on(run), recovered))
}

/// Takes a sample every second, for ever. What was missed is left out.
async fn watch(api: Arc<Api>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        console::sample(&api).await;
    }
}
