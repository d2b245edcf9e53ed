//! What the operating system knows about a process, and which cores it may use.

use std::fs;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::Result;

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

/// Binds this thread, and whatever it starts from now on, to one core; given back when dropped.
pub(crate) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    /// Binds to the core with this number.
    ///
    /// # Errors
    /// When there is no such core.
    pub(crate) fn to(core: usize) -> Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut set = CpuSet::new();
        set.set(core);
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
