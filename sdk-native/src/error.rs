use std::path::Path;

pub use moorline_core::Origin;
use moorline_core::protocol::ErrorCode;
use moorline_core::{Failure, PublishError, StoreError, SubscribeError};

/// What went wrong: a stable code, and a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Error {
    code: ErrorCode,
    message: String,
    origin: Origin,
}

impl Error {
    pub(crate) fn client(name: &str, message: impl Into<String>) -> Self {
        Self { code: ErrorCode::from_name(name), message: message.into(), origin: Origin::Client }
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
        Self { code: ErrorCode::AuthInvalid, message: message.into(), origin: Origin::Client }
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

    /// Returns who says so.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn into_failure(self) -> Failure {
        Failure { code: self.code, message: self.message, origin: self.origin }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self { code: failure.code, message: failure.message, origin: failure.origin }
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Self { code: error.code(), message: error.to_string(), origin: Origin::Client }
    }
}

impl From<SubscribeError> for Error {
    fn from(error: SubscribeError) -> Self {
        Self { code: error.code(), message: error.to_string(), origin: Origin::Client }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self { code: error.code(), message: error.to_string(), origin: Origin::Client }
    }
}
