//! Publishes over WebSockets, from what the node asks of the engine to the engine's answer, as spans.

use rustc_hash::FxHashMap;

use crate::engine::{Appended, Command, Completion, EngineError, Reply, Ticket};
use crate::traces::{self, Span};

/// Spans of publishes that are not answered. Nothing while traces are off.
#[derive(Default)]
pub(super) struct Traced(FxHashMap<Ticket, Span>);

impl Traced {
    /// The engine is about to be asked.
    pub(super) fn begin(&mut self, commands: &[(Ticket, Command)]) {
        if !traces::is_on() {
            return;
        }
        for (ticket, command) in commands {
            if let Command::Append(append) = command {
                let span = Span::inside("publish");
                span.set("messaging.system", "moorline");
                span.set("moorline.app", append.channel.app.as_str().to_owned());
                span.set("messaging.destination.name", traces::destination(append.channel.name.as_str()));
                self.0.insert(*ticket, span);
            }
        }
    }

    /// The engine has answered.
    pub(super) fn end(&mut self, replies: &[Vec<Reply>]) {
        if self.0.is_empty() {
            return;
        }
        for reply in replies.iter().flatten() {
            let Reply::Completed(ticket, answer) = reply else { continue };
            let Some(span) = self.0.remove(ticket) else { continue };
            match answer {
                Ok(Completion::Appended(Appended::Duplicate(_))) => span.set("moorline.duplicate", true),
                Ok(Completion::Appended(Appended::Refused(code))) => span.fail(code.name()),
                Ok(_) => {}
                Err(EngineError::Full) => span.fail("storage.full"),
                Err(_) => span.fail("storage.unavailable"),
            }
        }
    }
}
