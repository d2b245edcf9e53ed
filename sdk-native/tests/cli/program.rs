//! The real program.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use moorline_server::server::{Options, Server};
use serde_json::Value;

/// A development server in this process.
pub(crate) fn server() -> Server {
    Server::start(Options::dev()).unwrap()
}

/// The command with the URL of a server and the token of a user, and nothing of this process's settings.
pub(crate) fn command(url: &str, user: &str, args: &[&str]) -> Command {
    let mut command = bare(args);
    command.env("MOORLINE_URL", url).env("MOORLINE_TOKEN", format!("dev:{user}"));
    command
}

/// The command as it is.
pub(crate) fn bare(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moorline"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MOORLINE_") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// How a command ended: exit code, the lines of standard output as JSON, and standard error.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<Value>,
    pub(crate) told: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!told.contains("panicked"), "{told}");
    Ended {
        code: output.status.code(),
        lines: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        told,
    }
}

/// A command that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
    told: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        let told = BufReader::new(child.stderr.take().unwrap());
        Self { child, input, output, told }
    }

    /// Starts `sub` and waits until it reads.
    pub(crate) fn sub(url: &str, user: &str, args: &[&str]) -> Self {
        let mut running = Self::start(&mut command(url, user, &[&["sub"], args].concat()));
        running.tells("moorline: reading ");
        running
    }

    /// Returns the next line of standard output.
    pub(crate) fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.as_mut().unwrap().read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}; {}", self.rest()))
    }

    /// Waits for a line on standard error that begins so.
    pub(crate) fn tells(&mut self, begin: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.told.read_line(&mut line).unwrap(), 0, "it never told `{begin}`");
            if line.starts_with(begin) {
                return line;
            }
        }
    }

    /// Writes a line to its standard input.
    pub(crate) fn type_line(&mut self, line: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line).unwrap();
        input.write_all(b"\n").unwrap();
    }

    /// Ends its standard input.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// Nobody reads its standard output any more.
    pub(crate) fn close_output(&mut self) {
        self.output = None;
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end. Returns the exit code and the rest of standard error.
    pub(crate) fn wait(&mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        (code, self.rest())
    }

    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("panicked"), "{rest}");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
