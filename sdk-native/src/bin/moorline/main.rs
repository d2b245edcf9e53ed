//! The `moorline` command: read and publish from a shell.

mod call;
mod history;
mod options;
mod output;
mod payload;
mod presence;
mod publish;
mod session;
mod signals;
mod status;
mod sub;
mod token;

use std::process::ExitCode;

use clap::Parser;

use crate::options::{Cli, Command};
use crate::output::{print, tell};

/// Why a command ended badly.
enum Failed {
    /// The user has to change something: exit code 2.
    Misuse(String),
    /// A message failed, or the server refused: exit code 1.
    Error(String),
    /// As `Error`, and everything was said already.
    Told,
    /// Whoever read the output has had enough: nobody is left to complain to.
    NobodyReads,
}

impl From<moorline::Error> for Failed {
    /// What the client refuses on the spot is the user's mistake; all else happened on the way.
    fn from(error: moorline::Error) -> Self {
        match error.code() {
            "channel.invalid" | "request.malformed" if error.origin() == moorline::Origin::Client => {
                Self::Misuse(error.to_string())
            }
            _ => Self::Error(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        let broken = error.kind() == std::io::ErrorKind::BrokenPipe;
        if broken { Self::NobodyReads } else { Self::Error(error.to_string()) }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Token(options) = &cli.command {
        return finish(token::make(options).and_then(|token| print(&token)));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return finish(Err(error.into())),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Sub(options) => sub::run(options).await,
            Command::Pub(options) => publish::run(options).await,
            Command::History(options) => history::run(options).await,
            Command::Call(options) => call::run(options).await,
            Command::Presence(options) => presence::run(options).await,
            Command::Status(options) => status::run(options).await,
            Command::Token(_) => Ok(()),
        }
    });
    // A thread that still waits for standard input must not keep the process.
    runtime.shutdown_background();
    finish(result)
}

fn finish(result: Result<(), Failed>) -> ExitCode {
    match result {
        Ok(()) | Err(Failed::NobodyReads) => ExitCode::SUCCESS,
        Err(Failed::Told) => ExitCode::FAILURE,
        Err(Failed::Error(text)) => {
            tell(text);
            ExitCode::FAILURE
        }
        Err(Failed::Misuse(text)) => {
            tell(text);
            ExitCode::from(2)
        }
    }
}
