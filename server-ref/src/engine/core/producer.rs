use std::collections::{BTreeMap, VecDeque};

use moorline_protocol::limits::{PRODUCER_CHANNELS, PRODUCER_VERDICTS};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Generation, Offset, ReusedBy, Sequence};

use crate::engine::record::{ChannelId, Outcome, Verdict};
use crate::engine::{Appended, Owner, SessionId};
use crate::planted::{Bug, Bugs};

/// A publisher's identity: what makes a publish happen once.
#[derive(Clone, Debug)]
pub(super) struct Producer {
    pub(super) owner: Owner,
    pub(super) generation: Generation,
    pub(super) used: UnixMillis,
    /// The connection it is attached to.
    pub(super) session: Option<SessionId>,
    pub(super) channels: BTreeMap<ChannelId, Track>,
}

/// A producer's place in one channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    pub(super) last: Sequence,
    pub(super) verdicts: VecDeque<Verdict>,
}

/// What a sequence means to a track.
pub(super) enum Check {
    /// It is the next one.
    Next,
    /// It was settled: this is the answer.
    Settled(Settled),
}

/// An answer that is known without looking at the message.
pub(super) enum Settled {
    /// As it is.
    As(Appended),
    /// It stands at this offset.
    Duplicate(Offset),
}

impl Producer {
    /// Tells whether this producer may write to one more channel.
    pub(super) fn has_room_for(&self, channel: ChannelId) -> bool {
        self.channels.len() < PRODUCER_CHANNELS || self.channels.contains_key(&channel)
    }
}

impl Track {
    /// Compares a sequence and its content's hash with what is known.
    pub(super) fn check(&self, seq: Sequence, hash: u64, bugs: Bugs) -> Check {
        if seq == self.last + 1 || (seq > self.last && bugs.has(Bug::AcceptGap)) {
            return Check::Next;
        }
        if seq > self.last {
            return Check::Settled(Settled::As(Appended::Gap { expected: self.last + 1 }));
        }
        let kept = if bugs.has(Bug::FewVerdicts) { 4 } else { PRODUCER_VERDICTS };
        let known = self.verdicts.iter().rev().take(kept).find(|verdict| verdict.seq == seq);
        let same = known.filter(|verdict| verdict.hash == hash || bugs.has(Bug::IgnoreVerdictHash));
        Check::Settled(match same.map(|verdict| &verdict.outcome) {
            None => Settled::As(Appended::Reused(ReusedBy::Seq)),
            Some(Outcome::Stored(offset) | Outcome::Duplicate(offset)) => Settled::Duplicate(*offset),
            Some(Outcome::Refused(code)) => Settled::As(Appended::Refused(code.clone())),
            Some(Outcome::ReusedId) => Settled::As(Appended::Reused(ReusedBy::Id)),
        })
    }

    pub(super) fn settle(&mut self, verdict: Verdict) {
        self.last = self.last.max(verdict.seq);
        self.verdicts.push_back(verdict);
        self.keep(PRODUCER_VERDICTS);
    }

    /// Keeps the newest so many verdicts.
    pub(super) fn keep(&mut self, most: usize) {
        while self.verdicts.len() > most {
            self.verdicts.pop_front();
        }
    }
}
