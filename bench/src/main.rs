//! Measures Moorline and its peers side by side: same machine, same run, same load, interleaved rounds, medians.
//!
//! Nothing here decides whether a number is good: it prints what it measured and the ratios.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing figures is what this program is for")]

mod codec;
mod compression;
mod core;
mod error;
mod fanout;
mod http;
mod idle;
mod log;
mod machine;
mod peer;
mod presence;
mod progress;
mod publish;
mod scan;
mod server;
#[cfg(feature = "stores")]
mod store;
mod table;
mod template;
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
    /// Durable publishes over the HTTP API.
    Http(http::Http),
    /// Encoding and decoding of frames.
    Codec(codec::Codecs),
    /// Bytes and processor time of compressed deliveries.
    Compression(compression::Compression),
    /// Receiving in the client core.
    Core(core::Core),
    /// The client's store, and others that could stand in its place.
    #[cfg(feature = "stores")]
    Store(store::Stores),
    /// Uses a store in a process of its own.
    #[cfg(feature = "stores")]
    #[command(hide = true)]
    StoreChild(store::Child),
    /// All members of a channel come back at once.
    Presence(presence::Presence),
    /// The log engine, without sockets.
    Log(log::LogBench),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    println!("Measured on: {}", machine::description());
    let result = match cli.what {
        What::Fanout(fanout) => fanout.run(),
        What::Idle(idle) => idle.run(),
        What::Publish(publish) => publish.run(),
        What::Http(http) => http.run(),
        What::Codec(codecs) => codecs.run(),
        What::Compression(compression) => compression.run(),
        What::Core(core) => core.run(),
        #[cfg(feature = "stores")]
        What::Store(stores) => stores.run(),
        #[cfg(feature = "stores")]
        What::StoreChild(child) => child.run(),
        What::Presence(presence) => presence.run(),
        What::Log(log) => log.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
