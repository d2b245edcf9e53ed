use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ChannelName, ErrorCode, UserName};
use std::sync::Arc;

use crate::engine::hooks::HookRules;
use crate::engine::{EngineInfo, ShardId};
use crate::planted::Bugs;

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Claims {
    /// The user; `None` when anonymous.
    pub user: Option<UserName>,
    /// When it expires, ms since 1970.
    pub expires: Option<UnixMillis>,
    /// When it was issued, s since 1970.
    pub issued: Option<u64>,
    /// Its `jti`.
    pub id: Option<Arc<str>>,
    /// What it allows.
    pub grants: Vec<Grant>,
}

/// What a token allows on the channels that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// An exact name, or a prefix and a trailing `*`.
    pub pattern: Arc<str>,
    /// What is allowed.
    pub can: Permissions,
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Permissions(pub u8);

impl Permissions {
    /// May subscribe, with any `since`.
    pub const SUBSCRIBE: Self = Self(1);
    /// May publish.
    pub const PUBLISH: Self = Self(2);
    /// May see and join presence.
    pub const PRESENCE: Self = Self(4);
    /// May send `history` frames.
    pub const HISTORY: Self = Self(8);
    /// May make calls; the pattern is of methods then.
    pub const CALL: Self = Self(16);
    /// All of them.
    pub const ALL: Self = Self(31);

    /// Tells whether all of `other` is in here.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns both together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Who may come in. The shell's verifies JWTs, the simulator's its own tokens.
pub trait Authenticator {
    /// Checks a token (`None`: an anonymous connection) for an app at a moment.
    ///
    /// With `channel`, the token is one channel's own: only its grants for that channel count, and its `sub`, if
    /// present, must be the connection's user (the node checks).
    ///
    /// # Errors
    /// `auth.invalid`, `auth.expired` (`exp` ≤ now − 5 s), `app.unknown`, or `channel.denied` where anonymous
    /// connections are not allowed, each with a sentence that says what to do.
    fn verify(
        &self,
        app: &AppName,
        token: Option<&str>,
        channel: Option<&ChannelName>,
        now: UnixMillis,
    ) -> Result<Claims, AuthFailure>;

    /// Tells whether the server has this app.
    fn has_app(&self, app: &AppName) -> bool;
}

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthFailure {
    /// The code.
    pub code: ErrorCode,
    /// What to do.
    pub message: &'static str,
}

/// Which channels may be compressed, by the beginnings of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompressionRules(Vec<(String, bool)>);

impl CompressionRules {
    /// Creates rules of prefixes; the longest that fits decides, and where none does, the answer is yes.
    pub fn new(mut rules: Vec<(String, bool)>) -> Self {
        rules.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self(rules)
    }

    /// Tells whether a channel may be compressed.
    pub fn of(&self, channel: &str) -> bool {
        self.0.iter().find(|(prefix, _)| channel.starts_with(prefix)).is_none_or(|(_, allowed)| *allowed)
    }
}

/// The node's settings.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Which shard this is.
    pub shard: ShardId,
    /// Ping interval in ms; 5,000–25,000 for unparked clients.
    pub ping_ms: u32,
    /// Bytes of a payload.
    pub max_message: u32,
    /// Channels per connection.
    pub max_channels: u32,
    /// Connections per user.
    pub max_connections: u32,
    /// Publishes per second and connection; `None` = no limit.
    pub publish_rate: Option<u32>,
    /// Publishes in a burst.
    pub publish_burst: u32,
    /// ms over which first retries are spread after a close without `goaway`.
    pub spread_ms: u32,
    /// Whether an anonymous connection becomes the user `anon-<device>` (`--dev`).
    pub name_anonymous: bool,
    /// Which channels may be compressed.
    pub compression: CompressionRules,
    /// What hooks are told of.
    pub hooks: HookRules,
    /// The apps whose backend takes calls.
    pub calls: Vec<AppName>,
    /// What the engine promises.
    pub engine: EngineInfo,
    /// Planted bugs.
    pub bugs: Bugs,
}
