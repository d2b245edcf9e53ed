//! The states of a receipt, one after the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::Error;
use crate::queue::{Item, Queue};
use crate::reader::{Nobody, Reader};
use crate::receipt::{Progress, ReceiptState};

/// How far a message has come, followed from a [`Receipt`](crate::Receipt): pulled and leased as from a [`Reader`].
pub struct ReceiptStates {
    reader: Reader<ReceiptState>,
    queue: Arc<Queue<ReceiptState>>,
    followed: Mutex<Followed>,
}

/// What was seen of the message.
struct Followed {
    progress: watch::Receiver<Progress>,
    last: Option<ReceiptState>,
}

impl ReceiptStates {
    pub(crate) fn new(progress: watch::Receiver<Progress>) -> Self {
        let queue = Arc::new(Queue::default());
        let reader = Reader::new(Arc::clone(&queue), Box::new(Nobody));
        Self { reader, queue, followed: Mutex::new(Followed { progress, last: None }) }
    }

    /// Waits for states, beginning with the present one; what is not taken is told as one, the newest. `None` once it is
    /// known what became of the message and that was taken, and when the client is closed. See [`Reader::next`].
    ///
    /// # Errors
    /// None so far.
    pub async fn next(&self, taken: u64, max: usize) -> Result<Option<Vec<(u64, ReceiptState)>>, Error> {
        let mut progress = self.look();
        loop {
            tokio::select! {
                biased;
                batch = self.reader.next(taken, max) => return batch,
                changed = progress.changed() => {
                    progress = self.look();
                    if changed.is_err() {
                        self.queue.end(None);
                    }
                }
            }
        }
    }

    /// As [`Reader::confirm`].
    pub fn confirm(&self, taken: u64) {
        self.reader.confirm(taken);
    }

    /// As [`Reader::cancel`].
    pub fn cancel(&self, taken: u64) {
        self.reader.cancel(taken);
    }

    /// Queues the present state if it is another one; returns what tells of the next.
    fn look(&self) -> watch::Receiver<Progress> {
        let mut followed = self.lock();
        let state = followed.progress.borrow_and_update().state.clone();
        if followed.last.as_ref() != Some(&state) {
            followed.last = Some(state.clone());
            self.queue.push(state);
        }
        followed.progress.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Item for ReceiptState {
    fn absorb(&mut self, later: &Self) -> bool {
        self.clone_from(later);
        true
    }
}
