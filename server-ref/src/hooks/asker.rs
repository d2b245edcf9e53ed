//! Asks the engine as a shard of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::engine::host::EngineHandle;
use crate::engine::{Command, Completion, EngineError, Event, Reply, ShardId, Ticket};

/// No node has so many shards.
const SHARD: ShardId = ShardId(u16::MAX);

type Answer = Result<Completion, EngineError>;

/// See the module's documentation.
pub(super) struct Asker {
    engine: EngineHandle,
    waiting: Arc<Mutex<Waiting>>,
    /// Something was appended, or may have been.
    pub(super) appended: Arc<Notify>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    answers: HashMap<Ticket, oneshot::Sender<Answer>>,
}

impl Asker {
    pub(super) fn new(engine: EngineHandle) -> Self {
        let (waiting, appended) = (Arc::<Mutex<Waiting>>::default(), Arc::<Notify>::default());
        let (answers, notify) = (Arc::clone(&waiting), Arc::clone(&appended));
        // What is told of is read from the log, at the reader's pace; here it only wakes the reader.
        engine.register(
            SHARD,
            Box::new(move |replies| {
                for reply in replies {
                    match reply {
                        Reply::Completed(ticket, answer) => {
                            let sender = lock(&answers).answers.remove(&ticket);
                            sender.into_iter().for_each(|sender| drop(sender.send(answer.clone())));
                        }
                        Reply::Event(Event::Published { .. } | Event::NewEpoch { .. }) => notify.notify_waiters(),
                        Reply::Event(_) => {}
                    }
                }
            }),
        );
        Self { engine, waiting, appended }
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, command: Command) -> Answer {
        let (sender, answer) = oneshot::channel();
        let ticket = self.ticket(Some(sender));
        self.engine.submit(SHARD, [(ticket, command)]);
        answer.await.unwrap_or(Err(EngineError::Unavailable))
    }

    /// Says something whose answer nobody waits for.
    pub(super) fn tell(&self, command: Command) {
        let ticket = self.ticket(None);
        self.engine.submit(SHARD, [(ticket, command)]);
    }

    fn ticket(&self, sender: Option<oneshot::Sender<Answer>>) -> Ticket {
        let mut waiting = lock(&self.waiting);
        waiting.next += 1;
        let ticket = Ticket(waiting.next);
        sender.into_iter().for_each(|sender| drop(waiting.answers.insert(ticket, sender)));
        ticket
    }
}

fn lock(waiting: &Mutex<Waiting>) -> std::sync::MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
