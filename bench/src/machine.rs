//! What the operating system knows about a process, and which cores it may use.

use std::fs;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{Error, Result};

/// Returns the processor time that a process has used, all its threads together.
///
/// # Errors
/// When the process is gone.
pub(crate) fn processor_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_millis(ticks * 1_000 / per_second))
}

/// Time that passes: on the clock, in the server, in this process.
pub(crate) struct Stopwatch {
    process: u32,
    begin: Instant,
    server: Duration,
    generator: Duration,
}

/// What a stopwatch saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// On the clock.
    pub(crate) wall: Duration,
    /// Processor time of the server.
    pub(crate) server: Duration,
    /// Processor time of this process.
    pub(crate) generator: Duration,
}

impl Stopwatch {
    /// Starts it for the server with this process id.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn start(process: u32) -> Result<Self> {
        let (server, generator) = (processor_time(process)?, processor_time(std::process::id())?);
        Ok(Self { process, begin: Instant::now(), server, generator })
    }

    /// Stops it.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn stop(self) -> Result<Spent> {
        Ok(Spent {
            wall: self.begin.elapsed(),
            server: processor_time(self.process)?.saturating_sub(self.server),
            generator: processor_time(std::process::id())?.saturating_sub(self.generator),
        })
    }
}

/// Returns the processor time that this thread has used: on a machine that is shared it says more than a clock.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Returns the resident memory of a process in bytes.
///
/// # Errors
/// When the process is gone.
pub(crate) fn resident_bytes(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes: u64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Ok(kilobytes * 1024)
}

/// Returns what the figures were taken on: processor, cores and kernel, no names.
pub(crate) fn description() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(':')).map_or("unknown processor", |(_, model)| model.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    format!("{model}, {cores} cores, Linux {kernel}")
}

/// Who gets a core of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The server that is measured.
    Server,
    /// The load generator.
    Generator,
}

/// Binds this thread, and whatever it starts from now on, to one core; given back when dropped.
pub(crate) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    /// Binds to the core of a role: the first or the second that this process may use.
    ///
    /// # Errors
    /// [`Error::Cores`] where there is only one.
    pub(crate) fn to(role: Role) -> Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| before.is_set(*core));
        let (Some(first), Some(second)) = (cores.next(), cores.next()) else { return Err(Error::Cores) };
        let mut set = CpuSet::new();
        set.set(if role == Role::Server { first } else { second });
        sched_setaffinity(None, &set)?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Only fails when the cores have gone away in the meantime.
        let _ = sched_setaffinity(None, &self.before);
    }
}
