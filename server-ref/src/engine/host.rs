//! The engine's thread: takes waiting commands as one batch, a turn at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use moorline_protocol::time::UnixMillis;

use super::core::EngineCore;
use super::turn::{Fatal, Persist, Sink, Sinks, Turns};
use super::{Command, ShardId, Ticket};

/// Commands of one batch at most: bounds how long the first one waits for its answer.
const BATCH: usize = 8_192;
/// Bytes that a command counts beside its payload: more than names, ids and records take.
const OVERHEAD: usize = 512;

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
        self.sinks.register(shard, sink);
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
    /// Starts an engine over a core whose records were applied and begun. `clock` says what time it is; `on_fatal` is
    /// called once, from the engine's thread, when it has to stop.
    ///
    /// # Errors
    /// The system's, if it has no room for a thread.
    pub fn spawn<S: Persist>(
        core: EngineCore<S>,
        clock: impl FnMut() -> UnixMillis + Send + 'static,
        on_fatal: impl FnOnce(Fatal) + Send + 'static,
    ) -> std::io::Result<Self> {
        let handle = EngineHandle { shared: Arc::default(), sinks: Sinks::default() };
        let (shared, turns) = (Arc::clone(&handle.shared), Turns::new(core, handle.sinks.clone()));
        let thread = std::thread::Builder::new().name("moorline-log".into()).spawn(move || {
            if let Err(fatal) = run(&shared, turns, clock) {
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

fn run<S: Persist>(shared: &Shared, mut turns: Turns<S>, mut clock: impl FnMut() -> UnixMillis) -> Result<(), Fatal> {
    let mut batch = Vec::new();
    let most = turns.batch_bytes();
    // What starting wrote down comes first.
    turns.take(None, clock())?;
    loop {
        let closing = wait(shared, Duration::from_millis(turns.idle_ms(clock())), most, &mut batch);
        turns.take(batch.drain(..), clock())?;
        if closing {
            return turns.close(clock());
        }
    }
}

/// Waits for commands, at most so long, and takes a batch of them, of at most so many bytes. Returns whether this is
/// the last one.
fn wait(shared: &Shared, at_most: Duration, most: u64, batch: &mut Vec<(ShardId, Ticket, Command)>) -> bool {
    let mut inbox = shared.inbox.lock().unwrap_or_else(PoisonError::into_inner);
    if inbox.commands.is_empty() && !inbox.closing {
        inbox = shared.filled.wait_timeout(inbox, at_most).unwrap_or_else(PoisonError::into_inner).0;
    }
    let mut bytes = 0;
    while let Some((_, _, command)) = inbox.commands.front() {
        bytes += weight(command) as u64;
        if batch.len() >= BATCH || (bytes > most && !batch.is_empty()) {
            break;
        }
        batch.extend(inbox.commands.pop_front());
    }
    inbox.closing && inbox.commands.is_empty()
}

/// Returns how many bytes of records a command makes, at most.
fn weight(command: &Command) -> usize {
    let Command::Append(append) = command else { return OVERHEAD };
    let headers: usize =
        append.headers.iter().map(|(name, value)| name.as_bytes().len() + value.as_bytes().len()).sum();
    append.payload.bytes().len() + headers + OVERHEAD
}
