//! Calls of the apps' backend: what is called, and what the backend makes of it.
//!
//! Invariant 18: a call is handed to the backend once at most, and ends once: with the backend's answer to it, or with a
//! failure that does not say "not carried out" where it was.

use std::collections::{BTreeMap, BTreeSet};

use moorline_core::protocol::{ErrorCode, Payload, Utf8Bytes};
use moorline_core::{CallOptions, Failure, RequestId};
use moorline_server::node::{CallFailure, CallId, Calling, QuestionId};

use crate::decisions::Decision;
use crate::dice::Dice;
use crate::scenario::Scenario;
use crate::world::{Happening, World};

/// Calls are made in the seeds of which this is the remainder by [`SEEDS`]: all others stay as they were without.
const CALLING: u64 = 12;
const SEEDS: u64 = 16;

/// What the backend has done, and is about to do.
#[derive(Default)]
pub(crate) struct Backend {
    /// Calls that were handed to it, by name.
    seen: BTreeSet<String>,
    /// What it will answer, if somebody still wants to know.
    answers: BTreeMap<(usize, CallId), Result<Payload, CallFailure>>,
    /// Questions that it has not answered.
    pub(crate) decisions: BTreeMap<(usize, QuestionId), Decision>,
    /// Users whom it has refused a channel.
    pub(crate) refused: BTreeSet<String>,
    made: u64,
}

impl Backend {
    /// Returns whether the backend was handed a call.
    pub(crate) fn has_seen(&self, name: &str) -> bool {
        self.seen.contains(name)
    }

    /// Tells whether somebody still waits for it.
    pub(crate) fn is_at_work(&self) -> bool {
        !self.answers.is_empty() || !self.decisions.is_empty()
    }

    /// The server is gone, and nobody hears the answers.
    pub(crate) fn forget(&mut self) {
        self.answers.clear();
        self.decisions.clear();
    }
}

impl Scenario {
    /// Lets apps make calls in some runs.
    pub(crate) fn draw_calls(&mut self, seed: u64, dice: &mut Dice) {
        if seed % SEEDS != CALLING {
            return;
        }
        let count = dice.range(5, 80);
        self.calls = (0..count).map(|_| (dice.range(0, self.quiet_at - 1), dice.index(self.clients.len()))).collect();
    }
}

/// How the backend behaves, told by the name of the call: some ms, and what then.
fn behaviour(name: &str, timeout_ms: u64) -> (u64, Result<Payload, CallFailure>) {
    let dice = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
    let after = dice >> 8 & 0xfff;
    let failure = |code: ErrorCode| Err(CallFailure { message: code.meaning().into(), code });
    match dice & 15 {
        0 => (after, failure(ErrorCode::from_name("call.refused.no"))),
        1 => (after, failure(ErrorCode::CallFailed)),
        2 => (timeout_ms, failure(ErrorCode::CallTimeout)),
        _ if after >= timeout_ms => (timeout_ms, failure(ErrorCode::CallTimeout)),
        _ => (after, Ok(answer(name))),
    }
}

fn answer(name: &str) -> Payload {
    Payload::Text(format!("answer to {name}").into())
}

/// Tells whether a failure says that the backend has done nothing.
fn is_undone(failure: &Failure) -> bool {
    !matches!(failure.code, ErrorCode::CallUncertain | ErrorCode::CallTimeout | ErrorCode::CallFailed)
        && !failure.code.name().starts_with(ErrorCode::CallRefused.name())
}

impl World {
    /// An app calls its backend; returns the name of the call.
    pub(crate) fn make_call(&mut self, index: usize) -> Option<String> {
        if self.clients[index].process.is_none() || self.is_frozen(index) {
            return None;
        }
        let name = format!("call{index}-{}", self.backend.made);
        self.backend.made += 1;
        let timeout = 500 + (xxhash_rust::xxh3::xxh3_64(name.as_bytes()) >> 32) as u32 % 20_000;
        let (payload, id) = (Payload::Text(name.as_str().into()), Utf8Bytes::from(name.as_str()));
        let options = CallOptions { timeout_ms: Some(timeout), id: Some(id) };
        let now = self.client_now(index);
        let process = self.clients[index].process.as_mut()?;
        let request = process.core.call("echo", payload, options, now);
        process.calls.insert(request, name.clone());
        self.trace.add(self.now, "call", index as u64, name.as_bytes(), || name.clone());
        self.drive(index);
        Some(name)
    }

    /// An app is told how a call ended.
    pub(crate) fn called(&mut self, index: usize, id: RequestId, result: &Result<Payload, Failure>) {
        let name = self.clients[index].process.as_mut().and_then(|process| process.calls.remove(&id));
        let Some(name) = name else {
            return self.violate(18, format!("client {index} was told twice how {id:?} ended, or never made it"));
        };
        let seen = self.backend.has_seen(&name);
        match result {
            Ok(payload) if *payload != answer(&name) => {
                self.violate(18, format!("{name} has the answer to another call"));
            }
            Ok(_) if !seen => self.violate(18, format!("{name} has an answer that nobody gave")),
            Err(failure) if seen && is_undone(failure) => {
                self.violate(18, format!("{name} was carried out, and ended as if it were not: {failure}"));
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// A node hands a call to the backend.
    pub(crate) fn hand_over(&mut self, shard: usize, call: CallId, calling: &Calling) {
        let name = calling.id.as_str().to_owned();
        self.trace.add(self.now, "hand over", call.0, name.as_bytes(), || name.clone());
        let (after, answer) = behaviour(&name, calling.timeout_ms.into());
        if !self.backend.seen.insert(name.clone()) {
            self.violate(18, format!("{name} was handed over twice"));
        }
        self.backend.answers.insert((shard, call), answer);
        let life = self.server.life;
        self.after(after * 1_000, Happening::BackendAnswers { life, shard, call });
    }

    /// Nobody waits for an answer any more.
    pub(crate) fn give_up(&mut self, shard: usize, call: CallId) {
        self.backend.answers.remove(&(shard, call));
    }

    pub(crate) fn backend_answers(&mut self, life: u32, index: usize, call: CallId) {
        if self.server.life != life {
            return;
        }
        let Some(answer) = self.backend.answers.remove(&(index, call)) else { return };
        let now = self.server.clock(self.now);
        if let Some(shard) = self.server.shards.get_mut(index) {
            shard.node.handle_called(call, answer, now);
            self.drive_server(index);
        }
    }
}
