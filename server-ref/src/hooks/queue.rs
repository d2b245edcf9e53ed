//! What a courier has read and not settled: which batch goes next, and how far the log is done with. Sans-IO.
//!
//! Events of one key go in order, and one after another fails or succeeds with all before it. A batch holds events of
//! several keys; when it fails, each of its keys goes alone from then on, so that the one that cannot be taken is found
//! and holds nobody up but itself. Several batches may be on their way, never two of one key; of a receiver that fails, one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use moorline_protocol::Offset;
use moorline_protocol::time::UnixMillis;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::Times;

/// Events of a batch, and their bytes.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 240 * 1024;
/// Events in memory, and their bytes.
const WINDOW: usize = 1_000;
const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// What orders events: whether it is a user (else a channel), and the name.
pub type Key = (bool, String);

/// An event that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Where it stands.
    pub offset: Offset,
    /// When it happened.
    pub time: UnixMillis,
    /// Its stable id.
    pub id: String,
    /// Its JSON.
    pub json: Bytes,
}

/// Events that are sent in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// In the order of the log.
    pub events: Vec<Queued>,
    keys: Vec<Key>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this, then say how it went with [`Queue::done`].
    Send(Batch),
    /// Nothing before that moment, unless a batch comes back.
    Wait(UnixMillis),
    /// Nothing at all, until more is read or a batch comes back.
    Idle,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Taken,
    /// It has it not.
    Refused {
        /// ms from now before which it wants no request, if it said so.
        retry_after: Option<u64>,
    },
}

/// An event that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which.
    pub event: Queued,
    /// How often it was tried.
    pub attempts: u32,
}

#[derive(Debug, Default)]
struct Lane {
    events: VecDeque<Queued>,
    failures: u32,
    not_before: UnixMillis,
    failing_since: UnixMillis,
}

/// See the module's documentation.
pub struct Queue {
    times: Times,
    dice: ChaCha8Rng,
    lanes: BTreeMap<Key, Lane>,
    /// Which key an unsettled event has.
    unsettled: BTreeMap<Offset, Key>,
    bytes: usize,
    /// Everything up to here was read.
    read: Offset,
    /// Failures of the receiver since it last took something.
    failures: u32,
    not_before: UnixMillis,
    /// Until then it wants no request: it said so.
    busy_until: UnixMillis,
    /// Keys of which a batch is on its way, and how many batches.
    on_their_way: BTreeSet<Key>,
    batches: usize,
    most_batches: usize,
    /// When it last took something.
    taken_at: UnixMillis,
    /// Whether the last batch was of keys that do not fail: then one that does has its turn.
    fresh_last: bool,
    given_up: u64,
}

impl Queue {
    /// Creates a queue whose log is done with up to an offset. At most so many batches are on their way at a time.
    pub fn new(times: Times, most_batches: usize, read: Offset, seed: [u8; 32]) -> Self {
        Self {
            times,
            most_batches: most_batches.max(1),
            busy_until: 0,
            on_their_way: BTreeSet::new(),
            batches: 0,
            dice: ChaCha8Rng::from_seed(seed),
            lanes: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            bytes: 0,
            read,
            failures: 0,
            not_before: 0,
            taken_at: 0,
            fresh_last: false,
            given_up: 0,
        }
    }

    /// Tells whether there is room for more.
    pub fn has_room(&self) -> bool {
        self.unsettled.len() < WINDOW && self.bytes < WINDOW_BYTES
    }

    /// Returns up to where the log was read.
    pub fn read(&self) -> Offset {
        self.read
    }

    /// The log was read up to here; what was not [`push`](Self::push)ed is of no interest.
    pub fn reach(&mut self, offset: Offset) {
        self.read = self.read.max(offset);
    }

    /// Takes an event that was read: the next one.
    pub fn push(&mut self, key: Key, event: Queued) {
        self.reach(event.offset);
        self.bytes += event.json.len();
        self.unsettled.insert(event.offset, key.clone());
        self.lanes.entry(key).or_default().events.push_back(event);
    }

    /// Returns up to where everything is settled: where a next start begins.
    pub fn settled(&self) -> Offset {
        self.unsettled.first_key_value().map_or(self.read, |(first, _)| first.previous())
    }

    /// Returns how many events were read and not settled.
    pub fn backlog(&self) -> usize {
        self.unsettled.len()
    }

    /// Returns when the oldest event that is not settled happened.
    pub fn oldest(&self) -> Option<UnixMillis> {
        let (offset, key) = self.unsettled.first_key_value()?;
        self.lanes.get(key)?.events.iter().find(|event| event.offset == *offset).map(|event| event.time)
    }

    /// Returns how many events were given up.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Returns what goes next.
    pub fn next(&mut self, now: UnixMillis) -> Next {
        // One that fails is asked by one request at a time.
        let most = if self.failures > 0 { 1 } else { self.most_batches };
        if self.batches >= most || self.unsettled.is_empty() {
            return Next::Idle;
        }
        let earliest = self.not_before.max(self.busy_until);
        if now < earliest {
            return Next::Wait(earliest);
        }
        let failing = self.lanes.iter().filter(|(key, lane)| lane.failures > 0 && !self.on_their_way.contains(*key));
        let retry = failing.min_by_key(|(_, lane)| lane.not_before).map(|(key, lane)| (key.clone(), lane.not_before));
        let due = retry.clone().filter(|(_, at)| *at <= now).map(|(key, _)| key);
        let fresh = if self.fresh_last && due.is_some() { None } else { self.fresh() };
        self.fresh_last = fresh.is_some();
        match (fresh.or_else(|| due.map(|key| self.alone(key))), retry) {
            (Some(batch), _) => {
                self.batches += 1;
                self.on_their_way.extend(batch.keys.iter().cloned());
                Next::Send(batch)
            }
            (None, Some((_, at))) => Next::Wait(at),
            (None, None) => Next::Idle,
        }
    }

