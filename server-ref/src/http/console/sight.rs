//! What no backend may see: keys, connections, the log.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, UserName};
use serde::{Deserialize, Serialize};

use super::super::problem::{Problem, malformed};
use super::super::read::{self, Asked, Channel, ChannelsAsked, foreign};
use super::super::{Api, Caller, lock};
use super::keys::TokenKey;
use crate::engine::log::usage;
use crate::engine::{ChannelKey, Command, Completion};
use crate::node::{ConnectionInfo, ConnectionsQuery};
use crate::shard::Question;

/// Digits of a hash that are shown: enough to tell keys apart, too few to check a guess.
const SHOWN_DIGITS: usize = 8;
/// Connections in one answer.
const MOST_CONNECTIONS: usize = 200;

#[derive(Serialize)]
pub(super) struct Apps {
    apps: Vec<App>,
    /// Whether there can be others: in development mode every name is an app.
    any: bool,
}

#[derive(Serialize)]
struct App {
    app: String,
    /// Whether connections without a token are let in.
    anonymous: bool,
    api_keys: Vec<ApiKeyShown>,
    token_keys: Vec<TokenKey>,
}

/// A key as people may know it.
#[derive(Serialize)]
struct ApiKeyShown {
    name: String,
    /// The beginning of its hash.
    hash: String,
    /// When it stops being good, ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<UnixMillis>,
    expired: bool,
}

/// Lists apps and their keys, without a secret or anything that one could be guessed with.
pub(super) async fn apps(State(api): State<Arc<Api>>) -> Result<Json<Apps>, Problem> {
    let (sight, rules, now) = (&api.console()?.sight, api.live(), api.unix());
    let app = |app: &AppName| {
        let tokens = rules.tokens.iter().find(|known| known.app == *app);
        let shown = |key: &super::super::ApiKey| ApiKeyShown {
            name: key.name.to_string(),
            hash: key
                .hash
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .chars()
                .take(SHOWN_DIGITS)
                .collect(),
            expires: key.expires,
            expired: key.expires.is_some_and(|at| at <= now),
        };
        App {
            app: app.to_string(),
            anonymous: tokens.is_some_and(|tokens| tokens.anonymous),
            api_keys: rules.keys.of(app).iter().map(shown).collect(),
            token_keys: tokens.map(|tokens| tokens.keys.clone()).unwrap_or_default(),
        }
    };
    let mut names: Vec<AppName> = rules.tokens.iter().map(|tokens| tokens.app.clone()).collect();
    if sight.is_dev {
        names.push(AppName::default_app());
        names.extend(lock(&api.console()?.series).apps.iter().filter_map(|now| AppName::new(&now.app).ok()));
    }
    names.sort_unstable();
    names.dedup();
    Ok(Json(Apps { apps: names.iter().map(app).collect(), any: sight.is_dev }))
}

#[derive(Serialize)]
pub(super) struct ChannelsSeen {
    channels: Vec<ChannelSeen>,
    more: bool,
}

#[derive(Serialize)]
struct ChannelSeen {
    #[serde(flatten)]
    channel: Channel,
    /// Subscriptions of all connections.
    subscribers: u64,
}

