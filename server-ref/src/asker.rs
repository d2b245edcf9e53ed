//! Asks the engine as a shard of its own, without a node: what hooks and the HTTP API do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::engine::host::EngineHandle;
use crate::engine::{Command, Completion, EngineError, Event, Reply, ShardId, Ticket};

pub(crate) type Answer = Result<Completion, EngineError>;

/// See the module's documentation.
pub(crate) struct Asker {
    engine: EngineHandle,
    shard: ShardId,
    waiting: Arc<Mutex<Waiting>>,
    /// Something was appended, or may have been.
    pub(crate) appended: Arc<Notify>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    answers: HashMap<Ticket, oneshot::Sender<Answer>>,
}

impl Asker {
    /// Asks under a number that no shard of the node has.
    pub(crate) fn new(engine: EngineHandle, shard: ShardId) -> Self {
        let (waiting, appended) = (Arc::<Mutex<Waiting>>::default(), Arc::<Notify>::default());
        let (answers, notify) = (Arc::clone(&waiting), Arc::clone(&appended));
        // What is told of is read from the log, at the reader's pace; here it only wakes the reader.
        engine.register(
            shard,
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
        Self { engine, shard, waiting, appended }
    }

    /// Asks at once; what it returns waits for the answer.
    pub(crate) fn ask(&self, command: Command) -> impl Future<Output = Answer> + use<> {
        let (sender, answer) = oneshot::channel();
        let ticket = self.ticket(Some(sender));
        self.engine.submit(self.shard, [(ticket, command)]);
        async { answer.await.unwrap_or(Err(EngineError::Unavailable)) }
    }

    /// Asks several things in a row, and waits for the answers of those that have one: all but broadcasts.
    pub(crate) async fn ask_all(&self, commands: Vec<Command>) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(commands.len());
        let mut asked = Vec::with_capacity(commands.len());
        for command in commands {
            let sender = (!matches!(command, Command::Broadcast(_))).then(|| {
                let (sender, answer) = oneshot::channel();
                answers.push(answer);
                sender
            });
            asked.push((self.ticket(sender), command));
        }
        self.engine.submit(self.shard, asked);
        let mut all = Vec::with_capacity(answers.len());
        for answer in answers {
            all.push(answer.await.unwrap_or(Err(EngineError::Unavailable)));
        }
        all
    }

    /// Says something whose answer nobody waits for.
    pub(crate) fn tell(&self, command: Command) {
        let ticket = self.ticket(None);
        self.engine.submit(self.shard, [(ticket, command)]);
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
