//! Reads what the log holds for one hook, and hands it on until it is taken or given up.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use moorline_protocol::{DeviceId, Epoch, Offset, Payload, Position, ResetMode, Since, UserName};
use serde::Serialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3;

use super::Hook;
use super::queue::{Batch, Next, Queue, Queued};
use crate::asker::Asker;
use crate::egress::{self, Refusal, Request, Target};
use crate::engine::hooks::{HOOKS, HookEvent, HookKind, PushDevice, hooks_channel};
use crate::engine::{ChannelKey, Command, Completion, CursorAck, Open, Opened, Owner, Read, ReadRange, Stored};
use crate::traces::Span;
use crate::wall_clock::WallClock;

/// What one read takes.
const READ_MESSAGES: usize = 200;
const READ_BYTES: usize = 1024 * 1024;
/// After which time the log is asked again if it could not be read.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module's documentation.
pub(super) struct Courier {
    hook: Hook,
    target: Target,
    asker: Arc<Asker>,
    clock: WallClock,
    seed: [u8; 32],
    channel: ChannelKey,
    owner: Owner,
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

impl Courier {
    pub(super) fn new(hook: Hook, asker: Arc<Asker>, clock: WallClock, (mut seed, n): ([u8; 32], u64)) -> Self {
        seed.iter_mut().zip(n.to_le_bytes()).for_each(|(byte, other)| *byte ^= other);
        let app = hook.app().clone();
        // The name decides, whatever becomes of URL and secrets.
        let device = format!("hook-{:032x}", xxhash_rust::xxh3::xxh3_128(hook.name.as_bytes()));
        let user = UserName::new(HOOKS).unwrap_or_else(|_| unreachable!("a constant that is a name"));
        let device = DeviceId::new(&device).unwrap_or_else(|_| unreachable!("37 letters and digits"));
        let owner = Owner { app: app.clone(), user, device };
        let channel = hooks_channel(&app).unwrap_or_else(|| unreachable!("a constant that is a name"));
        let within = Duration::from_millis(hook.times.answer);
        let target = Target::new(hook.url.clone(), hook.secrets.clone(), &hook.roots, hook.allow_private, within);
        Self { hook, target, asker, clock, seed, channel, owner }
    }

