//! What waits for a reader, and is leased to it until it is confirmed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::error::Error;
use crate::messages::Event;

/// Bytes of a batch after which no more is added.
const BATCH_BYTES: usize = 256 << 10;

/// What a queue holds.
pub(crate) trait Item: Clone + Send + 'static {
    /// Returns the bytes of its content, roughly.
    fn bytes(&self) -> usize {
        0
    }

    /// Tells whether it is a message: those are bounded.
    fn is_message(&self) -> bool {
        false
    }

    /// Takes a later one in, if both can be told as one. Only asked while this one was not handed out.
    fn absorb(&mut self, later: &Self) -> bool;
}

/// How much may wait in a queue that nobody takes from, once it holds up another one.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// Numbered items for one reader, in order. Messages are bounded by the core, which asks the server to pause; other items
/// are absorbed by the one before them.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

struct State<T> {
    /// With their numbers, which rise and have gaps.
    items: VecDeque<(u64, T)>,
    last: u64,
    /// The highest number that was handed out.
    leased: u64,
    /// Messages that wait, and the bytes of all items.
    messages: usize,
    bytes: usize,
    /// How many of those messages, from the first on, the core believes to be taken.
    paid: usize,
    /// Whether somebody takes from it.
    is_taken: bool,
    end: Option<Option<Error>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let items = VecDeque::new();
        let state = State { items, last: 0, leased: 0, messages: 0, bytes: 0, paid: 0, is_taken: false, end: None };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl<T: Item> Queue<T> {
    /// Adds an item. Tells whether anybody can still get it.
    pub(crate) fn push(&self, item: T) -> bool {
        let mut state = self.lock();
        if state.end.is_some() {
            return false;
        }
        let leased = state.leased;
        state.last += 1;
        let number = state.last;
        let mut tail = state.items.back_mut().filter(|(tail, _)| *tail > leased);
        match tail.take_if(|(_, earlier)| earlier.absorb(&item)) {
            Some((tail, _)) => *tail = number,
            None => {
                state.count(&item);
                state.items.push_back((number, item));
            }
        }
        drop(state);
        self.changed.notify_waiters();
        true
    }

    /// Adds an item before those that are here, for a reader that goes on where another one left off: unless nothing was
    /// taken so far, or what is first makes it needless.
    pub(crate) fn unshift(&self, item: T, is_needless: impl Fn(&T) -> bool) {
        let mut state = self.lock();
        let Some(first) = state.items.front() else {
            drop(state);
            self.push(item);
            return;
        };
        let number = first.0 - 1;
        if number > 0 && !is_needless(&first.1) {
            state.items.push_front((number, item));
        }
    }

    /// Waits for items, and returns at most `max` of them; they stay here until they are taken. `None` at the end, or when
    /// `is_over` says so after a [`stir`](Self::stir).
    ///
    /// # Errors
    /// Why it ended, after all items.
    pub(crate) async fn next(&self, max: usize, is_over: impl Fn() -> bool) -> Result<Option<Vec<(u64, T)>>, Error> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_over() {
                return Ok(None);
            }
            if let Some(ready) = self.lock().batch(max) {
                return ready;
            }
            changed.await;
        }
    }

    /// Removes everything up to a number, and returns it.
    pub(crate) fn take(&self, up_to: u64) -> Vec<T> {
        let mut state = self.lock();
        let count = state.items.iter().take_while(|(number, _)| *number <= up_to).count();
        let taken: Vec<T> = state.items.drain(..count).map(|(_, item)| item).collect();
        taken.iter().for_each(|item| state.uncount(item));
        taken
    }

    /// Somebody takes from it, or nobody any more.
    pub(crate) fn set_taken(&self, is_taken: bool) {
        self.lock().is_taken = is_taken;
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.lock().is_taken
    }

    /// So many messages were taken. Returns how many of them the core has not heard of.
    pub(crate) fn settle(&self, messages: usize) -> usize {
        let mut state = self.lock();
        let paid = state.paid.min(messages);
        state.paid -= paid;
        messages - paid
    }

    /// Has those who wait look again.
    pub(crate) fn stir(&self) {
        self.changed.notify_waiters();
    }

    /// Nothing more comes; the first reason counts.
    pub(crate) fn end(&self, error: Option<Error>) {
        self.lock().end.get_or_insert(error);
        self.changed.notify_waiters();
    }

    /// Returns how many items wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().end.is_some()
    }
}

impl Queue<Event> {
    /// Another queue of the channel is taken from, and does not wait for what nobody takes here: what waits counts as taken, and
    /// the oldest messages for which there is no room are given up. Returns how many messages the core has to hear of.
    pub(crate) fn make_way(&self, room: Room) -> usize {
        let mut state = self.lock();
        if state.is_taken {
            return 0;
        }
        let unpaid = state.messages - state.paid;
        while state.messages > room.messages || (state.bytes > room.bytes && state.messages > 0) {
            state.give_up();
        }
        state.paid = state.messages;
        unpaid
    }
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State<Event> {
    /// Puts the fact that a message was dropped in the place of the oldest one.
    fn give_up(&mut self) {
        let Some(at) = self.items.iter().position(|(_, item)| item.is_message()) else { return };
        let Some((number, message)) = self.items.remove(at) else { return };
        self.uncount(&message);
        let dropped = Event::Dropped(1);
        let before = at.checked_sub(1).and_then(|before| self.items.get_mut(before));
        if !before.is_some_and(|(_, earlier)| earlier.absorb(&dropped)) {
            self.items.insert(at, (number, dropped));
        }
    }
}

impl<T: Item> State<T> {
    fn count(&mut self, item: &T) {
        self.messages += usize::from(item.is_message());
        self.bytes += item.bytes();
    }

    fn uncount(&mut self, item: &T) {
        self.messages -= usize::from(item.is_message());
        self.bytes -= item.bytes();
    }

    #[expect(clippy::type_complexity, reason = "a batch, its end, or neither yet")]
    fn batch(&mut self, max: usize) -> Option<Result<Option<Vec<(u64, T)>>, Error>> {
        if self.items.is_empty() {
            return self.end.clone().map(|end| end.map_or(Ok(None), Err));
        }
        let mut bytes = 0;
        let fits = |(_, item): &&(u64, T)| {
            let is_room = bytes < BATCH_BYTES;
            bytes += item.bytes();
            is_room
        };
        let batch: Vec<_> = self.items.iter().take(max.max(1)).take_while(fits).cloned().collect();
        self.leased = batch.last().map_or(self.leased, |(number, _)| self.leased.max(*number));
        Some(Ok(Some(batch)))
    }
}
