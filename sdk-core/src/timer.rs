use std::time::Duration;

use moorline_protocol::time::Timestamp;

/// Why a client wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TimerKind {
    /// The connection: an attempt, a pause, silence, a token.
    Connection,
    /// Subscriptions: acknowledgements, answers, presence.
    Subscriptions,
    /// The outbox: a pause that the server asked for, a message that expires.
    Outbox,
    /// An answer to a history query is awaited.
    History,
    /// An answer to a call is awaited.
    Calls,
    /// The status of users.
    Feed,
    /// A batch that the store could not write is tried again.
    Store,
    /// Closing takes no longer.
    Closing,
}

/// An answer of the server or the host is awaited for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the earliest of several deadlines, each owned by the state that set it.
pub(crate) fn earliest(deadlines: &[Option<Timestamp>]) -> Option<Timestamp> {
    deadlines.iter().copied().flatten().min()
}

/// Returns the earliest of several deadlines and what set it; of equal ones, the first of [`TimerKind`].
pub(crate) fn first(timers: &[(Option<Timestamp>, TimerKind)]) -> Option<(Timestamp, TimerKind)> {
    timers.iter().filter_map(|(at, kind)| Some(((*at)?, *kind))).min()
}

/// Tells whether a deadline has passed.
pub(crate) fn is_due(deadline: Option<Timestamp>, now: Timestamp) -> bool {
    deadline.is_some_and(|at| at <= now)
}
