use moorline_protocol::time::Now;
use moorline_protocol::{AppName, CloseCode, ErrorCode, ErrorFrame, Limits, limits};

use super::config::NodeRules;
use super::{ConnId, Ending, Node};
use crate::apps::{AppLimits, AppTable};

impl Node {
    /// Goes on under other rules: what a client does next is measured by them. Connections of apps that the
    /// [`Authenticator`](super::Authenticator) does not have any more end with 4505; all others stand.
    pub fn configure(&mut self, rules: NodeRules, now: Now) {
        let NodeRules { limits, apps, compression, hooks, callouts, ping_ms } = rules;
        let config = &mut self.config;
        (config.max_message, config.max_channels) = (limits.message, limits.channels);
        config.max_connections = limits.connections_per_user;
        (config.publish_rate, config.publish_burst) = (limits.publish_rate, limits.publish_burst);
        (config.compression, config.hooks, config.ping_ms) = (compression, hooks, ping_ms);
        self.apps = apps;
        let gone = self.conns.iter().filter(|(_, entry)| !self.auth.has_app(&entry.app));
        for conn in gone.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            let error = ErrorFrame::new(ErrorCode::AppUnknown, "this server has no such app any more");
            self.end(conn, Ending(Some(error), CloseCode::UNKNOWN_APP), now);
        }
        self.set_callouts(callouts, now);
    }

    /// Says which apps have limits of their own, before anybody comes.
    pub fn begin_with(&mut self, apps: AppTable) {
        self.apps = apps;
    }

    /// Returns the limits of an app.
    pub(super) fn limits(&self, app: &AppName) -> AppLimits {
        let config = &self.config;
        self.apps.of(app).copied().unwrap_or(AppLimits {
            message: config.max_message,
            channels: config.max_channels,
            connections_per_user: config.max_connections,
            publish_rate: config.publish_rate,
            publish_burst: config.publish_burst,
            // These are not the node's to count.
            connections: None,
            cursors_per_user: 0,
            api_rate: None,
            api_burst: 0,
        })
    }

    /// Returns the limits of a connection's app, and what `welcome` tells of them.
    pub(super) fn told_limits(&self, conn: ConnId) -> (AppLimits, Limits) {
        let (own, spread) = (self.limits_of(conn), self.config.spread_ms);
        let window = limits::PUBLISH_WINDOW as u32;
        (own, Limits { message: own.message, channels: own.channels, window, spread })
    }

    /// Returns the limits of a connection's app.
    pub(super) fn limits_of(&self, conn: ConnId) -> AppLimits {
        let app = self.conns.get(&conn).map_or_else(AppName::default_app, |entry| entry.app.clone());
        self.limits(&app)
    }
}
