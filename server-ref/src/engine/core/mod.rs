//! The engine's brain: every rule that makes a publish happen once, without files, threads or a clock.
//!
//! A host calls [`EngineCore::handle`] for the commands of a batch, then [`EngineCore::take_records`], makes these
//! durable in order, and only then releases [`EngineCore::take_replies`].

mod append;
mod backend;
mod channel;
mod configure;
mod conflict;
mod cursor;
mod hooks;
mod housekeeping;
mod ids;
mod open;
mod presence;
mod producer;
mod recovery;
mod resident;
mod retention;
mod roster;
mod session;
mod state;
mod store;

use std::collections::BTreeMap;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Epoch, ProducerId, ProducerRequest};
use rustc_hash::FxHashMap;

use self::backend::Published;
use self::channel::Channel;
use self::conflict::Takeovers;
use self::cursor::Cursors;
use self::hooks::{Hooks, PushHandles};
use self::housekeeping::Housekeeping;
use self::presence::Registry;
use self::producer::Producer;
use self::resident::Residency;
use self::roster::Rosters;
use self::session::Sessions;
use super::hooks::HookRules;
use super::record::{ChannelId, Record, Verdict};
use super::{ChannelKey, Command, Completion, EngineError, Event, Reply, ShardId, Stored, Ticket};
use crate::apps::AppTable;
use crate::planted::{Bug, Bugs};

pub use housekeeping::CoreStats;
pub use recovery::Stray;
pub use retention::{RetentionRule, RetentionRules};
pub use state::{Entries, Expiry, Snapshot, StateKey};
pub use store::{Kept, MemoryStore, MessageStore, PageBounds, Part, Query, limited, page};

/// How often the use of what is in use is written down, in ms: after a crash it may seem unused for so long.
const NOTE_EVERY_MS: u64 = 24 * 3_600_000;

/// The core's settings.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Names the store in epochs: 8 characters of `[A-Za-z0-9]`, random, new for each new store.
    pub store_id: String,
    /// Keeps others from making ids that collide: random, the same for the life of a store's ids.
    pub salt: u64,
    /// How long messages are kept.
    pub retention: RetentionRules,
    /// ms that message ids are remembered (default 24 h).
    pub ids_ms: u64,
    /// Ids remembered per channel (default 100,000).
    pub ids_per_channel: usize,
    /// ms that an unused producer is kept (default 7 days).
    pub producers_ms: u64,
    /// ms that an unused cursor or channel is kept (default 30 days).
    pub cursors_ms: u64,
    /// Cursors of a user, over all devices and channels (default 1,000).
    pub cursors_per_user: usize,
    /// Apps with limits of their own.
    pub apps: AppTable,
    /// ms that a revocation is kept (default 400 days): no token may live longer.
    pub revocations_ms: u64,
    /// What hooks are told of.
    pub hooks: HookRules,
    /// Planted bugs.
    pub bugs: Bugs,
}

impl CoreConfig {
    /// Returns the defaults for a store.
    pub fn new(store_id: impl Into<String>) -> Self {
        const DAY: u64 = 24 * 3_600_000;
        Self {
            store_id: store_id.into(),
            salt: 0,
            retention: RetentionRules::default(),
            ids_ms: DAY,
            ids_per_channel: 100_000,
            producers_ms: 7 * DAY,
            cursors_ms: 30 * DAY,
            cursors_per_user: 1_000,
            apps: AppTable::default(),
            revocations_ms: 400 * DAY,
            hooks: HookRules::default(),
            bugs: Bugs::default(),
        }
    }
}

/// A read that the store answers later. The host makes the page and sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingRead {
    /// To whom.
    pub shard: ShardId,
    /// Under which ticket.
    pub ticket: Ticket,
    /// What.
    pub bounds: PageBounds,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct EngineCore<S> {
    config: CoreConfig,
    store: S,
    shared_n: u64,
    starts: u64,
    attaches: u64,
    next_channel: u32,
    /// No record is newer, but those of channels, producers and cursors.
    newest: UnixMillis,
    channels: FxHashMap<ChannelId, Channel>,
    by_key: BTreeMap<ChannelKey, ChannelId>,
    producers: BTreeMap<ProducerId, Producer>,
    cursors: Cursors,
    rosters: Rosters,
    residency: Residency,
    sessions: Sessions,
    takeovers: Takeovers,
    presence: Registry,
    hooks: Hooks,
    push: PushHandles,
    housekeeping: Housekeeping,
    revoked: BTreeMap<RevocationKey, Revoked>,
    shards: Vec<ShardId>,
    records: Vec<Record>,
    replies: Vec<(ShardId, Reply)>,
    /// Messages of this batch that are not yet in `replies`, per channel, in the order of their first append.
    published_now: Vec<(ChannelId, Vec<Stored>)>,
    /// Replies that must stand behind the events of `published_now`.
    behind_events: Vec<(ShardId, Reply)>,
    pending: Vec<PendingRead>,
    published: Published,
}

