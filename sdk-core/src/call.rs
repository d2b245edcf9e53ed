//! Calls to the app's backend: sent once at most, and each ends with one event.

use std::time::Duration;

use moorline_protocol::limits::{CALL_MS, CALLS, MESSAGE_ID};
use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{Call as Frame, ClientFrame, ErrorCode, ErrorFrame, Payload, Utf8Bytes, is_method};

use crate::blackbox::Call;
use crate::client::Client;
use crate::closing::closed_failure;
use crate::config::CallOptions;
use crate::event::{Event, Failure, Origin};
use crate::ids::RequestId;
use crate::inbound::failure;
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};
use crate::timer::is_due;

/// ms that an answer is awaited for, unless the app says otherwise.
const TIMEOUT_MS: u32 = 10_000;

/// Calls that have no answer yet, oldest first.
#[derive(Default)]
pub(crate) struct Calls {
    waiting: Vec<Pending>,
    /// Whether the server of this connection takes calls.
    may: bool,
    bugs: Bugs,
}

struct Pending {
    id: RequestId,
    frame: Frame,
    deadline: Timestamp,
    is_sent: bool,
}

impl Client {
    /// Asks the app's backend something. Ends with one [`Event::CallFinished`], within the call's timeout.
    ///
    /// A call waits for a connection, and is sent once at most: one whose connection ends before its answer fails with
    /// `call.uncertain`, since the backend may have carried it out.
    pub fn call(&mut self, method: &str, payload: Payload, options: CallOptions, now: Now) -> RequestId {
        self.recorder.begin(now, || {
            let (method, payload, options) = (Utf8Bytes::from(method), payload.clone(), options.clone());
            Call::Call { method, payload, options }
        });
        let id = self.history.next();
        let timeout = options.timeout_ms.unwrap_or(TIMEOUT_MS);
        let name = options.id.unwrap_or_else(|| self.dice.name().into());
        let refused = if !self.phase.is_open() || self.connection.is_closed() {
            Some(closed_failure())
        } else if !is_method(method)
            || !(1..=CALL_MS).contains(&timeout)
            || !(1..=MESSAGE_ID).contains(&name.as_bytes().len())
        {
            let text =
                "a method is 1 to 128 of A-Z, a-z, 0-9 and _.:/-, an id 1 to 128 bytes, a timeout 1 to 30,000 ms";
            Some(Failure::new(ErrorCode::RequestMalformed, text, Origin::Client))
        } else if payload.bytes().len() > self.outbox.message_limit() {
            Some(Failure::new(ErrorCode::LimitMessage, "the arguments are larger than a message", Origin::Client))
        } else if self.calls.waiting.len() >= CALLS {
            Some(Failure::new(ErrorCode::LimitCalls, "32 calls have no answer yet: wait for one", Origin::Client))
        } else {
            None
        };
        if let Some(failure) = refused {
            self.out.event(Event::CallFinished { id, result: Err(failure) });
        } else {
            let frame = Frame { req: 0, id: name, method: method.into(), timeout, payload };
            let deadline = now.mono + Duration::from_millis(u64::from(timeout));
            self.calls.waiting.push(Pending { id, frame, deadline, is_sent: false });
            if self.connection.is_online() {
                self.calls.send(now.mono, &mut self.out);
            }
        }
        self.end_call(now);
        id
    }
}

impl Calls {
    pub(crate) fn new(bugs: Bugs) -> Self {
        Self { bugs, ..Self::default() }
    }

    pub(crate) fn on_online(&mut self, may: bool, now: Timestamp, out: &mut Outgoing) {
        self.may = may;
        self.send(now, out);
    }

    fn send(&mut self, now: Timestamp, out: &mut Outgoing) {
        if !self.may {
            let text = "the server hands no calls to a backend";
            return self.fail_all(&Failure::new(ErrorCode::RequestUnsupported, text, Origin::Server), out);
        }
        for call in self.waiting.iter_mut().filter(|call| !call.is_sent) {
            call.is_sent = true;
            call.frame.req = out.req();
            call.frame.timeout = (call.deadline.since(now).as_millis() as u32).max(1);
            out.send(&ClientFrame::Call(call.frame.clone()));
        }
    }

    /// The connection is gone, and with it the answers to what was sent.
    pub(crate) fn on_lost(&mut self, out: &mut Outgoing) {
        if self.bugs.has(Bug::CallSentAgain) {
            self.waiting.iter_mut().for_each(|call| call.is_sent = false);
        }
        if self.bugs.has(Bug::CallForgotten) {
            self.waiting.retain(|call| !call.is_sent);
        }
        self.end(&|call| call.is_sent.then(uncertain), out);
    }

    /// Takes an answer; tells whether it is a call's.
    pub(crate) fn finish(&mut self, req: u64, result: Result<Payload, &ErrorFrame>, out: &mut Outgoing) -> bool {
        let Some(at) = self.waiting.iter().position(|call| call.is_sent && call.frame.req == req) else { return false };
        let id = self.waiting.remove(at).id;
        out.event(Event::CallFinished { id, result: result.map_err(failure) });
        true
    }

    /// Ends them all: with this, or as uncertain where they were sent.
    pub(crate) fn fail_all(&mut self, failure: &Failure, out: &mut Outgoing) {
        self.end(&|call| Some(if call.is_sent { uncertain() } else { failure.clone() }), out);
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|call| call.deadline).min()
    }

    pub(crate) fn on_timeout(&mut self, now: Timestamp, out: &mut Outgoing) {
        let late = |call: &Pending| {
            let (code, text) = if call.is_sent {
                (ErrorCode::CallTimeout, "no answer came in time; the call may have been carried out")
            } else {
                (ErrorCode::RequestTimeout, "there was no connection in time; the call was not sent")
            };
            is_due(Some(call.deadline), now).then(|| Failure::new(code, text, Origin::Transport))
        };
        self.end(&late, out);
    }

    fn end(&mut self, why: &dyn Fn(&Pending) -> Option<Failure>, out: &mut Outgoing) {
        self.waiting.retain(|call| {
            let failure = why(call);
            let is_kept = failure.is_none();
            if let Some(failure) = failure {
                out.event(Event::CallFinished { id: call.id, result: Err(failure) });
            }
            is_kept
        });
    }
}

fn uncertain() -> Failure {
    let text = "the connection ended before the answer; the call may have been carried out";
    Failure::new(ErrorCode::CallUncertain, text, Origin::Transport)
}
