use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;

use super::units::{Age, Listen, Size};

/// The whole file. Unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// `[server]`.
    pub server: ServerSection,
    /// `[limits]`.
    pub limits: Limits,
    /// `[[apps]]`.
    pub apps: Vec<App>,
    /// `[[channels]]`.
    pub channels: Vec<ChannelRule>,
    /// `[[hooks]]`.
    pub hooks: Vec<HookSection>,
}

/// `[server]`: what flags and environment can say, too.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// Address and port.
    pub listen: Option<Listen>,
    /// Where the HTTP API listens (default: where WebSockets do).
    pub http_listen: Option<Listen>,
    /// The data directory.
    pub data: Option<PathBuf>,
    /// Where messages live.
    pub engine: Option<EngineKind>,
    /// When a publish is answered.
    pub durability: Option<DurabilityKind>,
    /// Memory for ids, producers and cursors.
    pub state_cache: Option<Size>,
    /// Threads for connections.
    pub shards: Option<u16>,
    /// How the server's own log is written.
    pub log_format: Option<LogFormat>,
    /// Pages that may open a WebSocket, exactly as browsers send them; none = any.
    pub origins: Vec<String>,
    /// Addresses of proxies in front of this server (default: this machine's own).
    pub proxies: Option<Vec<IpAddr>>,
}

/// Where messages live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// On disk.
    Log,
    /// In memory: nothing survives a restart.
    Memory,
}

/// When a publish is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DurabilityKind {
    /// After fdatasync: it survives a power cut.
    Disk,
    /// After a write: it survives a killed process.
    Process,
}

/// How the server's own log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

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

/// `[[apps]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Its name, as in `/ws/{app}` and in the `aud` of its tokens.
    pub name: String,
    /// The keys its tokens are signed with.
    #[serde(default)]
    pub keys: Vec<SigningKey>,
    /// What its backend shows to the HTTP API.
    #[serde(default)]
    pub api_keys: Vec<ApiKeySection>,
    /// Whether connections without a token are let in (without any grant).
    #[serde(default)]
    pub anonymous: bool,
}

/// `[[apps.keys]]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// The `kid` of tokens signed with it.
    pub kid: Option<String>,
    /// `HS256`, `RS256`, `ES256` or `EdDSA`.
    pub alg: String,
    /// The secret of HS256: 32 bytes at least.
    pub secret: Option<String>,
    /// The public key of the others, as PEM.
    pub public_key: Option<String>,
    /// The same in a file; a relative path begins at the configuration file.
    pub public_key_file: Option<String>,
}

impl std::fmt::Debug for SigningKey {
    /// Never shows a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.alg)
    }
}

/// `[[apps.api_keys]]`. To replace a key, add another one of the same name; what was published with one is known with
/// the other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeySection {
    /// Names it in the server's log.
    pub name: String,
    /// `sha256:` and the hash of the key in hexadecimal, as `moorline-server key new` prints it.
    pub hash: String,
    /// When it stops being good: a date, or a date and a time with its offset.
    pub expires: Option<toml::value::Datetime>,
}

/// `[[channels]]`: how messages are kept and sent in channels whose name begins with `prefix`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRule {
    /// The beginning of the name; the longest that fits decides.
    pub prefix: String,
    /// At most so old, such as `"7d"`.
    pub max_age: Option<Age>,
    /// At most so many bytes per channel, such as `"1GiB"`.
    pub max_bytes: Option<Size>,
    /// At most so many messages per channel.
    pub max_count: Option<u64>,
    /// Whether they may be compressed (default true).
    pub compression: Option<bool>,
}

/// `[[hooks]]`: what is told to a receiver.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSection {
    /// Names it, and its place in the log.
    pub name: String,
    /// The app whose events these are (default `default`).
    pub app: Option<String>,
    /// Where they go.
    pub url: String,
    /// What requests are signed with: `whsec_` and base64, one or more.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Which events.
    #[serde(default)]
    pub events: Vec<String>,
    /// Of which channels: exact names, or a prefix and `*`; none = all.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Whether the receiver may have a private address, and do without TLS (default false).
    pub allow_private: Option<bool>,
    /// PEM certificates that are trusted beside those of the web.
    pub ca_file: Option<String>,
    /// How long an answer may take (default 15 s).
    pub timeout: Option<Age>,
    /// After which time an event is given up (default 3 days).
    pub max_age: Option<Age>,
}

impl std::fmt::Debug for HookSection {
    /// Never shows a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HookSection({})", self.name)
    }
}
