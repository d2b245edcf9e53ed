//! Switches that break one rule of the protocol each, so that the simulator can prove that it would notice.
//!
//! Compiled only with the feature `planted-bugs`; otherwise [`Bugs::has`] is a constant `false`.

/// One broken rule. The name says which; the simulator's table says how fast it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bug {
    /// Publishes are answered before they are durable.
    AnswerBeforeSync,
    /// A sequence after a missing one is stored.
    AcceptGap,
    /// A sequence that was used for another message counts as the same.
    IgnoreVerdictHash,
    /// A publish of an older connection of the producer is stored.
    IgnoreGeneration,
    /// A stored message's place in its producer's sequence is not written with it.
    ForgetVerdictInRecord,
    /// A position whose messages were removed counts as complete.
    ResumeTrimmed,
    /// An old acknowledgement moves the cursor back.
    CursorMovesBack,
    /// A reader reads past what the hub has fanned out.
    PagePastHub,
    /// A reader that retention has overtaken goes on without a word.
    SkipTrimmed,
    /// A `more` of another epoch counts.
    MoreIgnoresEpoch,
    /// An acknowledgement beyond what was delivered counts.
    AckPastDelivered,
    /// Subscriptions outlive the grants they rest on.
    KeepOldGrants,
    /// Revoked connections stay.
    IgnoreRevocation,
    /// After a loss of acknowledged messages, channels keep their epochs.
    KeepEpoch,
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
