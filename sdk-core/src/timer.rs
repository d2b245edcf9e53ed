use std::time::Duration;

use moorline_protocol::time::Timestamp;

/// An answer of the server or the host is awaited for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the earliest of several deadlines, each owned by the state that set it.
pub(crate) fn earliest(deadlines: &[Option<Timestamp>]) -> Option<Timestamp> {
    deadlines.iter().copied().flatten().min()
}

/// Tells whether a deadline has passed.
pub(crate) fn is_due(deadline: Option<Timestamp>, now: Timestamp) -> bool {
    deadline.is_some_and(|at| at <= now)
}
