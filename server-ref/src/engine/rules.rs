use super::core::RetentionRules;
use super::hooks::HookRules;
use crate::apps::AppTable;

/// What can change while an engine runs. See [`Command::Configure`](super::Command::Configure).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineRules {
    /// How long messages are kept.
    pub retention: RetentionRules,
    /// What hooks are told of.
    pub hooks: HookRules,
    /// Cursors of a user, in apps that say nothing else.
    pub cursors_per_user: usize,
    /// Apps with limits of their own.
    pub apps: AppTable,
}
