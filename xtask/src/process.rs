//! Starts programs and waits for them.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::{Error, Result};
use crate::step::Counts;

/// A command line under construction.
pub(crate) struct Process {
    command: Command,
    shown: String,
}

impl Process {
    /// Begins a command line.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        Self { command: Command::new(program), shown: program.to_string_lossy().into_owned() }
    }

    /// Adds arguments.
    #[must_use]
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            let arg = arg.as_ref();
            self.shown.push(' ');
            self.shown.push_str(&arg.to_string_lossy());
            self.command.arg(arg);
        }
        self
    }

    /// Adds an option and its value.
    #[must_use]
    pub(crate) fn arg(self, option: &str, value: &Path) -> Self {
        self.args([option.as_ref(), value.as_os_str()])
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes variables out of its environment: those for which this holds.
    #[must_use]
    pub(crate) fn without(mut self, is_unwanted: impl Fn(&str) -> bool) -> Self {
        let names = std::env::vars_os().map(|(name, _)| name);
        for name in names.filter(|name| name.to_str().is_some_and(&is_unwanted)) {
            self.command.env_remove(name);
        }
        self
    }

    /// Sets its working directory.
    #[must_use]
    pub(crate) fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs it to its end; what it prints goes to the terminal.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Failed`].
    pub(crate) fn run(mut self) -> Result {
        let status = self.command.status().map_err(|source| self.start(source))?;
        if status.success() { Ok(()) } else { Err(Error::Failed { command: self.shown, status }) }
    }

    /// Runs it to its end and returns what it wrote to stdout.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Failed`].
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.command.stderr(Stdio::inherit()).output().map_err(|source| self.start(source))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(Error::Failed { command: self.shown, status: output.status })
        }
    }

    /// Runs an installer, or what fetches packages and does nothing else.
    ///
    /// # Errors
    /// [`Error::Unobtainable`] however it fails: `what` could not be had.
    pub(crate) fn obtain(self, what: &str) -> Result {
        // What installers print is nobody's result: stdout is for those.
        self.output().map(drop).map_err(|error| Error::Unobtainable(format!("{what} could not be had: {error}")))
    }

    /// Runs what fetches packages and builds with them. What it prints goes to the terminal.
    ///
    /// # Errors
    /// [`Error::Unobtainable`] if it failed and one of its lines has one of `signs`, which it prints only where a network
    /// or a server cannot be reached; otherwise as [`run`](Self::run).
    pub(crate) fn run_or_unreachable(self, what: &str, signs: &[&str]) -> Result {
        let Self { mut command, shown } = self;
        let start = |source| Error::Start { command: shown.clone(), source };
        // Some print errors on stdout.
        let (both, writer) = std::io::pipe().map_err(start)?;
        command.stdout(writer.try_clone().map_err(start)?).stderr(writer);
        let mut child = command.spawn().map_err(start)?;
        // It holds the other end, too.
        drop(command);
        let mut found = None;
        for line in BufReader::new(both).lines().map_while(std::io::Result::ok) {
            writeln!(std::io::stderr().lock(), "{line}").map_err(start)?;
            if found.is_none() && signs.iter().any(|sign| line.contains(sign)) {
                found = Some(line.trim().to_owned());
            }
        }
        let status = child.wait().map_err(start)?;
        match found {
            _ if status.success() => Ok(()),
            Some(line) => Err(Error::Unobtainable(format!("{what} could not be had: {line}"))),
            None => Err(Error::Failed { command: shown, status }),
        }
    }

    /// Tells whether it starts and succeeds, quietly.
    pub(crate) fn succeeds(mut self) -> bool {
        let quiet = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    /// Runs it like [`run`](Self::run), and adds up the `test result:` lines it prints.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Failed`]; the counts are kept in `counts` either way.
    pub(crate) fn run_tests(mut self, counts: &mut Counts) -> Result {
        let mut child = self.command.stdout(Stdio::piped()).spawn().map_err(|source| self.start(source))?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                counts.add_test_line(&line);
                let mut terminal = std::io::stdout().lock();
                writeln!(terminal, "{line}").map_err(|source| self.start(source))?;
            }
        }
        let status = child.wait().map_err(|source| self.start(source))?;
        if status.success() { Ok(()) } else { Err(Error::Failed { command: self.shown, status }) }
    }

    /// Runs it to its end, quietly, and returns what its tests came to, whatever that is, and what it wrote to stdout.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub(crate) fn tally(mut self) -> Result<(Counts, String)> {
        let output = self.command.output().map_err(|source| self.start(source))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut counts = Counts::default();
        printed.lines().for_each(|line| counts.add_test_line(line));
        Ok((counts, printed))
    }

    /// Starts it and waits for the first line it prints. It runs until what is returned is dropped, which ends its
    /// input.
    ///
    /// # Errors
    /// [`Error::Start`], also if it prints nothing.
    pub(crate) fn serve(mut self) -> Result<Serving> {
        let spawned = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|source| self.start(source))?;
        let mut line = String::new();
        let read = child.stdout.take().map_or(Ok(0), |stdout| BufReader::new(stdout).read_line(&mut line));
        let serving = Serving { child, line: line.trim_end().to_owned(), is_killed: false };
        match read {
            Ok(0) => Err(self.start(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(serving),
            Err(source) => Err(self.start(source)),
        }
    }

    fn start(&self, source: std::io::Error) -> Error {
        Error::Start { command: self.shown.clone(), source }
    }
}

/// A program that serves others.
pub(crate) struct Serving {
    child: Child,
    line: String,
    /// Whether it has to be killed: it does not end with its input.
    is_killed: bool,
}

impl Serving {
    /// Kills it when it is dropped.
    pub(crate) fn killed(self) -> Self {
        let mut this = self;
        this.is_killed = true;
        this
    }

    /// Returns the first line it printed.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if self.is_killed {
            // It may have ended already.
            let _ = self.child.kill();
        }
        // It ends with its input; how is of no interest any more.
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn fetches(script: &str) -> Result {
        let signs = ["Could not transfer artifact"];
        Process::new("sh").args(["-c", script]).run_or_unreachable("packages", &signs)
    }

    #[test]
    fn only_what_says_that_it_reached_nobody_is_unobtainable() {
        assert!(fetches("echo Could not transfer artifact, trying again").is_ok());
        let unreachable = fetches("echo '[ERROR] Could not transfer artifact a:b:1'; exit 1").unwrap_err();
        assert_eq!(unreachable.to_string(), "packages could not be had: [ERROR] Could not transfer artifact a:b:1");
        assert!(matches!(fetches("echo Could not transfer artifact >&2; exit 1"), Err(Error::Unobtainable(_))));
        assert!(matches!(fetches("echo 'COMPILATION ERROR'; exit 1"), Err(Error::Failed { .. })));
        assert!(matches!(fetches("echo 'Could not find artifact a:b:1'; exit 1"), Err(Error::Failed { .. })));
    }

    #[test]
    fn an_installer_that_fails_or_is_missing_had_nothing_to_give() {
        let install = |script: &str| Process::new("sh").args(["-c", script]).obtain("Swift");
        assert!(install("true").is_ok());
        assert!(matches!(install("exit 100"), Err(Error::Unobtainable(_))));
        let missing = Process::new("/nowhere/apt-get").obtain("Swift");
        assert!(matches!(missing, Err(Error::Unobtainable(_))));
    }
}
