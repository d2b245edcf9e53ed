use std::io;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A program cannot be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Which program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A server ended, or does not listen.
    #[error("{program} does not run: {why}")]
    Server {
        /// Which program.
        program: String,
        /// Why; what it said itself, if it said something.
        why: String,
    },
    /// Server and load need a core each.
    #[error("this measurement needs two processor cores: one for the server, one for the load")]
    Cores,
    /// Both sides of each connection need a file descriptor.
    #[error(
        "{connections} connections need more file descriptors than the {limit} allowed; raise `ulimit -Hn` or lower --connections"
    )]
    Descriptors {
        /// How many connections.
        connections: usize,
        /// The limit of a process.
        limit: u64,
    },
    /// A peer answered what was not expected.
    #[error("{0} did not answer as expected while {1}")]
    Answer(&'static str, &'static str),
    /// A store refused something.
    #[cfg(feature = "stores")]
    #[error("{store}: {why}")]
    Store {
        /// Which.
        store: &'static str,
        /// Why.
        why: String,
    },
    /// A peer closed a connection while it was measured.
    #[error("{0} closed a connection")]
    Closed(&'static str),
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

pub(crate) type Result<T = ()> = std::result::Result<T, Error>;
