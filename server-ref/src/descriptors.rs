use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that the log and the runtime always have.
const RESERVE: u64 = 64;

/// Raises the limit of open files as far as the system lets it, and returns how many of them clients may have: the log
/// must never be without one. `None` where there is no limit.
pub(crate) fn for_clients() -> Option<u32> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised { maximum } else { current }?;
    let reserve = (limit / 4).max(RESERVE).min(limit / 2);
    Some(u32::try_from(limit - reserve).unwrap_or(u32::MAX))
}
