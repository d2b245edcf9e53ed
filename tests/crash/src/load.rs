//! Publishers and subscribers that work until they are told to stop, and write down what happens to them.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::{App, AppError, Level, Reading};
use crate::book::SharedBook;
use crate::checker::Order;

/// Bytes that make payloads as long as a chat message.
pub const CHAT: usize = 72;

/// How a publisher works.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it publishes.
    pub channel: String,
    /// Its number in the book.
    pub publisher: u32,
    /// The level.
    pub level: Level,
    /// The time from one message to the next; what was missed is made up for.
    pub pace: Duration,
    /// Messages that may wait for their answers at once.
    pub waiting: usize,
    /// Stop by itself after so many.
    pub count: Option<u64>,
    /// Bytes of a payload beside the mark.
    pub size: usize,
}

impl Plan {
    /// Enters the publisher into the book.
    pub fn announce(&self, book: &SharedBook) {
        let order = if self.level == Level::ExactlyOnce { Order::Kept } else { Order::Free };
        book.add_publisher(&self.channel, self.publisher, order);
    }
}

/// Publishes until `stop` says so or the count is reached, then waits for all answers.
///
/// # Errors
/// [`AppError`] if the client refuses a message on the spot.
pub async fn publish(
    app: &App,
    plan: &Plan,
    book: &SharedBook,
    mut stop: watch::Receiver<bool>,
) -> Result<(), AppError> {
    let mut answers = FuturesUnordered::new();
    let mut clock = interval(plan.pace);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let padding = "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(plan.size).collect::<String>();
    let mut left = plan.count.unwrap_or(u64::MAX);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop), if left > 0 => left = 0,
            Some((mark, told)) = answers.next() => book.told(&plan.channel, mark, told),
            _ = clock.tick(), if left > 0 && answers.len() < plan.waiting => {
                left -= 1;
                let mark = book.publish(&plan.channel, plan.publisher);
                let answer = app.publish(&plan.channel, format!("{mark} {padding}"), plan.level)?;
                answers.push(async move { (mark, answer.await) });
            }
            else => return Ok(()),
        }
    }
}

/// Reads a channel and writes down what comes, until `stop` says so.
///
/// # Errors
/// [`AppError`] if the channel cannot be read, or its reading ends.
pub async fn read(
    app: &App,
    channel: &str,
    subscriber: &str,
    reading: Reading,
    book: &SharedBook,
    mut stop: watch::Receiver<bool>,
) -> Result<(), AppError> {
    let mut inbox = app.read(channel, reading).await?;
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            seen = inbox.next() => book.see(channel, subscriber, seen?),
        }
    }
}
