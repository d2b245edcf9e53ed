use std::io;

use crate::engine::turn::Fatal;

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be made or written.
    #[error(
        "cannot use the data directory {path}: {source}. Give it to the server's user, or choose another with --data"
    )]
    Directory {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Another process uses it.
    #[error(
        "the data directory {path} is in use by another moorline-server; stop that one, or choose another with --data"
    )]
    Locked {
        /// Which.
        path: String,
    },
    /// The log is damaged in its middle: acknowledged messages may be missing.
    #[error(
        "the log is damaged: {file} at byte {position}: {what}. Nothing was changed. Look with `moorline-server \
         inspect`, then restore a backup (and start once with --restored)"
    )]
    Damaged {
        /// Which file.
        file: String,
        /// Where.
        position: u64,
        /// What was found.
        what: &'static str,
    },
    /// Messages are missing that the log says it has.
    #[error(
        "the log is incomplete: messages {from} to {to} of {channel} stand nowhere. Nothing was changed. Look with \
         `moorline-server inspect`, then restore a backup (and start once with --restored)"
    )]
    Incomplete {
        /// The app and the channel.
        channel: String,
        /// The first offset that is missing.
        from: u64,
        /// The last one before there are messages again.
        to: u64,
    },
    /// Written by a newer version.
    #[error("the data directory has format {found}; this version reads format {known}. Use a newer moorline-server")]
    Newer {
        /// What it has.
        found: u32,
        /// What this version knows.
        known: u32,
    },
    /// Reading or writing failed.
    #[error("{what} failed: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<Fatal> for OpenError {
    fn from(fatal: Fatal) -> Self {
        match fatal {
            Fatal::Io { what, source } => Self::Io { what, source },
        }
    }
}

impl OpenError {
    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
