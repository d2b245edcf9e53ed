use std::collections::HashMap;

/// How a client connects.
#[derive(Clone, Debug, uniffi::Record)]
pub struct FfiClientOptions {
    /// `ws://` or `wss://` addresses, tried in turn; at least one.
    pub urls: Vec<String>,
    /// The software, such as `moorline-kotlin/0.1.0`.
    pub sdk: String,
    /// A token that never changes; without it and without a provider, the client is anonymous.
    #[uniffi(default = None)]
    pub token: Option<String>,
    /// The file that keeps outbox, device and positions; in memory without.
    #[uniffi(default = None)]
    pub store: Option<String>,
    /// Certificates that are trusted beside Mozilla's, PEM or DER.
    #[uniffi(default = [])]
    pub root_certificates: Vec<Vec<u8>>,
    /// Whether the server may compress what it sends.
    #[uniffi(default = true)]
    pub compression: bool,
    /// Messages that may wait to be sent (default 1,000).
    #[uniffi(default = None)]
    pub outbox_messages: Option<u64>,
    /// Bytes of their payloads (default 8 MiB).
    #[uniffi(default = None)]
    pub outbox_bytes: Option<u64>,
    /// Messages of a channel that may wait to be taken before the server is asked to pause (default 1,024).
    #[uniffi(default = None)]
    pub queue_messages: Option<u64>,
    /// Bytes of their payloads (default 4 MiB).
    #[uniffi(default = None)]
    pub queue_bytes: Option<u64>,
    /// The shortest pause between attempts to connect, ms (default 500).
    #[uniffi(default = None)]
    pub min_backoff_ms: Option<u64>,
    /// The longest, ms (default 20,000).
    #[uniffi(default = None)]
    pub max_backoff_ms: Option<u64>,
    /// For opening a socket and being welcomed, ms (default 10,000).
    #[uniffi(default = None)]
    pub connect_timeout_ms: Option<u64>,
}

/// How a channel is read and published on.
#[derive(Clone, Debug, uniffi::Record)]
pub struct FfiChannelOptions {
    /// The highest level wanted, and the level published at (default 1; 2 for reading if durable).
    #[uniffi(default = None)]
    pub qos: Option<FfiQos>,
    /// Whether the server keeps a cursor for this user, device and channel.
    #[uniffi(default = None)]
    pub durable: Option<bool>,
    /// Whether members are watched, or joined.
    #[uniffi(default = None)]
    pub presence: Option<FfiPresenceMode>,
    /// With `Join`: what this member says about itself, JSON of at most 4,096 bytes.
    #[uniffi(default = None)]
    pub state: Option<String>,
    /// Where reading begins (default `Resume`).
    #[uniffi(default = None)]
    pub since: Option<FfiSince>,
    /// Goes on from now when that cannot be honoured, instead of with the oldest message kept.
    #[uniffi(default = false)]
    pub reset_to_live: bool,
    /// Whether what a reader confirms is acknowledged, too.
    #[uniffi(default = true)]
    pub auto_ack: bool,
}

/// How sure a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiQos {
    /// QoS 0: live only.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
    /// QoS 2: stored once, handed out once.
    ExactlyOnce,
}

/// Whether a channel's members are watched while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiPresenceMode {
    /// They are not.
    Off,
    /// They are, without being seen.
    Watch,
    /// They are, and this user is one of them.
    Join,
}

/// Where reading begins.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiSince {
    /// After this client's last position, else after the durable cursor, else from now.
    Resume,
    /// From now.
    Live,
    /// After the durable cursor.
    Cursor,
    /// With everything kept.
    First,
    /// With the newest so many messages.
    Last {
        /// So many.
        count: u32,
    },
    /// After a position.
    Position {
        /// The life of the log.
        epoch: String,
        /// The place in it.
        offset: u64,
    },
    /// With everything stored at or after this time.
    Time {
        /// ms since 1970.
        ms: u64,
    },
}

/// How a message is published.
#[derive(Clone, Debug, uniffi::Record)]
pub struct FfiPublishOptions {
    /// The level (default: the channel's, else 1).
    #[uniffi(default = None)]
    pub qos: Option<FfiQos>,
    /// The message's id, 1–128 bytes (default: random). The same id, published again within a day, is stored once.
    #[uniffi(default = None)]
    pub id: Option<String>,
    /// Seconds after which the message may be forgotten, unsent or stored.
    #[uniffi(default = None)]
    pub ttl: Option<u32>,
    /// At most 16, at most 1 KiB in all.
    #[uniffi(default)]
    pub headers: HashMap<String, String>,
}

/// A part of a channel's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiHistoryRange {
    /// The newest messages.
    Newest,
    /// The oldest after this offset.
    After {
        /// Exclusive.
        offset: u64,
    },
    /// The newest before this offset.
    Before {
        /// Exclusive.
        offset: u64,
    },
    /// The oldest stored at or after this time.
    Since {
        /// ms since 1970.
        ms: u64,
    },
    /// The newest stored before this time.
    Until {
        /// ms since 1970.
        ms: u64,
    },
}
