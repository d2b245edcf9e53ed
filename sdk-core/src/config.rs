use moorline_protocol::{Bytes, Headers};
use moorline_protocol::{HistoryRange, Position, PresenceMode, Qos, ResetMode, Utf8Bytes};

/// How a client connects. Everything has a default but the URL.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `ws://` or `wss://` addresses, tried in turn; at least one.
    pub urls: Vec<String>,
    /// Where tokens come from.
    pub token: TokenSource,
    /// The client's software, such as `moorline-rust/0.1.0`.
    pub sdk: String,
    /// Smallest backoff in ms (default 500).
    pub min_backoff_ms: u64,
    /// Largest backoff in ms (default 20,000).
    pub max_backoff_ms: u64,
    /// ms connected after which backoff begins anew (default 30,000).
    pub stable_ms: u64,
    /// ms for opening a socket and receiving `welcome` (default 10,000).
    pub connect_timeout_ms: u64,
    /// ms for the answer to a probe (default 5,000).
    pub probe_ms: u64,
    /// Messages in the outbox (default 1,000).
    pub outbox_messages: usize,
    /// Bytes in the outbox (default 8 MiB).
    pub outbox_bytes: usize,
    /// Bytes that wait in the socket from which on messages at QoS 0 are dropped (default 256 KiB).
    pub socket_bytes: usize,
    /// Messages handed out on one channel and not yet consumed before the core asks the server to pause
    /// (default 1,024).
    pub queue_messages: usize,
    /// Bytes of their payloads, likewise (default 4 MiB).
    pub queue_bytes: usize,
    /// Bytes of a payload, until the server says otherwise (default 64 KiB).
    pub message_bytes: usize,
    /// Bytes of the record of what the client was told, which [`Client::blackbox`](crate::Client::blackbox) exports
    /// (default 256 KiB; 0 keeps none).
    pub blackbox_bytes: usize,
    /// Whether the server may compress what it sends (default true).
    pub compression: bool,
    /// Planted bugs; see [`planted`](crate::planted).
    pub bugs: crate::planted::Bugs,
}

impl ClientConfig {
    /// Returns the defaults for one URL, anonymous.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            token: TokenSource::Anonymous,
            sdk: concat!("moorline-core/", env!("CARGO_PKG_VERSION")).into(),
            min_backoff_ms: 500,
            max_backoff_ms: 20_000,
            stable_ms: 30_000,
            connect_timeout_ms: 10_000,
            probe_ms: 5_000,
            outbox_messages: 1_000,
            outbox_bytes: 8 << 20,
            socket_bytes: 256 << 10,
            queue_messages: 1_024,
            queue_bytes: 4 << 20,
            message_bytes: moorline_protocol::limits::MESSAGE_BYTES,
            blackbox_bytes: 256 << 10,
            compression: true,
            bugs: crate::planted::Bugs::default(),
        }
    }
}

/// Where tokens come from.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// None is sent.
    Anonymous,
    /// Always this one.
    Fixed(String),
    /// The host is asked with [`Output::NeedToken`](crate::Output::NeedToken).
    Provider,
}

impl std::fmt::Debug for TokenSource {
    /// Never shows a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Fixed(_) => "Fixed(…)",
            Self::Provider => "Provider",
        })
    }
}

/// Where a subscription begins when the app starts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// After this client's last position if it has one, else after the durable cursor if durable, else from now.
    #[default]
    Resume,
    /// From now.
    Live,
    /// After the durable cursor.
    Cursor,
    /// With everything kept.
    First,
    /// With the newest so many messages.
    Last(u32),
    /// After a position that the app keeps.
    Position(Position),
    /// With everything stored at or after this time (ms since 1970).
    Time(u64),
}

/// How a channel is read. `None` = inherit from the channel's other readers, or the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Where to begin (default [`StartAt::Resume`]).
    pub since: Option<StartAt>,
    /// Where to go on when that cannot be honoured (default [`ResetMode::First`]).
    pub reset: Option<ResetMode>,
    /// The highest level wanted (default QoS 1; `durable` readers take 2).
    pub qos: Option<Qos>,
    /// Whether the server keeps a cursor (default false).
    pub durable: Option<bool>,
    /// Whether messages count as consumed and acknowledged the moment they are handed out (default false).
    pub auto_ack: Option<bool>,
    /// Whether the channel's members are watched, or joined (default [`PresenceMode::None`]).
    pub presence: Option<PresenceMode>,
    /// With [`PresenceMode::Join`]: this member's state, JSON of at most 4,096 bytes.
    pub state: Option<Bytes>,
}

impl SubscribeOptions {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where to begin.
    #[must_use]
    pub fn since(mut self, since: StartAt) -> Self {
        self.since = Some(since);
        self
    }

    /// Sets where to go on when that cannot be honoured.
    #[must_use]
    pub fn reset(mut self, reset: ResetMode) -> Self {
        self.reset = Some(reset);
        self
    }

    /// Sets the highest level wanted.
    #[must_use]
    pub fn qos(mut self, qos: Qos) -> Self {
        self.qos = Some(qos);
        self
    }

    /// Sets whether the server keeps a cursor.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = Some(durable);
        self
    }

    /// Sets whether messages count as consumed and acknowledged the moment they are handed out.
    #[must_use]
    pub fn auto_ack(mut self, auto_ack: bool) -> Self {
        self.auto_ack = Some(auto_ack);
        self
    }

    /// Sets whether the channel's members are watched, or joined.
    #[must_use]
    pub fn presence(mut self, presence: PresenceMode) -> Self {
        self.presence = Some(presence);
        self
    }

    /// Sets the state of this member, JSON text.
    #[must_use]
    pub fn state(mut self, state: impl Into<Bytes>) -> Self {
        self.state = Some(state.into());
        self
    }
}

/// How a message is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// The level (default: QoS 1).
    pub qos: Option<Qos>,
    /// The message's id (default: random).
    pub id: Option<Utf8Bytes>,
    /// Seconds until the message may be forgotten, unsent or stored.
    pub ttl: Option<u32>,
    /// Headers.
    pub headers: Headers,
}

impl PublishOptions {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the level.
    #[must_use]
    pub fn qos(mut self, qos: Qos) -> Self {
        self.qos = Some(qos);
        self
    }

    /// Sets the message's id.
    #[must_use]
    pub fn id(mut self, id: impl Into<Utf8Bytes>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the seconds until the message may be forgotten.
    #[must_use]
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = Some(seconds);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Utf8Bytes>, value: impl Into<Utf8Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// How a call is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// ms for which an answer is awaited, 1–30,000 (default 10,000).
    pub timeout_ms: Option<u32>,
    /// Names the call for the backend, 1–128 bytes (default: random). A backend that keeps these ids can tell a call that
    /// is made again from a new one.
    pub id: Option<Utf8Bytes>,
}

impl CallOptions {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets for how many ms an answer is awaited.
    #[must_use]
    pub fn timeout_ms(mut self, ms: u32) -> Self {
        self.timeout_ms = Some(ms);
        self
    }

    /// Sets the name of the call.
    #[must_use]
    pub fn id(mut self, id: impl Into<Utf8Bytes>) -> Self {
        self.id = Some(id.into());
        self
    }
}

/// A history query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Which part of the log (default: the newest).
    pub range: HistoryRange,
    /// At most so many messages, 1–256 (default 50).
    pub limit: Option<u32>,
}

impl HistoryQuery {
    /// Asks for a part of the log.
    pub fn new(range: HistoryRange) -> Self {
        Self { range, limit: None }
    }

    /// Sets how many messages are wanted at most.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}
