use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;
use crate::queue::{Item, Queue};

/// The largest batch, in items.
const BATCH: usize = 64;

/// What is told about what was taken.
pub(crate) trait Owner<T>: Send + Sync {
    /// The app begins to take.
    fn begins(&self) {}

    /// The app was handed these; `done` if it is through with them as well.
    fn taken(&self, items: &[T], done: bool);

    /// The reader has ended.
    fn left(&self);
}

/// An owner that need not know.
pub(crate) struct Nobody;

impl<T> Owner<T> for Nobody {
    fn taken(&self, _: &[T], _: bool) {}

    fn left(&self) {}
}

/// A sequence of numbered items, pulled in batches that stay leased until they are confirmed: for hosts where a wait can
/// be broken off after its result was made, such as other languages' runtimes.
///
/// A batch has at most 64 items, and ends after 256 KiB. Items that were not confirmed come again.
#[expect(private_bounds, reason = "the kinds of items are this crate's")]
pub struct Reader<T: Item> {
    queue: Arc<Queue<T>>,
    owner: Box<dyn Owner<T>>,
    has_begun: AtomicBool,
    is_over: AtomicBool,
}

#[expect(private_bounds, reason = "the kinds of items are this crate's")]
impl<T: Item> Reader<T> {
    pub(crate) fn new(queue: Arc<Queue<T>>, owner: Box<dyn Owner<T>>) -> Self {
        Self { queue, owner, has_begun: AtomicBool::new(false), is_over: AtomicBool::new(false) }
    }

    /// Confirms everything up to `taken`, the number of the last item the app is done with (0 before the first), then waits
    /// for items and returns at most `max` (1–64) with their numbers, which rise. `None` at the end: the channel was left,
    /// the client closed, or [`cancel`](Self::cancel) was called.
    ///
    /// Broken off, nothing is lost: the next call returns the same items.
    ///
    /// # Errors
    /// What the server refused, once all items before that are confirmed.
    pub async fn next(&self, taken: u64, max: usize) -> Result<Option<Vec<(u64, T)>>, Error> {
        if !self.is_over.load(Ordering::Acquire) && !self.has_begun.swap(true, Ordering::AcqRel) {
            self.owner.begins();
        }
        self.confirm(taken);
        self.queue.next(max.min(BATCH), || self.is_over.load(Ordering::Acquire)).await
    }

    /// Confirms everything up to `taken`: the app is done with it. With
    /// [`auto_ack`](crate::Channel::auto_ack) it is acknowledged.
    pub fn confirm(&self, taken: u64) {
        if !self.is_over.load(Ordering::Acquire) {
            self.take(taken, true);
        }
    }

    /// Ends this reader; a wait ends at once. What comes after `taken`, the number of the last item that was handed to the
    /// app, goes to the next reader; nothing is acknowledged. Calling it again does nothing.
    pub fn cancel(&self, taken: u64) {
        if !self.is_over.swap(true, Ordering::AcqRel) {
            self.take(taken, false);
            self.owner.left();
            self.queue.stir();
        }
    }

    fn take(&self, taken: u64, done: bool) {
        let items = self.queue.take(taken);
        if !items.is_empty() {
            self.owner.taken(&items, done);
        }
    }
}

impl<T: Item> Drop for Reader<T> {
    fn drop(&mut self) {
        self.cancel(0);
    }
}
