//! Which users are online.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_core::Stream;
use moorline_core::protocol::time::Now;
use moorline_core::protocol::{UserName, UserStatus};
use tokio::sync::{mpsc, oneshot};

use crate::client::Client;
use crate::error::Error;
use crate::queue::{Item, Queue};
use crate::reader::{Owner, Reader};
use crate::shared::State;

/// Whether a user is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether it has a connection.
    pub online: bool,
    /// If so, since when, ms since 1970.
    pub since: Option<u64>,
}

/// Users that came or went; at first, each one's status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(pub BTreeMap<String, Status>);

impl Item for Statuses {
    fn absorb(&mut self, later: &Self) -> bool {
        self.0.extend(later.0.iter().map(|(user, status)| (user.clone(), *status)));
        true
    }
}

/// Where changes go.
pub(crate) enum Feed {
    Stream(mpsc::UnboundedSender<Result<Vec<UserStatus>, Error>>),
    Queue(Arc<Queue<Statuses>>),
}

impl Feed {
    /// Hands changes on; a feed that is being dropped wants nothing more.
    pub(crate) fn push(&self, users: Vec<UserStatus>) {
        match self {
            Self::Stream(stream) => drop(stream.send(Ok(users))),
            Self::Queue(queue) => drop(queue.push(Statuses(users.into_iter().map(named).collect()))),
        }
    }

    pub(crate) fn fail(self, error: Error) {
        match &self {
            Self::Stream(stream) => drop(stream.send(Err(error))),
            Self::Queue(queue) => queue.end(Some(error)),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Self::Queue(queue) = self {
            queue.end(None);
        }
    }
}

struct StatusesOwner {
    client: Client,
    queue: Weak<Queue<Statuses>>,
}

impl Owner<Statuses> for StatusesOwner {
    fn taken(&self, _: &[Statuses], _: bool) {}

    fn left(&self) {
        self.client.shared.run(|state, now| {
            // Once another feed has taken over, this is none of the server's business.
            let is_current =
                matches!(&state.presence.feed, Some(Feed::Queue(queue)) if Arc::as_ptr(queue) == self.queue.as_ptr());
            if is_current {
                state.presence.feed = None;
                // An empty list is short enough.
                let _ = state.core.watch_status(Vec::new(), now);
            }
        });
    }
}

fn watch(state: &mut State, users: Vec<UserName>, feed: Feed, now: Now) -> Result<(), moorline_core::Failure> {
    state.core.watch_status(Vec::new(), now)?;
    state.core.watch_status(users, now)?;
    state.presence.feed = Some(feed);
    Ok(())
}

/// What changes of the status of users, over reconnects; dropping it ends that.
pub struct StatusFeed {
    client: Client,
    changes: mpsc::UnboundedReceiver<Result<Vec<UserStatus>, Error>>,
    ready: std::vec::IntoIter<UserStatus>,
}

impl StatusFeed {
    /// Waits for the next user that came or went; at first, each one's status. `None` when the client is closed, or
    /// another feed has taken over.
    pub async fn next(&mut self) -> Option<Result<(String, Status), Error>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<(String, Status), Error>>> {
        loop {
            if let Some(status) = self.ready.next() {
                return Poll::Ready(Some(Ok(named(status))));
            }
            match std::task::ready!(self.changes.poll_recv(context)) {
                Some(Ok(users)) => self.ready = users.into_iter(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for StatusFeed {
    type Item = Result<(String, Status), Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

impl Drop for StatusFeed {
    fn drop(&mut self) {
        self.client.shared.run(|state, now| {
            // Once another feed has taken over, nobody sends to this one.
            if self.changes.sender_strong_count() > 0 {
                state.presence.feed = None;
                // An empty list is short enough.
                let _ = state.core.watch_status(Vec::new(), now);
            }
        });
    }
}

fn named(status: UserStatus) -> (String, Status) {
    (status.user.as_str().to_owned(), Status { online: status.online, since: status.since })
}

fn names<I, S>(users: I) -> Result<Vec<UserName>, Error>
where
    I: IntoIterator<Item = S>,
    S: AsRef<str>,
{
    let name = |user: S| UserName::new(user.as_ref()).map_err(|e| Error::client("request.malformed", e.to_string()));
    users.into_iter().map(name).collect()
}

impl Client {
    /// Asks which of at most 500 users are online. That needs the grant `presence` for each one's inbox (`@alice`).
    ///
    /// # Errors
    /// `request.malformed` for what is no list of users, or what the server answers, such as `channel.denied`.
    pub async fn status<I, S>(&self, users: I) -> Result<BTreeMap<String, Status>, Error>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let users = names(users)?;
        self.start()?;
        let (sender, receiver) = oneshot::channel();
        self.shared.run(|state, now| {
            let id = state.core.status(users, now);
            state.presence.statuses.insert(id, sender);
        });
        let statuses = receiver.await.map_err(|_| Error::closed())??;
        Ok(statuses.into_iter().map(named).collect())
    }

    /// Follows whether at most 500 users are online. A later feed of this client replaces this one.
    ///
    /// # Errors
    /// `request.malformed` for what is no list of users. What the server refuses comes in the feed.
    pub fn watch_status<I, S>(&self, users: I) -> Result<StatusFeed, Error>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let users = names(users)?;
        self.start()?;
        let (sender, changes) = mpsc::unbounded_channel();
        self.shared.run(|state: &mut State, now| watch(state, users, Feed::Stream(sender), now))?;
        Ok(StatusFeed { client: self.clone(), changes, ready: Vec::new().into_iter() })
    }

    /// As [`watch_status`](Self::watch_status), pulled in batches. What is not read is told as one: the newest of each user.
    ///
    /// # Errors
    /// As [`watch_status`](Self::watch_status).
    pub fn statuses<I, S>(&self, users: I) -> Result<Reader<Statuses>, Error>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let users = names(users)?;
        self.start()?;
        let queue = Arc::new(Queue::default());
        let feed = Feed::Queue(Arc::clone(&queue));
        self.shared.run(|state: &mut State, now| watch(state, users, feed, now))?;
        let owner = StatusesOwner { client: self.clone(), queue: Arc::downgrade(&queue) };
        Ok(Reader::new(queue, Box::new(owner)))
    }
}
