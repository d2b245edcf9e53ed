use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use moorline_protocol::AppName;
use tokio::sync::mpsc;

use super::rate::{Rate, Stranger, Strangers};
use crate::engine::log::DiskWatch;
use crate::http::Handed;
use crate::net::{ForwardedHeader, Proxies, Tls};
use crate::ws::{Refusal, Upgrade};

/// Who is let in.
pub struct DoorConfig {
    /// Pages that may open a WebSocket.
    pub origins: Origins,
    /// The head of a request must be whole within this time.
    pub head_within: Duration,
    /// Bytes that the other side does not confirm within this time end a connection.
    pub unconfirmed: Duration,
    /// Sockets that clients may have together; `None` = as many as the system gives.
    pub max_sockets: Option<u32>,
    /// Upgrades in a second, all together; `None` = any number.
    pub accept_rate: Option<u32>,
    /// Connections of one address that have not said a good `hello` yet; `None` = any number.
    pub handshakes_per_address: Option<u32>,
    /// Who is believed when it speaks for others, and is not counted itself.
    pub proxies: Proxies,
    /// The header in which they say whom they speak for.
    pub forwarded: ForwardedHeader,
    /// Whether each connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// What clients are shown; `None` = they speak in the clear.
    pub tls: Option<Tls>,
    /// Whether `/` shows the chat.
    pub page: bool,
    /// How much of the disk is free; `/readyz` says so.
    pub disk: DiskWatch,
    /// Where requests for the HTTP API go, if it has no listener of its own.
    pub http: Option<mpsc::Sender<Handed>>,
    /// Whether they go there.
    pub hands: bool,
}

/// Which pages may open a WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Of apps that say nothing else; empty = any.
    pub all: Vec<String>,
    /// Of apps with a list of their own; an empty one = any.
    pub apps: BTreeMap<AppName, Vec<String>>,
}

impl Origins {
    fn allow(&self, app: &AppName, origin: &String) -> bool {
        let list = self.apps.get(app).unwrap_or(&self.all);
        list.is_empty() || list.contains(origin)
    }
}

/// Lets clients in, or not; one for all shards of a server.
pub struct Door {
    pub(super) config: DoorConfig,
    origins: RwLock<Origins>,
    /// Whether requests for the HTTP API are handed over: somebody has a key.
    hands: AtomicBool,
    max_sockets: usize,
    rate: Option<Rate>,
    strangers: Option<Arc<Strangers>>,
    /// When it was last said that clients are sent away, in s since the door was made, and 1.
    complained: AtomicU64,
    made: Instant,
    sockets: AtomicUsize,
    /// Whether the server takes clients; `/readyz` says so.
    open: AtomicBool,
}

/// A client's socket, counted until it is dropped.
pub(super) struct Seat(Arc<Door>);

impl Door {
    /// Opens a door.
    pub fn new(config: DoorConfig) -> Self {
        Self {
            origins: RwLock::new(config.origins.clone()),
            hands: AtomicBool::new(config.hands),
            max_sockets: config.max_sockets.map_or(usize::MAX, |max| max as usize),
            rate: config.accept_rate.map(Rate::new),
            strangers: config.handshakes_per_address.map(|most| Arc::new(Strangers::new(most, config.proxies.clone()))),
            complained: AtomicU64::new(0),
            made: Instant::now(),
            config,
            sockets: AtomicUsize::new(0),
            open: AtomicBool::new(true),
        }
    }

    /// Goes on with other origins, and hands requests for the HTTP API over or not. Who is in stays.
    pub fn configure(&self, origins: Origins, hands: bool) {
        *self.origins.write().unwrap_or_else(PoisonError::into_inner) = origins;
        self.hands.store(hands, Ordering::Relaxed);
    }

    /// Returns where requests for the HTTP API go, if they do.
    pub(super) fn http(&self) -> Option<&mpsc::Sender<Handed>> {
        self.config.http.as_ref().filter(|_| self.hands.load(Ordering::Relaxed))
    }

    /// From now on nobody is let in.
    pub(super) fn shut(&self) {
        self.open.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts a socket, or not: where there is no room even for an answer.
    pub(super) fn seat(door: &Arc<Self>) -> Option<Seat> {
        let seat = Seat(Arc::clone(door));
        let taken = door.sockets.fetch_add(1, Ordering::Relaxed);
        // A few more than there is room for are told so.
        (taken < door.max_sockets.saturating_add(TOLD)).then_some(seat)
    }

    /// Counts a connection that has said nothing yet.
    ///
    /// # Errors
    /// [`Refusal`], if there are too many of its address.
    pub(super) fn meet(&self, address: IpAddr) -> Result<Option<Stranger>, Refusal> {
        let stranger = self.strangers.as_ref().map(|strangers| strangers.count(address));
        if stranger.as_ref().is_some_and(|stranger| stranger.is_too_many) {
            self.complain("limits.handshakes_per_address", Some(address));
            return Err(Refusal::busy("too many connections of this address have not said `hello` yet", RETRY));
        }
        Ok(stranger)
    }

    /// Tells the operator that clients are sent away, once in a while.
    fn complain(&self, limit: &'static str, address: Option<IpAddr>) {
        if self.may_complain() {
            tracing::warn!(limit, address = address.map(tracing::field::display), "clients are sent away with 503");
        }
    }

    /// Tells the operator of a peer that is refused before it says whom it speaks for, once in a while.
    pub(super) fn complain_of_peer(&self, address: IpAddr, why: &str) {
        if self.may_complain() {
            tracing::warn!(%address, why, "a connection without a good header of the PROXY protocol was closed");
        }
    }

    /// Tells whether it is time for another word about clients that are sent away.
    fn may_complain(&self) -> bool {
        let now = self.made.elapsed().as_secs() + 1;
        let said = self.complained.load(Ordering::Relaxed);
        (said == 0 || now >= said + COMPLAIN)
            && self.complained.compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Says whether a request may become a WebSocket.
    ///
    /// # Errors
    /// [`Refusal`], with what to do.
    pub(super) fn admit(&self, upgrade: &Upgrade) -> Result<(), Refusal> {
        let refuse = |status, text: &str| Err(Refusal::new(status, text));
        let origins = self.origins.read().unwrap_or_else(PoisonError::into_inner);
        if upgrade.origin.as_ref().is_some_and(|origin| !origins.allow(&upgrade.app, origin)) {
            return refuse(403, "pages of this origin may not connect; add it to `origins` in the configuration");
        }
        drop(origins);
        if !self.is_open() {
            return refuse(503, "the server is stopping");
        }
        if self.sockets.load(Ordering::Relaxed) > self.max_sockets {
            return refuse(503, "the server has no room for more connections; raise its limit of open files");
        }
        if let Some(Err(wait)) = self.rate.as_ref().map(Rate::take) {
            self.complain("limits.accept_rate", None);
            return Err(Refusal::busy("too many clients at once; try again", wait.max(RETRY)));
        }
        Ok(())
    }
}

/// After so long a client that is sent away may try again, at the earliest.
const RETRY: Duration = Duration::from_secs(1);

/// Seconds between two words about clients that are sent away.
const COMPLAIN: u64 = 60;

/// Sockets beyond the limit that get an answer at the same time.
const TOLD: usize = 16;

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}
