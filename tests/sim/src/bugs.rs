//! Planted bugs: each breaks one rule, and a simulator worth its name finds it.

use moorline_core::planted::{Bug as CoreBug, Bugs as CoreBugs};
use moorline_server::planted::{Bug as ServerBug, Bugs as ServerBugs};

/// Where a bug is planted.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// In the client core.
    Core(CoreBug),
    /// In the server's node or engine.
    Server(ServerBug),
}

/// A planted bug, and a seed that finds it.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// Its name.
    pub name: &'static str,
    /// Where.
    pub place: Place,
    /// A seed that finds it; 0 for one of [`UNSEEN`].
    pub seed: u64,
}

const fn core(name: &'static str, bug: CoreBug, seed: u64) -> Planted {
    Planted { name, place: Place::Core(bug), seed }
}

const fn server(name: &'static str, bug: ServerBug, seed: u64) -> Planted {
    Planted { name, place: Place::Server(bug), seed }
}

/// Those that it finds, each with the lowest seed that does.
pub const PLANTED: &[Planted] = &[
    core("send-before-persist", CoreBug::SendBeforePersist, 76),
    core("epoch-without-offset", CoreBug::EpochWithoutOffset, 1),
    core("resend-with-new-sequence", CoreBug::ResendWithNewSequence, 2),
    core("sequence-not-persisted", CoreBug::SequenceNotPersisted, 2),
    core("backoff-without-delay", CoreBug::BackoffWithoutDelay, 10),
    core("ack-before-consumed", CoreBug::AckBeforeConsumed, 5),
    core("loss-forgotten", CoreBug::LossForgotten, 1),
    core("resume-from-now", CoreBug::ResumeFromNow, 0),
    core("boot-not-counted", CoreBug::BootNotCounted, 381),
    server("answer-before-sync", ServerBug::AnswerBeforeSync, 479),
    server("accept-gap", ServerBug::AcceptGap, 2921),
    server("forget-verdict-in-record", ServerBug::ForgetVerdictInRecord, 2),
    server("keep-epoch", ServerBug::KeepEpoch, 1),
];

/// Those that it does not find yet: a further fault would have to happen for the breach to be seen from outside, and
/// it is not drawn. They can be planted by name.
pub const UNSEEN: &[Planted] = &[
    core("position-before-accept", CoreBug::PositionBeforeAccept, 0),
    core("hole-ignored", CoreBug::HoleIgnored, 0),
    core("duplicates-accepted", CoreBug::DuplicatesAccepted, 0),
    core("late-callbacks", CoreBug::LateCallbacks, 0),
    core("goaway-ignored", CoreBug::GoawayIgnored, 0),
    core("stale-errors", CoreBug::StaleErrors, 0),
    server("ignore-verdict-hash", ServerBug::IgnoreVerdictHash, 0),
    server("ignore-generation", ServerBug::IgnoreGeneration, 0),
    server("resume-trimmed", ServerBug::ResumeTrimmed, 0),
    server("cursor-moves-back", ServerBug::CursorMovesBack, 0),
    server("page-past-hub", ServerBug::PagePastHub, 0),
    server("skip-trimmed", ServerBug::SkipTrimmed, 0),
    server("more-ignores-epoch", ServerBug::MoreIgnoresEpoch, 0),
    server("ack-past-delivered", ServerBug::AckPastDelivered, 0),
    server("keep-old-grants", ServerBug::KeepOldGrants, 0),
    server("ignore-revocation", ServerBug::IgnoreRevocation, 0),
];

/// At most one bug, for a whole run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bugs {
    place: Option<Place>,
}

impl Bugs {
    /// Returns the bug with this name.
    ///
    /// # Errors
    /// A text that names them all.
    pub fn named(name: &str) -> Result<Self, String> {
        if cfg!(not(feature = "planted-bugs")) {
            return Err("built without the feature planted-bugs".into());
        }
        match PLANTED.iter().chain(UNSEEN).find(|planted| planted.name == name) {
            Some(planted) => Ok(Self { place: Some(planted.place) }),
            None => Err(PLANTED.iter().chain(UNSEEN).map(|planted| planted.name).collect::<Vec<_>>().join("\n")),
        }
    }

    pub(crate) fn core(self) -> CoreBugs {
        match self.place {
            Some(Place::Core(bug)) => CoreBugs::only(bug),
            _ => CoreBugs::default(),
        }
    }

    pub(crate) fn server(self) -> ServerBugs {
        match self.place {
            Some(Place::Server(bug)) => ServerBugs::only(bug),
            _ => ServerBugs::default(),
        }
    }
}
