//! What of a running server can change: apps, keys, limits, rules, origins, hooks, call-outs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::{Engine, Options};
use crate::callout::Callouts;
use crate::engine::hooks::HookRules;
use crate::engine::host::EngineHandle;
use crate::engine::{Command, EngineRules, Reply, ShardId, Ticket};
use crate::hooks::{self, NewHooks};
use crate::http::{HttpRules, LiveRules};
use crate::jwks::Fetcher;
use crate::jwt::Tokens;
use crate::net::{ForwardedHeader, Listening, Proxies, Tls};
use crate::node::{CalloutRules, NodeRules};
use crate::shard::{Door, NewRules};

/// No node has so many shards, and the HTTP API asks under the number after it.
const SHARD: ShardId = ShardId(u16::MAX - 2);

/// How many reloads there were. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Reloads(Arc<[AtomicU64; 2]>);

impl Reloads {
    /// A file was refused: everything is as it was.
    pub fn count_refused(&self) {
        let [_, refused] = &*self.0;
        refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many were done, and how many refused.
    pub fn counts(&self) -> (u64, u64) {
        let [done, refused] = &*self.0;
        (done.load(Ordering::Relaxed), refused.load(Ordering::Relaxed))
    }
}

/// The options that hold until the next start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    listen: SocketAddr,
    http_listen: Option<SocketAddr>,
    engine: Engine,
    shards: u16,
    disk_reserve: Option<u64>,
    proxies: Proxies,
    forwarded: ForwardedHeader,
    listening: (Listening, Listening),
    has_tls: bool,
    /// How long sessions last, and where the page finds WebSockets.
    console: Option<(Duration, Option<String>)>,
    accept_rate: Option<u32>,
    handshakes_per_address: Option<u32>,
    tcp_user_timeout_ms: u32,
    drain_window_ms: u32,
}

impl Fixed {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            listen: options.listen,
            http_listen: options.http_listen,
            engine: options.engine.clone(),
            shards: options.shards,
            disk_reserve: options.disk_reserve,
            proxies: options.front.proxies.clone(),
            forwarded: options.front.forwarded,
            listening: (options.front.listen, options.front.http_listen),
            has_tls: options.front.tls.is_some(),
            console: options.console.as_ref().map(|console| (console.session, console.socket.clone())),
            accept_rate: options.accept_rate,
            handshakes_per_address: options.handshakes_per_address,
            tcp_user_timeout_ms: options.tcp_user_timeout_ms,
            drain_window_ms: options.drain_window_ms,
        }
    }

    fn session(&self) -> Option<Duration> {
        self.console.as_ref().map(|(session, _)| *session)
    }

    fn socket(&self) -> Option<&str> {
        self.console.as_ref().and_then(|(_, socket)| socket.as_deref())
    }

    fn listening_differs(&self, other: &Self, of: impl Fn(&Listening) -> bool) -> bool {
        let both = |one: &Self| (of(&one.listening.0), of(&one.listening.1));
        both(self) != both(other)
    }

    /// Names what differs, as the configuration file does.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut named = vec![
            ("server.listen", self.listen != other.listen),
            ("server.http_listen", self.http_listen != other.http_listen),
            ("server.shards", self.shards != other.shards),
            ("server.disk_reserve", self.disk_reserve != other.disk_reserve),
            ("server.proxies", self.proxies != other.proxies),
            ("server.forwarded_header", self.forwarded != other.forwarded),
            ("server.proxy_protocol", self.listening.0.proxy_protocol != other.listening.0.proxy_protocol),
            ("server.http_proxy_protocol", self.listening.1.proxy_protocol != other.listening.1.proxy_protocol),
            ("server.tls", self.has_tls != other.has_tls || self.listening_differs(other, |listening| listening.tls)),
            ("console", self.console.is_some() != other.console.is_some()),
            ("console.session", self.session() != other.session()),
            ("console.socket", self.socket() != other.socket()),
            ("limits.accept_rate", self.accept_rate != other.accept_rate),
            ("limits.handshakes_per_address", self.handshakes_per_address != other.handshakes_per_address),
            ("limits.tcp_user_timeout", self.tcp_user_timeout_ms != other.tcp_user_timeout_ms),
            ("limits.reconnect_window", self.drain_window_ms != other.drain_window_ms),
        ];
        match (&self.engine, &other.engine) {
            (Engine::Log { dir, sync, state_cache, .. }, Engine::Log { dir: d, sync: s, state_cache: c, .. }) => {
                named.push(("server.data", dir != d));
                named.push(("server.durability", sync != s));
                named.push(("server.state_cache", state_cache != c));
            }
            (one, other) => named.push(("server.engine", one != other)),
        }
        named.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