    /// Works until the server stops. Lets go of `placing` once it knows where it stands.
    pub(super) async fn run(mut self, placing: mpsc::Sender<()>) {
        let mut placing = Some(placing);
        loop {
            let opened = self.open().await;
            drop(placing.take());
            match opened {
                Some(opened) => self.work(opened.epoch, opened.from).await,
                None => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// Finds out where to go on; a new hook begins with what happens from now on.
    async fn open(&self) -> Option<Opened> {
        let open = Open {
            channel: self.channel.clone(),
            since: Since::Cursor(None),
            reset: ResetMode::First,
            cursor: Some(self.owner.clone()),
            presence: None,
        };
        let Ok(Completion::Opened(opened)) = self.asker.ask(Command::Open(open)).await else { return None };
        if let Some(reason) = &opened.reset {
            tracing::warn!(app = %self.hook.app(), hook = %self.hook.name, ?reason, "a hook begins with the oldest event that is kept");
        }
        Some(opened)
    }

    /// Hands on what follows; returns when the log begins a new life.
    async fn work(&mut self, epoch: Epoch, from: Offset) {
        let mut queue = Queue::new(self.hook.times, from, self.seed);
        let mut acked = from;
        loop {
            let appended = Arc::clone(&self.asker.appended);
            let appended = appended.notified();
            tokio::pin!(appended);
            // Whatever is appended from here on wakes it.
            appended.as_mut().enable();
            self.bury(&mut queue);
            let Some(more) = self.read(&mut queue, epoch).await else { return };
            if queue.settled() > acked {
                acked = queue.settled();
                let position = Position { epoch, offset: acked };
                let (owner, channel) = (self.owner.clone(), self.channel.clone());
                self.asker.tell(Command::Ack(CursorAck { owner, channel, position }));
            }
            let now = self.clock.now_ms();
            match queue.next(now) {
                Next::Send(batch) => self.send(&mut queue, batch).await,
                Next::Wait(_) | Next::Idle if more => {}
                Next::Wait(at) => {
                    let nap = tokio::time::sleep(Duration::from_millis(at.saturating_sub(now)));
                    tokio::select! { () = nap => {}, () = appended => {} }
                }
                Next::Idle => appended.await,
            }
        }
    }

    /// Reads as much as there is room for. Returns whether there is more; `None` if the log begins a new life.
    async fn read(&self, queue: &mut Queue, epoch: Epoch) -> Option<bool> {
        while queue.has_room() {
            let read = Read {
                channel: self.channel.clone(),
                range: ReadRange::After(queue.read()),
                max_messages: READ_MESSAGES,
                max_bytes: READ_BYTES,
            };
            let Ok(Completion::Read(page)) = self.asker.ask(Command::Read(read)).await else {
                tokio::time::sleep(AGAIN).await;
                return Some(true);
            };
            if page.epoch != epoch {
                return None;
            }
            if page.first > queue.read().next() && page.first.0 > 1 {
                let lost = page.first.0 - queue.read().0 - 1;
                tracing::error!(app = %self.hook.app(), hook = %self.hook.name, lost, "events were removed before they could be told");
            }
            for stored in &page.messages {
                self.take(queue, stored);
            }
            queue.reach(page.reached);
            if !page.more {
                return Some(false);
            }
        }
        Some(false)
    }

    fn take(&self, queue: &mut Queue, stored: &Stored) {
        let Ok(message) = moorline_protocol::binary::decode_message(&mut stored.bytes.clone()) else { return };
        // The server's own events are nobody's.
        let (Payload::Json(json), None) = (message.payload, message.user) else { return };
        let Some(event) = HookEvent::parse(&json) else { return };
        let about = event.channel.as_deref();
        if self.hook.rule.wants(self.hook.app(), event.kind, about) {
            let (is_user, name) = event.key();
            let key = (is_user, name.to_owned());
            let id = format!("evt_{}_{}", self.hook.app().as_str(), message.id.as_str());
            queue.push(key, Queued { offset: stored.offset, time: event.time, id, json });
        }
    }

    async fn send(&mut self, queue: &mut Queue, batch: Batch) {
        let result = match self.body(&batch).await {
            Some(body) => {
                let timestamp = self.clock.now_ms() / 1_000;
                self.post(&batch, timestamp, body).await
            }
            // The engine could not be asked; so it is tried again.
            None => Err(Refusal::Url),
        };
        if let Err(refusal) = &result {
            let (app, hook, events) = (self.hook.app().as_str(), self.hook.name.as_str(), batch.events.len());
            tracing::warn!(app, hook, events, %refusal, "a hook did not take a batch; it is tried again");
        }
        queue.done(&batch, result.is_ok(), self.clock.now_ms());
    }

    /// Sends one body. Taken means: an answer 2xx, whose body is nothing to us.
    async fn post(&self, batch: &Batch, timestamp: u64, body: Bytes) -> Result<(), Refusal> {
        let (id, mut headers) = (batch_id(batch), HeaderMap::new());
        let span = Span::asking(|| "webhook".to_owned());
        span.set("moorline.app", self.hook.app().as_str().to_owned());
        span.set("moorline.hook", self.hook.name.clone());
        span.set("messaging.batch.message_count", batch.events.len() as i64);
        span.inject(&mut headers);
        let request = Request { id: &id, timestamp, body, most: None, headers };
        let reply = egress::send(&self.target, request).await.inspect_err(|_| span.fail("unreachable"))?;
        span.set("http.response.status_code", i64::from(reply.status.as_u16()));
        if reply.status.is_success() {
            Ok(())
        } else {
            span.fail("status");
            Err(Refusal::Status(reply.status))
        }
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

    fn bury(&mut self, queue: &mut Queue) {
        for letter in queue.give_up(self.clock.now_ms()) {
            let (app, hook) = (self.hook.app().as_str(), self.hook.name.as_str());
            let (id, attempts, given_up) = (letter.event.id.as_str(), letter.attempts, queue.given_up());
            let event = String::from_utf8_lossy(&letter.event.json);
            let kind = serde_json::from_str::<HookEvent>(&event).map(|event| event.kind).ok();
            tracing::error!(app, hook, id, ?kind, attempts, given_up, "an event was given up");
        }
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
