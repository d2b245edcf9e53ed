//! A server under measurement, as a child process.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{Error, Result};

const START: Duration = Duration::from_secs(20);
const ASK: Duration = Duration::from_millis(5);

/// A running server with a fresh folder; both go when it is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Server {
    /// Starts `program` with the arguments that `arguments` makes of an address and a fresh folder (made inside
    /// `disk`), and waits until it listens.
    ///
    /// # Errors
    /// [`Error::Server`], [`Error::Io`].
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &Path,
        disk: &Path,
        arguments: impl FnOnce(SocketAddr, &Path) -> Vec<A>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir_in(disk)?;
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let child = Command::new(program)
            .args(arguments(address, folder.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Self { child, address, _folder: folder };
        server.wait(program)?;
        Ok(server)
    }

    fn wait(&mut self, program: &Path) -> Result {
        let begin = Instant::now();
        let failed = |why| Error::Server { program: program.display().to_string(), why };
        while TcpStream::connect(self.address).is_err() {
            if self.child.try_wait()?.is_some() {
                return Err(failed("it ended"));
            }
            if begin.elapsed() > START {
                return Err(failed("it does not listen"));
            }
            std::thread::sleep(ASK);
        }
        Ok(())
    }

    /// Returns where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its process id.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors say that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
