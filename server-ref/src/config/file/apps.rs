use serde::Deserialize;

use super::ChannelRule;
use crate::config::units::Size;

/// `[[apps]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Its name, as in `/ws/{app}` and in the `aud` of its tokens.
    pub name: String,
    /// The keys its tokens are signed with.
    #[serde(default)]
    pub keys: Vec<SigningKey>,
    /// Where issuers of its tokens publish their keys.
    #[serde(default)]
    pub jwks: Vec<JwksSection>,
    /// What its backend shows to the HTTP API.
    #[serde(default)]
    pub api_keys: Vec<ApiKeySection>,
    /// Whether connections without a token are let in (without any grant).
    #[serde(default)]
    pub anonymous: bool,
    /// Pages that may open a WebSocket of this app (default: those of `server.origins`).
    pub origins: Option<Vec<String>>,
    /// Limits that differ from those of `[limits]`.
    #[serde(default)]
    pub limits: AppLimitsSection,
    /// Rules that come before those of `[[channels]]`.
    #[serde(default)]
    pub channels: Vec<ChannelRule>,
}

/// `[apps.limits]`: what is left out is as in `[limits]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppLimitsSection {
    /// Connections of the app at a time (default: any number).
    pub connections: Option<u32>,
    /// Bytes of a message's payload.
    pub message: Option<Size>,
    /// Channels per connection.
    pub channels: Option<u32>,
    /// Connections per user.
    pub connections_per_user: Option<u32>,
    /// Durable cursors per user.
    pub cursors_per_user: Option<u32>,
    /// Publishes per second and connection (0 = no limit).
    pub publish_rate: Option<u32>,
    /// Publishes in a burst.
    pub publish_burst: Option<u32>,
    /// Requests and messages per second and API key (0 = no limit).
    pub api_rate: Option<u32>,
    /// Of those, so many at once.
    pub api_burst: Option<u32>,
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

/// `[[apps.jwks]]`: where an issuer publishes the keys that its tokens are signed with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwksSection {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The JSON Web Key Set.
    pub url: String,
    /// Whether it may have a private address, and do without TLS (default false).
    pub allow_private: Option<bool>,
    /// PEM certificates that are trusted beside those of the web.
    pub ca_file: Option<String>,
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
    /// What it may do (default: everything; with `channels`: publish and read).
    pub rights: Option<Vec<String>>,
    /// Where it may publish and read: exact names, or a prefix and `*` (default: everywhere).
    pub channels: Option<Vec<String>>,
}
