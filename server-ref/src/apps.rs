//! What an app may use: looked up by the node, the engine and the HTTP API, each for what it counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use moorline_protocol::AppName;

/// The limits of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppLimits {
    /// Bytes of a payload.
    pub message: u32,
    /// Channels per connection.
    pub channels: u32,
    /// Connections at a time, of all users and of nobody in particular; `None` = any number.
    pub connections: Option<u32>,
    /// Connections per user.
    pub connections_per_user: u32,
    /// Durable cursors per user, over all devices and channels.
    pub cursors_per_user: u32,
    /// Publishes per second and connection; `None` = no limit.
    pub publish_rate: Option<u32>,
    /// Publishes in a burst.
    pub publish_burst: u32,
    /// Requests and messages per second and API key; `None` = no limit.
    pub api_rate: Option<u32>,
    /// Of those, so many at once.
    pub api_burst: u32,
}

/// The apps that have limits of their own. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppTable(Arc<BTreeMap<AppName, AppLimits>>);

impl AppTable {
    /// Creates a table.
    pub fn new(apps: BTreeMap<AppName, AppLimits>) -> Self {
        Self(Arc::new(apps))
    }

    /// Returns the limits of an app that has its own.
    pub fn of(&self, app: &AppName) -> Option<&AppLimits> {
        if self.0.is_empty() { None } else { self.0.get(app) }
    }
}
