//! Requests of backends that are answered before they are executed: what the log holds of them, and what comes next.
//!
//! Everything stands in one reserved channel: a *request* (from then on it is promised), a mark that it was *begun*, and
//! its *results*. Requests of an app are executed one after the other, those of several apps beside each other, so that of
//! each app at most one can be half done when a server dies; its messages have ids, so that executing it again stores none
//! of them twice. See `docs/adr/0022-async-operations.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ChannelName, Headers, Offset, Payload, Utf8Bytes};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engine::hooks::OPERATIONS;
use crate::engine::{Append, ChannelKey, Command, Stored, content_hash};

/// ms that a result is kept.
pub const KEPT_MS: u64 = 24 * 3_600_000;
/// ms after which a half-done operation is not executed again: ids of its messages may be forgotten.
const CERTAIN_MS: u64 = 23 * 3_600_000;
/// Operations of an app that wait, and their bytes.
const MOST_WAITING: usize = 10_000;
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that wait, of all apps: half of what the channel keeps.
const MOST_BYTES_OF_ALL: usize = 512 * 1024 * 1024;
/// Operations of all apps that are known, done ones among them: some 100 bytes each.
const MOST_KNOWN: usize = 1_000_000;
/// Operations that are executed at a time, each of another app.
const MOST_RUNNING: usize = 16;

/// A record of the channel.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// What was asked for.
    Request(Request),
    /// It is being executed.
    Begun {
        /// The request's offset.
        of: u64,
    },
    /// What became of it.
    Done {
        /// The request's offset.
        of: u64,
        /// Per message.
        results: Box<RawValue>,
    },
}

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The app.
    pub app: String,
    /// The name of the API key.
    pub key: String,
    /// What entries without an id are named after.
    pub id: String,
    /// The body, as it was sent.
    pub body: Box<RawValue>,
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is promised.
    Waiting,
    /// It is marked as begun: messages of it may be stored.
    Begun {
        /// Since when, in ms since 1970.
        at: UnixMillis,
    },
    /// Its results stand at this offset.
    Done {
        /// Of the record.
        at: Offset,
    },
}

#[derive(Debug)]
struct Known {
    app: Arc<str>,
    state: State,
    time: UnixMillis,
    bytes: usize,
}

/// What of an app is not done.
#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeSet<Offset>,
    begun: BTreeSet<Offset>,
    bytes: usize,
    running: Option<Offset>,
}

impl Lane {
    fn count(&self) -> usize {
        self.waiting.len() + self.begun.len()
    }
}

/// The operations of the last 24 hours, and those that wait.
#[derive(Debug, Default)]
pub struct Operations {
    known: BTreeMap<Offset, Known>,
    /// By app; an app that was seen stays.
    lanes: BTreeMap<Arc<str>, Lane>,
    bytes: usize,
}

impl Operations {
    /// Takes what the log holds, in order.
    pub fn note(&mut self, stored: &Stored) {
        let Ok(message) = moorline_protocol::binary::decode_message(&mut stored.bytes.clone()) else { return };
        let (Payload::Json(json), time) = (message.payload, message.time) else { return };
        match serde_json::from_slice(&json) {
            Ok(Record::Request(request)) => self.accept(stored.offset, &request.app, json.len(), time),
            Ok(Record::Begun { of }) => self.begin(Offset(of), time),
            Ok(Record::Done { of, .. }) => self.finish(Offset(of), stored.offset),
            Err(_) => {}
        }
    }

    /// A request is durable. One that is known stays as it is.
    pub fn accept(&mut self, of: Offset, app: &str, bytes: usize, time: UnixMillis) {
        if self.known.contains_key(&of) {
            return;
        }
        let app: Arc<str> = self.lanes.get_key_value(app).map_or_else(|| app.into(), |(app, _)| Arc::clone(app));
        let lane = self.lanes.entry(Arc::clone(&app)).or_default();
        lane.waiting.insert(of);
        lane.bytes += bytes;
        self.bytes += bytes;
        self.known.insert(of, Known { app, state: State::Waiting, time, bytes });
    }

    /// The mark that an operation was begun is durable; its first time counts.
    pub fn begin(&mut self, of: Offset, at: UnixMillis) {
        let Some(known) = self.known.get_mut(&of).filter(|known| known.state == State::Waiting) else { return };
        known.state = State::Begun { at };
        if let Some(lane) = self.lanes.get_mut(&known.app) {
            lane.waiting.remove(&of);
            lane.begun.insert(of);
        }
    }

