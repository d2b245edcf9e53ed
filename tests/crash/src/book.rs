//! Where a run's publishers and subscribers write down what happens to them, all at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::checker::{Channel, Entry, Mark, Order, Report, Seen, Told};

/// The accounts of all channels.
#[derive(Debug)]
pub struct Book {
    accounts: Mutex<BTreeMap<String, Account>>,
    progress: watch::Sender<Progress>,
}

/// A shared book.
pub type SharedBook = Arc<Book>;

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages handed to clients.
    pub published: u64,
    /// Messages whose publishers were told how they ended.
    pub settled: u64,
    /// Messages handed to subscribers for the first time.
    pub received: u64,
    /// Whether everything published is settled, and every subscriber has as many messages as were settled.
    pub complete: bool,
}

#[derive(Debug, Default)]
struct Account {
    channel: Channel,
    published: u64,
    settled: u64,
    received: BTreeMap<String, Received>,
}

/// What a subscriber was handed.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    messages: u64,
    /// The highest offset; what comes again is not counted again.
    highest: u64,
}

impl Book {
    /// Opens an empty book.
    pub fn open() -> SharedBook {
        Arc::new(Self { accounts: Mutex::default(), progress: watch::Sender::new(Progress::default()) })
    }

    /// Adds a publisher to a channel.
    pub fn add_publisher(&self, channel: &str, publisher: u32, order: Order) {
        self.change(channel, |account| account.channel.add_publisher(publisher, order));
    }

    /// Adds a subscriber that must see the whole channel.
    pub fn add_subscriber(&self, channel: &str, subscriber: &str) {
        self.change(channel, |account| {
            account.channel.add_subscriber(subscriber, 0);
            account.received.insert(subscriber.to_owned(), Received::default());
        });
    }

    /// As [`Channel::publish`].
    pub fn publish(&self, channel: &str, publisher: u32) -> Mark {
        self.change(channel, |account| {
            account.published += 1;
            account.channel.publish(publisher)
        })
    }

    /// As [`Channel::told`].
    pub fn told(&self, channel: &str, mark: Mark, told: Told) {
        self.change(channel, |account| {
            account.settled += 1;
            account.channel.told(mark, told);
        });
    }

    /// As [`Channel::see`].
    pub fn see(&self, channel: &str, subscriber: &str, seen: Seen) {
        self.change(channel, |account| {
            if let (Seen::Message { place, .. }, Some(received)) = (&seen, account.received.get_mut(subscriber))
                && place.offset > received.highest
            {
                *received = Received { messages: received.messages + 1, highest: place.offset };
            }
            account.channel.see(subscriber, seen);
        });
    }

    /// Returns how far the run has come.
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until the run has come so far; `false` if `patience` ends first.
    pub async fn reaches(&self, far: impl FnMut(&Progress) -> bool, patience: std::time::Duration) -> bool {
        let mut progress = self.progress.subscribe();
        matches!(tokio::time::timeout(patience, progress.wait_for(far)).await, Ok(Ok(_)))
    }

    /// Returns the names of the channels.
    pub fn channels(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Returns how many messages each subscriber of a channel was handed.
    pub fn received(&self, channel: &str) -> BTreeMap<String, u64> {
        let accounts = self.lock();
        let received = accounts.get(channel).map(|account| account.received.iter()).into_iter().flatten();
        received.map(|(subscriber, received)| (subscriber.clone(), received.messages)).collect()
    }

    /// Compares the accounts of a channel with its log.
    pub fn judge(&self, channel: &str, log: Vec<Entry>) -> Report {
        self.change(channel, |account| {
            account.channel.set_log(log);
            account.channel.judge(channel)
        })
    }

    fn change<T>(&self, channel: &str, change: impl FnOnce(&mut Account) -> T) -> T {
        let mut accounts = self.lock();
        if !accounts.contains_key(channel) {
            accounts.insert(channel.to_owned(), Account::default());
        }
        let result = change(accounts.entry(channel.to_owned()).or_default());
        let progress = progress(accounts.values());
        drop(accounts);
        self.progress.send_if_modified(|old| std::mem::replace(old, progress) != progress);
        result
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn progress<'a>(accounts: impl Iterator<Item = &'a Account>) -> Progress {
    let mut progress = Progress { complete: true, ..Progress::default() };
    for account in accounts {
        progress.published += account.published;
        progress.settled += account.settled;
        progress.received += account.received.values().map(|received| received.messages).sum::<u64>();
        progress.complete &= account.published == account.settled;
        progress.complete &= account.received.values().all(|received| received.messages >= account.settled);
    }
    progress
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Place;

    #[test]
    fn a_run_is_complete_when_all_is_settled_and_seen() {
        let book = Book::open();
        book.add_publisher("c", 1, Order::Kept);
        book.add_subscriber("c", "s");
        assert!(book.progress().complete);
        let mark = book.publish("c", 1);
        assert!(!book.progress().complete);
        let place = Place { epoch: "e".into(), offset: 1 };
        book.told("c", mark, Told::Stored(Some(place.clone())));
        assert!(!book.progress().complete);
        book.see("c", "s", Seen::Message { place: place.clone(), mark: Some(mark), redelivered: false });
        assert_eq!(book.progress(), Progress { published: 1, settled: 1, received: 1, complete: true });
        assert!(book.judge("c", vec![Entry { place, mark: Some(mark) }]).tally.is_clean());
    }
}
