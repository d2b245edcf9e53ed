//! Who is measured, and what to say to them on the wire.

mod centrifuge;
mod moorline;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::scan;
use crate::server::Server;
use crate::template::{SENT, Template};
use crate::ws::{self, Connection, Message, Opcode};

pub(crate) use moorline::Acknowledged;

/// A server that fans messages out over WebSockets.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// This project's server, with its durable log.
    Moorline {
        /// The binary.
        program: PathBuf,
        /// At which level messages are published and subscribed.
        level: u8,
    },
    /// The centrifuge library with history and recovery in memory, speaking Protobuf.
    Centrifuge {
        /// The binary.
        program: PathBuf,
    },
}

impl Peer {
    /// Returns the peers whose binaries are given, Moorline at `level` first.
    pub(crate) fn all(moorline: Option<&Path>, level: u8, centrifuge: Option<&Path>) -> Vec<Self> {
        let moorline = moorline.map(|program| Self::Moorline { program: program.to_path_buf(), level });
        let centrifuge = centrifuge.map(|program| Self::Centrifuge { program: program.to_path_buf() });
        moorline.into_iter().chain(centrifuge).collect()
    }

    /// Returns the name in tables.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Moorline { .. } => "Moorline",
            Self::Centrifuge { .. } => "centrifuge library",
        }
    }

    /// Returns what it calls itself, with its version.
    ///
    /// # Errors
    /// As [`version`].
    pub(crate) fn version(&self) -> Result<String> {
        let (Self::Moorline { program, .. } | Self::Centrifuge { program }) = self;
        version(program)
    }

    /// Starts it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) fn start(&self) -> Result<Server> {
        match self {
            Self::Moorline { program, .. } => moorline::start(program, disk(program)),
            Self::Centrifuge { program } => Server::start(program, disk(program), |address, _| {
                vec!["--listen".to_owned(), address.to_string(), "--history".to_owned()]
            }),
        }
    }

    /// Opens the connection number `who`, subscribed to the channel or not, ready to be used.
    ///
    /// # Errors
    /// When the peer does not answer as its protocol says.
    pub(crate) fn open(&self, address: SocketAddr, who: usize, subscribed: bool) -> Result<Connection> {
        match self {
            Self::Moorline { level, .. } => moorline::open(address, who, subscribed.then_some(*level), self.name()),
            Self::Centrifuge { .. } => centrifuge::open(address, subscribed, self.name()),
        }
    }

    /// Returns the content of the WebSocket message that publishes `size` bytes.
    ///
    /// # Errors
    /// When the peer has no such message.
    pub(crate) fn template(&self, size: usize) -> Result<Template> {
        let payload = scan::payload(SENT, size);
        Ok(Template::new(match self {
            Self::Moorline { level, .. } => moorline::publish(*level, payload, self.name())?,
            Self::Centrifuge { .. } => centrifuge::publish(&payload),
        }))
    }

    /// Appends the answer to a message if it is a sign of life that wants one.
    pub(crate) fn answer(&self, message: &Message, out: &mut Vec<u8>) {
        match self {
            _ if message.opcode == ws::PING => ws::encode(Opcode::Pong, &message.payload, out),
            Self::Moorline { .. } => moorline::answer(message, out),
            Self::Centrifuge { .. } => centrifuge::answer(message, out),
        }
    }
}

/// Returns the versions of all, for a heading.
///
/// # Errors
/// As [`version`].
pub(crate) fn versions(peers: &[Peer]) -> Result<String> {
    Ok(peers.iter().map(Peer::version).collect::<Result<Vec<_>>>()?.join(", "))
}

/// Returns what a program answers to `--version`, up to the details of its build.
///
/// # Errors
/// [`Error::Start`].
pub(crate) fn version(program: &Path) -> Result<String> {
    let start = |source| Error::Start { program: program.display().to_string(), source };
    let output = Command::new(program).arg("--version").output().map_err(start)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    Ok(line.split(" sha=").next().unwrap_or_default().to_owned())
}

/// Returns where servers keep their data: beside their binary, which is on a disk, unlike many a `/tmp`.
pub(crate) fn disk(program: &Path) -> &Path {
    program.parent().filter(|folder| folder.is_dir()).unwrap_or_else(|| Path::new("."))
}