    /// Its results are durable.
    pub fn finish(&mut self, of: Offset, at: Offset) {
        let Some(known) = self.known.get_mut(&of) else { return };
        if let Some(lane) = self.lanes.get_mut(&known.app) {
            if !matches!(known.state, State::Done { .. }) {
                lane.bytes -= known.bytes;
                self.bytes -= known.bytes;
            }
            lane.waiting.remove(&of);
            lane.begun.remove(&of);
            lane.running.take_if(|running| *running == of);
        }
        known.state = State::Done { at };
    }

    /// Takes one to execute, of an app of which none is being executed: what was begun before what waits, then the oldest.
    /// `None` if there is none, or if enough are being executed; another one may be there as soon as one is
    /// [`finish`](Self::finish)ed.
    pub fn take(&mut self) -> Option<Offset> {
        if self.lanes.values().filter(|lane| lane.running.is_some()).count() >= MOST_RUNNING {
            return None;
        }
        let idle = self.lanes.values_mut().filter(|lane| lane.running.is_none());
        let first = |lane: &Lane| lane.begun.first().or_else(|| lane.waiting.first()).copied();
        let (of, lane) = idle.filter_map(|lane| Some((first(lane)?, lane))).min_by_key(|(of, _)| *of)?;
        lane.running = Some(of);
        Some(of)
    }

    /// Returns those that were half done when the server died, in order: of each app at most one.
    pub fn begun(&self) -> Vec<Offset> {
        let mut begun: Vec<Offset> = self.lanes.values().flat_map(|lane| lane.begun.iter().copied()).collect();
        begun.sort_unstable();
        begun
    }

    /// Tells whether what an operation did cannot be known any more.
    pub fn is_uncertain(&self, of: Offset, now: UnixMillis) -> bool {
        matches!(self.state(of), Some(State::Begun { at }) if now.saturating_sub(at) > CERTAIN_MS)
    }

    /// Returns how far an operation is.
    pub fn state(&self, of: Offset) -> Option<State> {
        self.known.get(&of).map(|known| known.state)
    }

    /// Tells whether an operation was [taken](Self::take) and is not finished.
    pub fn is_running(&self, of: Offset) -> bool {
        let lane = self.known.get(&of).and_then(|known| self.lanes.get(&known.app));
        lane.is_some_and(|lane| lane.running == Some(of))
    }

    /// Tells whether another one of an app may wait.
    pub fn has_room(&self, app: &str) -> bool {
        let has_room = |lane: &Lane| lane.count() < MOST_WAITING && lane.bytes < MOST_BYTES;
        let all_have_room = self.known.len() < MOST_KNOWN && self.bytes < MOST_BYTES_OF_ALL;
        all_have_room && self.lanes.get(app).is_none_or(has_room)
    }

    /// Returns how many of each app are not done.
    pub fn waiting(&self) -> Vec<(String, usize)> {
        self.lanes.iter().map(|(app, lane)| (app.to_string(), lane.count())).collect()
    }

    /// Forgets what is done and old. The log's order is that of its times, so nothing behind the first one that is young is
    /// looked at.
    pub fn expire(&mut self, now: UnixMillis) {
        let old = self.known.iter().take_while(|(_, known)| known.time + KEPT_MS < now);
        let done = old.filter(|(_, known)| matches!(known.state, State::Done { .. })).map(|(of, _)| *of);
        for of in done.collect::<Vec<_>>() {
            self.known.remove(&of);
        }
    }
}

/// The channel of all apps' operations.
pub fn channel() -> Option<ChannelKey> {
    Some(ChannelKey { app: AppName::default_app(), name: ChannelName::new(OPERATIONS).ok()? })
}

/// Makes the command that stores a record. `id` and `scope` make it the same record if it is stored again.
pub fn store(record: &Record, id: &str, scope: Arc<str>) -> Option<Command> {
    let payload = Payload::Json(serde_json::to_vec(record).ok()?.into());
    let (id, headers) = (Utf8Bytes::from(id.to_owned()), Headers::new());
    let hash = content_hash(&id, &payload, &headers);
    let (channel, user, ttl, producer, verdict) = (channel()?, None, None, None, Ok(()));
    Some(Command::Append(Append { channel, id, scope, user, headers, payload, ttl, hash, producer, verdict }))
}

