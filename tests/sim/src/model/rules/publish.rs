use std::collections::BTreeMap;

use moorline_core::protocol::{ChannelName, ErrorCode, Generation, Offset, ProducerId, ReusedBy, Sequence, limits};
use moorline_server::engine::record::{ChannelId, Record};
use moorline_server::engine::{Append, Appended, Owner, SessionId};

use super::{Channel, Rules};
use crate::model::Violation;

/// Verdicts that every engine keeps of a busy producer, and of an idle one.
const VERDICTS: (u64, u64) = (64, 32);
/// ms that ids are kept if the run does not say otherwise.
const IDS_MS: u64 = 24 * 3_600_000;

/// When the messages of a batch were stored.
pub(super) type Times = BTreeMap<(ChannelId, Offset), u64>;

/// A message's id that was used.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) hash: u64,
    pub(super) offset: Offset,
    pub(super) time: u64,
}

/// A producer and everything it ever published.
pub(super) struct Producer {
    pub(super) owner: Owner,
    pub(super) generation: Generation,
    pub(super) attached: Option<SessionId>,
    tracks: BTreeMap<ChannelName, BTreeMap<Sequence, (u64, Verdict)>>,
}

/// What became of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    At(Offset),
    Refused(ErrorCode),
    ReusedId,
}

/// What the answer to a publish must be.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Stored(Offset),
    Duplicate(Offset),
    Refused(ErrorCode),
    Gap(Sequence),
    Reused(ReusedBy),
    Fenced,
    UnknownProducer,
    /// The producer has no room for another channel.
    Full,
}

impl Rules {
    /// Order of checks: generation, sequence, the node's verdict, id.
    pub(super) fn append(
        &mut self,
        append: &Append,
        appended: &Appended,
        times: &Times,
        now: u64,
    ) -> Option<Violation> {
        let allowed = self.answers(append, now);
        let Some(answer) = allowed.iter().find(|answer| answer.fits(appended)) else {
            return Some(wrong(&allowed, appended));
        };
        let name = &append.channel.name;
        let id = self.numbers.iter().find(|(_, known)| *known == name).map(|(id, _)| *id);
        let verdict = match answer {
            Answer::Stored(offset) => {
                let time = id.and_then(|id| times.get(&(id, *offset)).copied());
                let channel = self.channels.entry(name.clone()).or_default();
                channel.head = *offset;
                let key = (append.scope.to_string(), append.id.as_str().to_owned());
                channel.ids.insert(key, Known { hash: append.hash, offset: *offset, time: time.unwrap_or(now) });
                Verdict::At(*offset)
            }
            Answer::Duplicate(offset) => Verdict::At(*offset),
            Answer::Refused(code) => Verdict::Refused(code.clone()),
            Answer::Reused(ReusedBy::Id) => Verdict::ReusedId,
            Answer::Reused(ReusedBy::Seq)
            | Answer::Gap(_)
            | Answer::Fenced
            | Answer::UnknownProducer
            | Answer::Full => {
                return None;
            }
        };
        if let (Some(sequence), Some(id)) = (append.producer, id) {
            self.settle(id, sequence.id, sequence.seq, append.hash, verdict);
        }
        None
    }

    /// Returns the answers that the rules allow: more than one where a window has passed for one clock only.
    fn answers(&mut self, append: &Append, now: u64) -> Vec<Answer> {
        let name = &append.channel.name;
        if let Some(sequence) = append.producer {
            let Some(producer) = self.producers.get(&sequence.id) else { return vec![Answer::UnknownProducer] };
            if producer.generation != sequence.generation {
                return vec![Answer::Fenced];
            }
            if !producer.tracks.contains_key(name) && producer.tracks.len() >= limits::PRODUCER_CHANNELS {
                return vec![Answer::Full];
            }
            if let Some(answers) = producer.settled(name, sequence.seq, append.hash) {
                return answers;
            }
        }
        if let Err(code) = &append.verdict {
            return vec![Answer::Refused(code.clone())];
        }
        let channel = self.channels.entry(name.clone()).or_default();
        let ids_ms = self.keeps.ids_ms.unwrap_or(IDS_MS);
        channel.by_id(append, now.saturating_sub(ids_ms), self.latest.saturating_sub(ids_ms))
    }

