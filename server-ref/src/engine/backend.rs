//! What an app's backend, and who watches the server, ask an engine.

use moorline_protocol::{AppName, ChannelName, Epoch, Offset};

/// See [`Command::Channels`](super::Command::Channels).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelsQuery {
    /// The app.
    pub app: AppName,
    /// The beginning of their names; empty = all.
    pub prefix: String,
    /// Those after this one, in the order of the bytes of their names.
    pub after: Option<ChannelName>,
    /// At most so many.
    pub limit: usize,
}

/// Channels that hold messages, have held some, or are subscribed to; never the server's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelsPage {
    /// In the order of the bytes of their names.
    pub channels: Vec<ChannelInfo>,
    /// Whether there are more.
    pub more: bool,
}

/// A channel as a backend sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its name.
    pub name: ChannelName,
    /// The life of its log.
    pub epoch: Epoch,
    /// The oldest offset kept; `head + 1` when empty.
    pub first: Offset,
    /// The newest durable offset.
    pub head: Offset,
    /// Whether somebody is subscribed.
    pub is_subscribed: bool,
    /// How many members its presence has.
    pub members: u64,
    /// How many messages are kept.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Numbers of an engine since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Per app, in the order of their names.
    pub apps: Vec<(AppName, AppStats)>,
    /// Channels it knows.
    pub channels: u64,
    /// Producers in memory.
    pub producers: u64,
    /// Cursors in memory.
    pub cursors: u64,
}

/// Numbers of an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppStats {
    /// Messages stored.
    pub published: u64,
    /// Publishes that were stored before.
    pub duplicates: u64,
    /// Members of all channels now; a user counts once for each.
    pub members: u64,
    /// Users with a connection now.
    pub online: u64,
}
