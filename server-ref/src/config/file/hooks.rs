use serde::Deserialize;

use crate::config::units::Age;

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
    /// Requests on their way at a time (default 4).
    pub max_requests: Option<u32>,
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
