//! A server under measurement, as a child process.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{Error, Result};

const START: Duration = Duration::from_secs(20);
const ASK: Duration = Duration::from_millis(5);

/// The file in its folder that gets all it prints.
const OUTPUT: &str = "output";

/// A running server with a fresh folder; both go when it is dropped. However this process ends, the server ends too.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// Starts `program` with the arguments that `arguments` makes of an address and a fresh folder (made inside
    /// `disk`), and waits until it listens.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Server`], [`Error::Io`].
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &Path,
        disk: &Path,
        arguments: impl FnOnce(SocketAddr, &Path) -> Vec<A>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir_in(disk)?;
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let output = folder.path().join(OUTPUT);
        let said = File::create(&output)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(arguments(address, folder.path()))
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .map_err(|source| Error::Start { program: "setpriv (util-linux)".to_owned(), source })?;
        let mut server = Self { child, address, folder };
        server.wait(program)?;
        Ok(server)
    }

    fn wait(&mut self, program: &Path) -> Result {
        let begin = Instant::now();
        let program = program.display().to_string();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(Error::Server { program, why: format!("it ended ({status}){}", self.last_words()) });
            }
            if begin.elapsed() > START {
                let why = format!("it does not listen on {}{}", self.address, self.last_words());
                return Err(Error::Server { program, why });
            }
            std::thread::sleep(ASK);
        }
        Ok(())
    }

    /// Returns the last line that it printed, for a sentence.
    fn last_words(&self) -> String {
        let output = std::fs::read(self.folder.path().join(OUTPUT)).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        let last = output.lines().rfind(|line| !line.trim().is_empty());
        last.map(|line| format!(": {line}")).unwrap_or_default()
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