/// Returns the scope of the ids of a key's requests.
pub fn scope(app: &str, key: &str) -> Arc<str> {
    format!("\u{3}{app}/{key}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_goes_on_first_and_is_not_repeated_when_ids_may_be_gone() {
        let mut operations = Operations::default();
        for of in 1..=3 {
            operations.accept(Offset(of), "a", 10, 1_000);
        }
        assert_eq!(operations.begun(), []);
        operations.begin(Offset(2), 2_000);
        assert_eq!((operations.begun(), operations.take()), (vec![Offset(2)], Some(Offset(2))));
        assert!(operations.is_running(Offset(2)) && !operations.is_running(Offset(1)));
        assert!(!operations.is_uncertain(Offset(2), 2_000 + CERTAIN_MS));
        assert!(operations.is_uncertain(Offset(2), 2_001 + CERTAIN_MS));
        assert!(!operations.is_uncertain(Offset(1), u64::MAX), "nothing of it was done");
        operations.finish(Offset(2), Offset(9));
        operations.begin(Offset(2), 3_000);
        operations.accept(Offset(2), "a", 10, 4_000);
        assert_eq!(operations.state(Offset(2)), Some(State::Done { at: Offset(9) }), "done is done");
        assert_eq!((operations.waiting(), operations.bytes), (vec![("a".into(), 2)], 20));
        operations.expire(1_001 + KEPT_MS);
        assert_eq!((operations.state(Offset(2)), operations.take()), (None, Some(Offset(1))));
    }

    #[test]
    fn apps_do_not_wait_for_each_other_and_one_of_each_is_executed() {
        let mut operations = Operations::default();
        for (of, app) in [(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c")] {
            operations.accept(Offset(of), app, 10, 0);
        }
        let taken: Vec<_> = std::iter::from_fn(|| operations.take()).collect();
        assert_eq!(taken, [Offset(1), Offset(3), Offset(5)]);
        operations.begin(Offset(3), 0);
        operations.finish(Offset(3), Offset(6));
        assert_eq!((operations.take(), operations.take()), (Some(Offset(4)), None));
        operations.finish(Offset(1), Offset(7));
        assert_eq!(operations.waiting(), [("a".into(), 1), ("b".into(), 1), ("c".into(), 1)]);
        assert_eq!(operations.take(), Some(Offset(2)));
        for of in 100..140 {
            operations.accept(Offset(of), &format!("app{of}"), 10, 0);
        }
        assert_eq!(std::iter::from_fn(|| operations.take()).count(), MOST_RUNNING - 3);
    }

    #[test]
    fn only_so_much_waits_of_each_app_and_of_all() {
        let mut operations = Operations::default();
        operations.accept(Offset(1), "a", MOST_BYTES, 0);
        assert!(!operations.has_room("a") && operations.has_room("b"));
        operations.finish(Offset(1), Offset(2));
        assert!(operations.has_room("a"));
        for of in 3..11 {
            assert!(operations.has_room("z"));
            operations.accept(Offset(of), &format!("app{of}"), MOST_BYTES, 0);
        }
        assert!(!operations.has_room("z"));
        let mut many = Operations::default();
        (1..=MOST_WAITING as u64).for_each(|of| many.accept(Offset(of), "a", 1, 0));
        assert!(!many.has_room("a") && many.has_room("b"));
    }

    #[test]
    fn what_is_done_takes_room_until_it_is_old() {
        let mut operations = Operations::default();
        for of in 1..=MOST_KNOWN as u64 {
            operations.accept(Offset(of), "a", 1, of);
            operations.finish(Offset(of), Offset(of));
        }
        assert!(!operations.has_room("a"), "each is known for a day");
        // One that waits keeps no other from being forgotten.
        operations.accept(Offset(0), "a", 1, 0);
        operations.expire(KEPT_MS + 11);
        let forgotten = (0..=12).filter(|of| operations.state(Offset(*of)).is_none()).collect::<Vec<_>>();
        assert_eq!(forgotten, (1..=10).collect::<Vec<_>>());
        assert!(operations.has_room("a"));
    }
}
