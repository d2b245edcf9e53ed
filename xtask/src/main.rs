//! `cargo xtask …`: every command of the README, in Rust.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "these commands speak to the person who typed them")]

mod api;
mod bench;
mod bindings;
mod browsers;
mod cargo;
mod chroot;
mod conformance;
mod dist;
mod error;
mod fuzz;
mod guide;
mod image;
mod kotlin;
mod layers;
mod mobile;
mod npm;
mod planted;
mod platforms;
mod process;
mod python;
mod readme;
mod run;
mod security;
mod sizes;
mod step;
mod swift;
mod test;
mod tools;
mod tree;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's commands. `cargo xtask test` is what continuous integration runs.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Two clients and a real server go through cuts, black holes and kills, and count what arrives.
    Demo(run::Demo),
    /// Everything that must hold before a change is merged.
    Test(test::Test),
    /// The long runs: server kills, simulator seeds.
    Soak(run::Soak),
    /// Measures Moorline, and its peers beside it.
    Bench(bench::Bench),
    /// Runs the simulator; everything after `sim` goes to it (`cargo xtask sim --seeds 100`, `cargo xtask sim --help`).
    Sim(run::Sim),
    /// Runs a client's black box again, and prints what the client was told and did; exit code 1 if this build does
    /// something else.
    Replay(run::Replay),
    /// Feeds the fuzz targets (installs cargo-fuzz if it is missing); exit code 1 if one of them broke.
    Fuzz(fuzz::Fuzz),
    /// Runs the Autobahn cases for RFC 6455 against the server's WebSocket layer.
    Conformance,
    /// Lints the server's OpenAPI and AsyncAPI documents, and runs schemathesis against it (installs both).
    Api,
    /// Builds the cores for wasm32, and compares what seeds of the simulator come to there and natively.
    Wasm,
    /// Builds the npm package in bindings/js (installs what it needs).
    Npm(npm::Npm),
    /// Makes what UniFFI makes: the lowest layer of the packages for Kotlin, Swift and Python, and their error codes.
    Bindings(bindings::Bindings),
    /// Builds the Swift package in bindings/swift (puts Swift into a folder on Debian).
    Swift(swift::Swift),
    /// Runs the npm package in Chromium, Firefox and WebKit, and what bundlers make of it (installs the browsers on Debian).
    Browsers(browsers::Browsers),
    /// Runs the npm package on simulated mini-programs and React Native, in V8, Hermes and QuickJS (fetched from npm).
    MiniPrograms(platforms::MiniPrograms),
    /// Builds the Kotlin packages in bindings/kotlin, and runs their tests against the real server (installs Maven on Debian).
    Kotlin(kotlin::Kotlin),
    /// Builds the wheel of the Python package.
    Python(python::Python),
    /// Compiles the mobile facade for Android, iOS and HarmonyOS, without linking it (installs clang on Debian).
    Mobile,
    /// Builds the release for Linux: static binaries, unit, example configuration, checksums (installs zig from PyPI).
    Dist(dist::Dist),
    /// Lints and runs what the Dockerfile and the manifests for Kubernetes say (root on Debian).
    Image,
    /// Does what docs/operations.md says, command by command, in a container that is thrown away (root on Debian).
    Operations(guide::Operations),
    /// Formats all Rust code.
    Fmt {
        /// Only report what is not formatted.
        #[arg(long)]
        check: bool,
    },
    /// Formatting, clippy, layers, file sizes and the README pair, without tests.
    Lint,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(demo) => demo.run(),
        Command::Test(test) => test.run(),
        Command::Soak(soak) => soak.run(),
        Command::Bench(bench) => bench.run(),
        Command::Sim(sim) => sim.run(),
        Command::Replay(replay) => replay.run(),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Conformance => conformance::command(),
        Command::Api => api::command(),
        Command::Wasm => wasm::command(),
        Command::Npm(npm) => npm.run(),
        Command::Bindings(bindings) => bindings.run(),
        Command::Swift(swift) => swift.run(),
        Command::Browsers(browsers) => browsers.run(),
        Command::MiniPrograms(platforms) => platforms.run(),
        Command::Kotlin(kotlin) => kotlin.run(),
        Command::Python(python) => python.run(),
        Command::Mobile => mobile::test(),
        Command::Dist(dist) => dist.run(),
        Command::Image => image::command(),
        Command::Operations(operations) => operations.run(),
        Command::Fmt { check } => cargo::fmt(check),
        Command::Lint => test::lint(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error::Error::Steps) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
