use std::collections::BTreeMap;

use moorline_protocol::{AppName, ErrorCode, ServerFrame, UserName};
use rustc_hash::FxHashMap;

use super::session::{Flow, Session, State, Subscription};
use super::{ConnId, Node};
use crate::engine::ChannelKey;

/// Numbers of an app on one node since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppNumbers {
    /// Open connections now.
    pub connections: u64,
    /// Subscriptions now that read the log: at their own pace, slow, or paused.
    pub behind: u64,
    /// Messages handed to connections, each of them counted.
    pub delivered: u64,
    /// Messages at QoS 0 that were dropped under pressure, and told so.
    pub dropped: u64,
    /// Errors told to clients, by code.
    pub refused: BTreeMap<String, u64>,
}

/// Which connections: for who watches the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionsQuery {
    /// The app.
    pub app: AppName,
    /// Those of this user alone.
    pub user: Option<UserName>,
    /// The beginning of the users' names; empty = all, those without a user, too.
    pub prefix: String,
    /// At most so many.
    pub limit: usize,
}

/// A connection, for who watches the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Which one of its node.
    pub conn: ConnId,
    /// Its user; `None` if it is anonymous.
    pub user: Option<UserName>,
    /// Its device, if it named one.
    pub device: Option<String>,
    /// When its token ends, ms since 1970.
    pub expires: Option<u64>,
    /// Whether its app is in the background.
    pub is_parked: bool,
    /// The channels it subscribes to, in order; at most [`SHOWN_CHANNELS`].
    pub channels: Vec<String>,
    /// How many there are.
    pub subscriptions: usize,
    /// How many of them read the log.
    pub behind: usize,
}

/// Connections in the order of their users, those without one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionsPage {
    /// So many as were asked for.
    pub connections: Vec<ConnectionInfo>,
    /// How many fit.
    pub total: usize,
}

/// Channels that are named of one connection.
pub const SHOWN_CHANNELS: usize = 32;

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counters(FxHashMap<AppName, Counted>);

#[derive(Debug, Default)]
struct Counted {
    delivered: u64,
    dropped: u64,
    refused: FxHashMap<ErrorCode, u64>,
}

impl Counters {
    fn of(&mut self, app: &AppName) -> &mut Counted {
        self.0.entry(app.clone()).or_default()
    }

    /// Messages went to connections.
    pub(super) fn deliver(&mut self, app: &AppName, messages: usize) {
        if messages > 0 {
            self.of(app).delivered += messages as u64;
        }
    }
}

impl Node {
    /// Counts a frame that is sent, if it says that something was refused or dropped.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other frames are answers and deliveries")]
    pub(super) fn count(&mut self, conn: ConnId, frame: &ServerFrame) {
        match frame {
            ServerFrame::Error(error) => {
                let Some(entry) = self.conns.get(&conn) else { return };
                *self.counters.of(&entry.app).refused.entry(error.code.clone()).or_default() += 1;
            }
            ServerFrame::Dropped(dropped) => {
                let Some(entry) = self.conns.get(&conn) else { return };
                self.counters.of(&entry.app).dropped += dropped.count;
            }
            _ => {}
        }
    }

    /// Returns connections. Looks at every one.
    pub fn list_connections(&self, query: &ConnectionsQuery) -> ConnectionsPage {
        let mut found: Vec<(Option<&UserName>, ConnId, &Session)> = Vec::new();
        for (conn, entry) in self.conns.iter().filter(|(_, entry)| entry.app == query.app) {
            let State::Open(session) = &entry.state else { continue };
            let user = session.user.as_ref();
            let fits = match &query.user {
                Some(wanted) => user == Some(wanted),
                None => user.map_or("", |user| user.as_str()).starts_with(&query.prefix),
            };
            if fits {
                found.push((user, *conn, session));
            }
        }
        let total = found.len();
        found.sort_unstable_by_key(|(user, conn, _)| (*user, *conn));
        found.truncate(query.limit);
        let connections = found.into_iter().map(|(_, conn, session)| self.info(conn, session)).collect();
        ConnectionsPage { connections, total }
    }

    fn info(&self, conn: ConnId, session: &Session) -> ConnectionInfo {
        let name = |one: &Subscription| self.hubs.get(&one.number).map(|hub| hub.key.name.to_string());
        let mut channels: Vec<String> = session.subscriptions.iter().filter_map(name).collect();
        channels.sort_unstable();
        channels.truncate(SHOWN_CHANNELS);
        ConnectionInfo {
            conn,
            user: session.user.clone(),
            device: session.owner.as_ref().map(|owner| owner.device.to_string()),
            expires: session.claims.expires,
            is_parked: session.parked,
            channels,
            subscriptions: session.subscriptions.len(),
            behind: session.subscriptions.iter().filter(|one| matches!(one.flow, Flow::Behind(_))).count(),
        }
    }

    /// Returns how many subscriptions channels have on this node.
    pub fn subscribers(&self, channels: &[ChannelKey]) -> Vec<u64> {
        let of = |key| self.numbers.get(key).and_then(|number| self.hubs.get(number));
        channels.iter().map(|key| of(key).map_or(0, |hub| hub.subscribers as u64)).collect()
    }

    /// Returns numbers, per app. Looks at every connection.
    pub fn numbers(&self) -> BTreeMap<AppName, AppNumbers> {
        let mut apps: BTreeMap<AppName, AppNumbers> = BTreeMap::new();
        for (app, counted) in &self.counters.0 {
            let numbers = apps.entry(app.clone()).or_default();
            (numbers.delivered, numbers.dropped) = (counted.delivered, counted.dropped);
            numbers.refused = counted.refused.iter().map(|(code, count)| (code.name().to_owned(), *count)).collect();
        }
        for entry in self.conns.values() {
            let numbers = apps.entry(entry.app.clone()).or_default();
            numbers.connections += 1;
            if let State::Open(session) = &entry.state {
                let behind = session.subscriptions.iter().filter(|one| matches!(one.flow, Flow::Behind(_)));
                numbers.behind += behind.count() as u64;
            }
        }
        apps
    }
}
