use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use moorline_protocol::UserName;
use serde::Serialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3;

use super::Hook;
use super::queue::Batch;
use crate::asker::Asker;
use crate::egress::{self, Refusal, Request, RetryAfter, Target};
use crate::engine::hooks::{HookEvent, HookKind, PushDevice};
use crate::engine::{Command, Completion};

/// Sends batches of one hook.
pub(super) struct Post {
    hook: Hook,
    target: Target,
    asker: Arc<Asker>,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
#[error("{refusal}")]
pub(super) struct NotTaken {
    pub(super) refusal: Refusal,
    /// When the receiver wants to be asked again, if it says so.
    pub(super) retry_after: Option<RetryAfter>,
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, retry_after: None }
    }
}

impl NotTaken {
    /// Tells whether the receiver wants nothing any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.refusal, Refusal::Status(StatusCode::GONE))
    }

    /// Names it, for the metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self.refusal {
            Refusal::Status(_) => "status",
            Refusal::Late(_) => "late",
            Refusal::Http(_) | Refusal::Large(_) => "invalid",
            Refusal::Resolve(_) | Refusal::Private(_) | Refusal::Connect(_) | Refusal::Tls(_) | Refusal::Url => {
                "unreachable"
            }
        }
    }
}

/// An event as it is sent.
#[derive(Serialize)]
struct Sent<'a> {
    id: &'a str,
    #[serde(flatten)]
    event: HookEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<Vec<Device>>,
}

#[derive(Serialize)]
struct Device {
    device: String,
    handle: String,
}

#[derive(Serialize)]
struct Body<'a> {
    app: &'a str,
    events: Vec<Box<RawValue>>,
}

impl Post {
    pub(super) fn new(hook: Hook, asker: Arc<Asker>) -> Self {
        let within = std::time::Duration::from_millis(hook.times.answer);
        let target = Target::new(hook.url.clone(), hook.secrets.clone(), &hook.roots, hook.allow_private, within);
        Self { hook, target, asker }
    }

    /// Sends a batch, signed for this moment (s since 1970). Taken means: an answer 2xx, whose body is nothing to us.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(super) async fn send(&self, batch: &Batch, timestamp: u64) -> Result<(), NotTaken> {
        // Without a body the engine could not be asked; so it is tried again.
        let body = self.body(batch).await.ok_or(Refusal::Url)?;
        let id = batch_id(batch);
        let reply = egress::send(&self.target, Request { id: &id, timestamp, body, most: None }).await?;
        if reply.status.is_success() {
            return Ok(());
        }
        Err(NotTaken { refusal: Refusal::Status(reply.status), retry_after: reply.retry_after })
    }

    /// Makes the body. Handles are looked up now: one that was registered meanwhile counts, one that is gone does not.
    async fn body(&self, batch: &Batch) -> Option<Bytes> {
        let events: Vec<HookEvent> =
            batch.events.iter().map(|queued| HookEvent::parse(&queued.json)).collect::<Option<_>>()?;
        let away = |event: &&HookEvent| event.kind == HookKind::MessageOffline;
        let users = events.iter().filter(away).map(|event| UserName::new(event.user.as_deref().unwrap_or_default()));
        let users: Vec<UserName> = users.collect::<Result<_, _>>().ok()?;
        let mut handles: Vec<Vec<PushDevice>> = Vec::new();
        if !users.is_empty() {
            let ask = Command::PushHandles(self.hook.app().clone(), users);
            let Ok(Completion::PushHandles(found)) = self.asker.ask(ask).await else { return None };
            handles = found;
        }
        let mut handles = handles.iter();
        let mut sent = Vec::new();
        for (event, queued) in events.into_iter().zip(&batch.events) {
            let devices = (event.kind == HookKind::MessageOffline).then(|| handles.next()).flatten();
            let device = |of: &PushDevice| Device { device: of.device.to_string(), handle: of.handle.to_string() };
            let devices = devices.map(|devices| devices.iter().map(device).collect());
            let json = serde_json::to_string(&Sent { id: &queued.id, event, devices }).ok()?;
            sent.push(RawValue::from_string(json).ok()?);
        }
        let body = Body { app: self.hook.app().as_str(), events: sent };
        serde_json::to_vec(&body).ok().map(Into::into)
    }
}

/// Returns the id of a request: that of its event, or one that only the same events have.
fn batch_id(batch: &Batch) -> String {
    if let [event] = batch.events.as_slice() {
        return event.id.clone();
    }
    let mut hash = Xxh3::new();
    batch.events.iter().for_each(|event| hash.update(event.id.as_bytes()));
    format!("batch_{:032x}", hash.digest128())
}