/// Whoever has to hear of a change.
pub(super) struct Live {
    fixed: Fixed,
    engine: EngineHandle,
    tokens: Arc<Tokens>,
    http: LiveRules,
    door: Arc<Door>,
    tls: Option<Tls>,
    nodes: Vec<mpsc::UnboundedSender<NewRules>>,
    hooks: mpsc::UnboundedSender<NewHooks>,
    callouts: Callouts,
    /// What nodes go by; one reload at a time changes it.
    rules: Mutex<NodeRules>,
    pub(super) reloads: Reloads,
    /// As soon as an issuer's keys are to be fetched.
    fetcher: Mutex<Option<Fetcher>>,
    stop: watch::Receiver<bool>,
}

impl Live {
    pub(super) fn new(
        fixed: Fixed,
        engine: EngineHandle,
        (tokens, http, door, tls): (Arc<Tokens>, LiveRules, Arc<Door>, Option<Tls>),
        (nodes, hooks): (Vec<mpsc::UnboundedSender<NewRules>>, mpsc::UnboundedSender<NewHooks>),
        (callouts, rules): (Callouts, NodeRules),
        (reloads, fetcher, stop): (Reloads, Option<Fetcher>, watch::Receiver<bool>),
    ) -> Self {
        let (rules, fetcher) = (Mutex::new(rules), Mutex::new(fetcher));
        Self { fixed, engine, tokens, http, door, tls, nodes, hooks, callouts, rules, reloads, fetcher, stop }
    }

    /// See [`Server::reload`](super::Server::reload). Nothing in here can fail: whatever can was done when the options
    /// were made.
    pub(super) fn apply(&self, mut options: Options) -> Vec<&'static str> {
        let mut before = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let later = self.fixed.differences(&Fixed::of(&options));
        let mut told = hooks::rules(&options.hooks);
        told.return_ms = u64::from(self.fixed.drain_window_ms) + super::RETURN_MS;
        // A courier has asked for its place before anything is written for it.
        let (placing, placed) = channel();
        let _ = self.hooks.send((options.hooks.clone(), placing));
        // A thread that hangs does not hold the reload up.
        let _ = placed.recv_timeout(PATIENCE);
        self.configure_engine(EngineRules {
            retention: options.retention.clone(),
            hooks: told.clone(),
            cursors_per_user: options.max_cursors as usize,
            apps: options.apps.clone(),
        });
        // Who decides about an app is known before anybody is let in by its new keys, and until nobody is by its old ones.
        let callouts = self.callouts.replace(std::mem::take(&mut options.callouts));
        configure_nodes(&self.nodes, &NodeRules { callouts: callouts.both(), ..before.clone() }, PATIENCE);
        let node_rules = node_rules(&options, told, callouts.rules().clone());
        // An app that is gone is unknown before its connections are ended.
        let (rules, origins, hands) =
            (http_rules(&options), options.all_origins(), self.fixed.console.is_some() || !options.api_keys.is_empty());
        let certificate = options.front.tls;
        // What a new issuer's tokens are signed with is fetched before they count, if that takes no time.
        options.tokens.go_on_with(&self.tokens);
        self.fetch_keys(&options.tokens);
        self.tokens.replace(options.tokens);
        configure_nodes(&self.nodes, &node_rules, PATIENCE);
        *before = node_rules;
        // No node goes by those that are gone any more.
        drop(callouts);
        self.http.replace(rules);
        self.door.configure(origins, hands);
        if let (Some(tls), Some(certificate)) = (&self.tls, certificate) {
            tls.replace(certificate);
        }
        let [done, _] = &*self.reloads.0;
        done.fetch_add(1, Ordering::Relaxed);
        later
    }

    /// Tells whether clients speak TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.tls.is_some() && self.fixed.listening.0.tls
    }

    /// Tells whether the HTTP API's clients do, at a listener of its own or at that of all.
    pub(super) fn is_http_secure(&self, is_own: bool) -> bool {
        if is_own { self.tls.is_some() && self.fixed.listening.1.tls } else { self.is_secure() }
    }

    /// Looks whether the certificate is still good.
    pub(super) fn look(&self) {
        if let Some(tls) = &self.tls {
            tls.look();
        }
    }

    fn configure_engine(&self, rules: EngineRules) {
        let (applied, waiting) = channel();
        self.engine.register(
            SHARD,
            Box::new(move |replies| {
                // Also the engine tells this shard what is revoked.
                if replies.iter().any(|reply| matches!(reply, Reply::Completed(..))) {
                    let _ = applied.send(());
                }
            }),
        );
        self.engine.submit(SHARD, [(Ticket(0), Command::Configure(Box::new(rules)))]);
        // An engine that stops drops what it had to say.
        let _ = waiting.recv_timeout(PATIENCE);
    }

    /// Begins to fetch the keys of issuers.
    fn fetch_keys(&self, tokens: &Tokens) {
        let sets = tokens.sets();
        let mut fetcher = self.fetcher.lock().unwrap_or_else(PoisonError::into_inner);
        if fetcher.is_none() && !sets.is_empty() {
            match Fetcher::start(self.stop.clone()) {
                Ok(started) => *fetcher = Some(started),
                Err(error) => tracing::error!(%error, "keys of issuers cannot be fetched"),
            }
        }
        fetcher.iter().for_each(|fetcher| fetcher.work_for(sets.clone(), FETCHED_WITHIN));
    }

    /// Waits for what it started, after a stop.
    pub(super) fn join(&self) {
        let fetcher = self.fetcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        fetcher.into_iter().for_each(Fetcher::join);
    }
}

