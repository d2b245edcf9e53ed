//! The command line.

pub(crate) mod blackbox;
pub(crate) mod bugs;
pub(crate) mod play;
pub(crate) mod soak;

use std::path::PathBuf;

use moorline_sim::Bugs;

pub(crate) const HELP: &str = "moorline-sim: plays seeds of the simulator

  --seeds N        how many seeds (default 2000)
  --start S        the first seed (default 0)
  --seed S         only this seed, with everything that happened
  --jobs N         threads (default: all cores)
  --twice          play each seed twice and compare the trace hashes
  --traces         print the trace hash of each seed, for comparing two builds
  --corpus         play the seeds that failed once
  --soak FILE      play --seeds in parts and note each part in FILE; go on where it ends
  --replay FILE    run a client's black box again, and print what it was told and did
  --bug NAME       plant a bug (needs the feature planted-bugs); `--bug list` names them
  --bugs           find every planted bug: on its recorded seed, and on --seeds fresh ones
  --find-bugs      search the first --seeds seeds for the lowest one that finds each planted bug";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Show(u64),
    Replay(PathBuf),
    Many,
    Traces,
    Corpus,
    Soak,
    Bugs,
    FindBugs,
}

/// A parsed command line.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) seeds: u64,
    pub(crate) start: u64,
    pub(crate) jobs: usize,
    pub(crate) twice: bool,
    pub(crate) bugs: Bugs,
    /// Where a soak notes what it has done.
    pub(crate) notes: PathBuf,
    /// The only planted bug to look for, if one is named.
    pub(crate) bug: Option<String>,
}

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            command: Command::Many,
            seeds: 2000,
            start: 0,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            twice: false,
            bugs: Bugs::default(),
            notes: PathBuf::new(),
            bug: None,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            let number = |value: String| value.parse::<u64>().map_err(|_| format!("{arg}: {value} is not a number"));
            match arg.as_str() {
                "--seeds" => options.seeds = number(value()?)?,
                "--start" => options.start = number(value()?)?,
                "--seed" => options.command = Command::Show(number(value()?)?),
                "--jobs" => options.jobs = number(value()?)?.max(1) as usize,
                "--twice" => options.twice = true,
                "--traces" => options.command = Command::Traces,
                "--corpus" => options.command = Command::Corpus,
                "--soak" => (options.command, options.notes) = (Command::Soak, value()?.into()),
                "--replay" => options.command = Command::Replay(value()?.into()),
                "--bugs" => options.command = Command::Bugs,
                "--find-bugs" => options.command = Command::FindBugs,
                "--bug" => options.bug = Some(value()?),
                _ => return Err(format!("unknown option {arg}")),
            }
        }
        if let Some(name) = &options.bug {
            options.bugs = Bugs::named(name)?;
        }
        Ok(options)
    }
}
