use std::fmt::{Display, Formatter};

use moorline_protocol::{ErrorCode, NameError, decimal, joined};

/// Why a publish was refused on the spot. Nothing was queued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The outbox is full (`limit.outbox`): wait until messages have gone out.
    OutboxFull,
    /// The payload is larger than the server allows (`limit.message`).
    TooLarge {
        /// Bytes of the payload.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The channel name is not allowed (`channel.invalid`).
    Channel(NameError),
    /// The id is empty or longer than 128 bytes (`request.malformed`).
    Id,
    /// There are more than 16 headers, more than 1 KiB of them, one twice or without a name (`request.malformed`).
    Headers,
    /// The client is closed.
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

    /// Returns one sentence that says what to do.
    pub fn sentence(&self) -> String {
        match self {
            Self::OutboxFull => "the outbox is full: wait for earlier messages to be stored".to_owned(),
            Self::TooLarge { size, limit } => {
                let (size, limit) = (decimal(*size as u64), decimal(*limit as u64));
                joined(&["the message has ", &size, " bytes; at most ", &limit, " are allowed"])
            }
            Self::Channel(error) => error.sentence().to_owned(),
            Self::Id => "a message id is 1 to 128 bytes".to_owned(),
            Self::Headers => "at most 16 headers with 1 KiB in all, each name once and not empty".to_owned(),
            Self::Closed => "the client is closed".to_owned(),
        }
    }
}

impl Display for PublishError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for PublishError {}

impl From<NameError> for PublishError {
    fn from(error: NameError) -> Self {
        Self::Channel(error)
    }
}

/// Why a subscription was refused on the spot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The channel name is not allowed (`channel.invalid`).
    Channel(NameError),
    /// The channel is being read with other options; omit an option to inherit it.
    Conflict(&'static str),
    /// The options contradict each other.
    Options(&'static str),
    /// The client is closed.
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

    /// Returns one sentence that says what to do.
    pub fn sentence(&self) -> String {
        match self {
            Self::Channel(error) => error.sentence().to_owned(),
            Self::Conflict(name) => joined(&[
                "the channel is already read with another value of `",
                name,
                "`; omit the option to inherit it",
            ]),
            Self::Options(text) => (*text).to_owned(),
            Self::Closed => "the client is closed".to_owned(),
        }
    }
}

impl Display for SubscribeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for SubscribeError {}

impl From<NameError> for SubscribeError {
    fn from(error: NameError) -> Self {
        Self::Channel(error)
    }
}

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room left.
    Full,
    /// Another client uses the store.
    Locked,
    /// The store's content cannot be read.
    Corrupt(&'static str),
    /// The store was written by a newer version.
    NewerSchema {
        /// What it has.
        found: u32,
        /// What this version knows.
        known: u32,
    },
    /// The store failed at a moment after which nobody can know whether it kept the writes.
    Uncertain(String),
    /// The store failed otherwise.
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

    /// Returns one sentence that says what to do.
    pub fn sentence(&self) -> String {
        match self {
            Self::Full => "the store has no room left: free some space, then try again".to_owned(),
            Self::Locked => {
                "the store is in use by another client: close that one first, or give each client a store of \
                             its own"
                    .to_owned()
            }
            Self::Corrupt(what) => joined(&[
                "the store is damaged (",
                what,
                "): move it away and start with a new one; unsent messages in it are lost",
            ]),
            Self::NewerSchema { found, known } => {
                let (found, known) = (decimal(u64::from(*found)), decimal(u64::from(*known)));
                joined(&[
                    "the store has schema ",
                    &found,
                    " and this version reads up to ",
                    &known,
                    ": use the newer version again",
                ])
            }
            Self::Uncertain(why) => {
                joined(&["the store failed, and whether it kept the last writes cannot be known: ", why])
            }
            Self::Io(why) => joined(&["the store failed: ", why]),
        }
    }
}

impl Display for StoreError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for StoreError {}
