use std::path::PathBuf;

/// Why a command of xtask did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program could not be started.
    #[error("cannot run `{command}`: {source}")]
    Start {
        /// The command line.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something is missing, or in the way.
    #[error("{0}")]
    Missing(String),
    /// A tool or a package cannot be had on this machine: it is missing, and installing it is not possible or failed.
    /// A step of the test that ends so was not checked; everything else is a failure.
    #[error("{0}")]
    Unobtainable(String),
    /// The tree breaks rules of the house, one per line.
    #[error("{}", .0.join("\n"))]
    Rules(Vec<String>),
    /// Foreign output was not understood.
    #[error("cannot read the answer of {0}")]
    Answer(&'static str),
    /// Some steps failed; they were named already.
    #[error("some steps failed")]
    Steps,
}

pub(crate) type Result<T = ()> = std::result::Result<T, Error>;

impl Error {
    /// Turns a list of broken rules into a result.
    pub(crate) fn unless_empty(broken: Vec<String>) -> Result {
        if broken.is_empty() { Ok(()) } else { Err(Self::Rules(broken)) }
    }
}
