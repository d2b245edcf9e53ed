//! Reads what the log holds for one hook, and hands it on until it is taken or given up.

use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use moorline_protocol::{DeviceId, Epoch, Offset, Payload, Position, ResetMode, Since, UserName, Utf8Bytes};
use tokio::task::JoinSet;

use super::Hook;
use super::numbers::{Counts, HookNumbers};
use super::post::{NotTaken, Post};
use super::queue::{Batch, Next, Outcome, Queue, Queued};
use crate::asker::Asker;
use crate::engine::hooks::{HOOKS, HookEvent, hooks_channel};
use crate::engine::{ChannelKey, Command, Completion, CursorAck, Open, Opened, Owner, Read, ReadRange, Stored};
use crate::wall_clock::WallClock;

/// What one read takes.
const READ_MESSAGES: usize = 200;
const READ_BYTES: usize = 1024 * 1024;
/// After which time the log is asked again if it could not be read.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a hook whose receiver is gone looks for events that are too old.
const BURY: Duration = Duration::from_secs(60);

/// What the log says of a hook whose receiver answered 410.
const GONE: &str = "a hook's receiver is gone (410): nothing is sent to it until the configuration is read again";

/// Batches that are on their way, and what becomes of them.
type Sending = JoinSet<(Batch, Result<(), NotTaken>)>;

/// See the module's documentation.
pub(super) struct Courier {
    hook: Hook,
    post: Rc<Post>,
    numbers: HookNumbers,
    asker: Arc<Asker>,
    clock: WallClock,
    seed: [u8; 32],
    channel: ChannelKey,
    owner: Owner,
    /// Whose push handle says whether the receiver is gone: of each hook another user, as a user has only so many devices.
    mark: Owner,
    /// What stands in the log, as the handle of its mark, while the receiver at this URL is gone.
    gone: Utf8Bytes,
    /// Whether a receiver that is gone is asked again.
    asks_again: bool,
}

impl Courier {
    /// Makes one; with `asks_again` a receiver that said that it is gone is asked once more.
    pub(super) fn new(
        hook: Hook,
        asker: Arc<Asker>,
        clock: WallClock,
        (mut seed, n, asks_again): ([u8; 32], u64, bool),
        numbers: HookNumbers,
    ) -> Self {
        seed.iter_mut().zip(n.to_le_bytes()).for_each(|(byte, other)| *byte ^= other);
        let app = hook.app().clone();
        // The name decides, whatever becomes of URL and secrets.
        let device = format!("hook-{:032x}", xxhash_rust::xxh3::xxh3_128(hook.name.as_bytes()));
        let user = UserName::new(HOOKS).unwrap_or_else(|_| unreachable!("a constant that is a name"));
        let device = DeviceId::new(&device).unwrap_or_else(|_| unreachable!("37 letters and digits"));
        let owner = Owner { app: app.clone(), user, device };
        let user = UserName::new(&format!("${}", owner.device.as_str()));
        let user = user.unwrap_or_else(|_| unreachable!("38 characters"));
        let mark = Owner { user, ..owner.clone() };
        let channel = hooks_channel(&app).unwrap_or_else(|| unreachable!("a constant that is a name"));
        let gone =
            Utf8Bytes::from(format!("gone-{:032x}", xxhash_rust::xxh3::xxh3_128(hook.url.to_string().as_bytes())));
        let post = Rc::new(Post::new(hook.clone(), Arc::clone(&asker)));
        Self { hook, post, numbers, asker, clock, seed, channel, owner, mark, gone, asks_again }
    }

