//! The console: a page for who runs the server, and what it asks. See `docs/console.md` and
//! `docs/adr/0027-console.md`.
//!
//! A session of the console is a [`Caller`](super::Caller) on every app, so publishing, reading and disconnecting are
//! the HTTP API's own handlers; only what no backend may see is answered here.

mod guard;
mod keys;
mod login;
mod numbers;
mod page;
mod series;
mod sessions;
mod sight;
mod token;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use moorline_protocol::time::UnixMillis;

pub(super) use self::guard::Session;
pub use self::keys::{AppTokens, ConsoleKey, TokenKey};
use self::series::Series;
pub(super) use self::series::sample;
use self::sessions::{Attempts, Sessions};
pub(crate) use self::token::KEY_ID;
use super::{Api, publish, read, users};

/// What the console is made of.
#[derive(Clone, Debug)]
pub struct ConsoleConfig {
    /// Who may log in.
    pub keys: Vec<ConsoleKey>,
    /// The hash of a key that is good for one log-in.
    pub once: Option<[u8; 32]>,
    /// How long a session lasts.
    pub session: Duration,
    /// The URL of the WebSocket listener as browsers see it; `None` = where the page comes from, or what can be told
    /// from that.
    pub socket: Option<String>,
}

impl ConsoleConfig {
    /// How long a session lasts, where nothing else is said.
    pub const SESSION: Duration = Duration::from_secs(12 * 3_600);
}

/// What the console learns of the server.
#[derive(Clone)]
pub struct ConsoleSight {
    /// Signs tokens that this server alone takes, for reading.
    pub secret: [u8; 32],
    /// Scheme and port of WebSockets, where they are not the API's own.
    pub socket: Option<(&'static str, u16)>,
    /// The data directory, if there is one.
    pub dir: Option<PathBuf>,
    /// `disk`, `process` or `memory`.
    pub durability: String,
    /// Whether the server is in development mode: every app is known.
    pub is_dev: bool,
}

/// See the module's documentation.
pub(super) struct Console {
    config: ConsoleConfig,
    sight: ConsoleSight,
    once: Mutex<Option<[u8; 32]>>,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    series: Mutex<Series>,
    since: UnixMillis,
}

impl Console {
    pub(super) fn new(config: ConsoleConfig, sight: ConsoleSight, since: UnixMillis) -> Self {
        Self {
            once: Mutex::new(config.once),
            config,
            sight,
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            series: Mutex::default(),
            since,
        }
    }
}

/// The page, and what it asks.
pub(super) fn routes(api: &Arc<Api>) -> Router<Arc<Api>> {
    let changing = Router::new()
        .route("/apps/{app}/messages", post(publish::publish))
        .route("/apps/{app}/users/{user}/connections", delete(users::disconnect))
        .route_layer(from_fn(guard::may_change));
    let inside = Router::new()
        .route("/session", get(login::who).delete(login::logout))
        .route("/overview", get(numbers::overview))
        .route("/apps", get(sight::apps))
        .route("/log", get(sight::log))
        .route("/apps/{app}/channels", get(sight::channels))
        .route("/apps/{app}/channels/{channel}/messages", get(read::messages))
        .route("/apps/{app}/channels/{channel}/presence", get(read::presence))
        .route("/apps/{app}/connections", get(sight::connections))
        .route("/apps/{app}/users/{user}/connections", get(sight::connections_of))
        .route("/apps/{app}/token", post(token::make))
        .merge(changing)
        .route_layer(from_fn_with_state(Arc::clone(api), guard::guard));
    let outside = Router::new().route("/session", post(login::login)).route_layer(from_fn(guard::own_page));
    Router::new()
        .route("/console", get(page::page))
        .route("/console/", get(page::slash))
        .nest("/console/api", inside.merge(outside))
        .route_layer(from_fn(guard::headers))
}
