//! Measures Moorline and its peers side by side: same machine, same run, same load, interleaved rounds, medians.
//!
//! Nothing here decides whether a number is good: it prints what it measured and the ratios.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing figures is what this program is for")]

mod codec;
mod error;
mod fanout;
mod idle;
mod log;
mod machine;
mod peer;
mod publish;
mod scan;
mod server;
mod table;
mod ws;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Moorline and its peers side by side.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One publisher, many subscribers of one channel.
    Fanout(fanout::Fanout),
    /// Connections that are open and quiet.
    Idle(idle::Idle),
    /// Durable acknowledged publishes.
    Publish(publish::Publish),
    /// Encoding and decoding of frames.
    Codec(codec::Codecs),
    /// The log engine, without sockets.
    Log(log::LogBench),
}

fn main() -> ExitCode {
    let result = match Cli::parse().what {
        What::Fanout(fanout) => fanout.run(),
        What::Idle(idle) => idle.run(),
        What::Publish(publish) => publish.run(),
        What::Codec(codecs) => codecs.run(),
        What::Log(log) => log.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