/// Lists channels as the HTTP API does, with how many subscriptions each has.
pub(super) async fn channels(
    state: State<Arc<Api>>,
    caller: Caller,
    asked: Asked<ChannelsAsked>,
) -> Result<Json<ChannelsSeen>, Problem> {
    let (api, app) = (Arc::clone(&state.0), caller.app.clone());
    let Json(page) = read::channels(state, caller, asked).await?;
    let key = |channel: &Channel| read::key(&app, &channel.channel);
    let keys: Arc<[ChannelKey]> = page.channels.iter().filter_map(key).collect();
    let counts = api.ask_shards(|to| Question::Subscribers(Arc::clone(&keys), to)).await?;
    let sum = |at: usize| counts.iter().filter_map(|of_shard| of_shard.get(at)).sum();
    let seen = |(at, channel)| ChannelSeen { channel, subscribers: sum(at) };
    Ok(Json(ChannelsSeen { channels: page.channels.into_iter().enumerate().map(seen).collect(), more: page.more }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionsAsked {
    /// The beginning of the users' names.
    prefix: Option<String>,
}

#[derive(Serialize)]
pub(super) struct ConnectionsSeen {
    /// In the order of their users; at most 200.
    connections: Vec<ConnectionSeen>,
    /// How many there are.
    total: usize,
}

#[derive(Serialize)]
struct ConnectionSeen {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// Of the other side, which may be a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// When its token ends, ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<UnixMillis>,
    /// Whether its app is in the background.
    background: bool,
    /// Some of its channels.
    channels: Vec<String>,
    subscriptions: usize,
    /// Of those, how many read the log.
    behind: usize,
}

/// Lists connections of an app.
pub(super) async fn connections(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(asked): Asked<ConnectionsAsked>,
) -> Result<Json<ConnectionsSeen>, Problem> {
    let prefix = asked.prefix.unwrap_or_default();
    api.connections(ConnectionsQuery { app: caller.app, user: None, prefix, limit: MOST_CONNECTIONS }).await
}

/// Lists connections of a user.
pub(super) async fn connections_of(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Option<Path<(String, String)>>,
) -> Result<Json<ConnectionsSeen>, Problem> {
    let user = path.and_then(|Path((_, user))| UserName::new(&user).ok());
    let user = user.ok_or_else(|| malformed("a user's name is 1 to 128 bytes, without control characters"))?;
    let query = ConnectionsQuery { app: caller.app, user: Some(user), prefix: String::new(), limit: MOST_CONNECTIONS };
    api.connections(query).await
}

impl Api {
    async fn connections(&self, query: ConnectionsQuery) -> Result<Json<ConnectionsSeen>, Problem> {
        let shards = self.ask_shards(|to| Question::Connections(query.clone(), to)).await?;
        let total = shards.iter().map(|shard| shard.total).sum();
        let mut found: Vec<_> = shards.into_iter().flat_map(|shard| shard.found).collect();
        found.sort_by(|(a, _), (b, _)| a.user.cmp(&b.user));
        found.truncate(MOST_CONNECTIONS);
        let seen = |(info, address): (ConnectionInfo, Option<std::net::IpAddr>)| ConnectionSeen {
            user: info.user.map(|user| user.to_string()),
            device: info.device,
            address: address.map(|address| address.to_string()),
            expires: info.expires,
            background: info.is_parked,
            channels: info.channels,
            subscriptions: info.subscriptions,
            behind: info.behind,
        };
        Ok(Json(ConnectionsSeen { connections: found.into_iter().map(seen).collect(), total }))
    }
}

#[derive(Serialize)]
pub(super) struct LogSeen {
    /// `disk`, `process` or `memory`.
    durability: String,
    /// The directory, and what it takes; absent where messages are in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
    /// When the oldest message was stored, or a little before; ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<UnixMillis>,
    /// Channels that the server knows.
    channels: u64,
    producers: u64,
    cursors: u64,
    /// How long fdatasync took since the start, in ms.
    sync: super::super::timed::SyncSummary,
}

#[derive(Serialize)]
struct Disk {
    directory: String,
    segments: u64,
    segment_bytes: u64,
    tables: u64,
    bytes: u64,
    free: u64,
    size: u64,
}

/// How the log is.
pub(super) async fn log(State(api): State<Arc<Api>>) -> Result<Json<LogSeen>, Problem> {
    let sight = &api.console()?.sight;
    let Completion::Oldest(oldest) = api.ask(Command::Oldest).await? else { return Err(foreign()) };
    let Completion::Stats(stats) = api.ask(Command::Stats).await? else { return Err(foreign()) };
    let disk = match sight.dir.clone() {
        Some(dir) => {
            let directory = dir.display().to_string();
            let looked = tokio::task::spawn_blocking(move || usage(&dir)).await;
            let used = looked.map_err(|_| foreign())?.map_err(|error| {
                let text = format!("the data directory cannot be looked at: {error}");
                Problem::new(&moorline_protocol::ErrorCode::StorageUnavailable, text)
            })?;
            let (segments, segment_bytes, tables) = (used.segments, used.segment_bytes, used.tables);
            Some(Disk {
                directory,
                segments,
                segment_bytes,
                tables,
                bytes: used.bytes,
                free: used.free,
                size: used.disk,
            })
        }
        None => None,
    };
    Ok(Json(LogSeen {
        durability: sight.durability.clone(),
        disk,
        oldest,
        channels: stats.channels,
        producers: stats.producers,
        cursors: stats.cursors,
        sync: api.sync_times.counts().summary(),
    }))
}
