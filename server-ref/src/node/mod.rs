//! The node: sessions, channels and fan-out as a state machine without sockets, clock or threads.
//!
//! One node per shard. Inputs change its state; [`Node::poll_output`] drains one ordered queue;
//! [`Node::poll_timeout`] names the next deadline.

use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::{AppName, ChannelName, CloseCode, Codec, ErrorCode, UserName};

use crate::engine::{Command, EngineInfo, Reply, ShardId, Ticket};
use crate::planted::Bugs;
use moorline_protocol::time::{Now, Timestamp, UnixMillis};

/// A connection of this shard, chosen by the shell; may be used again after [`Node::handle_closed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u32);

/// How full a connection's out-queue is, in bytes not yet taken by the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Pressure {
    /// Below 256 KiB: pages may be read for it.
    #[default]
    Low,
    /// 256 KiB and more: no further pages.
    Elevated,
    /// 512 KiB and more: live subscriptions fall behind, QoS 0 is dropped.
    High,
    /// 1 MiB and more: the shell stops reading the socket.
    Full,
}

impl Pressure {
    /// Returns the level of a queue of so many bytes.
    pub fn of(queued: usize) -> Self {
        match queued {
            0..0x4_0000 => Self::Low,
            0x4_0000..0x8_0000 => Self::Elevated,
            0x8_0000..0x10_0000 => Self::High,
            _ => Self::Full,
        }
    }
}

/// What the node wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send one WebSocket message to one connection.
    Send {
        /// To whom.
        conn: ConnId,
        /// The message: one or more frames of the connection's codec.
        message: Bytes,
    },
    /// Send the same WebSocket message to many connections of the same codec.
    Fanout {
        /// To whom; a snapshot.
        conns: Arc<Vec<ConnId>>,
        /// Of what codec they all are.
        codec: Codec,
        /// The message.
        message: Bytes,
    },
    /// Send what is queued, then close. The node has forgotten the connection; [`Node::handle_closed`] may follow.
    Close {
        /// Whom.
        conn: ConnId,
        /// Why.
        code: CloseCode,
    },
    /// Ask the engine; the answer comes through [`Node::handle_replies`] under this ticket.
    Engine(Ticket, Command),
    /// Every connection is closed and every publish answered: the drain is complete.
    Drained,
}

/// Why the node wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TimerKind {
    /// A connection has sent no `hello`.
    Hello,
    /// A connection is due a ping, or silent for too long.
    Heartbeat,
    /// A token expires.
    Token,
    /// The drain moves on.
    Drain,
}

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
    /// All of them.
    pub const ALL: Self = Self(15);

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
    /// What the engine promises.
    pub engine: EngineInfo,
    /// Planted bugs.
    pub bugs: Bugs,
}

/// See the module's documentation.
pub struct Node {}

impl Node {
    /// Creates a node without connections. `seed` feeds session ids and made device ids.
    pub fn new(_config: NodeConfig, _auth: Arc<dyn Authenticator + Send + Sync>, _seed: [u8; 32]) -> Self {
        todo!()
    }

    /// A WebSocket was opened for `app`.
    pub fn handle_opened(&mut self, _conn: ConnId, _app: AppName, _codec: Codec, _now: Now) {
        todo!()
    }

    /// A WebSocket message arrived. Any message counts as a sign of life.
    pub fn handle_message(&mut self, _conn: ConnId, _message: Bytes, _now: Now) {
        todo!()
    }

    /// Any other bytes arrived (WebSocket pings, parts of messages): a sign of life.
    pub fn handle_activity(&mut self, _conn: ConnId, _now: Now) {
        todo!()
    }

    /// The WebSocket is gone. Harmless after [`Output::Close`].
    pub fn handle_closed(&mut self, _conn: ConnId, _now: Now) {
        todo!()
    }

    /// The out-queue of a connection crossed a mark of [`Pressure`], in either direction.
    pub fn handle_pressure(&mut self, _conn: ConnId, _pressure: Pressure, _now: Now) {
        todo!()
    }

    /// Replies of the engine, in order. What a batch publishes on a channel is fanned out as one message.
    pub fn handle_replies(&mut self, _replies: impl IntoIterator<Item = Reply>, _now: Now) {
        todo!()
    }

    /// A deadline has passed; extra calls change nothing.
    pub fn handle_timeout(&mut self, _now: Now) {
        todo!()
    }

    /// Begins a graceful stop (reason `restart`): `goaway{after, window}`, new publishes get `storage.unavailable`,
    /// pending ones finish (≤ 5 s), then all are closed with 4000 and [`Output::Drained`] follows.
    pub fn drain(&mut self, _after_ms: u32, _window_ms: u32, _now: Now) {
        todo!()
    }

    /// Returns the next thing to do. Call until `None` after each input or batch of inputs.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// Returns the next deadline and what it is for.
    pub fn poll_timeout(&self) -> Option<(Timestamp, TimerKind)> {
        todo!()
    }

    /// Returns the number of open connections.
    pub fn connections(&self) -> usize {
        todo!()
    }
}
