//! What one part of the app reads of a channel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moorline_core::SubscriptionId;
use moorline_core::protocol::{Epoch, Offset, Position};

use crate::channel::Channel;
use crate::client::Client;
use crate::error::Error;
use crate::messages::Event;
use crate::presence::MembersChange;
use crate::queue::{Item, Queue};
use crate::reader::{Owner, Reader};
use crate::sink::Sink;

/// The readers of one handle on a channel. Each gets every message that arrives after it was opened; the handle reads on
/// when one has ended, and the next one begins where that left off. Dropping the handle ends them all.
///
/// What nobody takes, since the first [`next`](Reader::next) has not come yet or a reader was left, holds up no other reader of
/// the channel: where one goes on, the oldest messages beyond the limits of the queue are given up, and
/// [`Event::Dropped`] tells how many.
pub struct Readers {
    home: Arc<Home>,
}

struct Home {
    channel: Channel,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    readers: Vec<Arc<Feed<Event>>>,
    members: Vec<Arc<Feed<MembersChange>>>,
    /// What a reader left behind, or came before there was one; the next one goes on with it.
    left: Option<Arc<Feed<Event>>>,
    has_left: bool,
}

/// One subscription of the core, and what waits for its reader.
struct Feed<T: Item> {
    client: Client,
    id: SubscriptionId,
    queue: Arc<Queue<T>>,
    /// Where its reader stands, once the app was told that the channel is read.
    place: Mutex<Option<Place>>,
    is_closed: AtomicBool,
}

/// Everything up to here was taken.
struct Place {
    epoch: String,
    offset: u64,
}

impl Feed<Event> {
    /// Notes how far the reader has come.
    fn went(&self, items: &[Event]) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        for item in items {
            match item {
                Event::Subscribed { epoch, from, .. } | Event::Reset { epoch, from, .. } => {
                    *place = Some(Place { epoch: epoch.clone(), offset: *from });
                }
                Event::Message(message) => {
                    if let (Some(place), Some(position)) = (place.as_mut(), message.position) {
                        *place = Place { epoch: position.epoch.as_str().to_owned(), offset: position.offset.0 };
                    }
                }
                Event::Dropped(_) | Event::Acked(_) | Event::Presence { .. } | Event::Ended(_) => {}
            }
        }
    }

    /// Tells the next reader that the channel is being read, as each one is told that begins.
    fn again(self: Arc<Self>) -> Arc<Self> {
        let head = self.client.shared.run(|state, _| state.core.head(self.id));
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(head), Some(Place { epoch, offset })) = (head, &*place) {
            let newest = if head.epoch.as_str() == epoch { head.offset.0 } else { *offset };
            let event = Event::Subscribed { epoch: epoch.clone(), from: *offset, head: newest, replay: false };
            self.queue.unshift(event, |first| matches!(first, Event::Subscribed { .. }));
        }
        drop(place);
        self
    }
}

impl<T: Item> Feed<T> {
    /// Ends the subscription, once.
    fn close(&self, forget: bool) {
        if !self.is_closed.swap(true, Ordering::AcqRel) {
            self.client.shared.run(|state, now| {
                state.readers.remove(&self.id);
                state.core.unsubscribe(self.id, forget, now);
            });
        }
    }
}

impl<T: Item> Drop for Feed<T> {
    fn drop(&mut self) {
        self.close(false);
    }
}

impl Readers {
    pub(crate) fn new(channel: Channel) -> Self {
        Self { home: Arc::new(Home { channel, open: Mutex::default() }) }
    }

    /// Begins to read: where a reader of this handle left off, else from where the channel's options say.
    ///
    /// # Errors
    /// As [`Channel::subscribe`](crate::Channel::subscribe); `request.malformed` after [`leave`](Self::leave).
    pub fn open(&self) -> Result<Reader<Event>, Error> {
        let left = self.home.lock()?.left.take();
        let feed = match left.filter(|left| !left.queue.has_ended()) {
            Some(feed) => feed.again(),
            None => self.home.subscribe(Sink::Reader)?,
        };
        self.home.lock()?.readers.push(Arc::clone(&feed));
        let owner = Box::new(ReaderOwner { home: Arc::clone(&self.home), feed: Arc::clone(&feed) });
        Ok(Reader::new(Arc::clone(&feed.queue), owner))
    }