    pub(super) fn settle(
        &mut self,
        channel: ChannelId,
        producer: ProducerId,
        seq: Sequence,
        hash: u64,
        verdict: Verdict,
    ) {
        let Some(name) = self.numbers.get(&channel).cloned() else { return };
        if let Some(producer) = self.producers.get_mut(&producer) {
            producer.tracks.entry(name).or_default().entry(seq).or_insert((hash, verdict));
        }
    }
}

impl Channel {
    fn by_id(&self, append: &Append, oldest: u64, surely: u64) -> Vec<Answer> {
        let next = Answer::Stored(self.head.next());
        let key = (append.scope.to_string(), append.id.as_str().to_owned());
        let Some(known) = self.ids.get(&key).filter(|known| known.time >= oldest) else { return vec![next] };
        let again = match known.hash == append.hash {
            true => Answer::Duplicate(known.offset),
            false => Answer::Reused(ReusedBy::Id),
        };
        // An id is forgotten for good once the engine's clock was past its time, even if the clock falls back.
        if known.time >= surely { vec![again] } else { vec![again, next] }
    }
}

impl Producer {
    pub(super) fn new(owner: Owner, generation: Generation) -> Self {
        Self { owner, generation, attached: None, tracks: BTreeMap::new() }
    }

    /// Returns the answers to a sequence that is not the next one.
    fn settled(&self, channel: &ChannelName, seq: Sequence, hash: u64) -> Option<Vec<Answer>> {
        let none = BTreeMap::new();
        let track = self.tracks.get(channel).unwrap_or(&none);
        let last = track.last_key_value().map_or(0, |(seq, _)| *seq);
        if seq == last + 1 {
            return None;
        }
        if seq > last {
            return Some(vec![Answer::Gap(last + 1)]);
        }
        let forgotten = Answer::Reused(ReusedBy::Seq);
        let age = last - seq;
        let known = match track.get(&seq).filter(|(known, _)| *known == hash && age < VERDICTS.0) {
            Some((_, Verdict::At(offset))) => Answer::Duplicate(*offset),
            Some((_, Verdict::Refused(code))) => Answer::Refused(code.clone()),
            Some((_, Verdict::ReusedId)) => Answer::Reused(ReusedBy::Id),
            None => return Some(vec![forgotten]),
        };
        Some(if age < VERDICTS.1 { vec![known] } else { vec![known, forgotten] })
    }
}

impl Answer {
    fn fits(&self, appended: &Appended) -> bool {
        match (self, appended) {
            (Self::Stored(offset), Appended::Stored(at)) | (Self::Duplicate(offset), Appended::Duplicate(at)) => {
                *offset == at.offset
            }
            (Self::Refused(code), Appended::Refused(other)) => code == other,
            (Self::Gap(seq), Appended::Gap { expected }) => seq == expected,
            (Self::Reused(by), Appended::Reused(other)) => by == other,
            (Self::Full, Appended::TooManyChannels)
            | (Self::Fenced, Appended::Fenced)
            | (Self::UnknownProducer, Appended::UnknownProducer) => true,
            _ => false,
        }
    }
}

/// Returns when each message of a batch was stored.
pub(super) fn times(records: &[Record]) -> Times {
    let appends = records.iter().filter_map(|record| match record {
        Record::Append { channel, id, .. } => Some(((*channel, id.offset), id.time)),
        _ => None,
    });
    appends.collect()
}

/// Says which promise a wrong answer to a publish breaks.
fn wrong(allowed: &[Answer], appended: &Appended) -> Violation {
    let invariant = match (allowed.first(), appended) {
        (Some(Answer::Fenced), _) => 10,
        (Some(Answer::Duplicate(_)), Appended::Stored(_)) => 2,
        (Some(Answer::Gap(_)), Appended::Stored(_)) => 3,
        (Some(Answer::Reused(_) | Answer::Refused(_)), Appended::Stored(_) | Appended::Duplicate(_)) => 1,
        _ => 11,
    };
    Violation::new(invariant, format!("the engine answers {appended:?}; the rules say {allowed:?}"))
}
