//! The real program, as people start it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The program without anything of this process's settings.
pub(crate) fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moorline-server"));
    for (name, _) in std::env::vars_os() {
        if ["MOORLINE_", "OTEL_"].iter().any(|begin| name.to_string_lossy().starts_with(begin)) {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the program to its end. Returns its exit code and what it said on both streams.
pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> (i32, String) {
    ended(command(args).output().unwrap())
}

/// Returns the exit code and what was said on both streams.
pub(crate) fn ended(output: Output) -> (i32, String) {
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    stdout: BufReader<ChildStdout>,
    errors: Arc<(Mutex<String>, Condvar)>,
    reading: Option<JoinHandle<()>>,
}

impl Program {
    /// A development server on a free port, with its data here.
    pub(crate) fn dev(data: &Path) -> Self {
        Self::start(command(["--dev", "--listen", "127.0.0.1:0", "--data"]).arg(data))
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = Arc::<(Mutex<String>, Condvar)>::default();
        let (mut stderr, into) = (child.stderr.take().unwrap(), Arc::clone(&errors));
        let reading = std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                into.0.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
                into.1.notify_all();
            }
        });
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("moorline-server: listening on ");
        let url = url.and_then(|url| url.strip_prefix("ws://").or_else(|| url.strip_prefix("wss://")));
        let Some(url) = url else { panic!("{line}{}", errors.0.lock().unwrap()) };
        let address = url.strip_suffix("/ws").unwrap().parse().unwrap();
        Self { child, address, stdout, errors, reading: Some(reading) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the HTTP API listens, of a server that was told to give it a listener of its own.
    pub(crate) fn http_address(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("moorline-server: HTTP API on ").unwrap();
        url.split_once("://").unwrap().1.parse().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns what it has said on standard error so far.
    pub(crate) fn said(&self) -> String {
        self.errors.0.lock().unwrap().clone()
    }

    /// Waits until it has said a text on standard error, after so many bytes. Returns what it said from there on.
    pub(crate) fn wait_for(&self, after: usize, text: &str) -> String {
        let (errors, more) = &*self.errors;
        let (errors, late) = more
            .wait_timeout_while(errors.lock().unwrap(), PATIENCE, |errors| {
                !errors.get(after..).is_some_and(|said| said.contains(text))
            })
            .unwrap();
        assert!(!late.timed_out(), "it never said `{text}`: {}", errors.get(after..).unwrap_or_default());
        errors.get(after..).unwrap_or_default().to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end. Returns what it said on standard error, too.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.reading.take().unwrap().join().unwrap();
        let errors = std::mem::take(&mut *self.errors.0.lock().unwrap());
        (status, errors)
    }

    /// Stops it in good order.
    pub(crate) fn stop(self) -> String {
        self.signal(Signal::TERM);
        let (status, errors) = self.wait();
        assert_eq!(status.code(), Some(0), "{errors}");
        errors
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