    /// Follows the channel's members, beginning with a snapshot of those that are known, and reads the channel as long as
    /// this handle does. What is not taken is told as one: at most 256 changes, then a snapshot without any.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn members(&self) -> Result<Reader<MembersChange>, Error> {
        self.hold()?;
        let feed = self.home.subscribe(Sink::Members)?;
        if let Some(count) = self.home.channel.members().count() {
            feed.queue.push(MembersChange { count, changes: Vec::new(), snapshot: true });
        }
        self.home.lock()?.members.push(Arc::clone(&feed));
        let owner = Box::new(MembersOwner { home: Arc::clone(&self.home), feed: Arc::clone(&feed) });
        Ok(Reader::new(Arc::clone(&feed.queue), owner))
    }

    /// Reads the channel as long as this handle does, so that the user can be a member of it. Messages wait for the first reader.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn hold(&self) -> Result<(), Error> {
        if self.home.lock()?.is_reading() {
            return Ok(());
        }
        let feed = self.home.subscribe(Sink::Reader)?;
        self.home.lock()?.left = Some(feed);
        Ok(())
    }

    /// Acknowledges everything up to a position, for all readers of this handle.
    ///
    /// # Errors
    /// `request.malformed` for what is no epoch.
    pub fn ack(&self, epoch: &str, offset: u64) -> Result<(), Error> {
        let epoch = Epoch::new(epoch).map_err(|error| Error::client("request.malformed", error.to_string()))?;
        let ids = self.home.lock()?.ids();
        self.home.ack(&ids, Position { epoch, offset: Offset(offset) });
        Ok(())
    }

    /// Stops reading; all readers end. With `forget` the durable cursor is dropped, too. Calling it again does nothing.
    pub fn leave(&self, forget: bool) {
        let Ok(mut open) = self.home.lock() else { return };
        let Open { readers, members, left, .. } = std::mem::take(&mut *open);
        open.has_left = true;
        drop(open);
        readers.iter().chain(&left).for_each(|feed| feed.close(forget));
        members.iter().for_each(|feed| feed.close(forget));
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.leave(false);
    }
}

impl Open {
    fn is_reading(&self) -> bool {
        self.readers.iter().chain(&self.left).any(|feed| !feed.queue.has_ended())
    }

    fn ids(&self) -> Vec<SubscriptionId> {
        let readers = self.readers.iter().chain(&self.left).map(|feed| feed.id);
        readers.chain(self.members.iter().map(|feed| feed.id)).collect()
    }
}

impl Home {
    /// # Errors
    /// `request.malformed` once the handle was left.
    fn lock(&self) -> Result<MutexGuard<'_, Open>, Error> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.has_left {
            let text = format!("this handle has left {}: take a new one of the client", self.channel.name());
            return Err(Error::client("request.malformed", text));
        }
        Ok(open)
    }

    fn subscribe<T: Item>(&self, sink: impl FnOnce(Arc<Queue<T>>) -> Sink) -> Result<Arc<Feed<T>>, Error> {
        drop(self.lock()?);
        let queue = Arc::new(Queue::default());
        let id = self.channel.attach(sink(Arc::clone(&queue)))?;
        let client = self.channel.client().clone();
        Ok(Arc::new(Feed { client, id, queue, place: Mutex::default(), is_closed: AtomicBool::new(false) }))
    }

    fn ack(&self, ids: &[SubscriptionId], position: Position) {
        self.channel.client().shared.run(|state, now| {
            ids.iter().for_each(|id| state.core.ack(*id, position, now));
        });
    }
}

struct ReaderOwner {
    home: Arc<Home>,
    feed: Arc<Feed<Event>>,
}

impl Owner<Event> for ReaderOwner {
    fn begins(&self) {
        self.feed.queue.set_taken(true);
        self.feed.client.shared.run(|state, now| state.begin(self.home.channel.name(), now));
    }

    fn taken(&self, items: &[Event], done: bool) {
        self.feed.went(items);
        let messages =
            || items.iter().filter_map(|item| if let Event::Message(message) = item { Some(message) } else { None });
        let unpaid = self.feed.queue.settle(messages().count());
        self.feed.client.shared.run(|state, now| state.core.consumed(self.feed.id, unpaid, now));
        if !(done && self.home.channel.acks_by_itself()) {
            return;
        }
        if let (Some(position), Ok(open)) = (messages().filter_map(|message| message.position).last(), self.home.lock())
        {
            // A handle is done with what its readers are done with.
            let members = open.members.iter().map(|feed| feed.id);
            let ids: Vec<_> = members.chain([self.feed.id]).collect();
            drop(open);
            self.home.ack(&ids, position);
        }
    }

    fn left(&self) {
        let Ok(mut open) = self.home.lock() else { return };
        open.readers.retain(|feed| !Arc::ptr_eq(feed, &self.feed));
        self.feed.queue.set_taken(false);
        if open.readers.is_empty() && open.left.is_none() && !self.feed.queue.has_ended() {
            open.left = Some(Arc::clone(&self.feed));
        } else {
            drop(open);
            self.feed.close(false);
        }
    }
}

struct MembersOwner {
    home: Arc<Home>,
    feed: Arc<Feed<MembersChange>>,
}

impl Owner<MembersChange> for MembersOwner {
    fn taken(&self, _: &[MembersChange], _: bool) {}

    fn left(&self) {
        let Ok(mut open) = self.home.lock() else { return };
        open.members.retain(|feed| !Arc::ptr_eq(feed, &self.feed));
        drop(open);
        self.feed.close(false);
    }
}
