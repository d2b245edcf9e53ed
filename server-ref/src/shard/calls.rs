//! Calls of clients, over HTTP: the request to the app's backend, and what its answer means.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use moorline_protocol::{ErrorCode, Payload, Utf8Bytes};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Handle, Shard};
use crate::callout::{CalloutError, Kind, Refusal, Reply};
use crate::node::{CallFailure, CallId, Calling};

/// Bytes of the app's own word that are passed on.
const MOST_WORD: usize = 64;
/// Bytes of the app's sentence that are passed on.
const MOST_MESSAGE: usize = 512;

/// What is asked.
#[derive(Serialize)]
struct Question<'a> {
    ask: &'static str,
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    device: &'a str,
    id: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bin: Option<String>,
}

/// A good answer: exactly one of the three.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    text: Option<String>,
    bin: Option<String>,
}

/// Takes what is there, `null` too.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

/// A no.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: Option<String>,
    message: Option<String>,
    detail: Option<String>,
}

impl Shard {
    /// Hands a call to the app's backend.
    pub(super) fn call(&mut self, id: CallId, calling: &Calling, handle: &Handle) {
        let within = Duration::from_millis(calling.timeout_ms.into());
        let line = self.node.callouts().of(&calling.app, Kind::Rpc, None).map(|terms| terms.id);
        // At once: what the rules name now may be gone later.
        let asked = line.map(|line| self.callouts.exchange(line, Kind::Rpc, question(calling), within));
        let handle = handle.clone();
        let task = tokio::task::spawn_local(async move {
            let answer = match asked {
                Some(asked) => meaning(asked.await),
                None => Err(failure(ErrorCode::CallUnavailable, "this app has no backend for calls any more")),
            };
            handle.with(|shard, now| {
                shard.calls.remove(&id);
                shard.node.handle_called(id, answer, now);
            });
        });
        self.calls.insert(id, task.abort_handle());
    }

    /// Gives up a call whose connection is gone, and with it the request.
    pub(super) fn uncall(&mut self, id: CallId) {
        if let Some(task) = self.calls.remove(&id) {
            task.abort();
        }
    }
}

fn question(calling: &Calling) -> Bytes {
    let (mut data, mut text, mut bin) = (None, None, None);
    match &calling.payload {
        // The node has checked that it is JSON.
        Payload::Json(json) => data = serde_json::from_slice(json).ok(),
        Payload::Text(it) => text = Some(it.as_str()),
        Payload::Binary(bytes) => bin = Some(STANDARD.encode(bytes)),
    }
    let question = Question {
        ask: Kind::Rpc.name(),
        app: calling.app.as_str(),
        user: calling.user.as_ref().map(moorline_protocol::UserName::as_str),
        device: calling.device.as_str(),
        id: &calling.id,
        method: &calling.method,
        data,
        text,
        bin,
    };
    serde_json::to_vec(&question).unwrap_or_default().into()
}

fn failure(code: ErrorCode, message: impl Into<Utf8Bytes>) -> CallFailure {
    CallFailure { code, message: message.into() }
}

fn meaning(reply: Result<Reply, CalloutError>) -> Result<Payload, CallFailure> {
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return Err(no_reply(&error)),
    };
    if reply.status.is_success() {
        let is_empty = reply.body.trim_ascii().is_empty();
        let answer = if is_empty { Some(Payload::Json(Bytes::from_static(b"null"))) } else { answer(&reply.body) };
        let senseless = "the app's backend answered something that is no answer; see docs/rpc.md";
        answer.ok_or_else(|| failure(ErrorCode::CallFailed, senseless))
    } else if reply.status.is_client_error() {
        Err(refusal(&reply.body))
    } else {
        Err(failure(ErrorCode::CallFailed, format!("the app's backend answered {}", reply.status.as_u16())))
    }
}

fn answer(body: &[u8]) -> Option<Payload> {
    if !moorline_protocol::json::is_valid(body) {
        return None;
    }
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    match (answer.data, answer.text, answer.bin) {
        (Some(data), None, None) => Some(Payload::Json(Bytes::copy_from_slice(data.get().as_bytes()))),
        (None, Some(text), None) => Some(Payload::Text(text.into())),
        (None, None, Some(bin)) => Some(Payload::Binary(STANDARD.decode(bin).ok()?.into())),
        _ => None,
    }
}

