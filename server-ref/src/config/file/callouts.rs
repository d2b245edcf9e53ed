use serde::Deserialize;

use crate::config::units::Age;

/// `[[callouts]]`: what an app's backend is asked.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalloutSection {
    /// Names it in the server's log and numbers.
    pub name: String,
    /// The app whose backend is asked (default `default`).
    pub app: Option<String>,
    /// Where it is asked.
    pub url: String,
    /// What requests are signed with: `whsec_` and base64, one or more.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// What is asked: `connect`, `subscribe`, `publish`, `call`.
    #[serde(default)]
    pub asks: Vec<String>,
    /// About which channels: exact names, or a prefix and `*`; none = all.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Headers of a client's request that `connect` passes on.
    #[serde(default)]
    pub headers: Vec<String>,
    /// What no answer means: `deny` (default) or `allow`.
    pub on_failure: Option<String>,
    /// How long an answer may take (default 5 s, at most 30 s).
    pub timeout: Option<Age>,
    /// Requests under way at a time (default 64).
    pub max_requests: Option<u32>,
    /// Whether the backend may have a private address, and do without TLS (default false).
    pub allow_private: Option<bool>,
    /// PEM certificates that are trusted beside those of the web.
    pub ca_file: Option<String>,
}

impl std::fmt::Debug for CalloutSection {
    /// Never shows a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CalloutSection({})", self.name)
    }
}
