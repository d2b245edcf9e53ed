//! The real program, as people start it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program without anything of this process's settings.
pub(crate) fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moorline-server"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MOORLINE_") {
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

/// A running server; killed when dropped.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    stdout: BufReader<ChildStdout>,
    errors: Arc<Mutex<String>>,
    /// More is said.
    more: Arc<Condvar>,
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
        let errors = Arc::new(Mutex::new(String::new()));
        let more = Arc::<Condvar>::default();
        let (mut stderr, into, told) = (child.stderr.take().unwrap(), Arc::clone(&errors), Arc::clone(&more));
        let reading = std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
                told.notify_all();
            }
        });
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("moorline-server: listening on ws://");
        let Some(url) = url else { panic!("{line}{}", errors.lock().unwrap()) };
        let address = url.strip_suffix("/ws").unwrap().parse().unwrap();
        Self { child, address, stdout, errors, more, reading: Some(reading) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the HTTP API listens, of a server that was told to give it a listener of its own.
    pub(crate) fn http_address(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().strip_prefix("moorline-server: HTTP API on http://").unwrap().parse().unwrap()
    }

    /// Waits until it has said a whole line with this on standard error. Returns the line.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let errors = self.errors.lock().unwrap();
            if let Some(line) = errors.split_inclusive('\n').find(|line| line.contains(text) && line.ends_with('\n')) {
                return line.to_owned();
            }
            assert!(Instant::now() < until, "{text} is not in: {errors}");
            drop(self.more.wait_timeout(errors, PATIENCE).unwrap());
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end. Returns what it said on standard error, too.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.reading.take().unwrap().join().unwrap();
        let errors = std::mem::take(&mut *self.errors.lock().unwrap());
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
