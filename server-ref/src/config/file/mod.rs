//! What the file may say, a module per section. Unknown keys are errors.

mod apps;
mod channels;
mod console;
mod hooks;
mod limits;
mod server;

use serde::Deserialize;

pub use self::apps::{ApiKeySection, App, SigningKey};
pub use self::channels::ChannelRule;
pub use self::console::{ConsoleKeySection, ConsoleSection};
pub use self::hooks::HookSection;
pub use self::limits::Limits;
pub use self::server::{DurabilityKind, EngineKind, LogFormat, ServerSection};

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
    /// `[console]`.
    pub console: Option<ConsoleSection>,
}