/// What is revoked: the app, whether it is a user or else a token, and its name.
type RevocationKey = (moorline_protocol::AppName, bool, std::sync::Arc<str>);

#[derive(Clone, Copy, Debug)]
struct Revoked {
    /// Of a user: tokens issued before it, in s since 1970.
    issued_before: u64,
    time: UnixMillis,
}

impl<S: MessageStore> EngineCore<S> {
    /// Handles one command. What it yields waits in [`take_records`](Self::take_records) and
    /// [`take_replies`](Self::take_replies).
    pub fn handle(&mut self, shard: ShardId, ticket: Ticket, command: Command, now: UnixMillis) {
        if let Err(at) = self.shards.binary_search(&shard) {
            self.shards.insert(at, shard);
            self.tell_revocations(shard);
        }
        match command {
            Command::Attach(attach) => self.attach(shard, ticket, attach, now),
            Command::Detach(session, gone) => self.detach(session, gone, now),
            Command::Open(open) => self.open(shard, ticket, open, now),
            Command::Unwatch(channel) => self.unwatch(shard, &channel, now),
            Command::Append(append) => {
                let app = append.channel.app.clone();
                let appended = self.append(append, now);
                appended.iter().for_each(|appended| self.published.count(&app, appended));
                let appended = appended.map(Completion::Appended);
                self.behind_events.push((shard, Reply::Completed(ticket, appended)));
            }
            Command::Broadcast(broadcast) => {
                let watchers = self.by_key.get(&broadcast.channel).and_then(|id| self.channels.get(id));
                for watcher in watchers.map(|channel| channel.watchers.clone()).unwrap_or_default() {
                    let (channel, message) = (broadcast.channel.clone(), broadcast.message.clone());
                    self.behind_events.push((watcher, Reply::Event(Event::Ephemeral { channel, message })));
                }
            }
            Command::Read(read) => self.read(shard, ticket, &read, now),
            Command::Ack(ack) => self.ack(shard, ticket, ack, now),
            Command::Forget { owner, channel } => {
                let forgotten = self.forget_cursor(owner, &channel, now).map(|()| Completion::Forgotten);
                self.reply(shard, Reply::Completed(ticket, forgotten));
            }
            Command::Revoke(revocation) => self.revoke(shard, ticket, revocation, now),
            Command::Channels(query) => self.list_channels(shard, ticket, &query),
            Command::Disconnect(app, user) => self.disconnect(shard, ticket, (app, user), now),
            Command::Stats => self.numbers(shard, ticket),
            Command::Configure(rules) => self.configure(shard, ticket, *rules, now),
            Command::Oldest => self.oldest(shard, ticket),
            Command::Presence(presence) => self.presence(shard, ticket, presence, now),
            Command::UnwatchPresence(channel) => self.unwatch_presence(shard, &channel),
            Command::Status(query) => self.status(shard, ticket, query),
            Command::UnwatchStatus(app, users) => self.unwatch_status(shard, &app, &users),
            Command::Park(session, parked) => self.park(session, parked, now),
            Command::Push(owner, handle) => self.push(owner, handle, now),
            Command::PushHandles(app, users) => self.push_handles(shard, ticket, (app, users), now),
        }
    }

    /// Answers a command that cannot take effect now. Commands without an answer are handled as usual, and so are
    /// those that need no room.
    pub fn refuse(&mut self, shard: ShardId, ticket: Ticket, command: Command, error: EngineError, now: UnixMillis) {
        if let Command::Append(append) = &command
            && self.config.bugs.has(Bug::RefusalTakesSequence)
        {
            self.use_up(append, now);
        }
        if self.needs_room(&command, now) {
            self.reply(shard, Reply::Completed(ticket, Err(error)));
        } else {
            self.handle(shard, ticket, command, now);
        }
    }

