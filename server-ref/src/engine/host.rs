//! The engine's thread: takes waiting commands as one batch, makes the batch durable, then answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::core::{EngineCore, MessageStore, PendingRead};
use super::record::Record;
use super::{Command, EngineError, Reply, ShardId, Ticket};
use crate::wall_clock::WallClock;

/// Commands of one batch at most: bounds how long the first one waits for its answer.
const BATCH: usize = 8_192;
/// Bytes of messages in one batch, about.
const BATCH_BYTES: usize = 4 << 20;
/// Acknowledged cursors are written at most this late.
const CURSOR_FLUSH: Duration = Duration::from_millis(500);
/// How often old things are forgotten.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

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

/// A store that can make records durable.
pub trait Persist: MessageStore + Send + 'static {
    /// Makes records durable, all or a prefix; afterwards the store can answer reads of their messages.
    ///
    /// # Errors
    /// [`Fatal`]: nothing may be acknowledged any more.
    fn persist(&mut self, records: &[Record]) -> Result<(), Fatal>;

    /// Tells whether there is no room for more; asked before each batch.
    fn is_full(&mut self) -> bool {
        false
    }

    /// Tells whether it is time for a checkpoint; asked between batches.
    fn is_checkpoint_due(&mut self) -> bool {
        false
    }

    /// Writes a checkpoint: the records that rebuild everything but the messages. Also drops what is not needed.
    ///
    /// # Errors
    /// [`Fatal`].
    fn checkpoint(&mut self, snapshot: &[Record]) -> Result<(), Fatal> {
        let _ = snapshot;
        Ok(())
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
    /// Hands replies to a shard.
    pub fn send(&self, shard: ShardId, replies: Vec<Reply>) {
        let sink = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned();
        if let Some(sink) = sink {
            sink(replies);
        }
    }
}

#[derive(Default)]
struct Inbox {
    commands: VecDeque<(ShardId, Ticket, Command)>,
    closing: bool,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    filled: Condvar,
}

/// Asks an engine. Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    shared: Arc<Shared>,
    sinks: Sinks,
}

impl EngineHandle {
    /// Says where the replies of a shard go. They come in batches, in order.
    pub fn register(&self, shard: ShardId, sink: Sink) {
        self.sinks.0.lock().unwrap_or_else(PoisonError::into_inner).insert(shard, Arc::new(sink));
    }

    /// Submits commands, in order.
    pub fn submit(&self, shard: ShardId, commands: impl IntoIterator<Item = (Ticket, Command)>) {
        let mut inbox = self.shared.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = inbox.commands.is_empty();
        inbox.commands.extend(commands.into_iter().map(|(ticket, command)| (shard, ticket, command)));
        if was_empty && !inbox.commands.is_empty() {
            self.shared.filled.notify_one();
        }
    }
}

/// A running engine.
pub struct EngineThread {
    handle: EngineHandle,
    thread: Option<JoinHandle<()>>,
}

impl EngineThread {
    /// Starts an engine over a core whose records were applied and begun. `on_fatal` is called once, from the
    /// engine's thread, when it has to stop.
    ///
    /// # Errors
    /// The system's, if it has no room for a thread.
    pub fn spawn<S: Persist>(
        core: EngineCore<S>,
        clock: WallClock,
        on_fatal: impl FnOnce(Fatal) + Send + 'static,
    ) -> std::io::Result<Self> {
        let handle = EngineHandle { shared: Arc::default(), sinks: Sinks::default() };
        let running = handle.clone();
        let host = Host { core, clock, handle: running, cursors_due: None, expire_at: Instant::now() };
        let thread = std::thread::Builder::new().name("moorline-log".into()).spawn(move || {
            if let Err(fatal) = host.run() {
                on_fatal(fatal);
            }
        })?;
        Ok(Self { handle, thread: Some(thread) })
    }

    /// Returns a handle for the shards.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// Finishes what was submitted, writes cursors, marks the end as clean, and waits for it.
    pub fn close(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.handle.shared.inbox.lock().unwrap_or_else(PoisonError::into_inner).closing = true;
        self.handle.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Host<S> {
    core: EngineCore<S>,
    clock: WallClock,
    handle: EngineHandle,
    cursors_due: Option<Instant>,
    expire_at: Instant,
}

impl<S: Persist> Host<S> {
    fn run(mut self) -> Result<(), Fatal> {
        let mut batch = Vec::new();
        // What starting wrote down comes first.
        self.commit()?;
        loop {
            let closing = self.wait(&mut batch);
            let now = self.clock.now_ms();
            let full = self.core.store_mut().is_full();
            for (shard, ticket, command) in batch.drain(..) {
                if full {
                    self.core.refuse(shard, ticket, command, EngineError::Full, now);
                } else {
                    self.core.handle(shard, ticket, command, now);
                }
            }
            self.keep_time(now, closing);
            self.commit()?;
            if self.core.store_mut().is_checkpoint_due() || closing {
                let snapshot = self.core.snapshot();
                self.core.store_mut().checkpoint(&snapshot)?;
            }
            if closing {
                return self.core.store_mut().close();
            }
        }
    }

    /// Waits for commands or for something else to do. Returns whether this is the last batch.
    fn wait(&self, batch: &mut Vec<(ShardId, Ticket, Command)>) -> bool {
        let shared = Arc::clone(&self.handle.shared);
        let mut inbox = shared.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.commands.is_empty() && !inbox.closing {
            let due = self.cursors_due.map_or(self.expire_at, |due| due.min(self.expire_at));
            let timeout = due.saturating_duration_since(Instant::now());
            inbox = shared.filled.wait_timeout(inbox, timeout).unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut bytes = 0;
        while let Some((_, _, command)) = inbox.commands.front() {
            bytes += if let Command::Append(append) = command { append.payload.bytes().len() } else { 0 };
            if batch.len() >= BATCH || (bytes > BATCH_BYTES && !batch.is_empty()) {
                break;
            }
            batch.extend(inbox.commands.pop_front());
        }
        inbox.closing && inbox.commands.is_empty()
    }

    fn keep_time(&mut self, now: u64, closing: bool) {
        if self.core.has_waiting_acks() {
            let due = *self.cursors_due.get_or_insert_with(|| Instant::now() + CURSOR_FLUSH);
            if closing || due <= Instant::now() {
                self.core.flush_cursors(now);
            }
        }
        if self.expire_at <= Instant::now() {
            self.core.expire(now);
            self.expire_at = Instant::now() + EXPIRE_EVERY;
        }
    }

    fn commit(&mut self) -> Result<(), Fatal> {
        let now = self.clock.now_ms();
        let records = self.core.take_records(now);
        if !records.is_empty() {
            self.core.store_mut().persist(&records)?;
        }
        if !self.core.has_waiting_acks() {
            self.cursors_due = None;
        }
        let mut by_shard: BTreeMap<ShardId, Vec<Reply>> = BTreeMap::new();
        for (shard, reply) in self.core.take_replies() {
            by_shard.entry(shard).or_default().push(reply);
        }
        for (shard, replies) in by_shard {
            self.handle.sinks.send(shard, replies);
        }
        for read in self.core.take_pending_reads() {
            self.core.store_mut().read_later(read, self.handle.sinks.clone());
        }
        Ok(())
    }
}
