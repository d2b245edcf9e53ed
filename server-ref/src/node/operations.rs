//! Requests of backends that are answered before they are executed: what the log holds of them, and what comes next.
//!
//! Everything of an app stands in one reserved channel of its own: a *request* (from then on it is promised), a mark that it
//! was *begun*, and its *results*. Requests of an app are executed one after the other, those of several apps beside each
//! other, so that of each app at most one can be half done when a server dies; its messages have ids, so that executing it
//! again stores none of them twice. See `docs/adr/0022-async-operations.md`.

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
/// Operations of an app that wait, and what they and their results may take: a quarter of what the channel keeps, so that
/// neither what is done before one of them nor what comes after it removes one that waits.
const MOST_WAITING: usize = 10_000;
const MOST_BYTES: usize = 256 * 1024 * 1024;
/// What the result of a message takes at most, but for a long name of a channel.
const RESULT_BYTES: usize = 400;
/// Operations of an app that are known, done ones among them: some 100 bytes each.
const MOST_KNOWN: usize = 500_000;
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
    /// How many messages it asks for, one for each channel.
    #[serde(default)]
    pub messages: usize,
}

impl Request {
    /// Returns how many bytes of the channel it takes until it is done, its results among them.
    pub fn bytes(&self) -> usize {
        self.body.get().len() + self.messages * RESULT_BYTES
    }
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is promised, and no message of it is stored.
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
    state: State,
    time: UnixMillis,
    bytes: usize,
}

/// What is known of an app's operations.
#[derive(Debug, Default)]
struct Lane {
    /// Those of the last 24 hours, and those that are not done.
    known: BTreeMap<Offset, Known>,
    waiting: BTreeSet<Offset>,
    begun: BTreeSet<Offset>,
    /// Of what is not done, and of what is being stored.
    bytes: usize,
    /// How many are being stored.
    coming: usize,
    running: Option<Offset>,
    /// Whether all that the log holds is known: before, nothing is executed.
    is_learnt: bool,
}

impl Lane {
    /// Returns the operation that is to be executed next: what was begun before what waits, then the oldest.
    fn next(&self) -> Option<Offset> {
        self.begun
            .first()
            .or_else(|| self.waiting.first())
            .copied()
            .filter(|_| self.is_learnt && self.running.is_none())
    }

    fn time(&self, of: Offset) -> UnixMillis {
        self.known.get(&of).map_or(0, |known| known.time)
    }
}

/// The operations of all apps.
#[derive(Debug, Default)]
pub struct Operations {
    /// An app that was seen stays.
    lanes: BTreeMap<AppName, Lane>,
}

impl Operations {
    /// Takes what an app's channel holds, in order; the same again changes nothing, nor does what is read after all was
    /// [learnt](Self::learnt): it is known from whoever stored it, or was forgotten.
    pub fn note(&mut self, app: &AppName, stored: &Stored) {
        if self.is_learnt(app) {
            return;
        }
        let Ok(message) = moorline_protocol::binary::decode_message(&mut stored.bytes.clone()) else { return };
        let (Payload::Json(json), time) = (message.payload, message.time) else { return };
        match serde_json::from_slice(&json) {
            Ok(Record::Request(request)) if request.app == app.as_str() => {
                self.accept(app, stored.offset, request.bytes(), time);
            }
            Ok(Record::Begun { of }) => {
                self.begin(app, Offset(of), time);
            }
            Ok(Record::Done { of, .. }) => self.finish(app, Offset(of), stored.offset),
            Ok(Record::Request(_)) | Err(_) => {}
        }
    }

    /// All that an app's channel holds was [noted](Self::note).
    pub fn learnt(&mut self, app: &AppName) {
        self.lanes.entry(app.clone()).or_default().is_learnt = true;
    }

    /// Tells whether all that an app's channel holds is known.
    pub fn is_learnt(&self, app: &AppName) -> bool {
        self.lanes.get(app).is_some_and(|lane| lane.is_learnt)
    }

    /// Keeps room for an operation that is being stored. Returns whether there is some; then
    /// [`release`](Self::release) has to follow.
    pub fn reserve(&mut self, app: &AppName, bytes: usize) -> bool {
        let lane = self.lanes.entry(app.clone()).or_default();
        let count = lane.waiting.len() + lane.begun.len() + lane.coming;
        let has_room = count < MOST_WAITING && lane.known.len() + lane.coming < MOST_KNOWN;
        // One alone is taken whatever it takes.
        let fits = count == 0 || lane.bytes + bytes <= MOST_BYTES;
        if has_room && fits {
            lane.coming += 1;
            lane.bytes += bytes;
        }
        has_room && fits
    }

