//! `moorline-crash`: the demo, the crash test, and the lab for tests of bindings.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "both tell what happens to whoever started them")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use moorline_crash::away::Away;
use moorline_crash::demo::Demo;
use moorline_crash::dice::Dice;
use moorline_crash::kills::Kills;
use moorline_crash::lab::Lab;
use moorline_crash::requests::Requests;
use moorline_crash::run::RunError;
use moorline_crash::scripts::Scripts;
use moorline_crash::storm::Storm;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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
    /// A phone comes back to a long backlog.
    Away {
        /// The server's binary.
        #[arg(long, env = "MOORLINE_SERVER")]
        server: PathBuf,
        /// How many messages it missed.
        #[arg(long, default_value_t = 100_000)]
        messages: u64,
    },
    /// Many clients come back to a server that was restarted, then killed.
    Storm {
        /// The server's binary.
        #[arg(long, env = "MOORLINE_SERVER")]
        server: PathBuf,
        /// How many clients.
        #[arg(long, default_value_t = 5_000)]
        clients: usize,
        /// Seconds over which they are to come back.
        #[arg(long, default_value_t = 8)]
        window: u64,
    },
    /// The server and a proxy that fails on demand, for the tests of bindings; prints where it takes commands, and ends with
    /// its input.
    Lab {
        /// The server's binary.
        #[arg(long, env = "MOORLINE_SERVER")]
        server: PathBuf,
    },
    /// Backends publish by HTTP over a network that fails, to a server that is killed.
    Requests {
        /// The server's binary.
        #[arg(long, env = "MOORLINE_SERVER")]
        server: PathBuf,
        /// How many requests.
        #[arg(long, default_value_t = 10_000)]
        requests: u64,
        /// Chooses the moments; by default another one each time.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Groups of clients whose networks fail as seeds say.
    Scripts {
        /// The server's binary.
        #[arg(long, env = "MOORLINE_SERVER")]
        server: PathBuf,
        /// How many groups.
        #[arg(long, default_value_t = 200)]
        scripts: u64,
        /// The first seed; by default another one each time.
        #[arg(long)]
        seed: Option<u64>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo { server, command, check } => demo(Demo { server, command, stay: !check }).await,
        Command::Kills { server, kills, seed } => crash(server, kills, seed).await,
        Command::Away { server, messages } => away(server, messages).await,
        Command::Storm { server, clients, window } => storm(server, clients, window).await,
        Command::Lab { server } => Lab { server }.run(|address| println!("{address}")).await.map(|()| true),
        Command::Requests { server, requests, seed } => backends(server, requests, seed).await,
        Command::Scripts { server, scripts, seed } => networks(server, scripts, seed).await,
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
    println!("{tally}");
    outcome.reports.iter().for_each(|report| print!("{report}"));
    if let Some(folder) = outcome.kept {
        println!("data and logs are kept in {}\n{again}", folder.display());
    }
    Ok(tally.is_clean())
}

async fn networks(server: PathBuf, scripts: u64, seed: Option<u64>) -> Result<bool, RunError> {
    let seed = seed.unwrap_or_else(Dice::fresh_seed);
    println!("network scripts: {scripts}, from seed {seed}");
    let (broken, tally) = Scripts { server, scripts, seed }.run(|line| println!("{line}")).await?;
    println!("{tally}");
    for ending in &broken {
        print!("script {}\n  {}\n{}", ending.seed, ending.acts.join("\n  "), ending.report);
        println!("again with: cargo xtask soak --scripts 1 --seed {}", ending.seed);
    }
    Ok(broken.is_empty())
}

async fn backends(server: PathBuf, requests: u64, seed: Option<u64>) -> Result<bool, RunError> {
    let seed = seed.unwrap_or_else(Dice::fresh_seed);
    println!("{requests} requests, each sent until it is answered and once more, seed {seed}");
    let ending = Requests { server, requests, seed }.run(|line| println!("{line}")).await?;
    println!(
        "sent {} times; {} answers lost, {} of them to requests that were stored; {} kills; {} faults",
        ending.sent,
        ending.lost,
        ending.unseen,
        ending.kills,
        ending.faults.len()
    );
    ending.faults.iter().take(20).for_each(|fault| println!("{fault}"));
    Ok(ending.faults.is_empty())
}

async fn storm(server: PathBuf, clients: usize, window: u64) -> Result<bool, RunError> {
    let allowed = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum: allowed }).map_err(std::io::Error::from)?;
    let window = Duration::from_secs(window);
    println!("{clients} clients come back over {} s", window.as_secs());
    let ending = Storm { server, clients, window }.run(|line| println!("{line}")).await?;
    let mut is_good = ending.faults.is_empty();
    for back in &ending.returns {
        let slices = (1..=10).map(|tenth| back.arrivals.iter().filter(|at| **at <= window * tenth / 10).count());
        println!("{}: back after each tenth of the window: {:?}", back.end, slices.collect::<Vec<_>>());
        if let Some(at) = back.too_early(window) {
            println!("{}: too many were back after {:.2} s", back.end, at.as_secs_f64());
            is_good = false;
        }
    }
    println!("{} faults", ending.faults.len());
    ending.faults.iter().take(20).for_each(|fault| println!("{fault}"));
    Ok(is_good)
}

async fn away(server: PathBuf, messages: u64) -> Result<bool, RunError> {
    println!("a phone is away for {messages} messages");
    let ending = Away { server, messages }.run(|line| println!("{line}")).await?;
    println!("{}", ending.tally);
    if let Some(memory) = ending.memory {
        println!("the server had at most {memory} MiB in memory");
    }
    ending.reports.iter().for_each(|report| print!("{report}"));
    Ok(ending.is_clean())
}