/// Tells all nodes the same, and waits until they go by it: for each answer at most so long. One that hangs finds the rules
/// when it goes on, in the order of the reloads.
fn configure_nodes(nodes: &[mpsc::UnboundedSender<NewRules>], rules: &NodeRules, patience: Duration) {
    let (applied, waiting): (Sender<()>, _) = channel();
    for node in nodes {
        // One that has ended drops what it is told.
        let _ = node.send((Box::new(rules.clone()), applied.clone()));
    }
    drop(applied);
    // The end of all of them is an error, too.
    (0..nodes.len()).try_for_each(|_| waiting.recv_timeout(patience)).ok();
}

/// An issuer that does not answer for so long does not hold the reload up: whoever comes with its tokens is told to come back.
const FETCHED_WITHIN: Duration = Duration::from_millis(500);
/// An engine or a node that does not answer for so long does not hold the reload up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes what nodes go by.
pub(super) fn node_rules(options: &Options, hooks: HookRules, callouts: CalloutRules) -> NodeRules {
    NodeRules {
        limits: options.limits(),
        apps: options.apps.clone(),
        compression: options.compression.clone(),
        hooks,
        callouts,
        ping_ms: options.ping_ms,
    }
}

pub(super) fn http_rules(options: &Options) -> HttpRules {
    HttpRules {
        keys: options.api_keys.clone(),
        limits: options.limits(),
        apps: options.apps.clone(),
        tokens: options.tokens.shown(),
        console_keys: options.console.iter().flat_map(|console| console.keys.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::TryRecvError;

    use super::*;

    #[test]
    fn a_node_that_hangs_holds_no_reload_up_and_finds_all_rules_when_it_goes_on() {
        let options = Options::dev();
        let rules = |ping_ms| NodeRules {
            ping_ms,
            ..node_rules(&options, hooks::rules(&options.hooks), CalloutRules::default())
        };
        let (one, mut hangs) = mpsc::unbounded_channel::<NewRules>();
        let (two, mut works) = mpsc::unbounded_channel::<NewRules>();
        let (over, is_over) = channel();
        let (first, second) = (rules(1_000), rules(2_000));
        std::thread::spawn(move || {
            let nodes = [one, two];
            configure_nodes(&nodes, &first, Duration::ZERO);
            configure_nodes(&nodes, &second, Duration::ZERO);
            over.send(()).unwrap();
        });
        is_over.recv_timeout(PATIENCE).expect("the reload waits for a node that does not answer");
        for node in [&mut hangs, &mut works] {
            for ping_ms in [1_000, 2_000] {
                let (rules, _) = node.try_recv().unwrap();
                assert_eq!(rules.ping_ms, ping_ms);
            }
        }
    }

    #[test]
    fn a_reload_returns_when_all_nodes_go_by_it() {
        let options = Options::dev();
        let rules = node_rules(&options, hooks::rules(&options.hooks), CalloutRules::default());
        let (node, mut changes) = mpsc::unbounded_channel::<NewRules>();
        let (over, is_over) = channel();
        let reload = std::thread::spawn(move || {
            configure_nodes(&[node], &rules, PATIENCE);
            over.send(()).unwrap();
        });
        let (_, applied) = changes.blocking_recv().unwrap();
        assert_eq!(is_over.try_recv(), Err(TryRecvError::Empty));
        applied.send(()).unwrap();
        reload.join().unwrap();
        is_over.recv().unwrap();
    }
}
