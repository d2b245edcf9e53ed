//! The reference model: the promises of the protocol once more, as simply as they can be written down.
//!
//! - [`Rules`] is the engine as the rules want it: it keeps every verdict, id, cursor and connection for ever, takes
//!   each command before the real engine does, and says what the answer must be.
//! - [`Log`] is the disk as it must be: what became durable, in which order, under which name. It says what each
//!   reader has to get between two positions, and what no answer may show yet.
//!
//! The model shares the real engine's types and none of its code. After a restart it is rebuilt from the records that
//! survived, and compared with what had been promised before.

mod log;
mod rules;

pub(crate) use log::{Entry, Log, content};
pub(crate) use rules::{Asked, Members, Rules};

/// A broken promise: which invariant of the quality page, and what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The number of the invariant, 1–17.
    pub invariant: u8,
    /// What happened.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(invariant: u8, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

/// Keeps the first broken promise of several.
#[derive(Default)]
pub(crate) struct First(Option<Violation>);

impl First {
    pub(crate) fn note(&mut self, found: Option<Violation>) {
        if self.0.is_none() {
            self.0 = found;
        }
    }

    pub(crate) fn into_violation(self) -> Option<Violation> {
        self.0
    }
}
