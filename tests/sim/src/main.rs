//! `moorline-sim`: plays seeds, finds broken promises, and says how to play them again.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod cli;

use std::process::ExitCode;

use cli::{Command, Options};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n\n{}", cli::HELP);
            return ExitCode::from(2);
        }
    };
    let good = match options.command {
        Command::Show(seed) => cli::play::show(seed, options.bugs),
        Command::Replay(file) => cli::blackbox::replay(&file),
        Command::Many => cli::play::many(&options),
        Command::Traces => cli::play::traces(&options),
        Command::Corpus => cli::play::corpus(),
        Command::Soak => cli::soak::soak(&options),
        Command::Bugs => cli::bugs::check(&options),
        Command::FindBugs => cli::bugs::find(&options),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
