use std::collections::VecDeque;

use moorline_protocol::limits::{PRODUCER_CHANNELS, PRODUCER_VERDICTS};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{ErrorCode, Generation, Offset, ReusedBy, Sequence};

use super::resident::Mark;
use crate::engine::record::{ChannelId, Outcome, Verdict};
use crate::engine::{Appended, Owner, SessionId};
use crate::planted::{Bug, Bugs};

/// A publisher's identity: what makes a publish happen once.
#[derive(Clone, Debug)]
pub(super) struct Producer {
    pub(super) owner: Owner,
    pub(super) generation: Generation,
    /// When it was last attached, detached, or published.
    pub(super) used: UnixMillis,
    /// The last use that stands in the records.
    pub(super) noted: UnixMillis,
    /// When it last published.
    pub(super) published: UnixMillis,
    /// The connection it is attached to.
    pub(super) session: Option<SessionId>,
    /// Whether the store has it.
    pub(super) mark: Mark,
    /// Its places in channels, by their number.
    tracks: Vec<(ChannelId, Track)>,
}

/// A producer's place in one channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    pub(super) last: Sequence,
    /// The newest verdicts, of consecutive sequences up to the last.
    verdicts: VecDeque<Ruling>,
}

/// A verdict without its sequence, in 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ruling {
    hash: u64,
    /// What became of it: the kind in the low bits, then the offset or the number of the error code.
    outcome: u64,
}

const STORED: u64 = 0;
const DUPLICATE: u64 = 1;
const REFUSED: u64 = 2;
const REUSED_ID: u64 = 3;

impl Ruling {
    fn new(hash: u64, outcome: &Outcome) -> Self {
        let (kind, value) = match outcome {
            Outcome::Stored(offset) => (STORED, offset.0),
            Outcome::Duplicate(offset) => (DUPLICATE, offset.0),
            Outcome::Refused(code) => (REFUSED, u64::from(code.number())),
            Outcome::ReusedId => (REUSED_ID, 0),
        };
        Self { hash, outcome: value << 2 | kind }
    }

    fn outcome(self) -> Outcome {
        let value = self.outcome >> 2;
        match self.outcome & 3 {
            STORED => Outcome::Stored(Offset(value)),
            DUPLICATE => Outcome::Duplicate(Offset(value)),
            // A code of a later version, to which this one cannot even refer.
            REFUSED => Outcome::Refused(ErrorCode::from_number(value as u16).unwrap_or(ErrorCode::RequestUnsupported)),
            _ => Outcome::ReusedId,
        }
    }
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
    pub(super) fn new(owner: Owner, generation: Generation, used: UnixMillis) -> Self {
        Self {
            owner,
            generation,
            used,
            noted: used,
            published: used,
            session: None,
            mark: Mark::default(),
            tracks: Vec::new(),
        }
    }

    /// Returns its place in a channel, if it has one.
    pub(super) fn track(&self, channel: ChannelId) -> Option<&Track> {
        let at = self.tracks.binary_search_by_key(&channel, |(id, _)| *id).ok()?;
        self.tracks.get(at).map(|(_, track)| track)
    }

    /// Returns its place in a channel; a new one if it has none.
    pub(super) fn track_mut(&mut self, channel: ChannelId) -> Option<&mut Track> {
        let found = self.tracks.binary_search_by_key(&channel, |(id, _)| *id);
        let (Ok(at) | Err(at)) = found;
        if found.is_err() {
            self.tracks.insert(at, (channel, Track::default()));
        }
        self.tracks.get_mut(at).map(|(_, track)| track)
    }

    pub(super) fn tracks(&self) -> impl Iterator<Item = (ChannelId, &Track)> {
        self.tracks.iter().map(|(id, track)| (*id, track))
    }

    /// Tells whether it may write to one more channel.
    pub(super) fn has_room(&self) -> bool {
        self.tracks.len() < PRODUCER_CHANNELS
    }

    /// Keeps the newest so many verdicts of each channel.
    pub(super) fn keep(&mut self, most: usize) {
        for (_, track) in &mut self.tracks {
            if track.verdicts.len() > most || track.verdicts.capacity() > most.max(track.verdicts.len()) {
                track.keep(most);
                track.verdicts.shrink_to_fit();
            }
        }
    }
}

impl Track {
    /// Compares a sequence and its content's hash with what is known; of no track if there is none yet.
    pub(super) fn check(track: Option<&Self>, seq: Sequence, hash: u64, bugs: Bugs) -> Check {
        let last = track.map_or(0, |track| track.last);
        if seq == last + 1 || (seq > last && bugs.has(Bug::AcceptGap)) {
            return Check::Next;
        }
        if seq > last {
            return Check::Settled(Settled::As(Appended::Gap { expected: last + 1 }));
        }
        let kept = if bugs.has(Bug::FewVerdicts) { 4 } else { u64::MAX };
        let known = track.and_then(|track| track.ruling(seq)).filter(|_| last - seq < kept);
        let same = known.filter(|ruling| ruling.hash == hash || bugs.has(Bug::IgnoreVerdictHash));
        Check::Settled(match same.map(Ruling::outcome) {
            None => Settled::As(Appended::Reused(ReusedBy::Seq)),
            Some(Outcome::Stored(offset) | Outcome::Duplicate(offset)) => Settled::Duplicate(offset),
            Some(Outcome::Refused(code)) => Settled::As(Appended::Refused(code)),
            Some(Outcome::ReusedId) => Settled::As(Appended::Reused(ReusedBy::Id)),
        })
    }

    fn ruling(&self, seq: Sequence) -> Option<Ruling> {
        let back = self.last.checked_sub(seq)? as usize;
        let at = self.verdicts.len().checked_sub(back + 1)?;
        self.verdicts.get(at).copied()
    }

    pub(super) fn settle(&mut self, verdict: &Verdict) {
        if verdict.seq != self.last + 1 {
            self.verdicts.clear();
        }
        self.last = self.last.max(verdict.seq);
        self.verdicts.push_back(Ruling::new(verdict.hash, &verdict.outcome));
        self.keep(PRODUCER_VERDICTS);
    }

    /// Returns the verdicts that are kept, ascending.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        let first = self.last + 1 - self.verdicts.len() as u64;
        let numbered = (first..).zip(&self.verdicts);
        numbered.map(|(seq, ruling)| Verdict { seq, hash: ruling.hash, outcome: ruling.outcome() })
    }

    fn keep(&mut self, most: usize) {
        let over = self.verdicts.len().saturating_sub(most);
        self.verdicts.drain(..over);
    }
}
