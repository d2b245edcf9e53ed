//! The real server as a child process that can be killed and started again.

use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long a server may take until it listens: generous, since a log of a long run is read first.
const START: Duration = Duration::from_secs(60);
/// How often a starting server is asked whether it listens.
const ASK: Duration = Duration::from_millis(2);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The program could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Spawn {
        /// Which program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server ended when it should have listened.
    #[error("the server ended ({status}) instead of listening; its output is in {}", log.display())]
    Ended {
        /// How.
        status: ExitStatus,
        /// Where its output is.
        log: PathBuf,
    },
    /// The server does not listen.
    #[error("the server does not listen on {address}; its output is in {}", log.display())]
    Silent {
        /// Where it should.
        address: SocketAddr,
        /// Where its output is.
        log: PathBuf,
    },
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How the server is started: always the same program, address and data.
#[derive(Clone, Debug)]
pub struct Program {
    program: PathBuf,
    address: SocketAddr,
    folder: PathBuf,
    config: Option<PathBuf>,
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    program: Program,
}

impl Program {
    /// Describes a server that keeps its data and its output in `folder`.
    pub fn new(program: &Path, address: SocketAddr, folder: &Path) -> Self {
        Self { program: program.to_path_buf(), address, folder: folder.to_path_buf(), config: None }
    }

    /// Gives the server a configuration file with this text.
    ///
    /// # Errors
    /// As the operating system's.
    pub fn configured(mut self, text: &str) -> io::Result<Self> {
        let path = self.folder.join("moorline.toml");
        std::fs::write(&path, text)?;
        self.config = Some(path);
        Ok(self)
    }

    /// Returns where the server keeps its data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Returns the file that gets everything the server prints.
    pub fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Returns the address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the process, without waiting until it listens.
    ///
    /// # Errors
    /// [`ServerError::Spawn`], [`ServerError::Io`].
    pub fn spawn(&self) -> Result<Server, ServerError> {
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let config = self.config.iter().flat_map(|path| ["--config".as_ref(), path.as_os_str()]);
        let child = Command::new(&self.program)
            .args(config)
            .arg("--dev")
            .arg("--listen")
            .arg(self.address.to_string())
            .arg("--data")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ServerError::Spawn { program: self.program.clone(), source })?;
        Ok(Server { child, program: self.clone() })
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn start(&self) -> Result<Server, ServerError> {
        let mut server = self.spawn()?;
        server.listening().await?;
        Ok(server)
    }
}

impl Server {
    /// Waits until the server listens.
    ///
    /// # Errors
    /// [`ServerError::Ended`], [`ServerError::Silent`], [`ServerError::Io`].
    pub async fn listening(&mut self) -> Result<(), ServerError> {
        let (address, log) = (self.program.address, self.program.log());
        let ended = tokio::select! {
            connected = tokio::time::timeout(START, connect(address)) => {
                return connected.map_err(|_| ServerError::Silent { address, log });
            }
            ended = self.child.wait() => ended?,
        };
        Err(ServerError::Ended { status: ended, log })
    }

    /// Tells whether the process has ended by itself.
    ///
    /// # Errors
    /// As the operating system's.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Returns what it had in memory at most, in MiB, where the system tells.
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib / 1024)
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// As the operating system's.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to drain (SIGTERM) and waits until it is gone.
    ///
    /// # Errors
    /// As the operating system's.
    pub async fn stop(mut self) -> io::Result<ExitStatus> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        }
        self.child.wait().await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// As the operating system's.
    pub async fn wait(mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }
}

/// Connects as soon as somebody listens. Another process gives no sign of that but this one.
async fn connect(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(ASK).await;
    }
}

/// Returns an address of loopback for a server that comes and goes: nobody listens there at the moment, and, on Linux,
/// no connection ever comes from there. So nobody takes the port while the server is down.
///
/// # Errors
/// As the operating system's.
pub fn free_address() -> io::Result<SocketAddr> {
    let host = if cfg!(target_os = "linux") { "127.0.0.6" } else { "127.0.0.1" };
    std::net::TcpListener::bind((host, 0))?.local_addr()
}
