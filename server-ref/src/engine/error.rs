/// Why a command failed as a whole. Nothing of it took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The log takes no writes at the moment.
    #[error("the storage is unavailable")]
    Unavailable,
    /// There is no room left.
    #[error("the storage is full")]
    Full,
    /// The user has as many durable cursors as it may.
    #[error("the user has too many durable cursors")]
    TooManyCursors,
}
