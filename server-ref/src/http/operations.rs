//! `Prefer: respond-async`: a request that is durable is answered, and executed afterwards, once.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Epoch, ErrorCode, Offset, Payload, Position, Qos};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use utoipa::ToSchema;

use super::body::Body;
use super::message::{MessageIn, entries};
use super::problem::{Problem, malformed};
use super::publish::Published;
use super::rights::Right;
use super::{Api, Caller, Rights, lock};
use crate::engine::{Appended, Command, Completion, Read, ReadRange, Stored};
use crate::node::backend::{self, Wanted};
use crate::node::operations::{self, Record, Request};

/// Bytes of a body that is to be executed later: it stands in the log as one record.
const MAX_BODY: usize = 2 * 1024 * 1024;
/// After which time the log is asked again if it takes no writes.
const AGAIN: Duration = Duration::from_secs(1);
/// What one read of the log takes.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// An operation: a request that is executed after it was answered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Operation {
    /// Its id, as in its path.
    id: String,
    /// How far it is.
    status: Status,
    /// When it is `done`: what became of its messages, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Published>>)]
    results: Option<Box<RawValue>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// It is durable, and will be executed.
    Waiting,
    /// It is being executed.
    Running,
    /// Every message is stored or refused.
    Done,
}

/// Tells whether a request is to be answered before it is executed.
pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    let lines = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|wish| {
        let wish = wish.split(';').next().unwrap_or_default().trim();
        wish.eq_ignore_ascii_case("respond-async")
    })
}

/// Says how far an operation is. Kept for 24 h.
#[utoipa::path(
    get,
    path = "/v1/apps/{app}/operations/{id}",
    tag = "messages",
    operation_id = "readOperation",
    params(
        ("app" = String, Path, description = "The app.", pattern = "^[A-Za-z0-9_.-]{1,64}$"),
        ("id" = String, Path, description = "The operation's id."),
    ),
    responses(
        (status = 200, description = "The operation.", body = Operation),
        (status = 403, description = "The key may not do this, or not here.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "The request was refused.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
)]
pub(super) async fn operation(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Option<Path<(String, String)>>,
) -> Result<Json<Operation>, Problem> {
    let unknown =
        || Problem::new(&ErrorCode::RequestUnsupported, "there is no such operation, or it was done long ago");
    caller.must(Right::Publish)?;
    let Some(Path((_, id))) = path else { return Err(unknown()) };
    let (epoch, of) = parse(&id).ok_or_else(unknown)?;
    let request = api.record(epoch, of).await?.ok_or_else(unknown)?;
    let Record::Request(request) = request else { return Err(unknown()) };
    let is_foreign = caller.is_confined() && *request.key != *caller.key;
    if request.app != caller.app.as_str() || is_foreign {
        return Err(unknown());
    }
    let (state, is_running) = {
        let operations = lock(&api.operations);
        (operations.state(of).ok_or_else(unknown)?, operations.is_running(of))
    };
    let (status, results) = match state {
        operations::State::Waiting if !is_running => (Status::Waiting, None),
        operations::State::Waiting => (Status::Running, None),
        operations::State::Begun { .. } => (Status::Running, None),
        operations::State::Done { at } => match api.record(epoch, at).await? {
            Some(Record::Done { results, .. }) => (Status::Done, Some(results)),
            _ => return Err(unknown()),
        },
    };
    Ok(Json(Operation { id, status, results }))
}

fn name(epoch: Epoch, of: Offset) -> String {
    format!("op_{}_{}", of.0, epoch.as_str())
}

fn parse(id: &str) -> Option<(Epoch, Offset)> {
    let (offset, epoch) = id.strip_prefix("op_")?.split_once('_')?;
    let offset =
        offset.parse().ok().filter(|offset| (1..=moorline_protocol::limits::MAX_SAFE_INTEGER).contains(offset))?;
    Some((Epoch::new(epoch).ok()?, Offset(offset)))
}

impl Api {
    /// Makes a request durable, and answers it.
    pub(super) async fn accept(
        self: &Arc<Self>,
        caller: &Caller,
        key: &str,
        body: &Body,
        wanted: &[Wanted],
    ) -> Result<Response, Problem> {
        if self.is_stopping() {
            return Err(super::publish::stopping());
        }
        if body.0.len() > MAX_BODY {
            let text = "a request that is executed later has 2 MiB at most; send several";
            return Err(Problem::new(&ErrorCode::LimitMessage, text));
        }
        if wanted.iter().any(|wanted| wanted.qos == Qos::AtMostOnce) {
            return Err(malformed("what is executed later is stored: `qos` is 1 or 2"));
        }
        if !lock(&self.operations).has_room(caller.app.as_str()) {
            return Err(Problem::new(&ErrorCode::LimitRate, "too many operations wait; try again").after(1_000));
        }
        let body: Box<RawValue> = body.read()?;
        let bytes = body.get().len();
        let (app, name_of_key) = (caller.app.to_string(), caller.key.to_string());
        let scope = operations::scope(&app, &name_of_key);
        let request = Record::Request(Request { app: app.clone(), key: name_of_key, id: key.to_owned(), body });
        let Some(command) = operations::store(&request, key, scope) else { return Err(super::read::foreign()) };
        // A client that goes away meanwhile takes nothing back.
        let api = Arc::clone(self);
        let storing = tokio::spawn(async move {
            let answer = api.ask(command).await?;
            if let Completion::Appended(Appended::Stored(position)) = &answer {
                lock(&api.operations).accept(position.offset, &app, bytes, api.unix());
                api.accepted.notify_one();
            }
            Ok::<_, Problem>(answer)
        });
        let position = stands_at(storing.await.map_err(|_| super::read::foreign())??)?;
        let id = name(position.epoch, position.offset);
        let place = format!("/v1/apps/{}/operations/{id}", caller.app);
        let applied = (HeaderName::from_static("preference-applied"), "respond-async".to_owned());
        let operation = Operation { id, status: Status::Waiting, results: None };
        Ok((StatusCode::ACCEPTED, [(header::LOCATION, place), applied], Json(operation)).into_response())
    }

