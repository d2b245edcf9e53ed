use serde::Deserialize;

use crate::config::units::Age;

/// `[console]`: the page for who runs the server. Without it there is none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleSection {
    /// How long a session lasts (default 12 h, 1 min to 30 days).
    pub session: Option<Age>,
    /// The URL of WebSockets as browsers see it, such as `wss://rt.example.com/ws` (default: where the page comes from).
    pub socket: Option<String>,
    /// Who may log in.
    pub keys: Vec<ConsoleKeySection>,
}

/// `[[console.keys]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleKeySection {
    /// Names it in the server's log, and on the page.
    pub name: String,
    /// `sha256:` and the hash of the key in hexadecimal, as `moorline-server key new --console` prints it.
    pub hash: String,
    /// When it stops being good: a date, or a date and a time with its offset.
    pub expires: Option<toml::value::Datetime>,
    /// Whether its sessions may only look (default false).
    #[serde(default)]
    pub read_only: bool,
}
