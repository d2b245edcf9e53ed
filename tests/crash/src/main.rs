//! `moorline-crash`: the demo and the crash test.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "both tell what happens to whoever started them")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use moorline_crash::demo::Demo;
use moorline_crash::dice::Dice;
use moorline_crash::kills::Kills;
use moorline_crash::run::RunError;

/// The demo and the crash test. Both start the real server and real clients.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Two clients go through cuts, black holes and kills of the server, and count what arrives.
    Demo {
        /// The server's binary.
        #[arg(long, env = "MOORLINE_SERVER")]
        server: PathBuf,
        /// The command line client's binary, for the hints at the end.
        #[arg(long, default_value = "moorline")]
        command: PathBuf,
        /// End when the story is told, with exit code 1 if a message was lost, doubled or out of order.
        #[arg(long)]
        check: bool,
    },
    /// Kills the server under load, again and again.
    Kills {
        /// The server's binary.
        #[arg(long, env = "MOORLINE_SERVER")]
        server: PathBuf,
        /// How often.
        #[arg(long, default_value_t = 50)]
        kills: u32,
        /// Chooses the moments; by default another one each time.
        #[arg(long)]
        seed: Option<u64>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo { server, command, check } => demo(Demo { server, command, stay: !check }).await,
        Command::Kills { server, kills, seed } => crash(server, kills, seed).await,
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(demo: Demo) -> Result<bool, RunError> {
    let ending = demo.run(|line| println!("{line}")).await?;
    ending.reports.iter().for_each(|report| print!("{report}"));
    Ok(ending.tally.is_clean())
}

async fn crash(server: PathBuf, kills: u32, seed: Option<u64>) -> Result<bool, RunError> {
    let seed = seed.unwrap_or_else(Dice::fresh_seed);
    println!("crash test: {kills} kills, seed {seed}");
    let again = format!("again with: cargo xtask soak --kills {kills} --seed {seed}");
    let outcome =
        Kills { server, kills, seed }.run(|line| println!("{line}")).await.inspect_err(|_| println!("{again}"))?;
    let tally = outcome.tally;
    println!(
        "{} published, {} acknowledged, {} stored, {} received, {} redelivered after a restart",
        tally.published, tally.acknowledged, tally.stored, tally.received, tally.redelivered
    );
    println!(
        "{} duplicates, {} lost, {} out of order, {} wrong",
        tally.duplicates, tally.lost, tally.out_of_order, tally.wrong
    );
    outcome.reports.iter().for_each(|report| print!("{report}"));
    if let Some(folder) = outcome.kept {
        println!("data and logs are kept in {}\n{again}", folder.display());
    }
    Ok(tally.is_clean())
}
