use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;

use crate::config::units::{Listen, Size};

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
