//! What an app's backend is told of: events, which of them are wanted, and the reserved channel they stand in.
//!
//! Events are messages of the channel [`HOOKS`] of their app, in the same log and the same batch as what they tell of.
//! Whoever hands them on reads that channel like any other, behind a cursor of its own.

use std::sync::Arc;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ChannelName, DeviceId, Utf8Bytes};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ChannelKey;

/// The channel of an app's events. No client may name a channel that begins with `$`.
pub const HOOKS: &str = "$hooks";

/// The channel of requests that are answered before they are executed, of all apps.
pub const OPERATIONS: &str = "$operations";

/// Tells whether a channel is the server's own: clients can neither read nor write it.
pub fn is_reserved(channel: &str) -> bool {
    channel.starts_with('$')
}

/// Returns the key of the channel of an app's events.
pub fn hooks_channel(app: &AppName) -> Option<ChannelKey> {
    Some(ChannelKey { app: app.clone(), name: ChannelName::new(HOOKS).ok()? })
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HookKind {
    /// A user's first connection stands.
    #[serde(rename = "user.online")]
    UserOnline,
    /// A user's last connection is gone, and none came back within 15 s.
    #[serde(rename = "user.offline")]
    UserOffline,
    /// A channel has its first subscriber.
    #[serde(rename = "channel.occupied")]
    ChannelOccupied,
    /// A channel's last subscriber is gone, and none came back within 15 s.
    #[serde(rename = "channel.vacated")]
    ChannelVacated,
    /// A message was stored.
    #[serde(rename = "message.stored")]
    MessageStored,
    /// Messages were stored for a user who is away.
    #[serde(rename = "message.offline")]
    MessageOffline,
}

impl HookKind {
    /// All kinds, by the names they have in the configuration and in the body.
    pub const ALL: [(&str, Self); 6] = [
        ("user.online", Self::UserOnline),
        ("user.offline", Self::UserOffline),
        ("channel.occupied", Self::ChannelOccupied),
        ("channel.vacated", Self::ChannelVacated),
        ("message.stored", Self::MessageStored),
        ("message.offline", Self::MessageOffline),
    ];

    /// Returns the kind with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

/// An event as it stands in the log, and in the body of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HookEvent {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: HookKind,
    /// When, ms since 1970.
    pub time: UnixMillis,
    /// The user it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The channel it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Of messages: the life of the channel's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// The first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// How many messages, from the first to the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The message as JSON clients get it; absent if it is larger than an event may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
}

impl HookEvent {
    /// Creates an event about nothing yet.
    pub fn new(kind: HookKind, time: UnixMillis) -> Self {
        let (user, channel, epoch, first, last, count, message) = (None, None, None, None, None, None, None);
        Self { kind, time, user, channel, epoch, first, last, count, message }
    }

    /// Reads an event as it stands in the log.
    pub fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Returns what orders events: those of one key are told in order, those of others do not wait for them.
    pub fn key(&self) -> (bool, &str) {
        match (self.kind, &self.user, &self.channel) {
            (HookKind::UserOnline | HookKind::UserOffline | HookKind::MessageOffline, Some(user), _) => (true, user),
            (_, _, Some(channel)) => (false, channel),
            (_, user, None) => (true, user.as_deref().unwrap_or_default()),
        }
    }
}

/// What one hook of an app wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRule {
    /// The app.
    pub app: AppName,
    /// Of what.
    pub kinds: Vec<HookKind>,
    /// Of which channels: exact names, or a prefix and `*`; none = all.
    pub channels: Vec<String>,
}

impl HookRule {
    /// Tells whether an event is wanted.
    pub fn wants(&self, app: &AppName, kind: HookKind, channel: Option<&str>) -> bool {
        let fits = |channel: &str| self.channels.is_empty() || self.channels.iter().any(|p| matches(p, channel));
        self.app == *app && self.kinds.contains(&kind) && channel.is_none_or(fits)
    }
}

fn matches(pattern: &str, channel: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => channel.starts_with(prefix),
        None => pattern == channel,
    }
}

/// The rules of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRules {
    rules: Arc<[HookRule]>,
    /// ms after a start within which clients come back: nobody counts as gone before.
    pub return_ms: u64,
    /// ms for which messages for a user who is away are told as one.
    pub collapse_ms: u64,
    /// ms that events are kept.
    pub max_age_ms: u64,
}

impl Default for HookRules {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl HookRules {
    /// Creates rules with the usual times: 30 s, 2 s, 3 days.
    pub fn new(rules: Vec<HookRule>) -> Self {
        Self { rules: rules.into(), return_ms: 30_000, collapse_ms: 2_000, max_age_ms: 3 * 24 * 3_600_000 }
    }

    /// Tells whether somebody wants to be told.
    pub fn wants(&self, app: &AppName, kind: HookKind, channel: Option<&str>) -> bool {
        self.rules.iter().any(|rule| rule.wants(app, kind, channel))
    }

    /// Tells whether somebody wants to be told of something that happens to an app.
    pub fn has(&self, app: &AppName, kind: HookKind) -> bool {
        self.wants(app, kind, None)
    }

    /// Tells whether somebody wants to be told of something that happens to any app.
    pub fn has_any(&self, kind: HookKind) -> bool {
        self.rules.iter().any(|rule| rule.kinds.contains(&kind))
    }
}

/// Where a device is reached while its user is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushDevice {
    /// The device.
    pub device: DeviceId,
    /// What the client registered: 1 to 512 bytes.
    pub handle: Utf8Bytes,
    /// When it last did, ms since 1970.
    pub used: UnixMillis,
}
