use serde::Deserialize;

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