/// The backend's no, with its own word behind the code if it has said one that can stand there.
fn refusal(body: &[u8]) -> CallFailure {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let is_word = |word: &String| {
        (1..=MOST_WORD).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let refused = ErrorCode::CallRefused;
    let code = match problem.code.filter(is_word) {
        Some(word) => ErrorCode::from_name(&format!("{}.{word}", refused.name())),
        None => refused,
    };
    let message = problem.message.or(problem.detail).filter(|message| !message.is_empty());
    let mut message = message.unwrap_or_else(|| "the app's backend refused the call".to_owned());
    message.truncate(message.floor_char_boundary(MOST_MESSAGE));
    failure(code, message)
}

/// What it means that nothing of use came back. Reasons that name addresses are for the server's log alone.
fn no_reply(error: &CalloutError) -> CallFailure {
    let unavailable = || failure(ErrorCode::CallUnavailable, "the app's backend takes no calls now; try again later");
    match error {
        CalloutError::Open(_) | CalloutError::Busy | CalloutError::Stopped => unavailable(),
        CalloutError::Refused(Refusal::Late(_)) => failure(
            ErrorCode::CallTimeout,
            "the app's backend did not answer in time; it may have carried the call out",
        ),
        CalloutError::Refused(
            Refusal::Resolve(_) | Refusal::Private(_) | Refusal::Connect(_) | Refusal::Tls(_) | Refusal::Url,
        ) => unavailable(),
        CalloutError::Refused(Refusal::Status(status)) if matches!(status.as_u16(), 429 | 503) => unavailable(),
        CalloutError::Refused(Refusal::Status(_) | Refusal::Large(_) | Refusal::Http(_)) | CalloutError::Invalid => {
            failure(ErrorCode::CallFailed, "the app's backend failed; it may have carried the call out")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &'static str) -> Result<Reply, CalloutError> {
        let status = hyper::StatusCode::from_u16(status).unwrap();
        Ok(Reply { status, retry_after: None, body: Bytes::from_static(body.as_bytes()) })
    }

    fn code(status: u16, body: &'static str) -> String {
        meaning(reply(status, body)).unwrap_err().code.name().to_owned()
    }

    #[test]
    fn an_answer_is_one_payload() {
        let json = |text: &'static str| Payload::Json(Bytes::from_static(text.as_bytes()));
        assert_eq!(meaning(reply(200, r#"{"data": {"a": 1.0}}"#)), Ok(json(r#"{"a": 1.0}"#)));
        assert_eq!(meaning(reply(200, r#"{"data": null}"#)), Ok(json("null")));
        assert_eq!(meaning(reply(204, "")), Ok(json("null")));
        assert_eq!(meaning(reply(201, r#"{"text": "hi", "later": 1}"#)), Ok(Payload::Text("hi".into())));
        assert_eq!(meaning(reply(200, r#"{"bin": "AP8="}"#)), Ok(Payload::Binary(Bytes::from_static(&[0, 255]))));
        for lie in ["{}", "[]", "1", "<html>", r#"{"data": 1, "text": "a"}"#, r#"{"bin": "?"}"#, r#"{"text": 1}"#, "{"]
        {
            assert_eq!(code(200, lie), "call.failed", "{lie}");
        }
        assert_eq!(code(302, ""), "call.failed");
    }

    #[test]
    fn a_no_has_the_app_s_word_behind_the_code() {
        assert_eq!(code(409, r#"{"code": "sold_out", "message": "none left"}"#), "call.refused.sold_out");
        for body in ["", "no", r#"{"message": "none"}"#, r#"{"code": "a b"}"#, r#"{"code": ""}"#, r#"{"code": 7}"#] {
            assert_eq!(code(404, body), "call.refused", "{body}");
        }
        let message = |body| meaning(reply(400, body)).unwrap_err().message;
        assert_eq!(&*message(r#"{"message": "none left"}"#), "none left");
        assert_eq!(&*message(r#"{"title": "No", "detail": "none left"}"#), "none left");
        let long: &'static str = Box::leak(format!(r#"{{"message": "{}"}}"#, "ü".repeat(600)).into_boxed_str());
        assert_eq!(message(long).len(), 512);
    }

    #[test]
    fn what_never_reached_the_backend_may_be_tried_again_and_what_may_have_says_so() {
        let code = |error| no_reply(&error).code;
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let status = |status| Refusal::Status(hyper::StatusCode::from_u16(status).unwrap());
        for error in [CalloutError::Busy, CalloutError::Stopped, CalloutError::Open(Duration::ZERO)] {
            assert_eq!(code(error), ErrorCode::CallUnavailable);
        }
        assert_eq!(code(Refusal::Connect(refused()).into()), ErrorCode::CallUnavailable);
        assert_eq!(code(status(503).into()), ErrorCode::CallUnavailable);
        assert_eq!(code(status(500).into()), ErrorCode::CallFailed);
        assert_eq!(code(Refusal::Large(1).into()), ErrorCode::CallFailed);
        assert_eq!(code(Refusal::Late(1).into()), ErrorCode::CallTimeout);
    }
}
