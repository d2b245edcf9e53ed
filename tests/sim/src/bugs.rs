//! Planted bugs: each breaks one rule, and a simulator worth its name finds it.

use moorline_core::planted::{Bug as CoreBug, Bugs as CoreBugs};
use moorline_server::planted::{Bug as ServerBug, Bugs as ServerBugs};

/// Where a bug is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the client core.
    Core(CoreBug),
    /// In the server's node or engine, or in the host of its engine.
    Server(ServerBug),
}

/// A planted bug, the promises that it breaks, and a seed that shows it.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// Its name.
    pub name: &'static str,
    /// Where.
    pub place: Place,
    /// The invariants that may be the first to break.
    pub breaks: &'static [u8],
    /// The lowest seed that finds it.
    pub seed: u64,
}

const fn core(name: &'static str, bug: CoreBug, breaks: &'static [u8], seed: u64) -> Planted {
    Planted { name, place: Place::Core(bug), breaks, seed }
}

const fn server(name: &'static str, bug: ServerBug, breaks: &'static [u8], seed: u64) -> Planted {
    Planted { name, place: Place::Server(bug), breaks, seed }
}

/// All of them.
pub const PLANTED: &[Planted] = &[
    core("send-before-persist", CoreBug::SendBeforePersist, &[2], 0),
    core("position-before-accept", CoreBug::PositionBeforeAccept, &[5, 7], 31),
    core("epoch-without-offset", CoreBug::EpochWithoutOffset, &[5, 6, 7], 0),
    core("hole-ignored", CoreBug::HoleIgnored, &[5], 31),
    core("duplicates-accepted", CoreBug::DuplicatesAccepted, &[5], 25),
    core("resend-with-new-sequence", CoreBug::ResendWithNewSequence, &[11], 2),
    core("sequence-not-persisted", CoreBug::SequenceNotPersisted, &[11], 9),
    core("backoff-without-delay", CoreBug::BackoffWithoutDelay, &[15], 1),
    core("late-callbacks", CoreBug::LateCallbacks, &[12], 52),
    core("ack-before-consumed", CoreBug::AckBeforeConsumed, &[7, 9], 9),
    core("goaway-ignored", CoreBug::GoawayIgnored, &[15], 25),
    core("answers-in-order", CoreBug::AnswersInOrder, &[8, 11], 2),
    core("refusal-forgotten", CoreBug::RefusalForgotten, &[11], 2),
    core("refusal-renumbered", CoreBug::RefusalRenumbered, &[11], 2),
    core("poison-blocks", CoreBug::PoisonBlocks, &[11], 2),
    core("loss-forgotten", CoreBug::LossForgotten, &[11], 0),
    core("store-failure-ignored", CoreBug::StoreFailureIgnored, &[2], 54),
    core("outbox-unbounded", CoreBug::OutboxUnbounded, &[12], 6),
    core("cursor-without-position", CoreBug::CursorWithoutPosition, &[7, 9], 9),
    core("never-pauses", CoreBug::NeverPauses, &[12], 0),
    core("pages-unconfirmed", CoreBug::PagesUnconfirmed, &[6], 48),
    core("repair-every-hole", CoreBug::RepairEveryHole, &[15], 37),
    core("silence-tolerated", CoreBug::SilenceTolerated, &[15], 62),
    core("later-frames-end", CoreBug::LaterFramesEnd, &[15], 22),
    core("resume-from-now", CoreBug::ResumeFromNow, &[7, 15], 0),
    core("boot-not-counted", CoreBug::BootNotCounted, &[6, 15], 292),
    core("checksum-ignored", CoreBug::ChecksumIgnored, &[5, 8], 66),
    core("faults-dropped", CoreBug::FaultsDropped, &[6], 23),
    core("call-sent-again", CoreBug::CallSentAgain, &[18], 28),
    core("call-forgotten", CoreBug::CallForgotten, &[15], 28),
    server("call-twice", ServerBug::CallTwice, &[18], 12),
    server("answer-before-sync", ServerBug::AnswerBeforeSync, &[1, 9], 0),
    server("duplicate-before-sync", ServerBug::DuplicateBeforeSync, &[1], 0),
    server("read-before-sync", ServerBug::ReadBeforeSync, &[1, 9], 0),
    server("sync-retried", ServerBug::SyncRetried, &[1, 9], 9),
    server("power-cut-keeps-name", ServerBug::PowerCutKeepsName, &[6, 8], 658),
    server("memory-keeps-epoch", ServerBug::MemoryKeepsEpoch, &[6, 8], 14),
    server("power-cut-keeps-epoch", ServerBug::PowerCutKeepsEpoch, &[1, 6, 7, 8], 0),
    server("forgotten-keeps-epoch", ServerBug::ForgottenKeepsEpoch, &[6, 8], 623),
    server("accept-gap", ServerBug::AcceptGap, &[3], 0),
    server("ignore-verdict-hash", ServerBug::IgnoreVerdictHash, &[1], 26),
    server("ignore-generation", ServerBug::IgnoreGeneration, &[10], 321),
    server("forget-verdict-in-record", ServerBug::ForgetVerdictInRecord, &[3, 11], 2),
    server("refusal-leaves-sequence", ServerBug::RefusalLeavesSequence, &[11], 2),
    server("refusal-takes-sequence", ServerBug::RefusalTakesSequence, &[11], 50),
    server("few-verdicts", ServerBug::FewVerdicts, &[11], 18),
    server("trim-forgets-ids", ServerBug::TrimForgetsIds, &[2], 0),
    server("attached-expires", ServerBug::AttachedExpires, &[11], 54),
    server("displace-by-arrival", ServerBug::DisplaceByArrival, &[10], 11),
    server("detach-removes-newer", ServerBug::DetachRemovesNewer, &[10], 50),
    server("time-falls", ServerBug::TimeFalls, &[3], 0),
    server("resume-trimmed", ServerBug::ResumeTrimmed, &[7], 0),
    server("cursor-moves-back", ServerBug::CursorMovesBack, &[9], 162),
    server("cursor-unwritten", ServerBug::CursorUnwritten, &[9], 0),
    server("cursor-from-head", ServerBug::CursorFromHead, &[7], 1),
    server("own-cursor-ignored", ServerBug::OwnCursorIgnored, &[7], 9),
    server("ack-before-write", ServerBug::AckBeforeWrite, &[9], 0),
    server("live-one-early", ServerBug::LiveOneEarly, &[5, 6], 48),
    server("page-past-hub", ServerBug::PagePastHub, &[5], 1390),
    server("skip-trimmed", ServerBug::SkipTrimmed, &[5], 89),
    server("more-ignores-epoch", ServerBug::MoreIgnoresEpoch, &[5, 6], 57),
    server("rewind-before-reset", ServerBug::RewindBeforeReset, &[6], 388801),
    server("more-moves-back", ServerBug::MoreMovesBack, &[5], 16),
    server("pages-unbounded", ServerBug::PagesUnbounded, &[12], 43),
    server("pause-ignored", ServerBug::PauseIgnored, &[4, 12], 39),
    server("pressure-ignored", ServerBug::PressureIgnored, &[12], 89),
    server("ephemeral-to-behind", ServerBug::EphemeralToBehind, &[4, 12], 39),
    server("late-pages", ServerBug::LatePages, &[5], 4840),
    server("ack-past-delivered", ServerBug::AckPastDelivered, &[9], 442),
    server("payload-unchecked", ServerBug::PayloadUnchecked, &[11], 2),
    server("attaching-stays", ServerBug::AttachingStays, &[12], 3171),
    server("grant-unchecked", ServerBug::GrantUnchecked, &[14], 158),
    server("keep-old-grants", ServerBug::KeepOldGrants, &[14], 48),
    server("ignore-revocation", ServerBug::IgnoreRevocation, &[14], 15),
    server("revocation-unwritten", ServerBug::RevocationUnwritten, &[14], 17),
    server("grace-forever", ServerBug::GraceForever, &[14], 197),
    server("silent-stays", ServerBug::SilentStays, &[12], 35),
    core("presence-hole-ignored", CoreBug::PresenceHoleIgnored, &[13], 89),
    core("reentry-without-state", CoreBug::ReentryWithoutState, &[13], 9),
    core("reentry-forgotten", CoreBug::ReentryForgotten, &[13], 9),
    server("ghost-stays", ServerBug::GhostStays, &[13], 46),
    server("presence-grace-ignored", ServerBug::PresenceGraceIgnored, &[13], 5),
    server("back-is-join", ServerBug::BackIsJoin, &[13], 72),
    server("first-state-stays", ServerBug::FirstStateStays, &[13], 4),
    server("part-removes-member", ServerBug::PartRemovesMember, &[13], 4),
    server("away-untold", ServerBug::AwayUntold, &[17], 22),
    core("status-forgotten", CoreBug::StatusForgotten, &[13], 14),
    core("status-denial-unheard", CoreBug::StatusDenialUnheard, &[13], 259483),
    server("status-untold", ServerBug::StatusUntold, &[13], 14),
    server("packed-too-early", ServerBug::PackedTooEarly, &[8], 4),
    server("packed-across-resets", ServerBug::PackedAcrossResets, &[8], 1310),
    server("packed-over-gap", ServerBug::PackedOverGap, &[8], 16),
    server("packed-with-ephemeral", ServerBug::PackedWithEphemeral, &[8], 0),
    server("packed-after-rewind", ServerBug::PackedAfterRewind, &[8], 2),
    server("packed-against-others", ServerBug::PackedAgainstOthers, &[8], 0),
    server("denial-ignored", ServerBug::DenialIgnored, &[19], 269),
];

