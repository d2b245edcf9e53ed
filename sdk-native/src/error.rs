use std::path::Path;
use std::time::Duration;

pub use moorline_core::Origin;
use moorline_core::protocol::ErrorCode;
use moorline_core::{Failure, PublishError, StoreError, SubscribeError};

/// What a caller can do about an error; one per code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sign in, or get another token.
    Auth,
    /// Wait, send less, or make it smaller.
    Limit,
    /// Change the call: as it is, it is never granted here.
    Rejected,
    /// What became of a message or of a position is not as hoped for: the app decides.
    Continuity,
    /// Wait for the network, or look at the address.
    Transport,
    /// Make a new client.
    Closed,
    /// Report it; the server or this device is in trouble.
    Internal,
}

impl Kind {
    /// Returns the kind of a code. One of a later version goes by its first word.
    fn of(code: &ErrorCode) -> Self {
        match (code.number(), code.name().split('.').next().unwrap_or_default()) {
            (100, _) => Self::Closed,
            (101 | 300..=399, _) | (0, "auth") => Self::Auth,
            (106..=108 | 500..=599, _) => Self::Internal,
            (102..=119 | 400..=499, _) | (0, "request" | "channel" | "app" | "feature" | "device" | "call") => {
                Self::Rejected
            }
            (120..=199 | 600..=699, _) | (0, "publish") => Self::Continuity,
            (200..=299, _) | (0, "transport" | "connection") => Self::Transport,
            (700..=799, _) | (0, "limit") => Self::Limit,
            _ => Self::Internal,
        }
    }
}

/// What went wrong: a stable code, and a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Error {
    code: ErrorCode,
    message: String,
    origin: Origin,
    after: Option<u32>,
}

impl Error {
    pub(crate) fn client(name: &str, message: impl Into<String>) -> Self {
        Failure::new(ErrorCode::from_name(name), message, Origin::Client).into()
    }

    /// Makes an error of a store in a file.
    pub(crate) fn store(path: &Path, error: StoreError) -> Self {
        let error = Self::from(error);
        Self { message: format!("{}: {}", path.display(), error.message), ..error }
    }

    pub(crate) fn closed() -> Self {
        Self::client("client.closed", "the client is closed")
    }

    /// Makes an error for a token that could not be fetched. A token provider returns it; the client asks again.
    pub fn token(message: impl Into<String>) -> Self {
        Failure::new(ErrorCode::AuthInvalid, message, Origin::Client).into()
    }

    /// Returns the stable code, such as `auth.expired`.
    pub fn code(&self) -> &str {
        self.code.name()
    }

    /// Returns the stable number; 0 for codes of later versions.
    pub fn number(&self) -> u16 {
        self.code.number()
    }

    /// Tells whether the same call can succeed later.
    pub fn is_retryable(&self) -> bool {
        self.code.is_retryable()
    }

    /// Returns how long to wait before the same is tried again, to the millisecond, where the server says so (as with
    /// `limit.rate`).
    pub fn retry_after(&self) -> Option<Duration> {
        self.after.map(|ms| Duration::from_millis(u64::from(ms)))
    }

    /// Returns what a caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::of(&self.code)
    }

    /// Returns the error of every code of this version, with the code's meaning as its text, in the order of the numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        let error = |code: &ErrorCode| Self::client(code.name(), code.meaning());
        ErrorCode::ALL.iter().map(error)
    }

    /// Returns the sentence that says what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns who says so.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn into_failure(self) -> Failure {
        Failure { code: self.code, message: self.message, origin: self.origin, after: self.after }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self { code: failure.code, message: failure.message, origin: failure.origin, after: failure.after }
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Failure::new(error.code(), error.to_string(), Origin::Client).into()
    }
}

impl From<SubscribeError> for Error {
    fn from(error: SubscribeError) -> Self {
        Failure::new(error.code(), error.to_string(), Origin::Client).into()
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Failure::new(error.code(), error.to_string(), Origin::Client).into()
    }
}