    /// Reads a record of the channel; `None` if there is none, or if the log began a new life.
    async fn record(&self, epoch: Epoch, at: Offset) -> Result<Option<Record>, Problem> {
        let page = self.read_operations(at.previous(), 1).await?;
        let stored = page.1.first().filter(|stored| page.0 == epoch && stored.offset == at);
        Ok(stored.and_then(record))
    }

    async fn read_operations(&self, after: Offset, most: usize) -> Result<(Epoch, Vec<Stored>, bool), Problem> {
        let Some(channel) = operations::channel() else { return Err(super::read::foreign()) };
        let range = ReadRange::After(after);
        let read = Read { channel, range, max_messages: most, max_bytes: READ_BYTES };
        let Completion::Read(page) = self.ask(Command::Read(read)).await? else { return Err(super::read::foreign()) };
        Ok((page.epoch, page.messages, page.more))
    }

    /// Learns what the log holds, and ends what was half done: to be called before anybody is served, so that nothing
    /// pushes the ids of its messages out.
    pub(super) async fn recover(&self) {
        let mut after = Offset::ZERO;
        loop {
            let Ok((_, messages, more)) = self.read_operations(after, 1_000).await else {
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            messages.iter().for_each(|stored| lock(&self.operations).note(stored));
            match messages.last() {
                Some(last) if more => after = last.offset,
                _ => break,
            }
        }
        let begun = lock(&self.operations).begun();
        for of in begun {
            if let Err(problem) = self.try_execute(of).await {
                // Whoever only reads must not wait for room in the log.
                tracing::warn!(operation = of.0, code = problem.code(), "an operation has to wait");
            }
        }
    }

    /// Executes what waits for ever: of each app one after the other, of several apps beside each other.
    pub(super) async fn work(self: Arc<Self>) {
        let mut running = JoinSet::new();
        loop {
            let accepted = self.accepted.notified();
            while let Some(of) = { lock(&self.operations).take() } {
                let api = Arc::clone(&self);
                running.spawn(async move { api.execute(of).await });
            }
            tokio::select! {
                () = accepted => {}
                Some(_) = running.join_next() => {}
            }
            lock(&self.operations).expire(self.unix());
        }
    }

    /// Executes an operation until its results are durable.
    async fn execute(&self, of: Offset) {
        while let Err(problem) = self.try_execute(of).await {
            tracing::warn!(operation = of.0, code = problem.code(), "an operation has to wait");
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn try_execute(&self, of: Offset) -> Result<(), Problem> {
        let now = self.unix();
        let (_, messages, _) = self.read_operations(of.previous(), 1).await?;
        let Some(Record::Request(request)) = messages.first().filter(|stored| stored.offset == of).and_then(record)
        else {
            // It was removed by hand, or by age.
            lock(&self.operations).finish(of, of);
            return Ok(());
        };
        let results = self.run(&request, of, now).await?;
        let text = serde_json::to_string(&results).map_err(|_| super::read::foreign())?;
        let results = RawValue::from_string(text).map_err(|_| super::read::foreign())?;
        let done = store(&Record::Done { of: of.0, results }, of, "done")?;
        let at = stands_at(self.ask(done).await?)?;
        lock(&self.operations).finish(of, at.offset);
        Ok(())
    }

    /// Publishes what a request says, behind the mark that it was begun. What can succeed later fails all of it: it is
    /// tried again, and what was stored is known by its id.
    async fn run(&self, request: &Request, of: Offset, now: UnixMillis) -> Result<Vec<Published>, Problem> {
        let caller = Caller {
            app: moorline_protocol::AppName::new(&request.app).map_err(|_| super::read::foreign())?,
            key: request.key.as_str().into(),
            rights: Rights::all(),
        };
        let body = Body(bytes::Bytes::copy_from_slice(request.body.get().as_bytes()));
        let (messages, is_list) = body.read_some::<MessageIn>()?;
        let wanted = entries(messages, &request.id, is_list)?;
        if lock(&self.operations).is_uncertain(of, now) {
            let text = "the server was down for so long that it does not know any more whether this was stored";
            let problem = || Problem::new(&ErrorCode::PublishUncertain, text);
            return Ok(wanted.into_iter().map(|wanted| Published::refused(wanted.channel, problem())).collect());
        }
        let mark = store(&Record::Begun { of: of.0 }, of, "begun")?;
        let results = self.publish_behind(&caller, Some(mark), wanted).await?;
        // Without its mark nothing was begun, however often that is tried.
        lock(&self.operations).begin(of, now);
        match results.iter().find_map(Published::retryable) {
            Some(problem) => Err(problem),
            None => Ok(results),
        }
    }
}

/// Returns where a record stands.
fn stands_at(answer: Completion) -> Result<Position, Problem> {
    let outcome = backend::published(Ok(answer)).map_err(|error| Problem::from(*error))?;
    outcome.position.ok_or_else(super::read::foreign)
}

fn record(stored: &Stored) -> Option<Record> {
    let message = moorline_protocol::binary::decode_message(&mut stored.bytes.clone()).ok()?;
    let Payload::Json(json) = message.payload else { return None };
    serde_json::from_slice(&json).ok()
}

fn store(record: &Record, of: Offset, kind: &str) -> Result<Command, Problem> {
    operations::store(record, &format!("{kind}/{}", of.0), "\u{3}".into()).ok_or_else(super::read::foreign)
}

#[cfg(test)]
mod tests;
