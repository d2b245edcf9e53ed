use std::collections::BTreeMap;
use std::sync::Arc;

use moorline_protocol::{AppName, Durability};
use moorline_server::engine::core::{CoreConfig, RetentionRule, RetentionRules};
use moorline_server::engine::hooks::HookRules;
use moorline_server::engine::{EngineInfo, ShardId};
use moorline_server::node::{
    CalloutId, CalloutKind, CalloutRule, CalloutRules, CompressionRules, Grant, NodeConfig, OnFailure, Permissions,
    Terms,
};
use moorline_server::planted::Bugs;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// What a server is made with; every field has a default, unknown ones are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Settings {
    /// What session ids, device ids and the names of logs are drawn from.
    pub seed: u64,
    /// Who may come in, and what their tokens allow unless they say it themselves. `None`: everybody, everything, also
    /// without a token.
    pub users: Option<BTreeMap<String, Vec<GrantRule>>>,
    /// The apps whose clients may call their backend; `None`: the default one.
    #[serde(deserialize_with = "apps")]
    pub calls: Option<Vec<AppName>>,
    /// How long messages are kept.
    pub channels: Vec<Channels>,
    /// Limits.
    pub limits: Limits,
}

/// What is allowed on the channels that match.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRule {
    /// An exact name, or a prefix and a trailing `*`.
    #[serde(rename = "match")]
    pub pattern: String,
    /// What is allowed.
    pub can: Vec<Permission>,
}

/// Something that a token can allow.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// To subscribe.
    Subscribe,
    /// To publish.
    Publish,
    /// To see and join presence.
    Presence,
    /// To read history.
    History,
    /// To call the app's backend; the pattern is of methods then.
    Call,
}

/// How messages are kept and sent in channels whose name begins with `prefix`; the longest that fits decides.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Channels {
    /// The beginning of the name.
    pub prefix: String,
    /// ms.
    pub max_age: Option<u64>,
    /// Bytes per channel.
    pub max_bytes: Option<u64>,
    /// Messages per channel.
    pub max_count: Option<u64>,
    /// Whether they may be compressed (default true).
    pub compression: Option<bool>,
}

/// The limits of a server, with the defaults of `moorline-server --dev`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Limits {
    /// Bytes of a payload (default 64 KiB).
    pub message: u32,
    /// Channels per connection (default 256).
    pub channels: u32,
    /// Connections per user (default 20).
    pub connections_per_user: u32,
    /// Publishes per second and connection; 0 = no limit (default).
    pub publish_rate: u32,
    /// Publishes in a burst (default 100).
    pub publish_burst: u32,
    /// Ping interval in ms (default 25,000).
    pub ping: u32,
    /// ms over which clients come back after a stop or a crash (default 3,000).
    pub reconnect_window: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: moorline_protocol::limits::MESSAGE_BYTES as u32,
            channels: 256,
            connections_per_user: 20,
            publish_rate: 0,
            publish_burst: 100,
            ping: 25_000,
            reconnect_window: 3_000,
        }
    }
}

impl GrantRule {
    pub(crate) fn grant(&self) -> Grant {
        let can = self.can.iter().map(|permission| match permission {
            Permission::Subscribe => Permissions::SUBSCRIBE,
            Permission::Publish => Permissions::PUBLISH,
            Permission::Presence => Permissions::PRESENCE,
            Permission::History => Permissions::HISTORY,
            Permission::Call => Permissions::CALL,
        });
        Grant { pattern: Arc::from(self.pattern.as_str()), can: can.fold(Permissions::default(), Permissions::union) }
    }
}

impl Settings {
    pub(crate) fn node(&self) -> NodeConfig {
        let limits = &self.limits;
        let compressed = self.channels.iter().filter_map(|rule| Some((rule.prefix.clone(), rule.compression?)));
        NodeConfig {
            shard: ShardId(0),
            ping_ms: limits.ping,
            max_message: limits.message,
            max_channels: limits.channels,
            max_connections: limits.connections_per_user,
            publish_rate: Some(limits.publish_rate).filter(|rate| *rate > 0),
            publish_burst: limits.publish_burst,
            spread_ms: limits.reconnect_window,
            name_anonymous: true,
            callouts: backends(self.calls.clone().unwrap_or_else(|| vec![AppName::default_app()])),
            compression: CompressionRules::new(compressed.collect()),
            engine: EngineInfo { durability: Durability::Memory },
            hooks: HookRules::default(),
            bugs: Bugs::default(),
        }
    }

    pub(crate) fn engine(&self, store: String, salt: u64) -> CoreConfig {
        let kept = |rule: &&Channels| rule.max_age.or(rule.max_bytes).or(rule.max_count).is_some();
        let rules = self.channels.iter().filter(kept).map(|rule| RetentionRule {
            prefix: rule.prefix.clone(),
            max_age_ms: rule.max_age,
            max_bytes: rule.max_bytes,
            max_count: rule.max_count,
        });
        CoreConfig { salt, retention: RetentionRules::new(rules.collect()), ..CoreConfig::new(store) }
    }
}

fn apps<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<AppName>>, D::Error> {
    let names = Option::<Vec<String>>::deserialize(from)?;
    let named = |name: String| AppName::new(&name).map_err(|error| D::Error::custom(format_args!("{name:?}: {error}")));
    names.map(|names| names.into_iter().map(named).collect()).transpose()
}

/// The backends of these apps take calls, and decide nothing.
fn backends(apps: Vec<AppName>) -> CalloutRules {
    let within_ms = moorline_protocol::limits::CALL_MS.into();
    let terms = Terms { id: CalloutId(0), within_ms, on_failure: OnFailure::Deny, verifies: true };
    let rule = |app| CalloutRule { app, kinds: vec![CalloutKind::Rpc], channels: Vec::new(), terms };
    CalloutRules::new(apps.into_iter().map(rule).collect())
}
