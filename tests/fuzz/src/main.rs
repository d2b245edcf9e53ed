//! Lists the targets, writes their seeds, and runs single inputs: what `cargo xtask fuzz` needs beside libFuzzer.

#![expect(clippy::print_stdout, reason = "it speaks to the person who typed the command")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use moorline_fuzz::{TARGETS, Target, corpus, find};

/// The fuzz targets without a fuzzer.
#[derive(Debug, Parser)]
#[command(name = "moorline-fuzz")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the targets.
    List,
    /// Writes a target's seeds and its committed corpus into a folder, one file each.
    Seeds {
        /// Which.
        #[arg(value_parser = target)]
        target: &'static Target,
        /// Where.
        folder: PathBuf,
    },
    /// Runs inputs; a broken promise is a panic.
    Replay {
        /// Which.
        #[arg(value_parser = target)]
        target: &'static Target,
        /// Files with one input each.
        files: Vec<PathBuf>,
    },
    /// Makes the files of a folder the committed corpus; lines under a comment stay.
    Keep {
        /// Which.
        #[arg(value_parser = target)]
        target: &'static Target,
        /// Where.
        folder: PathBuf,
    },
}

fn target(name: &str) -> Result<&'static Target, String> {
    find(name).ok_or_else(|| format!("there is no target {name}"))
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::List => {
            TARGETS.iter().for_each(|target| println!("{:<10} {}", target.name, target.about));
            Ok(())
        }
        Command::Seeds { target, folder } => seeds(target, &folder),
        Command::Replay { target, files } => replay(target, &files),
        Command::Keep { target, folder } => keep(target, &folder),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn seeds(target: &Target, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let committed = std::fs::read_to_string(corpus::file(target.name)).unwrap_or_default();
    for (number, input) in (target.seeds)().into_iter().chain(corpus::read(&committed)).enumerate() {
        std::fs::write(folder.join(format!("seed-{number:03}")), input)?;
    }
    Ok(())
}

fn replay(target: &Target, files: &[PathBuf]) -> std::io::Result<()> {
    for file in files {
        (target.run)(&std::fs::read(file)?);
        println!("{}: nothing is broken", file.display());
    }
    Ok(())
}

fn keep(target: &Target, folder: &Path) -> std::io::Result<()> {
    let files = std::fs::read_dir(folder)?.map(|entry| std::fs::read(entry?.path()));
    let inputs = files.collect::<std::io::Result<Vec<_>>>()?;
    let file = corpus::file(target.name);
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    let seeds = (target.seeds)();
    let text = corpus::write(&before, inputs.into_iter().filter(|input| !seeds.contains(input)).collect());
    std::fs::write(&file, &text)?;
    println!("{}: {} inputs, {} bytes", file.display(), corpus::read(&text).len(), text.len());
    Ok(())
}