    fn needs_room(&mut self, command: &Command, now: UnixMillis) -> bool {
        match command {
            Command::Append(_) | Command::Push(..) | Command::Revoke(_) | Command::Forget { .. } | Command::Ack(_) => {
                true
            }
            Command::Attach(attach) => match attach.producer {
                Some(ProducerRequest::Resume(id)) => {
                    self.recall_producer(id, now).is_err() || !self.producers.contains_key(&id)
                }
                Some(ProducerRequest::New) => true,
                None => false,
            },
            Command::Open(open) => open.cursor.as_ref().is_some_and(|owner| {
                let channel = self.by_key.get(&open.channel).copied();
                channel.is_none_or(|id| {
                    self.recall_cursor(owner, id, now).is_err() || self.cursors.position(owner, id).is_none()
                })
            }),
            Command::Detach(..)
            | Command::Unwatch(_)
            | Command::Broadcast(_)
            | Command::Read(_)
            | Command::Presence(_)
            | Command::UnwatchPresence(_)
            | Command::Status(_)
            | Command::Park(..)
            | Command::PushHandles(..)
            | Command::Channels(_)
            | Command::Disconnect(..)
            | Command::Stats
            | Command::Configure(_)
            | Command::Oldest
            | Command::UnwatchStatus(..) => false,
        }
    }

    /// Ends a batch: tells what is due of presence, and takes what must become durable before the replies are released,
    /// in order, all of it or a prefix.
    pub fn take_records(&mut self, now: UnixMillis) -> Vec<Record> {
        self.tell_presence(now);
        self.tell_hooks(now);
        if !self.records.is_empty() {
            self.flush_cursors(now);
        }
        std::mem::take(&mut self.records)
    }

    /// Takes the replies and events of the batch, in order.
    pub fn take_replies(&mut self) -> Vec<(ShardId, Reply)> {
        self.flush_events();
        std::mem::take(&mut self.replies)
    }

    /// Takes the reads that the store could not answer at once.
    pub fn take_pending_reads(&mut self) -> Vec<PendingRead> {
        std::mem::take(&mut self.pending)
    }

    /// Returns where messages live.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Returns where messages live.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    fn reply(&mut self, shard: ShardId, reply: Reply) {
        self.flush_events();
        self.replies.push((shard, reply));
    }

    /// Puts the messages of the batch in front of the replies that reflect them.
    fn flush_events(&mut self) {
        for (id, messages) in std::mem::take(&mut self.published_now) {
            let Some(channel) = self.channels.get(&id) else { continue };
            let event = |messages| Event::Published { channel: channel.key.clone(), epoch: channel.epoch, messages };
            if let Some((last, others)) = channel.watchers.split_last() {
                self.replies.extend(others.iter().map(|shard| (*shard, Reply::Event(event(messages.clone())))));
                self.replies.push((*last, Reply::Event(event(messages))));
            }
        }
        self.replies.append(&mut self.behind_events);
    }

    fn shared_epoch(&self) -> Epoch {
        epoch(&self.config.store_id, self.shared_n)
    }

    /// Returns a channel's number, making one that is not recorded yet.
    fn channel_id(&mut self, key: &ChannelKey, now: UnixMillis) -> ChannelId {
        if let Some(id) = self.by_key.get(key) {
            return *id;
        }
        let id = ChannelId(self.next_channel);
        self.next_channel += 1;
        self.channels.insert(id, Channel::new(key.clone(), self.shared_epoch(), now));
        self.by_key.insert(key.clone(), id);
        id
    }

    /// Returns a channel's number, recording the channel before anything refers to it.
    fn establish(&mut self, key: &ChannelKey, now: UnixMillis) -> ChannelId {
        let id = self.channel_id(key, now);
        if let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.recorded) {
            channel.recorded = true;
            let (key, epoch) = (channel.key.clone(), channel.epoch);
            self.records.push(Record::Channel { id, key, epoch, first: channel.first, head: channel.head, time: now });
        }
        id
    }

    /// Settles a producer's sequence. Returns whether there is such a producer.
    fn rule(&mut self, producer: ProducerId, channel: ChannelId, verdict: &Verdict) -> bool {
        let Some(producer) = self.producers.get_mut(&producer) else { return false };
        self.residency.change_producer(&mut producer.mark);
        producer.track_mut(channel).into_iter().for_each(|track| track.settle(verdict));
        let used = producer.used;
        self.refer(channel, used);
        true
    }
}

fn completed(ticket: Ticket, completion: Completion) -> Reply {
    Reply::Completed(ticket, Ok(completion))
}

/// Makes an epoch: `<store>.<n>`, at most 16 characters, the number to the base 36.
fn epoch(store: &str, n: u64) -> Epoch {
    let mut digits = Vec::new();
    let mut rest = n;
    while digits.is_empty() || rest > 0 && digits.len() < 7 {
        digits.extend(char::from_digit((rest % 36) as u32, 36));
        rest /= 36;
    }
    let store: String = store.chars().take(8).collect();
    let number: String = digits.iter().rev().collect();
    Epoch::new(&format!("{store}.{number}")).unwrap_or_default()
}