    /// Takes the oldest events of keys that do not fail.
    fn fresh(&self) -> Option<Batch> {
        let mut taken: BTreeMap<&Key, usize> = BTreeMap::new();
        let (mut events, mut bytes) = (Vec::new(), 0);
        for key in self.unsettled.values() {
            if self.on_their_way.contains(key) {
                continue;
            }
            let Some(lane) = self.lanes.get(key).filter(|lane| lane.failures == 0) else { continue };
            let place = taken.entry(key).or_default();
            let Some(event) = lane.events.get(*place) else { continue };
            bytes += event.json.len();
            if events.len() >= BATCH || (bytes > BATCH_BYTES && !events.is_empty()) {
                break;
            }
            *place += 1;
            events.push(event.clone());
        }
        let keys = taken.into_iter().filter(|(_, count)| *count > 0).map(|(key, _)| key.clone()).collect();
        (!events.is_empty()).then_some(Batch { events, keys })
    }

    /// Takes the oldest event of a key that fails: it alone may be the one that cannot be taken.
    fn alone(&self, key: Key) -> Batch {
        let events = self.lanes.get(&key).and_then(|lane| lane.events.front()).cloned().into_iter().collect();
        Batch { events, keys: vec![key] }
    }

    /// A batch was taken, or not.
    pub fn done(&mut self, batch: &Batch, outcome: Outcome, now: UnixMillis) {
        self.batches = self.batches.saturating_sub(1);
        for key in &batch.keys {
            self.on_their_way.remove(key);
        }
        match outcome {
            Outcome::Taken => self.taken(batch, now),
            Outcome::Refused { retry_after } => self.refused(batch, retry_after, now),
        }
    }

    fn taken(&mut self, batch: &Batch, now: UnixMillis) {
        (self.failures, self.not_before, self.taken_at) = (0, now, now);
        batch.events.iter().for_each(|event| self.settle(event.offset));
        for key in &batch.keys {
            self.lanes.entry(key.clone()).and_modify(|lane| lane.failures = 0);
        }
        self.lanes.retain(|_, lane| !lane.events.is_empty());
    }

    fn refused(&mut self, batch: &Batch, retry_after: Option<u64>, now: UnixMillis) {
        // Of several that were on their way, the others were sent before it was heard.
        let is_known = retry_after.is_some() && now < self.busy_until;
        if !is_known {
            self.failures += 1;
            self.not_before = now + self.delay(self.failures).min(self.times.pause);
        }
        if let Some(wait) = retry_after {
            self.busy_until = self.busy_until.max(now + wait.min(self.times.last_retry));
        }
        // Who says when it has time again speaks of itself, not of these events. Who says so again may lie.
        if retry_after.is_some() && (self.failures == 1 || is_known) {
            return;
        }
        for key in &batch.keys {
            let failures = self.lanes.get(key).map_or(0, |lane| lane.failures) + 1;
            let delay = self.delay(failures);
            let Some(lane) = self.lanes.get_mut(key) else { continue };
            if failures == 1 {
                lane.failing_since = now;
            }
            (lane.failures, lane.not_before) = (failures, now + delay);
        }
    }

    /// Returns half of the doubling time, and as much again of the other half as the dice say.
    fn delay(&mut self, failures: u32) -> u64 {
        let doubled = self.times.first_retry.saturating_mul(1 << (failures - 1).min(30));
        let most = doubled.min(self.times.last_retry).max(1);
        most - self.dice.next_u64() % (most / 2 + 1)
    }

    /// Gives up what is too old and not on its way. If there is no room, and the receiver takes others, a key that fails makes some.
    pub fn give_up(&mut self, now: UnixMillis) -> Vec<DeadLetter> {
        let oldest = now.saturating_sub(self.times.max_age);
        let mut gone: Vec<Offset> = Vec::new();
        let (lanes, on_their_way) = (&self.lanes, &self.on_their_way);
        let waiting = || lanes.iter().filter(|(key, _)| !on_their_way.contains(*key)).map(|(_, lane)| lane);
        for lane in waiting() {
            gone.extend(lane.events.iter().take_while(|event| event.time < oldest).map(|event| event.offset));
        }
        if gone.is_empty() && !self.has_room() {
            let blocking = |lane: &&Lane| lane.failures > 1 && lane.failing_since < self.taken_at;
            let longest = waiting().filter(blocking).max_by_key(|lane| lane.events.len());
            gone.extend(longest.and_then(|lane| lane.events.front()).map(|event| event.offset));
        }
        gone.sort_unstable();
        let letters: Vec<DeadLetter> = gone.into_iter().filter_map(|offset| self.bury(offset)).collect();
        self.given_up += letters.len() as u64;
        self.lanes.retain(|_, lane| !lane.events.is_empty());
        letters
    }

    fn bury(&mut self, offset: Offset) -> Option<DeadLetter> {
        let lane = self.lanes.get(self.unsettled.get(&offset)?)?;
        let attempts = lane.failures;
        let event = lane.events.iter().find(|event| event.offset == offset)?.clone();
        self.settle(offset);
        Some(DeadLetter { event, attempts })
    }

    fn settle(&mut self, offset: Offset) {
        let Some(key) = self.unsettled.remove(&offset) else { return };
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if let Some(at) = lane.events.iter().position(|event| event.offset == offset)
            && let Some(event) = lane.events.remove(at)
        {
            self.bytes -= event.json.len();
        }
    }
}

#[cfg(test)]
mod tests;
