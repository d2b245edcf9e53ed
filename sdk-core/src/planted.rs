//! Switches that break one rule of the client each, so that the simulator can prove that it would notice.
//!
//! Compiled only with the feature `planted-bugs`; otherwise [`Bugs::has`] is a constant `false`.

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bug {
    /// A QoS 2 message is sent before the store has committed it.
    SendBeforePersist,
    /// The position moves to a message that shows a hole, although it is not accepted.
    PositionBeforeAccept,
    /// A reset changes the epoch of the position and keeps its offset.
    EpochWithoutOffset,
    /// A hole is delivered as if it were none.
    HoleIgnored,
    /// Messages at or before the position are delivered again.
    DuplicatesAccepted,
    /// After a reconnect, messages without an answer get a new sequence.
    ResendWithNewSequence,
    /// The next sequence of a channel is not stored.
    SequenceNotPersisted,
    /// Reconnects wait for a millisecond, whatever happened.
    BackoffWithoutDelay,
    /// Late callbacks of an old socket count as the current one's.
    LateCallbacks,
    /// Messages are acknowledged when they are handed out, not when the app is done.
    AckBeforeConsumed,
    /// A `goaway` changes nothing.
    GoawayIgnored,
    /// After a reconnect, subscriptions go on from now instead of after their positions.
    ResumeFromNow,
    /// Answers belong to sends in the order of sending, whatever their `req` says.
    AnswersInOrder,
    /// After a temporary refusal nothing is sent again.
    RefusalForgotten,
    /// After a temporary refusal a message gets a new sequence.
    RefusalRenumbered,
    /// A message that is refused for ever is sent again and again.
    PoisonBlocks,
    /// What had no answer when the connection broke is not sent again.
    LossForgotten,
    /// A batch that the store refused counts as stored.
    StoreFailureIgnored,
    /// The outbox takes messages without end.
    OutboxUnbounded,
    /// A cursor's last position is not shown to the server.
    CursorWithoutPosition,
    /// The server is never asked to pause.
    NeverPauses,
    /// Replay pages are never confirmed.
    PagesUnconfirmed,
    /// Every delivery behind a hole asks for it again.
    RepairEveryHole,
    /// A silent connection counts as alive.
    SilenceTolerated,
    /// A frame of a later version ends the connection, even one that may be ignored.
    LaterFramesEnd,
    /// Every process of a device has the same boot number.
    BootNotCounted,
    /// Changes of members behind a hole are taken as if nothing were missing.
    PresenceHoleIgnored,
    /// After a reconnect a member enters again without its state.
    ReentryWithoutState,
    /// After a reconnect a member does not enter again.
    ReentryForgotten,
    /// What was inflated is not checked.
    ChecksumIgnored,
    /// What cannot be inflated is dropped, and nobody asks for it again.
    FaultsDropped,
    /// A refusal of what was sent before without an answer is final at QoS 1, too.
    ResendRefusedFails,
    /// Users that were followed are not asked for again after a reconnect.
    StatusForgotten,
    /// Who may not follow a user any more does not hear it.
    StatusDenialUnheard,
    /// A message to one's own inbox is numbered by the name the app gave.
    InboxTwice,
    /// A store counts as its finder's.
    StoreOfAnybody,
    /// A message that was too large ends the client for good.
    TooLargeIsFinal,
    /// Who is cut before the moment of a move waits for that moment.
    MoveIsRestart,
    /// A server can send its clients away for any time.
    AwayUnbounded,
    /// A request is waited for without end.
    UnansweredForEver,
    /// A producer without room for another channel is waited for.
    FullProducerWaits,
    /// The cursor is that of the fastest reader.
    AckOfFastest,
    /// Each acknowledgement is sent by itself.
    AckAtOnce,
    /// Pages are confirmed as the fastest reader takes them.
    ConfirmForFastest,
    /// A subscription that is refused for the moment ends.
    RefusedSubscribeEnds,
    /// What has expired between two messages counts as lost.
    PrevIgnored,
    /// What may have been handed out before is not marked.
    RepeatsUnmarked,
    /// Pauses after refusals are not doubled.
    PausesConstant,
    /// What arrives before a subscription is confirmed counts as its own.
    EndedDelivers,
    /// What a failed batch was to remove from the store is not tried again.
    RemovalsDropped,
    /// Clients that are cut together come back together.
    CrowdTogether,
    /// A call whose connection ended is sent again.
    CallSentAgain,
    /// A call whose connection ended is forgotten, and its app never hears of it.
    CallForgotten,
    /// The server's pings are not answered.
    PingsUnanswered,
}

/// The switch: at most one bug at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    #[cfg(feature = "planted-bugs")]
    active: Option<Bug>,
}

impl Bugs {
    /// Switches one bug on; without the feature nothing happens.
    #[must_use]
    #[cfg_attr(not(feature = "planted-bugs"), expect(unused_variables, reason = "the switch is compiled out"))]
    pub fn only(bug: Bug) -> Self {
        Self {
            #[cfg(feature = "planted-bugs")]
            active: Some(bug),
        }
    }

    /// Tells whether `bug` is switched on.
    #[inline]
    #[cfg_attr(not(feature = "planted-bugs"), expect(unused_variables, reason = "the switch is compiled out"))]
    pub fn has(self, bug: Bug) -> bool {
        #[cfg(feature = "planted-bugs")]
        return self.active == Some(bug);
        #[cfg(not(feature = "planted-bugs"))]
        false
    }
}
