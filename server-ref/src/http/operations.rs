//! `Prefer: respond-async`: a request that is durable is answered, and executed afterwards, once.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, Epoch, ErrorCode, Offset, Payload, Position, Qos};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
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
/// After which time apps that are new in the configuration are looked for.
pub(super) const NEW_APPS: Duration = Duration::from_secs(10);
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
    let app = &caller.app;
    api.learn(app).await?;
    let request = api.record(app, epoch, of).await?.ok_or_else(unknown)?;
    let Record::Request(request) = request else { return Err(unknown()) };
    let is_foreign = caller.is_confined() && *request.key != *caller.key;
    if request.app != caller.app.as_str() || is_foreign {
        return Err(unknown());
    }
    let (state, is_running) = {
        let operations = lock(&api.operations);
        (operations.state(app, of).ok_or_else(unknown)?, operations.is_running(app, of))
    };
    let (status, results) = match state {
        operations::State::Waiting if !is_running => (Status::Waiting, None),
        operations::State::Waiting => (Status::Running, None),
        operations::State::Begun { .. } => (Status::Running, None),
        operations::State::Done { at } => match api.record(app, epoch, at).await? {
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
        self.learn(&caller.app).await?;
        let body: Box<RawValue> = body.read()?;
        let (app, name_of_key) = (caller.app.clone(), caller.key.to_string());
        let scope = operations::scope(app.as_str(), &name_of_key);
        let request =
            Request { app: app.to_string(), key: name_of_key, id: key.to_owned(), body, messages: wanted.len() };
        let bytes = request.bytes();
        let Some(command) = operations::store(&app, &Record::Request(request), key, scope) else {
            return Err(super::read::foreign());
        };
        if !lock(&self.operations).reserve(&app, bytes) {
            return Err(Problem::new(&ErrorCode::LimitRate, "too many operations wait; try again").after(1_000));
        }
        // A client that goes away meanwhile takes nothing back.
        let api = Arc::clone(self);
        let storing = tokio::spawn(async move {
            let answer = api.ask(command).await;
            let mut operations = lock(&api.operations);
            operations.release(&app, bytes);
            if let Ok(Completion::Appended(Appended::Stored(position))) = &answer {
                operations.accept(&app, position.offset, bytes, api.unix());
                api.accepted.notify_one();
            }
            answer
        });
        let position = stands_at(storing.await.map_err(|_| super::read::foreign())??)?;
        let id = name(position.epoch, position.offset);
        let place = format!("/v1/apps/{}/operations/{id}", caller.app);
        let applied = (HeaderName::from_static("preference-applied"), "respond-async".to_owned());
        let operation = Operation { id, status: Status::Waiting, results: None };
        Ok((StatusCode::ACCEPTED, [(header::LOCATION, place), applied], Json(operation)).into_response())
    }

    /// Reads a record of an app's channel; `None` if there is none, or if the log began a new life.
    async fn record(&self, app: &AppName, epoch: Epoch, at: Offset) -> Result<Option<Record>, Problem> {
        let page = self.read_operations(app, at.previous(), 1).await?;
        let stored = page.1.first().filter(|stored| page.0 == epoch && stored.offset == at);
        Ok(stored.and_then(record))
    }

    async fn read_operations(
        &self,
        app: &AppName,
        after: Offset,
        most: usize,
    ) -> Result<(Epoch, Vec<Stored>, bool), Problem> {
        let Some(channel) = operations::channel(app) else { return Err(super::read::foreign()) };
        let range = ReadRange::After(after);
        let read = Read { channel, range, max_messages: most, max_bytes: READ_BYTES };
        let Completion::Read(page) = self.ask(Command::Read(read)).await? else { return Err(super::read::foreign()) };
        Ok((page.epoch, page.messages, page.more))
    }

    /// Learns what the log holds of the apps that are configured, and ends what was half done: to be called before anybody is
    /// served, so that nothing pushes the ids of its messages out.
    pub(super) async fn recover(&self) {
        for app in &self.live().keys.apps() {
            while let Err(problem) = self.learn(app).await {
                tracing::warn!(%app, code = problem.code(), "what is promised cannot be read yet");
                tokio::time::sleep(AGAIN).await;
            }
            let begun = lock(&self.operations).begun(app);
            for of in begun {
                if let Err(problem) = self.try_execute(app, of).await {
                    // Whoever only reads must not wait for room in the log.
                    tracing::warn!(%app, operation = of.0, code = problem.code(), "an operation has to wait");
                }
            }
        }
    }

    /// Learns what the log holds of an app, if that is not known. An app that is new in the configuration was perhaps there
    /// before.
    async fn learn(&self, app: &AppName) -> Result<(), Problem> {
        if lock(&self.operations).is_learnt(app) {
            return Ok(());
        }
        // One reads, the others wait for it.
        let _learning = self.learning.lock().await;
        if lock(&self.operations).is_learnt(app) {
            return Ok(());
        }
        let mut after = Offset::ZERO;
        loop {
            let (_, messages, more) = self.read_operations(app, after, 1_000).await?;
            messages.iter().for_each(|stored| lock(&self.operations).note(app, stored));
            match messages.last() {
                Some(last) if more => after = last.offset,
                _ => break,
            }
        }
        lock(&self.operations).learnt(app);
        self.accepted.notify_one();
        Ok(())
    }

    async fn learn_new_apps(&self) {
        for app in &self.live().keys.apps() {
            if let Err(problem) = self.learn(app).await {
                tracing::warn!(%app, code = problem.code(), "what is promised cannot be read yet");
            }
        }
    }

    /// Executes what waits for ever: of each app one after the other, of several apps beside each other. Looks for new apps
    /// `every` so often, whatever else there is to do.
    pub(super) async fn work(self: Arc<Self>, every: Duration) {
        let mut running = JoinSet::new();
        let mut new_apps = tokio::time::interval(every);
        new_apps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let accepted = self.accepted.notified();
            while let Some((app, of)) = { lock(&self.operations).take() } {
                let api = Arc::clone(&self);
                running.spawn(async move { api.execute(&app, of).await });
            }
            tokio::select! {
                () = accepted => {}
                Some(_) = running.join_next() => {}
                _ = new_apps.tick() => {
                    let api = Arc::clone(&self);
                    running.spawn(async move { api.learn_new_apps().await });
                }
            }
            lock(&self.operations).expire(self.unix());
        }
    }

    /// Executes an operation until its results are durable.
    async fn execute(&self, app: &AppName, of: Offset) {
        while let Err(problem) = self.try_execute(app, of).await {
            tracing::warn!(%app, operation = of.0, code = problem.code(), "an operation has to wait");
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn try_execute(&self, app: &AppName, of: Offset) -> Result<(), Problem> {
        let now = self.unix();
        let (_, messages, _) = self.read_operations(app, of.previous(), 1).await?;
        let Some(Record::Request(request)) = messages.first().filter(|stored| stored.offset == of).and_then(record)
        else {
            tracing::error!(%app, operation = of.0, "what was promised is not in the log any more, and is not done");
            lock(&self.operations).finish(app, of, of);
            return Ok(());
        };
        let results = self.run(app, &request, of, now).await?;
        let text = serde_json::to_string(&results).map_err(|_| super::read::foreign())?;
        let results = RawValue::from_string(text).map_err(|_| super::read::foreign())?;
        let done = store(app, &Record::Done { of: of.0, results }, of, "done")?;
        let at = stands_at(self.ask(done).await?)?;
        lock(&self.operations).finish(app, of, at.offset);
        Ok(())
    }

    /// Publishes what a request says, behind the mark that it was begun. What can succeed later fails all of it: it is
    /// tried again, and what was stored is known by its id.
    async fn run(
        &self,
        app: &AppName,
        request: &Request,
        of: Offset,
        now: UnixMillis,
    ) -> Result<Vec<Published>, Problem> {
        let caller = Caller { app: app.clone(), key: request.key.as_str().into(), rights: Rights::all() };
        let body = Body(bytes::Bytes::copy_from_slice(request.body.get().as_bytes()));
        let (messages, is_list) = body.read_some::<MessageIn>()?;
        let wanted = entries(messages, &request.id, is_list)?;
        if lock(&self.operations).is_uncertain(app, of, now) {
            let text = "it was begun 23 hours ago and not ended, so whether this was stored is not known any more";
            let problem = || Problem::new(&ErrorCode::PublishUncertain, text);
            return Ok(wanted.into_iter().map(|wanted| Published::refused(wanted.channel, problem())).collect());
        }
        let mark = store(app, &Record::Begun { of: of.0 }, of, "begun")?;
        // The log may refuse the mark and take what follows, so nothing follows before the mark stands: without it nothing
        // was begun, however often that is tried.
        stands_at(self.ask(mark).await?)?;
        let is_first = lock(&self.operations).begin(app, of, now);
        let results = self.publish_all(&caller, wanted).await;
        let Some(problem) = results.iter().find_map(Published::retryable) else { return Ok(results) };
        // Of what was never begun and is refused as a whole nothing is stored, however long it waits.
        if is_first && results.iter().all(|result| matches!(result, Published::Refused(_))) {
            lock(&self.operations).put_back(app, of);
        }
        Err(problem)
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

fn store(app: &AppName, record: &Record, of: Offset, kind: &str) -> Result<Command, Problem> {
    operations::store(app, record, &format!("{kind}/{}", of.0), "\u{3}".into()).ok_or_else(super::read::foreign)
}

#[cfg(test)]
mod tests;
