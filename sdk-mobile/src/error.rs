use moorline::{Error, Kind, Origin};

/// What went wrong, whatever is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiFailure {
    /// A stable code, such as `auth.expired`; a newer server may send others.
    pub code: String,
    /// The code's stable number; 0 for codes of later versions.
    pub number: u16,
    /// One sentence that says what to do.
    pub message: String,
    /// Whether the same call can succeed later without being changed.
    pub retryable: bool,
    /// Who says so.
    pub origin: FfiOrigin,
    /// What to do about it.
    pub kind: FfiKind,
    /// ms to wait before the same is tried again, where the server says so.
    pub retry_after_ms: Option<u64>,
}

/// Who an error comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiOrigin {
    /// This client.
    Client,
    /// The server.
    Server,
    /// The connection.
    Transport,
}

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiKind {
    /// Sign in, or get another token.
    Auth,
    /// Wait, send less, or make it smaller.
    Limit,
    /// Change the call.
    Rejected,
    /// What became of a message or of a position is not as hoped for.
    Continuity,
    /// Wait for the network, or look at the address.
    Transport,
    /// Make a new client.
    Closed,
    /// Report it.
    Internal,
}

/// An error; one variant for each [`FfiKind`], and one for a wait that was cancelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum FfiError {
    /// Sign in, or get another token.
    #[error("{}", .failure.message)]
    Auth {
        /// What went wrong.
        failure: FfiFailure,
    },
    /// Wait, send less, or make it smaller.
    #[error("{}", .failure.message)]
    Limit {
        /// What went wrong.
        failure: FfiFailure,
    },
    /// Change the call.
    #[error("{}", .failure.message)]
    Rejected {
        /// What went wrong.
        failure: FfiFailure,
    },
    /// What became of a message or of a position is not as hoped for.
    #[error("{}", .failure.message)]
    Continuity {
        /// What went wrong.
        failure: FfiFailure,
    },
    /// Wait for the network, or look at the address.
    #[error("{}", .failure.message)]
    Transport {
        /// What went wrong.
        failure: FfiFailure,
    },
    /// Make a new client.
    #[error("{}", .failure.message)]
    Closed {
        /// What went wrong.
        failure: FfiFailure,
    },
    /// Report it.
    #[error("{}", .failure.message)]
    Internal {
        /// What went wrong.
        failure: FfiFailure,
    },
    /// The wait was cancelled; see [`FfiCancel`](crate::FfiCancel).
    #[error("the wait was cancelled")]
    Cancelled,
}

impl From<Error> for FfiFailure {
    fn from(error: Error) -> Self {
        Self {
            code: error.code().to_owned(),
            number: error.number(),
            message: error.message().to_owned(),
            retryable: error.is_retryable(),
            origin: match error.origin() {
                Origin::Client => FfiOrigin::Client,
                Origin::Server => FfiOrigin::Server,
                Origin::Transport => FfiOrigin::Transport,
            },
            kind: error.kind().into(),
            retry_after_ms: error.retry_after().map(|span| span.as_millis() as u64),
        }
    }
}

impl From<Kind> for FfiKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Auth => Self::Auth,
            Kind::Limit => Self::Limit,
            Kind::Rejected => Self::Rejected,
            Kind::Continuity => Self::Continuity,
            Kind::Transport => Self::Transport,
            Kind::Closed => Self::Closed,
            Kind::Internal => Self::Internal,
        }
    }
}

impl From<Error> for FfiError {
    fn from(error: Error) -> Self {
        let (kind, failure) = (error.kind(), error.into());
        match kind {
            Kind::Auth => Self::Auth { failure },
            Kind::Limit => Self::Limit { failure },
            Kind::Rejected => Self::Rejected { failure },
            Kind::Continuity => Self::Continuity { failure },
            Kind::Transport => Self::Transport { failure },
            Kind::Closed => Self::Closed { failure },
            Kind::Internal => Self::Internal { failure },
        }
    }
}

/// Returns every code of this version, in the order of the numbers; the message is the code's meaning.
#[uniffi::export]
pub fn error_codes() -> Vec<FfiFailure> {
    Error::all().map(Into::into).collect()
}
