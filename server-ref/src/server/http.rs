//! The thread of the HTTP API, and what it is told of the server.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::{Engine, Options, Reloads, seed};
use crate::callout::Callouts;
use crate::engine::host::EngineHandle;
use crate::engine::log::DiskWatch;
use crate::hooks::HookNumbers;
use crate::http::{self, ConsoleSight, Handed, HttpConfig, LiveRules, SyncTimes};
use crate::jwt::Tokens;
use crate::net::Tls;
use crate::shard::Question;
use crate::wall_clock::WallClock;

/// Connections for the HTTP API that wait for its thread.
const HANDED: usize = 256;
/// Connections of the HTTP API at a time.
const HTTP_CONNECTIONS: u32 = 1_024;

/// Starts the HTTP API. Without a listener of its own, it takes connections from the shards.
pub(super) fn http_thread(
    options: &Options,
    listener: Option<TcpListener>,
    rules: LiveRules,
    watched: Watched,
    (engine, clock, stop): (&EngineHandle, &WallClock, &watch::Receiver<bool>),
) -> std::io::Result<HttpThread> {
    let (hand, handed) = mpsc::channel(HANDED);
    let shows_metrics = listener.is_some() || options.page;
    let hand = listener.is_none().then_some(hand);
    let config = HttpConfig {
        rules,
        listener,
        handed,
        max_connections: HTTP_CONNECTIONS,
        within: Duration::from_millis(options.head_within_ms.into()),
        shows_metrics,
        sync_times: watched.sync_times,
        disk: watched.disk,
        expiry: watched.tls.as_ref().map(Tls::expiry).unwrap_or_default(),
        tls: watched.tls.filter(|_| options.front.http_listen.tls),
        proxy_protocol: options.front.http_listen.proxy_protocol,
        proxies: options.front.proxies.clone(),
        forwarded: options.front.forwarded,
        shards: watched.shards,
        reloads: watched.reloads,
        callouts: watched.callouts,
        hooks: watched.hooks,
        tokens: watched.tokens,
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
pub(super) struct Watched {
    pub(super) sync_times: SyncTimes,
    pub(super) disk: DiskWatch,
    pub(super) tls: Option<Tls>,
    pub(super) shards: Vec<mpsc::Sender<Question>>,
    pub(super) reloads: Reloads,
    pub(super) callouts: Callouts,
    pub(super) hooks: HookNumbers,
    pub(super) tokens: Arc<Tokens>,
    pub(super) sight: Option<ConsoleSight>,
}

/// What the console learns of the server, if there is one; its tokens are good from now on.
pub(super) fn sight(options: &mut Options, address: SocketAddr) -> std::io::Result<Option<ConsoleSight>> {
    if options.console.is_none() {
        return Ok(None);
    }
    let (dir, durability) = match &options.engine {
        Engine::Memory => (None, "memory"),
        Engine::Log { dir, sync: true, .. } => (Some(dir.clone()), "disk"),
        Engine::Log { dir, sync: false, .. } => (Some(dir.clone()), "process"),
    };
    let secret = seed()?;
    options.tokens = std::mem::take(&mut options.tokens).with_console(&secret);
    let is_secure = options.front.tls.is_some() && options.front.listen.tls;
    Ok(Some(ConsoleSight {
        secret,
        socket: options.http_listen.map(|_| (if is_secure { "wss" } else { "ws" }, address.port())),
        dir,
        durability: durability.into(),
        is_dev: options.page,
    }))
}

/// Its thread, and where connections that came in elsewhere go.
pub(super) type HttpThread = (Option<JoinHandle<()>>, Option<mpsc::Sender<Handed>>);
