//! Requests of backends that are answered before they are executed: what the log holds of them, and what comes next.
//!
//! Everything stands in one reserved channel: a *request* (from then on it is promised), a mark that it was *begun*, and
//! its *results*. Requests are executed one at a time, so that at most one can be half done when a server dies; its
//! messages have ids, so that executing it again stores none of them twice. See `docs/adr/0022-async-operations.md`.

use std::collections::BTreeMap;
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
/// Operations that wait, and their bytes.
const MOST_WAITING: usize = 10_000;
const MOST_BYTES: usize = 64 * 1024 * 1024;

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
    /// It is being executed, or was when the server died.
    Begun {
        /// ms since 1970.
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

/// The operations of the last 24 hours, and those that wait.
#[derive(Debug, Default)]
pub struct Operations {
    known: BTreeMap<Offset, Known>,
    waiting: usize,
    bytes: usize,
}

impl Operations {
    /// Takes what the log holds, in order.
    pub fn note(&mut self, stored: &Stored) {
        let Ok(message) = moorline_protocol::binary::decode_message(&mut stored.bytes.clone()) else { return };
        let (Payload::Json(json), time) = (message.payload, message.time) else { return };
        match serde_json::from_slice(&json) {
            Ok(Record::Request(_)) => self.accept(stored.offset, json.len(), time),
            Ok(Record::Begun { of }) => self.begin(Offset(of), time),
            Ok(Record::Done { of, .. }) => self.finish(Offset(of), stored.offset),
            Err(_) => {}
        }
    }

    /// A request is durable. One that is known stays as it is.
    pub fn accept(&mut self, of: Offset, bytes: usize, time: UnixMillis) {
        if self.known.contains_key(&of) {
            return;
        }
        self.known.insert(of, Known { state: State::Waiting, time, bytes });
        self.waiting += 1;
        self.bytes += bytes;
    }

    /// An operation is being executed.
    pub fn begin(&mut self, of: Offset, at: UnixMillis) {
        if let Some(known) = self.known.get_mut(&of).filter(|known| known.state == State::Waiting) {
            known.state = State::Begun { at };
        }
    }

    /// Its results are durable.
    pub fn finish(&mut self, of: Offset, at: Offset) {
        let Some(known) = self.known.get_mut(&of) else { return };
        if !matches!(known.state, State::Done { .. }) {
            self.waiting -= 1;
            self.bytes -= known.bytes;
        }
        known.state = State::Done { at };
    }

    /// Returns the one to execute: what was begun before what waits, then the oldest.
    pub fn next(&self) -> Option<Offset> {
        let begun = self.known.iter().find(|(_, known)| matches!(known.state, State::Begun { .. }));
        let next = begun.or_else(|| self.known.iter().find(|(_, known)| known.state == State::Waiting));
        next.map(|(of, _)| *of)
    }

    /// Returns one that was half done when the server died.
    pub fn begun(&self) -> Option<Offset> {
        self.next().filter(|of| matches!(self.state(*of), Some(State::Begun { .. })))
    }

    /// Tells whether what an operation did cannot be known any more.
    pub fn is_uncertain(&self, of: Offset, now: UnixMillis) -> bool {
        matches!(self.state(of), Some(State::Begun { at }) if now.saturating_sub(at) > CERTAIN_MS)
    }

    /// Returns how far an operation is.
    pub fn state(&self, of: Offset) -> Option<State> {
        self.known.get(&of).map(|known| known.state)
    }

    /// Tells whether another one may wait.
    pub fn has_room(&self) -> bool {
        self.waiting < MOST_WAITING && self.bytes < MOST_BYTES
    }

    /// Forgets what is done and old.
    pub fn expire(&mut self, now: UnixMillis) {
        let is_old = |known: &Known| known.time + KEPT_MS < now && matches!(known.state, State::Done { .. });
        self.known.retain(|_, known| !is_old(known));
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
            operations.accept(Offset(of), 10, 1_000);
        }
        assert_eq!((operations.next(), operations.begun()), (Some(Offset(1)), None));
        operations.begin(Offset(2), 2_000);
        assert_eq!((operations.next(), operations.begun()), (Some(Offset(2)), Some(Offset(2))));
        assert!(!operations.is_uncertain(Offset(2), 2_000 + CERTAIN_MS));
        assert!(operations.is_uncertain(Offset(2), 2_001 + CERTAIN_MS));
        assert!(!operations.is_uncertain(Offset(1), u64::MAX), "nothing of it was done");
        operations.finish(Offset(2), Offset(9));
        operations.begin(Offset(2), 3_000);
        operations.accept(Offset(2), 10, 4_000);
        assert_eq!(operations.state(Offset(2)), Some(State::Done { at: Offset(9) }), "done is done");
        assert_eq!((operations.waiting, operations.bytes), (2, 20));
        operations.expire(1_001 + KEPT_MS);
        assert_eq!((operations.state(Offset(2)), operations.next()), (None, Some(Offset(1))));
    }

    #[test]
    fn only_so_much_waits() {
        let mut operations = Operations::default();
        operations.accept(Offset(1), MOST_BYTES, 0);
        assert!(!operations.has_room());
        operations.finish(Offset(1), Offset(2));
        assert!(operations.has_room());
    }
}
