use std::collections::BTreeMap;
use std::sync::Arc;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ChannelName, ErrorCode, UserName};

use super::callout::CalloutRules;
use crate::apps::{AppLimits, AppTable};
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

    /// Returns the permissions of these names; those of a later version grant nothing here.
    pub fn of(names: &[String]) -> Self {
        names.iter().fold(Self::default(), |can, name| {
            can.union(match name.as_str() {
                "subscribe" => Self::SUBSCRIBE,
                "publish" => Self::PUBLISH,
                "presence" => Self::PRESENCE,
                "history" => Self::HISTORY,
                "call" => Self::CALL,
                _ => Self::default(),
            })
        })
    }

    /// Tells whether all of `other` is in here.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns these but for those of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
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
    /// `auth.invalid`, `auth.expired` (`exp` ≤ now − 5 s), `app.unknown`, `app.unavailable` (it may be good: try again), or `channel.denied` where anonymous
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

/// Which channels may be compressed, by the beginnings of their names: an app's own rules before those of all apps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompressionRules {
    all: Vec<(String, bool)>,
    apps: BTreeMap<AppName, Vec<(String, bool)>>,
}

impl CompressionRules {
    /// Creates rules of prefixes for all apps; the longest that fits decides, and where none does, the answer is yes.
    pub fn new(rules: Vec<(String, bool)>) -> Self {
        Self { all: sorted(rules), apps: BTreeMap::new() }
    }

    /// Adds an app's own rules. Where none of them fits, those of all apps decide.
    #[must_use]
    pub fn with_app(mut self, app: AppName, rules: Vec<(String, bool)>) -> Self {
        if !rules.is_empty() {
            self.apps.insert(app, sorted(rules));
        }
        self
    }

    /// Tells whether a channel of an app may be compressed.
    pub fn of(&self, app: &AppName, channel: &str) -> bool {
        let own = self.apps.get(app).into_iter().flatten();
        own.chain(&self.all).find(|(prefix, _)| channel.starts_with(prefix)).is_none_or(|(_, allowed)| *allowed)
    }
}

/// The longest prefix first.
fn sorted(mut rules: Vec<(String, bool)>) -> Vec<(String, bool)> {
    rules.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    rules
}

/// What can change while a node runs. See [`Node::configure`](super::Node::configure).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRules {
    /// Limits of apps that have none of their own.
    pub limits: AppLimits,
    /// Apps with limits of their own.
    pub apps: AppTable,
    /// Which channels may be compressed; those that somebody reads stay as they are.
    pub compression: CompressionRules,
    /// What hooks are told of.
    pub hooks: HookRules,
    /// What apps' backends are asked.
    pub callouts: CalloutRules,
    /// Ping interval in ms, of connections from now on.
    pub ping_ms: u32,
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
    /// What apps' backends are asked.
    pub callouts: CalloutRules,
    /// What the engine promises.
    pub engine: EngineInfo,
    /// Planted bugs.
    pub bugs: Bugs,
}
