//! The `moorline` command: read and publish from a shell.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to people")]

mod commands;
mod options;
mod token;

use std::process::ExitCode;

use clap::Parser;

use crate::options::{Cli, Command};

/// Why a command ended badly.
enum Failed {
    /// The user has to change something: exit code 2.
    Misuse(String),
    /// A message failed, or the server refused: exit code 1.
    Error(String),
}

impl From<moorline::Error> for Failed {
    fn from(error: moorline::Error) -> Self {
        Self::Error(error.to_string())
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Error(error.to_string())
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Token(options) = &cli.command {
        return finish(token::make(options).map(|token| println!("{token}")));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return finish(Err(error.into())),
    };
    let result = runtime.block_on(commands::run(cli.command));
    // A thread that still waits for standard input must not keep the process.
    runtime.shutdown_background();
    finish(result)
}

fn finish(result: Result<(), Failed>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Error(text)) => {
            if !text.is_empty() {
                eprintln!("moorline: {text}");
            }
            ExitCode::FAILURE
        }
        Err(Failed::Misuse(text)) => {
            eprintln!("moorline: {text}");
            ExitCode::from(2)
        }
    }
}