    /// Works until the server stops. Lets go of `placing` once it has asked where it stands: whatever is asked of the engine
    /// after that happens behind it.
    pub(super) async fn run(mut self, placing: mpsc::Sender<()>) {
        let mut placing = Some(placing);
        loop {
            let opening = self.open();
            drop(placing.take());
            let opened = opening.await;
            let is_gone = self.is_gone().await;
            match opened.zip(is_gone) {
                Some((opened, is_gone)) => self.work(opened.epoch, opened.from, is_gone).await,
                None => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// Asks at once where to go on; a new hook begins with what happens from now on.
    fn open(&self) -> impl Future<Output = Option<Opened>> {
        let open = Open {
            channel: self.channel.clone(),
            since: Since::Cursor(None),
            reset: ResetMode::First,
            cursor: Some(self.owner.clone()),
            presence: None,
        };
        let asked = self.asker.ask(Command::Open(open));
        async {
            let Ok(Completion::Opened(opened)) = asked.await else { return None };
            if let Some(reason) = &opened.reset {
                tracing::warn!(app = %self.hook.app(), hook = %self.hook.name, ?reason, "a hook begins with the oldest event that is kept");
            }
            Some(opened)
        }
    }

    /// Finds out whether the receiver has said that it is gone. One at another URL has not; nor counts what it said before
    /// the configuration was read again. `None` if the log cannot tell.
    async fn is_gone(&mut self) -> Option<bool> {
        if std::mem::take(&mut self.asks_again) {
            self.write_gone(false);
        }
        let ask = Command::PushHandles(self.mark.app.clone(), vec![self.mark.user.clone()]);
        let Ok(Completion::PushHandles(handles)) = self.asker.ask(ask).await else { return None };
        let known = handles.iter().flatten().find(|of| of.device == self.mark.device);
        let is_gone = known.is_some_and(|of| of.handle == self.gone);
        if known.is_some() {
            // What is in use is kept.
            self.write_gone(is_gone);
        }
        if is_gone {
            let (app, hook) = (self.hook.app().as_str(), self.hook.name.as_str());
            tracing::error!(app, hook, "{GONE}");
        }
        Some(is_gone)
    }

    /// Writes down whether the receiver is gone.
    fn write_gone(&self, is: bool) {
        self.asker.tell(Command::Push(self.mark.clone(), is.then(|| self.gone.clone())));
    }

    /// Hands on what follows; returns when the log begins a new life.
    async fn work(&mut self, epoch: Epoch, from: Offset, is_gone: bool) {
        let mut queue = Queue::new(self.hook.times, self.hook.max_requests, from, self.seed);
        let (mut sending, mut acked) = (Sending::new(), from);
        self.count(|counts| counts.is_gone = is_gone);
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
            let nap = match self.count(|counts| counts.is_gone) {
                true => Some(BURY),
                false => match queue.next(now) {
                    Next::Send(batch) => {
                        let (post, timestamp) = (Rc::clone(&self.post), now / 1_000);
                        sending.spawn_local(async move {
                            let result = post.send(&batch, timestamp).await;
                            (batch, result)
                        });
                        continue;
                    }
                    Next::Wait(at) => Some(Duration::from_millis(at.saturating_sub(now))),
                    Next::Idle => None,
                },
            };
            if more {
                continue;
            }
            tokio::select! {
                Some(sent) = sending.join_next() => match sent {
                    Ok((batch, result)) => self.done(&mut queue, &batch, result),
                    // Printed already. What was on its way is read again.
                    Err(_) => return,
                },
                () = tokio::time::sleep(nap.unwrap_or_default()), if nap.is_some() => {}
                () = appended => {}
            }
        }
    }

    /// A batch was taken, or not.
    fn done(&mut self, queue: &mut Queue, batch: &Batch, result: Result<(), NotTaken>) {
        let now = self.clock.now_ms();
        let outcome = result.as_ref().map_or_else(NotTaken::outcome, |()| "taken");
        self.count(|counts| *counts.requests.entry(outcome).or_default() += 1);
        let Err(problem) = result else {
            self.count(|counts| counts.delivered += batch.events.len() as u64);
            return queue.done(batch, Outcome::Taken, now);
        };
        let (app, hook, events) = (self.hook.app().as_str(), self.hook.name.as_str(), batch.events.len());
        let retry_after = problem.retry_after.map(|retry| retry.ms_from(now));
        if !problem.is_gone() {
            tracing::warn!(app, hook, events, refusal = %problem, retry_after, "a hook did not take a batch; it is tried again");
        } else if !self.count(|counts| std::mem::replace(&mut counts.is_gone, true)) {
            self.write_gone(true);
            tracing::error!(app, hook, events, "{GONE}");
        }
        queue.done(batch, Outcome::Refused { retry_after }, now);
    }

    fn count<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        self.numbers.of(&self.hook, change)
    }

    /// Reads as much as there is room for. Returns whether there is more; `None` if the log begins a new life.
    async fn read(&self, queue: &mut Queue, epoch: Epoch) -> Option<bool> {
        self.tell(queue, 0);
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
                self.count(|counts| counts.lost += lost);
                tracing::error!(app = %self.hook.app(), hook = %self.hook.name, lost, "events were removed before they could be told");
            }
            for stored in &page.messages {
                self.take(queue, stored);
            }
            queue.reach(page.reached);
            let unread = page.head.0.saturating_sub(queue.read().0);
            self.tell(queue, unread);
            if !page.more {
                return Some(false);
            }
        }
        Some(false)
    }

    /// Says how far it is. What is not read yet is of all hooks of the app.
    fn tell(&self, queue: &Queue, unread: u64) {
        self.count(|counts| (counts.backlog, counts.oldest) = (queue.backlog() as u64 + unread, queue.oldest()));
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

    fn bury(&mut self, queue: &mut Queue) {
        for letter in queue.give_up(self.clock.now_ms()) {
            self.count(|counts| counts.given_up += 1);
            let (app, hook) = (self.hook.app().as_str(), self.hook.name.as_str());
            let (id, attempts, given_up) = (letter.event.id.as_str(), letter.attempts, queue.given_up());
            let event = String::from_utf8_lossy(&letter.event.json);
            let kind = serde_json::from_str::<HookEvent>(&event).map(|event| event.kind).ok();
            tracing::error!(app, hook, id, ?kind, attempts, given_up, "an event was given up");
        }
    }
}
