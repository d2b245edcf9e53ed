//! `POST /v1/apps/{app}/messages`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use moorline_protocol::{ErrorCode, ErrorFrame};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::Body;
use super::message::{MessageIn, entries, key};
use super::problem::{Problem, malformed};
use super::rights::{NOT_ITS_CHANNEL, Right};
use super::{Api, Caller, operations};
use crate::engine::{Command, EngineError};
use crate::node::backend::{self, Outcome, Wanted};
use crate::traces::{self, Span};

/// What became of one message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Published {
    /// It is stored, or was handed out (QoS 0).
    Stored(Stored),
    /// It was refused.
    Refused(Refused),
}

/// A message that is stored, as durably as the server promises.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stored {
    /// The channel.
    channel: String,
    /// The life of the channel's log; absent at QoS 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    /// The place in it; absent at QoS 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    /// Whether it was stored before, by a request with the same id.
    duplicate: bool,
}

/// A message that was refused; others of its request were not.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Refused {
    /// The channel, as it was named.
    channel: String,
    /// Why.
    problem: Problem,
}

/// What became of the messages of a request: of one `channel` an object, else a list, in order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema of an answer")]
pub(super) enum Answer {
    One(Stored),
    List(Vec<Published>),
}

/// Publishes a message, or a list of at most 1,000.
///
/// Answers when the messages are durable. A request that is repeated with the same `Idempotency-Key` (or `id`) stores
/// nothing twice: ids are remembered per channel and key for 24 h, and the newest 100,000.
#[utoipa::path(
    post,
    path = "/v1/apps/{app}/messages",
    tag = "messages",
    operation_id = "publish",
    params(
        ("app" = String, Path, description = "The app.", pattern = "^[A-Za-z0-9_.-]{1,64}$"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: answers 202 when the request is durable, and executes it afterwards, once. At most 2 MiB, not at QoS 0.", example = "respond-async"),
        ("Idempotency-Key" = Option<String>, Header, description = "The message's id, if it names none; entry *i* of a list gets `<key>/<i>`.", min_length = 1, max_length = 120),
    ),
    request_body(content = super::message::MessagesIn),
    responses(
        (status = 200, description = "All are stored.", body = Answer),
        (status = 202, description = "The request is durable, and will be executed once.", body = operations::Operation, headers(("Location" = String, description = "Where its results will be, for 24 h."))),
        (status = 207, description = "Some messages of a list were refused.", body = Vec<Published>),
        (status = 403, description = "The key may not do this, or not here.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "The request was refused as a whole.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
)]
pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.must(Right::Publish)?;
    let key = key(&headers)?;
    let (messages, is_list) = body.read_some::<MessageIn>()?;
    if messages.is_empty() {
        return Err(malformed("the list has no message"));
    }
    let is_single = !is_list && messages.iter().all(MessageIn::is_single);
    let key = key.unwrap_or_else(|| api.random_name());
    let wanted = entries(messages, &key, is_list)?;
    api.take(&caller, wanted.len().saturating_sub(1) as u32)?;
    if operations::is_asked(&headers) {
        // What is accepted is executed, whatever becomes of the key.
        wanted.iter().try_for_each(|wanted| caller.must_reach(&wanted.channel))?;
        return api.accept(&caller, &key, &body, &wanted).await;
    }
    if api.is_stopping() {
        return Err(stopping());
    }
    let mut results = api.publish_all(&caller, wanted).await;
    if is_single {
        return match results.pop() {
            Some(Published::Stored(stored)) => Ok(Json(stored).into_response()),
            Some(Published::Refused(refused)) => Err(refused.problem),
            None => Err(malformed("there is no message")),
        };
    }
    let has_refused = results.iter().any(|result| matches!(result, Published::Refused(_)));
    let status = if has_refused { StatusCode::MULTI_STATUS } else { StatusCode::OK };
    Ok((status, Json(results)).into_response())
}

impl Api {
    /// Publishes in order, and waits until all of it is durable or refused.
    pub(super) async fn publish_all(&self, caller: &Caller, wanted: Vec<Wanted>) -> Vec<Published> {
        let (now, max_message) = (self.unix(), self.live().message(&caller.app));
        let (mut planned, mut commands) = (Vec::new(), Vec::new());
        for wanted in wanted {
            let channel = wanted.channel.clone();
            if !caller.reaches(&channel) {
                let error = ErrorFrame::new(ErrorCode::ChannelDenied, NOT_ITS_CHANNEL);
                planned.push((channel, Err(Box::new(error))));
                continue;
            }
            match backend::publish(&caller.app, &caller.key, wanted, max_message, now) {
                Ok(command) => {
                    let is_answered = matches!(command, Command::Append(_));
                    planned.push((channel, Ok(is_answered)));
                    commands.push(command);
                }
                Err(error) => planned.push((channel, Err(error))),
            }
        }
        let span = Span::inside("publish");
        span.set("messaging.system", "moorline");
        span.set("moorline.app", caller.app.as_str().to_owned());
        span.set("messaging.batch.message_count", planned.len() as i64);
        if let [(channel, _)] = planned.as_slice() {
            span.set("messaging.destination.name", traces::destination(channel));
        }
        let answers = self.asker.ask_all(commands).await;
        if answers.iter().any(Result::is_err) {
            span.fail("storage");
        }
        drop(span);
        let mut answers = answers.into_iter();
        let result = |(channel, planned): (String, Result<bool, Box<ErrorFrame>>)| {
            let outcome = match planned {
                Ok(true) => backend::published(answers.next().unwrap_or(Err(EngineError::Unavailable))),
                Ok(false) => Ok(Outcome { position: None, is_duplicate: false }),
                Err(error) => Err(error),
            };
            Published::of(channel, outcome)
        };
        planned.into_iter().map(result).collect()
    }
}

/// The server is on its way out: the next one takes the request.
pub(super) fn stopping() -> Problem {
    let text = "the server stops; send the request again, with the same id";
    Problem::new(&ErrorCode::StorageUnavailable, text).after(1_000)
}

impl Published {
    /// A message that was refused.
    pub(super) fn refused(channel: String, problem: Problem) -> Self {
        Self::Refused(Refused { channel, problem })
    }

    /// Returns the problem of a message that can be stored later.
    pub(super) fn retryable(&self) -> Option<Problem> {
        match self {
            Self::Refused(refused) if refused.problem.retry => Some(refused.problem.clone()),
            Self::Refused(_) | Self::Stored(_) => None,
        }
    }

    fn of(channel: String, outcome: Result<Outcome, Box<ErrorFrame>>) -> Self {
        match outcome {
            Ok(Outcome { position, is_duplicate }) => Self::Stored(Stored {
                channel,
                epoch: position.map(|position| position.epoch.as_str().to_owned()),
                offset: position.map(|position| position.offset.0),
                duplicate: is_duplicate,
            }),
            Err(error) => Self::Refused(Refused { channel, problem: Problem::from(*error) }),
        }
    }
}
