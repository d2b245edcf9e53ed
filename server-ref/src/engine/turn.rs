//! One turn of an engine: a batch of commands takes effect, becomes durable, and is answered.
//!
//! Without a thread and without a clock: [`host`](super::host) takes turns from commands that wait, and tests take
//! them one by one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use moorline_protocol::time::UnixMillis;

use super::core::{EngineCore, MessageStore, PendingRead, Snapshot};
use super::record::Record;
use super::{Command, EngineError, Reply, ShardId, Ticket};

/// Acknowledged cursors are written at most so many ms late, by the engine's clock.
const CURSOR_FLUSH_MS: u64 = 500;
/// So many that wait are written at once.
const MOST_ACKS: usize = 4_096;
/// ms between two rounds of forgetting what is old.
const EXPIRE_EVERY_MS: u64 = 5_000;

/// Why an engine stopped for good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fatal {
    /// A write or a sync failed. What is on the disk is what was synced before; a retry could lie about it.
    #[error("{what} failed: {source}; nothing unsynced was acknowledged. Check the disk, then start again")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// How much room a store has for a turn's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// For any batch.
    Enough,
    /// For all but publishes: what is left of the disk is kept for what ends sooner or later.
    Reserved,
    /// For what forgets old things and so makes room: publishes are refused.
    Little,
    /// Not even for that.
    None,
}

/// A store that can make records durable.
pub trait Persist: MessageStore + Send + 'static {
    /// Returns how many bytes the commands of one batch may have, about.
    fn batch_bytes(&self) -> u64;

    /// Begins a turn: looks after what goes on beside the batches, and says how much room there is.
    ///
    /// # Errors
    /// [`Fatal`].
    fn tend(&mut self, now: UnixMillis) -> Result<Room, Fatal> {
        let _ = now;
        Ok(Room::Enough)
    }

    /// Tells whether a turn without commands has something to do.
    fn has_work(&self) -> bool {
        false
    }

    /// Makes records durable, all or a prefix; afterwards the store can answer reads of their messages.
    ///
    /// # Errors
    /// [`Fatal`]: nothing may be acknowledged any more.
    fn persist(&mut self, records: &[Record]) -> Result<(), Fatal>;

    /// Tells whether it is time for a checkpoint; asked between batches. `waiting` is about the bytes in memory that one
    /// would free.
    fn is_checkpoint_due(&self, waiting: usize) -> bool {
        let _ = waiting;
        false
    }

    /// Writes a checkpoint, now or soon.
    fn checkpoint(&mut self, snapshot: Snapshot) {
        let _ = snapshot;
    }

    /// Tells once of each checkpoint that it is written; asked at the beginning of a turn.
    fn is_checkpoint_written(&mut self) -> bool {
        false
    }

    /// Answers a read that needs the disk, elsewhere and later.
    fn read_later(&mut self, read: PendingRead, answer: Sinks) {
        let _ = (read, answer);
    }

    /// The engine ends in good order.
    ///
    /// # Errors
    /// [`Fatal`].
    fn close(&mut self) -> Result<(), Fatal> {
        Ok(())
    }
}

/// Where the replies of a shard go.
pub type Sink = Box<dyn Fn(Vec<Reply>) + Send + Sync>;

/// The shards' sinks.
#[derive(Clone, Default)]
pub struct Sinks(Arc<Mutex<BTreeMap<ShardId, Arc<Sink>>>>);

impl Sinks {
    /// Says where the replies of a shard go. They come in batches, in order.
    pub fn register(&self, shard: ShardId, sink: Sink) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(shard, Arc::new(sink));
    }

    /// Hands replies to a shard.
    pub fn send(&self, shard: ShardId, replies: Vec<Reply>) {
        let sink = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned();
        if let Some(sink) = sink {
            sink(replies);
        }
    }
}

/// An engine between its turns.
pub struct Turns<S> {
    core: EngineCore<S>,
    sinks: Sinks,
    /// Since when acknowledgements wait for their cursors to be written.
    acks_since: Option<UnixMillis>,
    /// When the last round of forgetting was.
    expired_at: Option<UnixMillis>,
}

impl<S: Persist> Turns<S> {
    /// Takes a core whose records were applied and begun. The first turn makes durable what beginning wrote down.
    pub fn new(core: EngineCore<S>, sinks: Sinks) -> Self {
        Self { core, sinks, acks_since: None, expired_at: None }
    }

