//! Keys, as the console knows and shows them: never one itself.

use std::sync::Arc;

use moorline_protocol::AppName;
use moorline_protocol::time::UnixMillis;
use serde::Serialize;

/// A key to the console, without the key.
#[derive(Clone, Debug)]
pub struct ConsoleKey {
    /// Names it in the log, and on the page.
    pub name: Arc<str>,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// When it stops being good, ms since 1970.
    pub expires: Option<UnixMillis>,
    /// Whether its sessions may only look.
    pub read_only: bool,
}

/// What an app's tokens are signed with, without any secret.
#[derive(Clone, Debug)]
pub struct AppTokens {
    /// The app.
    pub app: AppName,
    /// Whether connections without a token are let in.
    pub anonymous: bool,
    /// Its keys.
    pub keys: Vec<TokenKey>,
}

/// A key of tokens.
#[derive(Clone, Debug, Serialize)]
pub struct TokenKey {
    /// Its `kid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its algorithm.
    pub algorithm: String,
}