    /// An operation is stored, and [accepted](Self::accept), or it is not.
    pub fn release(&mut self, app: &AppName, bytes: usize) {
        if let Some(lane) = self.lanes.get_mut(app) {
            lane.coming -= 1;
            lane.bytes -= bytes;
        }
    }

    /// A request is durable. One that is known stays as it is.
    pub fn accept(&mut self, app: &AppName, of: Offset, bytes: usize, time: UnixMillis) {
        let lane = self.lanes.entry(app.clone()).or_default();
        if lane.known.contains_key(&of) {
            return;
        }
        lane.waiting.insert(of);
        lane.bytes += bytes;
        lane.known.insert(of, Known { state: State::Waiting, time, bytes });
    }

    /// An operation is being executed. Returns whether nothing of it was begun before.
    pub fn begin(&mut self, app: &AppName, of: Offset, at: UnixMillis) -> bool {
        let Some(lane) = self.lanes.get_mut(app) else { return false };
        let Some(known) = lane.known.get_mut(&of).filter(|known| known.state == State::Waiting) else { return false };
        known.state = State::Begun { at };
        lane.waiting.remove(&of);
        lane.begun.insert(of);
        true
    }

    /// An operation that had [begun](Self::begin) for the first time was refused as a whole: its mark stands, and no message
    /// of it is stored.
    pub fn put_back(&mut self, app: &AppName, of: Offset) {
        let Some(lane) = self.lanes.get_mut(app) else { return };
        if let Some(known) = lane.known.get_mut(&of).filter(|known| matches!(known.state, State::Begun { .. })) {
            known.state = State::Waiting;
            lane.begun.remove(&of);
            lane.waiting.insert(of);
        }
    }

    /// Its results are durable.
    pub fn finish(&mut self, app: &AppName, of: Offset, at: Offset) {
        let Some(lane) = self.lanes.get_mut(app) else { return };
        let Some(known) = lane.known.get_mut(&of) else { return };
        if !matches!(known.state, State::Done { .. }) {
            lane.bytes -= known.bytes;
        }
        known.state = State::Done { at };
        lane.waiting.remove(&of);
        lane.begun.remove(&of);
        lane.running.take_if(|running| *running == of);
    }

    /// Takes one to execute, of an app of which none is being executed: what was begun before what waits, then the oldest.
    /// `None` if there is none, or if enough are being executed; another one may be there as soon as one is
    /// [`finish`](Self::finish)ed.
    pub fn take(&mut self) -> Option<(AppName, Offset)> {
        if self.lanes.values().filter(|lane| lane.running.is_some()).count() >= MOST_RUNNING {
            return None;
        }
        let next = self.lanes.iter_mut().filter_map(|(app, lane)| Some((lane.next()?, app, lane)));
        let (of, app, lane) = next.min_by_key(|(of, app, lane)| (lane.time(*of), (*app).clone()))?;
        lane.running = Some(of);
        Some((app.clone(), of))
    }

    /// Returns those of an app that were half done when the server died, in order: at most one.
    pub fn begun(&self, app: &AppName) -> Vec<Offset> {
        self.lanes.get(app).into_iter().flat_map(|lane| lane.begun.iter().copied()).collect()
    }

    /// Tells whether what an operation did cannot be known any more.
    pub fn is_uncertain(&self, app: &AppName, of: Offset, now: UnixMillis) -> bool {
        matches!(self.state(app, of), Some(State::Begun { at }) if now.saturating_sub(at) > CERTAIN_MS)
    }

    /// Returns how far an operation is.
    pub fn state(&self, app: &AppName, of: Offset) -> Option<State> {
        self.lanes.get(app)?.known.get(&of).map(|known| known.state)
    }

    /// Tells whether an operation was [taken](Self::take) and is not finished.
    pub fn is_running(&self, app: &AppName, of: Offset) -> bool {
        self.lanes.get(app).is_some_and(|lane| lane.running == Some(of))
    }

    /// Returns how many of each app are not done.
    pub fn waiting(&self) -> Vec<(String, usize)> {
        self.lanes.iter().map(|(app, lane)| (app.to_string(), lane.waiting.len() + lane.begun.len())).collect()
    }

    /// Forgets what is done and old. A log's order is that of its times, so nothing behind the first one that is young is
    /// looked at.
    pub fn expire(&mut self, now: UnixMillis) {
        for lane in self.lanes.values_mut() {
            let old = lane.known.iter().take_while(|(_, known)| known.time + KEPT_MS < now);
            let done = old.filter(|(_, known)| matches!(known.state, State::Done { .. })).map(|(of, _)| *of);
            for of in done.collect::<Vec<_>>() {
                lane.known.remove(&of);
            }
        }
    }
}