    /// Handles a batch: forgets what is old, handles the commands, makes all of it durable, answers.
    ///
    /// # Errors
    /// [`Fatal`]: nothing of the batch was answered, and nothing may be answered any more.
    pub fn take(
        &mut self,
        batch: impl IntoIterator<Item = (ShardId, Ticket, Command)>,
        now: UnixMillis,
    ) -> Result<(), Fatal> {
        let room = self.core.store_mut().tend(now)?;
        if self.core.store_mut().is_checkpoint_written() {
            self.core.checkpointed();
        }
        self.core.hold_hooks(room != Room::Enough);
        if room != Room::None {
            self.forget_old(now);
        }
        for (shard, ticket, command) in batch {
            match room {
                Room::Enough => self.core.handle(shard, ticket, command, now),
                Room::Reserved if !matches!(command, Command::Append(_)) => {
                    self.core.handle(shard, ticket, command, now);
                }
                Room::Reserved | Room::Little | Room::None => {
                    self.core.refuse(shard, ticket, command, EngineError::Full, now);
                }
            }
        }
        self.flush_cursors(now);
        self.commit(now)?;
        if self.core.store().is_checkpoint_due(self.core.waiting_bytes()) {
            self.checkpoint(now);
        }
        Ok(())
    }

    /// Returns the core, to look at.
    pub fn core(&self) -> &EngineCore<S> {
        &self.core
    }

    /// Ends in good order: writes the cursors, a checkpoint, and that this was the end.
    ///
    /// # Errors
    /// [`Fatal`]; the next start recovers as after a crash.
    pub fn close(mut self, now: UnixMillis) -> Result<(), Fatal> {
        self.core.flush_cursors(now);
        self.commit(now)?;
        self.checkpoint(now);
        self.core.store_mut().close()
    }

    /// Returns how many bytes the commands of one batch may have, about.
    pub fn batch_bytes(&self) -> u64 {
        self.core.store().batch_bytes()
    }

    /// Returns after how many ms there is something to do without a command.
    pub fn idle_ms(&self, now: UnixMillis) -> u64 {
        if self.core.store().has_work() || self.core.is_expiring() {
            return 0;
        }
        // A clock that was set back must not stop the engine: any distance counts.
        let left =
            |since: Option<UnixMillis>, every: u64| since.map_or(0, |since| every.saturating_sub(now.abs_diff(since)));
        let expire = left(self.expired_at, EXPIRE_EVERY_MS);
        let acks = self.acks_since.map(|since| left(Some(since), CURSOR_FLUSH_MS));
        let presence = self.core.presence_idle_ms(now);
        acks.into_iter().chain(presence).chain(self.core.hooks_idle_ms(now)).fold(expire, u64::min)
    }

    fn forget_old(&mut self, now: UnixMillis) {
        if self.core.is_expiring() || self.expired_at.is_none_or(|at| now.abs_diff(at) >= EXPIRE_EVERY_MS) {
            self.core.expire(now);
            self.expired_at = Some(now);
        }
    }

    fn flush_cursors(&mut self, now: UnixMillis) {
        let waiting = self.core.waiting_acks();
        if waiting > 0 {
            let since = *self.acks_since.get_or_insert(now);
            if now.abs_diff(since) >= CURSOR_FLUSH_MS || waiting >= MOST_ACKS {
                self.core.flush_cursors(now);
            }
        }
    }

    fn commit(&mut self, now: UnixMillis) -> Result<(), Fatal> {
        let records = self.core.take_records(now);
        if !records.is_empty() || self.core.store().has_work() {
            self.core.store_mut().persist(&records)?;
        }
        if self.core.waiting_acks() == 0 {
            self.acks_since = None;
        }
        let mut by_shard: BTreeMap<ShardId, Vec<Reply>> = BTreeMap::new();
        for (shard, reply) in self.core.take_replies() {
            by_shard.entry(shard).or_default().push(reply);
        }
        for (shard, replies) in by_shard {
            self.sinks.send(shard, replies);
        }
        for read in self.core.take_pending_reads() {
            self.core.store_mut().read_later(read, self.sinks.clone());
        }
        Ok(())
    }

    fn checkpoint(&mut self, now: UnixMillis) {
        let snapshot = self.core.checkpoint(now);
        self.core.store_mut().checkpoint(snapshot);
    }
}
