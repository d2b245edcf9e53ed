use serde::Deserialize;

use crate::config::units::{Age, Size};

/// `[limits]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a message's payload (default 64 KiB, at most 512 KiB).
    pub message: Option<Size>,
    /// Channels per connection (default 256).
    pub channels: Option<u32>,
    /// Connections per user (default 20).
    pub connections_per_user: Option<u32>,
    /// Durable cursors per user, over all devices and channels (default 1,000).
    pub cursors_per_user: Option<u32>,
    /// Publishes per second and connection (default 50; 0 = no limit).
    pub publish_rate: Option<u32>,
    /// Publishes in a burst (default 100).
    pub publish_burst: Option<u32>,
    /// Requests and messages per second and API key (default 2,000; 0 = no limit).
    pub api_rate: Option<u32>,
    /// Of those, so many at once (default 4,000, at least 1,000).
    pub api_burst: Option<u32>,
    /// Ping interval (default 25 s, 5 s to 25 s).
    pub ping: Option<Age>,
    /// Connections that are taken in per second (default 5,000; 0 = no limit).
    pub accept_rate: Option<u32>,
    /// Connections per address that have not said a good `hello` yet (default 256; 0 = no limit).
    pub handshakes_per_address: Option<u32>,
    /// Within what time the other side has to confirm what was sent (default 60 s, 10 s to 15 min).
    pub tcp_user_timeout: Option<Age>,
    /// Over how long clients come back after a stop or a crash (default 3 s, at most 5 min).
    pub reconnect_window: Option<Age>,
}
