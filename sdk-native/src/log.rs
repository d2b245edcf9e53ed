//! What a client says of itself: to `tracing`, and to whoever follows it.

use std::sync::{Arc, Weak};

use moorline_core::{ConnectionState, PublishOutcome};

use crate::connection::Connection;
use crate::error::Error;
use crate::messages::Event;
use crate::queue::{Item, Queue};

/// Lines that may wait for a follower; what comes then is counted.
const LINES: usize = 256;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Of interest to who looks for a fault.
    Debug,
    /// What happens as it should.
    Info,
    /// What went wrong, and is dealt with: a lost connection, a message that is not stored.
    Warn,
    /// What ends the client.
    Error,
}

/// A line of a client's log. There are names of channels and users in it, and URLs without their queries; never a payload,
/// a header or a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// One line, in English; made for people, and not the same in later versions.
    pub text: String,
    /// Stands for so many lines that nobody took in time.
    lost: usize,
}

impl LogLine {
    fn new(level: LogLevel, text: String) -> Self {
        Self { level, text, lost: 0 }
    }

    fn lost(lost: usize) -> Self {
        Self { lost, ..Self::new(LogLevel::Warn, format!("the log was not taken in time: lines lost: {lost}")) }
    }

    /// Hands it to `tracing`.
    pub(crate) fn trace(&self) {
        match self.level {
            LogLevel::Debug => tracing::debug!(target: "moorline", "{}", self.text),
            LogLevel::Info => tracing::info!(target: "moorline", "{}", self.text),
            LogLevel::Warn => tracing::warn!(target: "moorline", "{}", self.text),
            LogLevel::Error => tracing::error!(target: "moorline", "{}", self.text),
        }
    }
}

impl Item for LogLine {
    fn absorb(&mut self, later: &Self) -> bool {
        let are_lost = self.lost > 0 && later.lost > 0;
        if are_lost {
            *self = Self::lost(self.lost + later.lost);
        }
        are_lost
    }
}

/// The log of a client, and who follows it.
#[derive(Default)]
pub(crate) struct Log {
    lines: Vec<LogLine>,
    followers: Vec<Weak<Queue<LogLine>>>,
    has_ended: bool,
}

impl Log {
    /// Adds a line.
    pub(crate) fn say(&mut self, level: LogLevel, text: impl Into<String>) {
        self.lines.push(LogLine::new(level, text.into()));
    }

    /// Adds somebody who gets what is said from now on.
    pub(crate) fn follow(&mut self) -> Arc<Queue<LogLine>> {
        let queue = Arc::new(Queue::default());
        if self.has_ended {
            queue.end(None);
        } else {
            self.followers.push(Arc::downgrade(&queue));
        }
        queue
    }

    /// Hands out what was said, and returns it.
    pub(crate) fn hand_out(&mut self) -> Vec<LogLine> {
        let lines = std::mem::take(&mut self.lines);
        for line in &lines {
            self.followers.retain(|queue| {
                let line = |queue: &Queue<_>| if queue.len() < LINES { line.clone() } else { LogLine::lost(1) };
                queue.upgrade().is_some_and(|queue| queue.push(line(&queue)))
            });
        }
        lines
    }

    /// Nothing is said any more.
    pub(crate) fn end(&mut self) {
        // `tracing` hears them later, when nothing is locked.
        self.lines = self.hand_out();
        self.has_ended = true;
        self.followers.drain(..).filter_map(|queue| queue.upgrade()).for_each(|queue| queue.end(None));
    }

    /// Says what the connection is now; `now` is ms since 1970.
    pub(crate) fn connection(&mut self, connection: &Connection, now: u64) {
        let (state, cause) = (connection.state, connection.cause());
        let level = match (state, &cause) {
            (ConnectionState::Closed, Some(_)) => LogLevel::Error,
            (ConnectionState::Recovering, _) | (_, Some(_)) => LogLevel::Warn,
            _ => LogLevel::Info,
        };
        let mut text = format!("{} ({})", name(state), connection.reason_name());
        if let Some(cause) = cause {
            text += &format!(": {cause}");
        }
        if let Some(at) = connection.retry_at {
            text += &format!("; attempt {} in {} ms", connection.attempt, at.saturating_sub(now));
        }
        self.say(level, text);
    }

    /// Says what happened on a channel, unless that is its daily business.
    pub(crate) fn channel(&mut self, name: &str, event: &Event) {
        match event {
            Event::Subscribed { from, head, .. } => {
                self.say(LogLevel::Debug, format!("{name}: is read from {from} on, of {head}"));
            }
            Event::Reset { reason, from, .. } => {
                self.say(LogLevel::Warn, format!("{name}: what lies before {from} is lost to this reader ({reason})"));
            }
            Event::Dropped(count) => {
                self.say(LogLevel::Warn, format!("{name}: messages at QoS 0 dropped: {count}"));
            }
            Event::Ended(error) => self.say(LogLevel::Warn, format!("{name}: is not read any more: {error}")),
            Event::Message(_) | Event::Acked(_) | Event::Presence { .. } => {}
        }
    }

    /// Says what became of a message, unless it is where it should be.
    pub(crate) fn settled(&mut self, channel: &str, outcome: &PublishOutcome) {
        match outcome {
            PublishOutcome::Failed(failure) => {
                let error = Error::from(failure.clone());
                // At QoS 0 that is no surprise.
                let is_usual = error.code() == "publish.dropped";
                let level = if is_usual { LogLevel::Debug } else { LogLevel::Warn };
                self.say(level, format!("{channel}: a message is not stored: {error}"));
            }
            PublishOutcome::Uncertain => {
                self.say(LogLevel::Warn, format!("{channel}: whether a message was stored cannot be known any more"));
            }
            PublishOutcome::Sent | PublishOutcome::Stored(_) | PublishOutcome::Kept(_) => {}
        }
    }
}

fn name(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Idle => "idle",
        ConnectionState::Connecting => "connecting",
        ConnectionState::Online => "online",
        ConnectionState::Closed => "closed",
        ConnectionState::Recovering | _ => "recovering",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_follower_does_not_take_is_counted() {
        let mut log = Log::default();
        let (slow, gone) = (log.follow(), log.follow());
        drop(gone);
        for number in 0..LINES + 3 {
            log.say(LogLevel::Info, number.to_string());
            log.hand_out();
        }
        let lines = slow.take(u64::MAX);
        assert_eq!((lines.len(), log.followers.len()), (LINES + 1, 1));
        assert_eq!((lines[LINES - 1].text.as_str(), lines[LINES].lost), ("255", 3));
        assert!(lines[LINES].text.ends_with("lines lost: 3"));
        log.say(LogLevel::Info, "last");
        log.end();
        assert_eq!(slow.take(u64::MAX), [LogLine::new(LogLevel::Info, "last".into())]);
        assert!(slow.has_ended() && log.follow().has_ended());
    }
}