/// The channel of an app's operations.
pub fn channel(app: &AppName) -> Option<ChannelKey> {
    Some(ChannelKey { app: app.clone(), name: ChannelName::new(OPERATIONS).ok()? })
}

/// Makes the command that stores a record of an app. `id` and `scope` make it the same record if it is stored again.
pub fn store(app: &AppName, record: &Record, id: &str, scope: Arc<str>) -> Option<Command> {
    let payload = Payload::Json(serde_json::to_vec(record).ok()?.into());
    let (id, headers) = (Utf8Bytes::from(id.to_owned()), Headers::new());
    let hash = content_hash(&id, &payload, &headers);
    let (channel, user, ttl, producer, verdict) = (channel(app)?, None, None, None, Ok(()));
    Some(Command::Append(Append { channel, id, scope, user, headers, payload, ttl, hash, producer, verdict }))
}

/// Returns the scope of the ids of a key's requests.
pub fn scope(app: &str, key: &str) -> Arc<str> {
    format!("\u{3}{app}/{key}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppName {
        AppName::new(name).unwrap()
    }

    fn learnt(names: &[&str]) -> Operations {
        let mut operations = Operations::default();
        names.iter().for_each(|name| operations.learnt(&app(name)));
        operations
    }

    #[test]
    fn what_was_begun_goes_on_first_and_is_not_repeated_when_ids_may_be_gone() {
        let (mut operations, a) = (learnt(&["a"]), app("a"));
        for of in 1..=3 {
            operations.accept(&a, Offset(of), 10, 1_000);
        }
        assert_eq!(operations.begun(&a), []);
        operations.begin(&a, Offset(2), 2_000);
        assert_eq!((operations.begun(&a), operations.take()), (vec![Offset(2)], Some((a.clone(), Offset(2)))));
        assert!(operations.is_running(&a, Offset(2)) && !operations.is_running(&a, Offset(1)));
        assert!(!operations.is_uncertain(&a, Offset(2), 2_000 + CERTAIN_MS));
        assert!(operations.is_uncertain(&a, Offset(2), 2_001 + CERTAIN_MS));
        assert!(!operations.is_uncertain(&a, Offset(1), u64::MAX), "nothing of it was done");
        operations.finish(&a, Offset(2), Offset(9));
        operations.begin(&a, Offset(2), 3_000);
        operations.accept(&a, Offset(2), 10, 4_000);
        assert_eq!(operations.state(&a, Offset(2)), Some(State::Done { at: Offset(9) }), "done is done");
        assert_eq!((operations.waiting(), operations.lanes[&a].bytes), (vec![("a".into(), 2)], 20));
        operations.expire(1_001 + KEPT_MS);
        assert_eq!((operations.state(&a, Offset(2)), operations.take()), (None, Some((a, Offset(1)))));
    }

    #[test]
    fn what_is_put_back_waits_again_in_its_place() {
        let (mut operations, a) = (learnt(&["a"]), app("a"));
        for of in 1..=2 {
            operations.accept(&a, Offset(of), 10, 1_000);
        }
        assert_eq!(operations.take(), Some((a.clone(), Offset(1))));
        assert!(operations.begin(&a, Offset(1), 2_000));
        operations.put_back(&a, Offset(1));
        assert_eq!((operations.state(&a, Offset(1)), operations.begun(&a)), (Some(State::Waiting), vec![]));
        assert!(operations.is_running(&a, Offset(1)) && !operations.is_uncertain(&a, Offset(1), u64::MAX));
        assert!(operations.begin(&a, Offset(1), 3_000) && !operations.begin(&a, Offset(1), 4_000));
        assert!(operations.is_uncertain(&a, Offset(1), 3_001 + CERTAIN_MS));
        operations.finish(&a, Offset(1), Offset(9));
        operations.put_back(&a, Offset(1));
        assert_eq!(operations.state(&a, Offset(1)), Some(State::Done { at: Offset(9) }), "done is done");
        assert_eq!((operations.waiting(), operations.take()), (vec![("a".into(), 1)], Some((a, Offset(2)))));
    }

    #[test]
    fn apps_do_not_wait_for_each_other_and_one_of_each_is_executed() {
        let mut operations = learnt(&["a", "b", "c"]);
        for (time, name, of) in [(1, "a", 1), (2, "a", 2), (3, "b", 1), (4, "b", 2), (5, "c", 1)] {
            operations.accept(&app(name), Offset(of), 10, time);
        }
        let taken: Vec<_> = std::iter::from_fn(|| operations.take()).collect();
        assert_eq!(taken, ["a", "b", "c"].map(|name| (app(name), Offset(1))));
        operations.begin(&app("b"), Offset(1), 0);
        operations.finish(&app("b"), Offset(1), Offset(6));
        assert_eq!((operations.take(), operations.take()), (Some((app("b"), Offset(2))), None));
        operations.finish(&app("a"), Offset(1), Offset(7));
        assert_eq!(operations.waiting(), [("a".into(), 1), ("b".into(), 1), ("c".into(), 1)]);
        assert_eq!(operations.take(), Some((app("a"), Offset(2))));
        for n in 0..40 {
            operations.learnt(&app(&format!("app{n}")));
            operations.accept(&app(&format!("app{n}")), Offset(1), 10, 0);
        }
        assert_eq!(std::iter::from_fn(|| operations.take()).count(), MOST_RUNNING - 3);
    }

    #[test]
    fn nothing_is_executed_before_all_is_known() {
        let (mut operations, a) = (Operations::default(), app("a"));
        operations.accept(&a, Offset(1), 10, 0);
        assert_eq!((operations.take(), operations.is_learnt(&a)), (None, false));
        operations.learnt(&a);
        assert_eq!((operations.take(), operations.is_learnt(&a)), (Some((a, Offset(1))), true));
    }

    #[test]
    fn what_was_forgotten_does_not_come_back() {
        let (mut operations, a) = (Operations::default(), app("a"));
        let body = RawValue::from_string("{}".into()).unwrap();
        let request = Request { app: a.to_string(), key: "k".into(), id: "i".into(), body, messages: 1 };
        let Some(Command::Append(append)) = store(&a, &Record::Request(request), "i", "s".into()) else { panic!() };
        let message = moorline_protocol::Message {
            offset: Some(Offset(1)),
            prev: None,
            id: append.id,
            user: None,
            time: 1_000,
            headers: append.headers,
            payload: append.payload,
        };
        let mut bytes = Vec::new();
        moorline_protocol::binary::encode_message(&message, &mut bytes);
        let stored = Stored { offset: Offset(1), prev: None, bytes: bytes.into() };
        operations.note(&a, &stored);
        operations.learnt(&a);
        assert_eq!(operations.take(), Some((a.clone(), Offset(1))));
        operations.finish(&a, Offset(1), Offset(2));
        operations.expire(KEPT_MS + 1_001);
        operations.note(&a, &stored);
        assert_eq!((operations.take(), operations.state(&a, Offset(1))), (None, None));
    }

    #[test]
    fn only_so_much_waits_of_each_app_and_what_comes_counts() {
        let (mut operations, a, b) = (Operations::default(), app("a"), app("b"));
        assert!(operations.reserve(&a, MOST_BYTES), "while it is being stored");
        assert!(!operations.reserve(&a, 1) && operations.reserve(&b, 1));
        operations.accept(&a, Offset(1), MOST_BYTES, 0);
        operations.release(&a, MOST_BYTES);
        assert!(!operations.reserve(&a, 1));
        operations.finish(&a, Offset(1), Offset(2));
        assert!(operations.reserve(&a, 1));
        operations.release(&a, 1);
        // One alone is taken, and no other beside it.
        assert!(operations.reserve(&a, MOST_BYTES + 1) && !operations.reserve(&a, 1));
        let mut many = Operations::default();
        (1..=MOST_WAITING as u64).for_each(|of| many.accept(&a, Offset(of), 1, 0));
        assert!(!many.reserve(&a, 1) && many.reserve(&b, 1));
    }

    #[test]
    fn what_is_done_takes_room_until_it_is_old() {
        let (mut operations, a) = (Operations::default(), app("a"));
        for of in 1..=MOST_KNOWN as u64 {
            operations.accept(&a, Offset(of), 1, of);
            operations.finish(&a, Offset(of), Offset(of));
        }
        assert!(!operations.reserve(&a, 1), "each is known for a day");
        // One that waits keeps no other from being forgotten.
        operations.accept(&a, Offset(0), 1, 0);
        operations.expire(KEPT_MS + 11);
        let forgotten = (0..=12).filter(|of| operations.state(&a, Offset(*of)).is_none()).collect::<Vec<_>>();
        assert_eq!(forgotten, (1..=10).collect::<Vec<_>>());
        assert!(operations.reserve(&a, 1));
    }
}
