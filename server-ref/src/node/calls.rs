//! Calls to the app's backend: who may make them, and whose answer it is.

use std::collections::BTreeMap;

use moorline_protocol::time::Now;
use moorline_protocol::{Call, CallResult, ErrorCode, ErrorFrame, Payload, ServerFrame, Utf8Bytes, limits};

use super::Node;
use super::callout::CalloutKind;
use super::io::{CallFailure, CallId, Calling, ConnId, Output};
use super::session::Caller;
use crate::engine::SessionId;
use crate::planted::Bug;

/// Calls that the backend has not answered.
#[derive(Debug, Default)]
pub(super) struct Calls {
    asked: BTreeMap<CallId, Asked>,
    next: u64,
}

/// Who waits for an answer.
#[derive(Debug)]
struct Asked {
    conn: ConnId,
    session: SessionId,
    req: u64,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }
}

impl Node {
    pub(super) fn call(&mut self, conn: ConnId, call: Call, now: Now) {
        let req = Some(call.req);
        if let Err(error) = self.try_call(conn, call, now) {
            self.send(conn, &ServerFrame::Error(ErrorFrame { req, ..*error }));
        }
    }

    fn try_call(&mut self, conn: ConnId, call: Call, now: Now) -> Result<(), Box<ErrorFrame>> {
        let refuse = |code, text: &'static str| Err(Box::new(ErrorFrame::new(code, text)));
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return Ok(()) };
        if self.config.callouts.of(&app, CalloutKind::Rpc, None).is_none() {
            return refuse(ErrorCode::RequestUnsupported, "this app has no backend for calls; see `caps` in welcome");
        }
        if self.draining.is_some() {
            return refuse(ErrorCode::CallUnavailable, "the server restarts; call again when connected again");
        }
        self.take_rate(conn, now)?;
        let id = CallId(self.calls.next);
        let (max, bugs) = (self.limits_of(conn).message as usize, self.config.bugs);
        let Some(session) = self.session(conn) else { return Ok(()) };
        if !session.may_call(&call.method) {
            return refuse(ErrorCode::CallDenied, "the token has no `call` grant for this method");
        }
        if call.payload.bytes().len() > max {
            return refuse(ErrorCode::LimitMessage, "the arguments are larger than `limits.message` in welcome");
        }
        if let Payload::Json(json) = &call.payload
            && !moorline_protocol::json::is_valid(json)
        {
            return refuse(ErrorCode::RequestMalformed, "the payload is not valid JSON, or nested more than 64 deep");
        }
        let (user, session_id) = (session.user.clone(), session.id);
        let Some(caller) = session.caller.as_mut() else {
            return refuse(ErrorCode::RequestUnsupported, "name `call` in the `caps` of `hello` to make calls");
        };
        if caller.calls.len() >= limits::CALLS {
            return refuse(ErrorCode::LimitCalls, "32 calls of this connection have no answer; wait for one");
        }
        caller.calls.push(id);
        let device = caller.device.clone();
        self.calls.next += 1;
        self.calls.asked.insert(id, Asked { conn, session: session_id, req: call.req });
        let timeout_ms = call.timeout.clamp(1, limits::CALL_MS);
        let Call { id: name, method, payload, .. } = call;
        let calling = Calling { app, user, device, id: name, method, payload, timeout_ms };
        if bugs.has(Bug::CallTwice) {
            self.outputs.push_back(Output::Call(id, calling.clone()));
        }
        self.outputs.push_back(Output::Call(id, calling));
        Ok(())
    }

    /// The app's backend has answered a call, or will not. Harmless after [`Output::Uncall`].
    pub fn handle_called(&mut self, id: CallId, answer: Result<Payload, CallFailure>, now: Now) {
        let Some(Asked { conn, session, req }) = self.calls.asked.remove(&id) else { return };
        let max = self.limits_of(conn).message as usize;
        if let Some(session) = self.session_if(conn, session) {
            if let Some(caller) = &mut session.caller {
                caller.calls.retain(|call| *call != id);
            }
            let error = |failure: CallFailure| {
                ServerFrame::Error(ErrorFrame { req: Some(req), ..ErrorFrame::new(failure.code, failure.message) })
            };
            let frame = match answer {
                Ok(payload) if payload.bytes().len() <= max => ServerFrame::Result(CallResult { req, payload }),
                Ok(_) => {
                    let message = Utf8Bytes::from_static("the backend's answer is larger than a message may be");
                    error(CallFailure { code: ErrorCode::CallFailed, message })
                }
                Err(failure) => error(failure),
            };
            self.send(conn, &frame);
        }
        self.drain_on(now);
    }

    /// Gives up the calls of a connection that is gone.
    pub(super) fn uncall(&mut self, caller: Option<&Caller>) {
        for id in caller.iter().flat_map(|caller| &caller.calls) {
            if self.calls.asked.remove(id).is_some() {
                self.outputs.push_back(Output::Uncall(*id));
            }
        }
    }
}
