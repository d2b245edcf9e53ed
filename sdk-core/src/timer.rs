use moorline_protocol::time::Timestamp;

/// Returns the earliest of several deadlines, each owned by the state that set it.
pub(crate) fn earliest(deadlines: &[Option<Timestamp>]) -> Option<Timestamp> {
    deadlines.iter().copied().flatten().min()
}

/// Tells whether a deadline has passed.
pub(crate) fn is_due(deadline: Option<Timestamp>, now: Timestamp) -> bool {
    deadline.is_some_and(|at| at <= now)
}
