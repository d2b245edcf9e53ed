//! What the file may say, a module per section. Unknown keys are errors.

mod apps;
mod callouts;
mod channels;
mod console;
mod hooks;
mod limits;
mod server;
mod tls;

use serde::Deserialize;

pub use self::apps::{ApiKeySection, App, AppLimitsSection, JwksSection, SigningKey};
pub use self::callouts::CalloutSection;
pub use self::channels::ChannelRule;
pub use self::console::{ConsoleKeySection, ConsoleSection};
pub use self::hooks::HookSection;
pub use self::limits::Limits;
pub use self::server::{DurabilityKind, EngineKind, LogFormat, ServerSection};
pub use self::tls::TlsSection;

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
    /// `[[callouts]]`.
    pub callouts: Vec<CalloutSection>,
    /// `[console]`.
    pub console: Option<ConsoleSection>,
}
