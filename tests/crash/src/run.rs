//! How runs fail to be carried to their end.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use moorline_protocol::NameError;

use crate::app::AppError;
use crate::book::Progress;
use crate::log_reader::ReadError;
use crate::server::ServerError;

/// Why a run could not be carried to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The server does not run.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A client failed.
    #[error(transparent)]
    App(#[from] AppError),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A channel's name is not allowed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server ended by itself.
    #[error("before kill {kill} the server ended by itself ({status}); its output is in {}", log.display())]
    Died {
        /// Before which kill.
        kill: u32,
        /// How.
        status: ExitStatus,
        /// Where its output is.
        log: PathBuf,
    },
    /// Nothing moves any more.
    #[error("before kill {kill} nothing is acknowledged any more: {progress:?}")]
    Stuck {
        /// Before which kill.
        kill: u32,
        /// How far the run had come.
        progress: Progress,
    },
    /// Not everything was published, answered and received in the time there was.
    #[error("the run did not come to its end: {progress:?}")]
    Unfinished {
        /// How far it had come.
        progress: Progress,
    },
    /// Clients did not come so far in the time there was.
    #[error("{clients} clients did not come so far")]
    Missing {
        /// How many.
        clients: usize,
    },
    /// The run failed, and its folder was kept.
    #[error("{source}; data and logs are kept in {}", folder.display())]
    Kept {
        /// Where.
        folder: PathBuf,
        /// Why it failed.
        source: Box<Self>,
    },
}
