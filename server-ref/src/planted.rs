//! Switches that break one rule of the protocol each, so that the simulator can prove that it would notice.
//!
//! Compiled only with the feature `planted-bugs`; otherwise [`Bugs::has`] is a constant `false`.

/// One broken rule. The name says which; the simulator's table says how fast it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bug {
    /// Publishes are answered before they are durable (a host's).
    AnswerBeforeSync,
    /// A duplicate of a publish is answered before that publish is durable (a host's).
    DuplicateBeforeSync,
    /// Reads and the beginnings of subscriptions are answered before what they show is durable (a host's).
    ReadBeforeSync,
    /// A sync that failed is tried again, as if the first had done nothing (a host's).
    SyncRetried,
    /// A store that has lost writes in a power cut keeps its name (a host's).
    PowerCutKeepsName,
    /// A store in memory has the same name after each start (a host's).
    MemoryKeepsEpoch,
    /// Positions from before a power cut count, although writes were lost.
    PowerCutKeepsEpoch,
    /// A channel that was forgotten begins again under the epoch it had.
    ForgottenKeepsEpoch,
    /// A sequence after a missing one is stored.
    AcceptGap,
    /// A sequence that was used for another message counts as the same.
    IgnoreVerdictHash,
    /// A publish of an older connection of the producer is stored.
    IgnoreGeneration,
    /// A stored message's place in its producer's sequence is not written with it.
    ForgetVerdictInRecord,
    /// A refusal for ever leaves its sequence open.
    RefusalLeavesSequence,
    /// A refusal for the moment uses its sequence up.
    RefusalTakesSequence,
    /// Only the last four verdicts of a producer are kept.
    FewVerdicts,
    /// Removing old messages removes what deduplicates them.
    TrimForgetsIds,
    /// A producer that is attached expires.
    AttachedExpires,
    /// The older connection of a device wins or loses by the order of arrival.
    DisplaceByArrival,
    /// The end of a connection makes the device's newer one unknown.
    DetachRemovesNewer,
    /// A message's time follows the clock, even backwards.
    TimeFalls,
    /// A message for a user who is away is told to nobody.
    AwayUntold,
    /// A position whose messages were removed counts as complete.
    ResumeTrimmed,
    /// An old acknowledgement moves the cursor back.
    CursorMovesBack,
    /// A cursor is not written when it is made.
    CursorUnwritten,
    /// A cursor that is gone begins at the head, whatever the client had acknowledged.
    CursorFromHead,
    /// The server's cursor counts, however much further the client's own position is.
    OwnCursorIgnored,
    /// The client's own position counts, and does not become the server's cursor.
    CursorUnmoved,
    /// Acknowledgements are answered before the cursor is written.
    AckBeforeWrite,
    /// A reader goes live one message before it has reached the head.
    LiveOneEarly,
    /// A page shows what was not fanned out yet.
    PagePastHub,
    /// A reader that retention has overtaken goes on without a word.
    SkipTrimmed,
    /// A `more` of another epoch counts.
    MoreIgnoresEpoch,
    /// A `more` without `rewind` moves the reader back.
    MoreMovesBack,
    /// Pages are sent without waiting for confirmation.
    PagesUnbounded,
    /// `pause` changes nothing.
    PauseIgnored,
    /// Live subscriptions stay live, however full the out-queue is.
    PressureIgnored,
    /// Ephemeral messages go to readers that are behind as well.
    EphemeralToBehind,
    /// A page for a reader that has moved counts.
    LatePages,
    /// An acknowledgement beyond what was delivered counts.
    AckPastDelivered,
    /// A payload that is no JSON is stored as if it were.
    PayloadUnchecked,
    /// A connection that ends while it attaches stays known.
    AttachingStays,
    /// A subscription needs no grant.
    GrantUnchecked,
    /// Subscriptions outlive the grants they rest on.
    KeepOldGrants,
    /// Revoked connections stay.
    IgnoreRevocation,
    /// Revocations die with the process.
    RevocationUnwritten,
    /// A connection outlives its token without end.
    GraceForever,
    /// Silent connections stay.
    SilentStays,
    /// A connection that closed without a word stays a member.
    GhostStays,
    /// A connection that closes is no member any more at once.
    PresenceGraceIgnored,
    /// Who returns after a timeout is told as somebody new.
    BackIsJoin,
    /// A member's state is that of the connection that entered first.
    FirstStateStays,
    /// The end of a connection removes the member, whatever other connections it has.
    PartRemovesMember,
    /// Who goes live is sent compressed messages at once, whatever it holds.
    PackedTooEarly,
    /// What was sent before a reset counts as held after it.
    PackedAcrossResets,
    /// What expired before it was sent counts as held.
    PackedOverGap,
    /// Ephemeral messages are part of the dictionary.
    PackedWithEphemeral,
    /// What was asked for again comes compressed again.
    PackedAfterRewind,
    /// Messages are deflated against others than the frame says.
    PackedAgainstOthers,
    /// An id that was used for another message leaves its sequence open.
    ReusedLeavesSequence,
    /// Who follows a user is not told when that user comes or goes.
    StatusUntold,
    /// A cursor is forgotten only with a subscription.
    ForgetNeedsSubscription,
    /// After a rewind, only what is sent again counts as delivered.
    RewindLowersDelivered,
    /// A position beyond the head is believed.
    ForgedPositionCounts,
    /// Of two equal runs, the connection that was there first stays.
    EqualRunLoses,
    /// What follows a refused hello in its message is taken.
    AfterRefusedHello,
    /// A producer is resumed by whoever names it.
    ProducerOfAnyDevice,
    /// Publishes without an answer may pile up.
    UnansweredUnbounded,
    /// A time finds only what is newer.
    TimeFindsNewer,
    /// The last page does not say how far it reaches.
    PageWithoutAt,
    /// A subscribe whose grant is lost meanwhile is not answered.
    GrantLostUnanswered,
    /// Ids of an anonymous connection outlive it.
    NobodysIdsLast,
    /// An anonymous connection may have a cursor.
    NobodyIsDurable,
    /// A rewind that crosses a reset undoes it.
    RewindBeforeReset,
    /// Nobody counts how many cursors a user has.
    CursorsUncounted,
    /// A frame that the server does not know ends the connection.
    UnknownEnds,
    /// Messages are kept whatever their age.
    AgeIgnored,
    /// An id is known whoever used it.
    IdsOfEverybody,
    /// A channel that the app denies is opened all the same.
    DenialIgnored,
    /// A call is handed to the backend twice.
    CallTwice,
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
