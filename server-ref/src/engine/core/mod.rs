//! The engine's brain: every rule that makes a publish happen once, without files, threads or a clock.
//!
//! A host calls [`EngineCore::handle`] for the commands of a batch, then [`EngineCore::take_records`], makes these
//! durable in order, and only then releases [`EngineCore::take_replies`].

mod append;
mod channel;
mod cursor;
mod housekeeping;
mod open;
mod producer;
mod recovery;
mod retention;
mod session;
mod store;

use std::collections::BTreeMap;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Epoch, ProducerId};
use rustc_hash::FxHashMap;

use self::channel::Channel;
use self::cursor::Cursors;
use self::producer::Producer;
use self::session::Sessions;
use super::record::{ChannelId, Record};
use super::{ChannelKey, Command, Completion, EngineError, Event, Reply, ShardId, Stored, Ticket};
use crate::planted::{Bug, Bugs};

pub use housekeeping::CoreStats;
pub use retention::{RetentionRule, RetentionRules};
pub use store::{Kept, MemoryStore, MessageStore, PageBounds, Part, Query, limited, page};

/// The core's settings.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Names the store in epochs: 8 characters of `[A-Za-z0-9]`, random, new for each new store.
    pub store_id: String,
    /// How long messages are kept.
    pub retention: RetentionRules,
    /// ms that message ids are remembered (default 24 h).
    pub ids_ms: u64,
    /// Ids remembered per channel (default 100,000).
    pub ids_per_channel: usize,
    /// ms that an unused producer is kept (default 7 days).
    pub producers_ms: u64,
    /// ms that an unused cursor, channel or revocation is kept (default 30 days).
    pub cursors_ms: u64,
    /// Planted bugs.
    pub bugs: Bugs,
}

impl CoreConfig {
    /// Returns the defaults for a store.
    pub fn new(store_id: impl Into<String>) -> Self {
        const DAY: u64 = 24 * 3_600_000;
        Self {
            store_id: store_id.into(),
            retention: RetentionRules::default(),
            ids_ms: DAY,
            ids_per_channel: 100_000,
            producers_ms: 7 * DAY,
            cursors_ms: 30 * DAY,
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
    channels: FxHashMap<ChannelId, Channel>,
    by_key: BTreeMap<ChannelKey, ChannelId>,
    producers: BTreeMap<ProducerId, Producer>,
    cursors: Cursors,
    sessions: Sessions,
    revoked: BTreeMap<RevocationKey, UnixMillis>,
    shards: Vec<ShardId>,
    records: Vec<Record>,
    replies: Vec<(ShardId, Reply)>,
    /// Messages of this batch that are not yet in `replies`, per channel, in the order of their first append.
    published: Vec<(ChannelId, Vec<Stored>)>,
    /// Replies that must stand behind the events of `published`.
    behind_events: Vec<(ShardId, Reply)>,
    pending: Vec<PendingRead>,
}

/// A revocation as it is looked up; the value is the moment that counts.
type RevocationKey = (moorline_protocol::AppName, bool, std::sync::Arc<str>);

impl<S: MessageStore> EngineCore<S> {
    /// Handles one command. What it yields waits in [`take_records`](Self::take_records) and
    /// [`take_replies`](Self::take_replies).
    pub fn handle(&mut self, shard: ShardId, ticket: Ticket, command: Command, now: UnixMillis) {
        if let Err(at) = self.shards.binary_search(&shard) {
            self.shards.insert(at, shard);
        }
        match command {
            Command::Attach(attach) => self.attach(shard, ticket, attach, now),
            Command::Detach(session) => self.detach(session, now),
            Command::Open(open) => self.open(shard, ticket, open, now),
            Command::Unwatch(channel) => self.unwatch(shard, &channel),
            Command::Append(append) => {
                let appended = self.append(append, now);
                self.behind_events.push((shard, completed(ticket, Completion::Appended(appended))));
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
                self.forget_cursor(&owner, &channel);
                self.reply(shard, completed(ticket, Completion::Forgotten));
            }
            Command::Revoke(revocation) => self.revoke(shard, ticket, revocation, now),
        }
    }

    /// Answers a command that cannot take effect now. Commands without an answer are handled as usual, and so are
    /// those that write nothing.
    pub fn refuse(&mut self, shard: ShardId, ticket: Ticket, command: Command, error: EngineError, now: UnixMillis) {
        if let Command::Append(append) = &command
            && self.config.bugs.has(Bug::RefusalTakesSequence)
        {
            self.use_up(append, now);
        }
        match command {
            Command::Append(_) | Command::Revoke(_) | Command::Forget { .. } | Command::Ack(_) => {
                self.reply(shard, Reply::Completed(ticket, Err(error)));
            }
            Command::Attach(ref attach) if attach.producer == Some(moorline_protocol::ProducerRequest::New) => {
                self.reply(shard, Reply::Completed(ticket, Err(error)));
            }
            Command::Open(ref open) if open.cursor.is_some() => {
                self.reply(shard, Reply::Completed(ticket, Err(error)));
            }
            Command::Attach(_)
            | Command::Open(_)
            | Command::Detach(_)
            | Command::Unwatch(_)
            | Command::Broadcast(_)
            | Command::Read(_) => self.handle(shard, ticket, command, now),
        }
    }

    /// Takes what must become durable before the replies are released, in order, all of it or a prefix.
    pub fn take_records(&mut self, now: UnixMillis) -> Vec<Record> {
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
        for (id, messages) in std::mem::take(&mut self.published) {
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

    /// Records a channel before anything refers to it.
    fn establish(&mut self, id: ChannelId, now: UnixMillis) {
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.recorded) else { return };
        channel.recorded = true;
        let (key, epoch) = (channel.key.clone(), channel.epoch);
        self.records.push(Record::Channel { id, key, epoch, first: channel.first, head: channel.head, time: now });
    }
}

fn completed(ticket: Ticket, completion: Completion) -> Reply {
    Reply::Completed(ticket, Ok(completion))
}

/// Makes an epoch: `<store>.<n>`, at most 16 characters.
fn epoch(store: &str, n: u64) -> Epoch {
    let store: String = store.chars().take(8).collect();
    Epoch::new(&format!("{store}.{}", n % 10_000_000)).unwrap_or_default()
}