/// Those that a scripted scenario finds (`tests/holes`), since no drawn one comes near.
pub const SCRIPTED: &[(&str, Place)] = &[
    ("cursor-unmoved", Place::Server(ServerBug::CursorUnmoved)),
    ("reused-leaves-sequence", Place::Server(ServerBug::ReusedLeavesSequence)),
    ("resend-refused-fails", Place::Core(CoreBug::ResendRefusedFails)),
    ("inbox-twice", Place::Core(CoreBug::InboxTwice)),
    ("store-of-anybody", Place::Core(CoreBug::StoreOfAnybody)),
    ("too-large-is-final", Place::Core(CoreBug::TooLargeIsFinal)),
    ("move-is-restart", Place::Core(CoreBug::MoveIsRestart)),
    ("away-unbounded", Place::Core(CoreBug::AwayUnbounded)),
    ("unanswered-for-ever", Place::Core(CoreBug::UnansweredForEver)),
    ("full-producer-waits", Place::Core(CoreBug::FullProducerWaits)),
    ("ack-of-fastest", Place::Core(CoreBug::AckOfFastest)),
    ("ack-at-once", Place::Core(CoreBug::AckAtOnce)),
    ("confirm-for-fastest", Place::Core(CoreBug::ConfirmForFastest)),
    ("refused-subscribe-ends", Place::Core(CoreBug::RefusedSubscribeEnds)),
    ("prev-ignored", Place::Core(CoreBug::PrevIgnored)),
    ("repeats-unmarked", Place::Core(CoreBug::RepeatsUnmarked)),
    ("pauses-constant", Place::Core(CoreBug::PausesConstant)),
    ("ended-delivers", Place::Core(CoreBug::EndedDelivers)),
    ("forget-needs-subscription", Place::Server(ServerBug::ForgetNeedsSubscription)),
    ("rewind-lowers-delivered", Place::Server(ServerBug::RewindLowersDelivered)),
    ("forged-position-counts", Place::Server(ServerBug::ForgedPositionCounts)),
    ("equal-run-loses", Place::Server(ServerBug::EqualRunLoses)),
    ("after-refused-hello", Place::Server(ServerBug::AfterRefusedHello)),
    ("producer-of-any-device", Place::Server(ServerBug::ProducerOfAnyDevice)),
    ("unanswered-unbounded", Place::Server(ServerBug::UnansweredUnbounded)),
    ("time-finds-newer", Place::Server(ServerBug::TimeFindsNewer)),
    ("page-without-at", Place::Server(ServerBug::PageWithoutAt)),
    ("grant-lost-unanswered", Place::Server(ServerBug::GrantLostUnanswered)),
    ("nobodys-ids-last", Place::Server(ServerBug::NobodysIdsLast)),
    ("nobody-is-durable", Place::Server(ServerBug::NobodyIsDurable)),
    ("cursors-uncounted", Place::Server(ServerBug::CursorsUncounted)),
    ("unknown-ends", Place::Server(ServerBug::UnknownEnds)),
    ("removals-dropped", Place::Core(CoreBug::RemovalsDropped)),
    ("crowd-together", Place::Core(CoreBug::CrowdTogether)),
    ("age-ignored", Place::Server(ServerBug::AgeIgnored)),
    ("ids-of-everybody", Place::Server(ServerBug::IdsOfEverybody)),
    ("pings-unanswered", Place::Core(CoreBug::PingsUnanswered)),
];

/// At most one bug, for a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        let drawn = PLANTED.iter().map(|planted| (planted.name, planted.place));
        match drawn.chain(SCRIPTED.iter().copied()).find(|(planted, _)| *planted == name) {
            Some((_, place)) => Ok(Self { place: Some(place) }),
            None => Err(PLANTED.iter().map(|planted| planted.name).collect::<Vec<_>>().join("\n")),
        }
    }

    pub(crate) fn is_planted(self) -> bool {
        self.place.is_some()
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
