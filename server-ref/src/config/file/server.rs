use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;

use super::TlsSection;
use crate::config::units::{Listen, Size};
use crate::net::{ForwardedHeader, Network};

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
    /// Room of the disk that publishes leave free; 0 = none (default: 5 %, 256 MiB to 4 GiB, at most a quarter).
    pub disk_reserve: Option<Size>,
    /// Threads for connections.
    pub shards: Option<u16>,
    /// How the server's own log is written.
    pub log_format: Option<LogFormat>,
    /// Pages that may open a WebSocket, exactly as browsers send them; none = any.
    pub origins: Vec<String>,
    /// Addresses and ranges of proxies in front of this server (default: this machine's own).
    pub proxies: Option<Vec<Network>>,
    /// The header in which they say whom they speak for (default `x-forwarded-for`).
    pub forwarded_header: Option<ForwardedHeader>,
    /// Whether each connection at `listen` begins with a header of the PROXY protocol (default false).
    pub proxy_protocol: bool,
    /// The same at `http_listen`.
    pub http_proxy_protocol: bool,
    /// `[server.tls]`.
    pub tls: Option<TlsSection>,
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
