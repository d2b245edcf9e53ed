use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use moorline_core::Ticket;
use tokio::sync::oneshot;

use super::group::Group;
use super::{Store, StoreBatch, StoreError};

type Answer = Result<(), StoreError>;

/// The thread that commits: a slow disk must not hold up the socket.
pub(crate) struct StoreThread {
    batches: mpsc::Sender<(Ticket, StoreBatch)>,
    ended: oneshot::Receiver<()>,
}

impl StoreThread {
    /// Starts it. Each batch is answered once, in order.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        store: Box<dyn Store>,
        answer: impl Fn(Ticket, Answer) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (batches, queue) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let work = move || {
            run(store, &queue, answer);
            // Nobody waits for the thread of a client that was dropped.
            let _ = end.send(());
        };
        match std::thread::Builder::new().name("moorline-store".into()).spawn(work) {
            Ok(_) => Ok(Self { batches, ended }),
            Err(error) => Err(StoreError::Io(format!("no thread for the store: {error}"))),
        }
    }

    /// Queues a batch. Tells whether the thread is there to answer it.
    pub(crate) fn commit(&self, ticket: Ticket, batch: StoreBatch) -> bool {
        self.batches.send((ticket, batch)).is_ok()
    }

    /// Waits until everything queued is committed and the store is dropped.
    pub(crate) async fn finish(self) {
        drop(self.batches);
        // Without a word it has ended, too.
        let _ = self.ended.await;
    }
}

/// Commits everything that waits as one batch. A store that panics is dropped, and every later batch fails.
fn run(store: Box<dyn Store>, queue: &mpsc::Receiver<(Ticket, StoreBatch)>, answer: impl Fn(Ticket, Answer)) {
    let mut store = Some(store);
    while let Ok((ticket, batch)) = queue.recv() {
        let mut tickets = vec![ticket];
        let mut group = Group::default();
        group.add(batch);
        for (ticket, batch) in queue.try_iter() {
            tickets.push(ticket);
            group.add(batch);
        }
        let result = commit(&mut store, group.into_batch());
        for ticket in tickets {
            answer(ticket, result.clone());
        }
    }
}

fn commit(store: &mut Option<Box<dyn Store>>, batch: StoreBatch) -> Answer {
    let Some(alive) = store else { return Err(StoreError::Io("it has panicked before".into())) };
    catch_unwind(AssertUnwindSafe(|| alive.commit(batch))).unwrap_or_else(|_| {
        *store = None;
        Err(StoreError::Uncertain("it panicked".into()))
    })
}
