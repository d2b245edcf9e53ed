use moorline_protocol::{ErrorCode, NameError};

/// Why a publish was refused on the spot. Nothing was queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The outbox is full (`limit.outbox`): wait until messages have gone out.
    #[error("the outbox is full: wait for earlier messages to be stored")]
    OutboxFull,
    /// The payload is larger than the server allows (`limit.message`).
    #[error("the message has {size} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Bytes of the payload.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The channel name is not allowed (`channel.invalid`).
    #[error(transparent)]
    Channel(#[from] NameError),
    /// The id is empty or longer than 128 bytes (`request.malformed`).
    #[error("a message id is 1 to 128 bytes")]
    Id,
    /// There are more than 16 headers, more than 1 KiB of them, one twice or without a name (`request.malformed`).
    #[error("at most 16 headers with 1 KiB in all, each name once and not empty")]
    Headers,
    /// The client is closed.
    #[error("the client is closed")]
    Closed,
}

impl PublishError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::OutboxFull => ErrorCode::LimitOutbox,
            Self::TooLarge { .. } => ErrorCode::LimitMessage,
            Self::Channel(_) => ErrorCode::ChannelInvalid,
            Self::Id | Self::Headers => ErrorCode::RequestMalformed,
            Self::Closed => ErrorCode::ClientClosed,
        }
    }
}

/// Why a subscription was refused on the spot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The channel name is not allowed (`channel.invalid`).
    #[error(transparent)]
    Channel(#[from] NameError),
    /// The channel is being read with other options; omit an option to inherit it.
    #[error("the channel is already read with another value of `{0}`; omit the option to inherit it")]
    Conflict(&'static str),
    /// The options contradict each other.
    #[error("{0}")]
    Options(&'static str),
    /// The client is closed.
    #[error("the client is closed")]
    Closed,
}

impl SubscribeError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Channel(_) => ErrorCode::ChannelInvalid,
            Self::Conflict(_) | Self::Options(_) => ErrorCode::RequestMalformed,
            Self::Closed => ErrorCode::ClientClosed,
        }
    }
}

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room left.
    #[error("the store has no room left: free some space, then try again")]
    Full,
    /// Another client uses the store.
    #[error("the store is in use by another client: close that one first, or give each client a store of its own")]
    Locked,
    /// The store's content cannot be read.
    #[error("the store is damaged ({0}): move it away and start with a new one; unsent messages in it are lost")]
    Corrupt(&'static str),
    /// The store was written by a newer version.
    #[error("the store has schema {found} and this version reads up to {known}: use the newer version again")]
    NewerSchema {
        /// What it has.
        found: u32,
        /// What this version knows.
        known: u32,
    },
    /// The store failed at a moment after which nobody can know whether it kept the writes.
    #[error("the store failed, and whether it kept the last writes cannot be known: {0}")]
    Uncertain(String),
    /// The store failed otherwise.
    #[error("the store failed: {0}")]
    Io(String),
}

impl StoreError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Full => ErrorCode::StorageFull,
            Self::Locked => ErrorCode::ClientStoreLocked,
            Self::Corrupt(_) => ErrorCode::ClientStoreCorrupt,
            Self::NewerSchema { .. } => ErrorCode::ClientStoreNewer,
            Self::Uncertain(_) | Self::Io(_) => ErrorCode::StorageUnavailable,
        }
    }
}
