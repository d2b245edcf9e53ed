//! What the server and the store answer.

use std::time::Duration;

use moorline_protocol::time::Timestamp;
use moorline_protocol::{ChannelName, ErrorCode, ErrorFrame, Published, Qos, ReusedBy, Sequence};

use super::entry::{Flow, Lane, Number, Origin, Progress};
use super::producer::Lost;
use super::{Outbox, Tenure};
use crate::connection::doubled;
use crate::error::StoreError;
use crate::event::{Event, Failure, Origin as FailureOrigin, PublishOutcome, Stored};
use crate::inbound::failure;
use crate::io::Ticket;
use crate::outgoing::Outgoing;
use crate::planted::Bug;
use crate::store::Key;

const FIRST_PAUSE: u32 = 200;
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// What an error means for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Handled,
    /// A new producer is needed, which only a new `hello` can get.
    Reattach,
    /// Another connection of this producer is newer.
    Fenced,
}

/// The entry that an error is about.
struct About {
    channel: ChannelName,
    key: Key,
    seq: Option<Sequence>,
    /// Whether an earlier send of it has no answer.
    in_doubt: bool,
    origin: Origin,
}

impl Outbox {
    /// Takes `published`; tells whether it settled a message at QoS 2.
    pub(crate) fn on_published(&mut self, published: Published, now: Timestamp, out: &mut Outgoing) -> bool {
        let Some(index) = self.find_send(published.req) else { return false };
        let send = self.sends.remove(index);
        let Some(lane) = self.find_lane(&send.channel) else { return false };
        lane.tries = 0;
        let entry = lane.index(send.key).and_then(|index| lane.entries.get(index));
        let is_exactly_once = entry.is_some_and(|entry| entry.qos == Qos::ExactlyOnce);
        let Published { epoch, offset, duplicate, .. } = published;
        let outcome = PublishOutcome::Stored(Stored { epoch, offset, duplicate });
        self.settle(&send.channel, send.key, outcome, out);
        self.pump(&send.channel, now, out);
        is_exactly_once
    }

    pub(crate) fn on_error(&mut self, req: u64, error: &ErrorFrame, now: Timestamp, out: &mut Outgoing) -> Verdict {
        let Some(about) = self.take_send(req) else { return Verdict::Handled };
        match (&error.code, error.by) {
            (ErrorCode::PublishFenced, _) => return Verdict::Fenced,
            (ErrorCode::PublishUnknownProducer, _) => {
                self.leave_producer(Lost::Expired, out);
                return Verdict::Reattach;
            }
            (ErrorCode::PublishReused, Some(ReusedBy::Seq)) => {
                self.keep_refused(&about);
                self.leave_producer(Lost::RolledBack, out);
                return Verdict::Reattach;
            }
            (ErrorCode::PublishGap, _) => return self.on_gap(&about, error, now, out),
            (ErrorCode::LimitChannels, _) if about.seq.is_some() && !self.bugs.has(Bug::FullProducerWaits) => {
                self.on_full_producer(&about, out);
            }
            (_, _) if error.retry || self.bugs.has(Bug::PoisonBlocks) => self.hold(&about, about.seq, error.after, now),
            (_, _) => {
                // A sequence finds its own first verdict again; without one, an earlier send may have been stored.
                let is_known = about.seq.is_some() || !about.in_doubt || self.bugs.has(Bug::ResendRefusedFails);
                let outcome = if is_known { PublishOutcome::Failed(failure(error)) } else { PublishOutcome::Uncertain };
                self.settle(&about.channel, about.key, outcome, out);
                self.pump(&about.channel, now, out);
            }
        }
        Verdict::Handled
    }

    /// Returns what a request was about, unless it was voided by a rewind.
    fn take_send(&mut self, req: u64) -> Option<About> {
        let index = self.find_send(req)?;
        let send = self.sends.remove(index);
        let lane = self.find_lane(&send.channel)?;
        let entry = lane.entries.get(lane.index(send.key)?)?;
        let is_current = entry.is_waiting_for(send.req);
        let in_doubt = !matches!(entry.progress, Progress::Waiting { in_doubt: false, .. });
        let about =
            || About { channel: send.channel.clone(), key: send.key, seq: entry.seq(), in_doubt, origin: entry.origin };
        is_current.then(about)
    }

    /// The sequence is another message's. A message of this process that was sent just this once is not in the log then:
    /// it moves to the next producer, unless one after it may be in the log, which it must not follow. Of all others, an
    /// earlier send may have been stored.
    fn keep_refused(&mut self, about: &About) {
        if about.in_doubt || about.origin != Origin::Fresh {
            return;
        }
        let Some(lane) = self.find_lane(&about.channel) else { return };
        if lane.entries.iter().any(|entry| entry.key > about.key && entry.seq().is_some() && entry.may_be_sent()) {
            return;
        }
        lane.entries.iter_mut().filter(|entry| entry.key == about.key).for_each(|entry| entry.refuse());
    }

    fn find_send(&self, req: u64) -> Option<usize> {
        if self.bugs.has(Bug::AnswersInOrder) {
            return (!self.sends.is_empty()).then_some(0);
        }
        self.sends.binary_search_by_key(&req, |send| send.req).ok()
    }

    /// The producer writes to as many channels as it may, and nothing of it was ever taken in this one: it is left as
    /// soon as nothing else of it is in doubt.
    fn on_full_producer(&mut self, about: &About, out: &mut Outgoing) {
        self.tenure = Tenure::Leaving;
        if let Some(lane) = self.find_lane(&about.channel) {
            lane.entries.iter_mut().filter(|entry| entry.seq().is_some()).for_each(|entry| entry.void());
            lane.forget_sequences(out);
        }
    }

    fn on_gap(&mut self, about: &About, error: &ErrorFrame, now: Timestamp, out: &mut Outgoing) -> Verdict {
        let expected = error.expected.or(about.seq);
        let oldest = self.find_lane(&about.channel).and_then(|lane| lane.entries.iter().find_map(|entry| entry.seq()));
        if expected < oldest {
            self.leave_producer(Lost::RolledBack, out);
            return Verdict::Reattach;
        }
        self.hold(about, expected.min(about.seq), error.after, now);
        Verdict::Handled
    }

    /// Stops the channel for a while; what was sent from `from` on is sent again then.
    fn hold(&mut self, about: &About, from: Option<Sequence>, after: Option<u32>, now: Timestamp) {
        let bugs = self.bugs;
        let Some(lane) = self.find_lane(&about.channel) else { return };
        if bugs.has(Bug::PausesConstant) {
            lane.tries = 0;
        }
        lane.hold(Duration::from_millis(u64::from(after.unwrap_or(FIRST_PAUSE).max(1))), now);
        for entry in &mut lane.entries {
            if bugs.has(Bug::RefusalForgotten) {
                continue;
            }
            if entry.key == about.key {
                entry.refuse();
                if bugs.has(Bug::RefusalRenumbered) {
                    entry.number = Number::None;
                }
            } else if from.is_some_and(|from| entry.seq().is_some_and(|seq| seq >= from)) {
                entry.rewind();
            }
        }
    }

    /// The server refused a frame as too large for the transport: fails the largest message under way.
    pub(crate) fn fail_largest(&mut self, out: &mut Outgoing) {
        let mut largest: Option<(usize, ChannelName, Key)> = None;
        for lane in &self.lanes {
            for entry in lane.entries.iter().filter(|entry| entry.is_waiting()) {
                let size = entry.payload.bytes().len();
                if largest.as_ref().is_none_or(|(most, ..)| size > *most) {
                    largest = Some((size, lane.channel.clone(), entry.key));
                }
            }
        }
        let Some((_, channel, key)) = largest else { return };
        let producer = self.producer;
        let Some(lane) = self.find_lane(&channel) else { return };
        let Some(entry) = lane.index(key).and_then(|index| lane.entries.get(index)) else { return };
        let text = "the server refused the message as too large for one frame";
        let outcome = match (entry.seq(), entry.progress) {
            (None, Progress::Waiting { in_doubt: true, .. }) => PublishOutcome::Uncertain,
            (_, _) => PublishOutcome::Failed(Failure::new(ErrorCode::LimitMessage, text, FailureOrigin::Server)),
        };
        if let Some((producer, seq)) = producer.zip(entry.seq()) {
            lane.return_to(seq, producer, out);
        }
        self.settle(&channel, key, outcome, out);
    }

    /// The store has committed a batch, or could not.
    pub(crate) fn on_persisted(
        &mut self,
        ticket: Ticket,
        error: Option<&StoreError>,
        now: Timestamp,
        out: &mut Outgoing,
    ) {
        if let Some(error) = error.filter(|_| !self.bugs.has(Bug::StoreFailureIgnored)) {
            self.fail_batch(ticket, error, now, out);
        }
        self.tell_queued(ticket, error.is_none(), out);
        let mut channels = Vec::new();
        self.commits.retain(|(committed, channel)| {
            if *committed == ticket {
                channels.push(channel.clone());
            }
            *committed != ticket
        });
        for channel in channels {
            if let Some(lane) = self.find_lane(&channel) {
                for entry in &mut lane.entries {
                    if let Number::Committing { seq, ticket: of } = entry.number
                        && of == ticket
                    {
                        entry.number = Number::Durable { seq };
                    }
                }
            }
            self.pump(&channel, now, out);
        }
    }

    /// What the batch stored first outlives this process now, if it did.
    fn tell_queued(&mut self, ticket: Ticket, is_stored: bool, out: &mut Outgoing) {
        let count = self.storing.partition_point(|(of, ..)| *of <= ticket);
        let due: Vec<_> = self.storing.drain(..count).collect();
        for (_, channel, key) in due {
            let entry = self.find_lane(&channel).and_then(|lane| lane.entries.get(lane.index(key)?));
            let Some(id) = entry.filter(|entry| entry.stored == Some(ticket)).map(|entry| entry.id) else { continue };
            if is_stored {
                out.event(Event::PublishQueued { id });
            }
            if let Some(failure) = self.ended.clone() {
                // The server may have what the store has not.
                let outcome = if is_stored { PublishOutcome::Kept(failure) } else { PublishOutcome::Uncertain };
                self.release(&channel, key, outcome, out);
            }
        }
    }

    /// Nothing of the batch is stored: what it was to store first fails unless the server may have it, what it was to
    /// number waits, and later sequences close up.
    fn fail_batch(&mut self, ticket: Ticket, error: &StoreError, now: Timestamp, out: &mut Outgoing) {
        let mut failed = Vec::new();
        for lane in &mut self.lanes {
            let mut lowest: Option<Sequence> = None;
            for entry in lane.entries.iter().filter(|entry| !entry.may_be_sent()) {
                let is_first = entry.stored == Some(ticket);
                if is_first {
                    failed.push((lane.channel.clone(), entry.key));
                }
                // A later batch may have numbered what this one was to store.
                let is_numbered_here = matches!(entry.number, Number::Committing { ticket: of, .. } if of == ticket);
                if is_first || is_numbered_here {
                    lowest = lowest.or_else(|| entry.seq());
                }
            }
            if let Some(lowest) = lowest {
                lane.next_seq = lowest;
                lane.withdraw_numbers(&|entry| entry.seq().is_some_and(|seq| seq >= lowest), out);
                lane.hold(Duration::from_millis(u64::from(FIRST_PAUSE)), now);
            }
        }
        for (channel, key) in failed {
            let outcome = match error {
                StoreError::Uncertain(_) => PublishOutcome::Uncertain,
                StoreError::Full
                | StoreError::Locked
                | StoreError::Corrupt(_)
                | StoreError::NewerSchema { .. }
                | StoreError::Io(_) => PublishOutcome::Failed(store_failure(error)),
            };
            self.settle(&channel, key, outcome, out);
        }
    }
}

impl Lane {
    /// Stops for `first`, doubled with each burst of refusals in a row.
    fn hold(&mut self, first: Duration, now: Timestamp) {
        let until = match self.flow {
            Flow::Held { until } => until.max(now + first),
            Flow::Open => {
                let pause = doubled(first, self.tries, MAX_PAUSE.max(first));
                self.tries = self.tries.saturating_add(1);
                now + pause
            }
        };
        self.flow = Flow::Held { until };
    }
}

/// Turns the store's error into what the app sees.
fn store_failure(error: &StoreError) -> Failure {
    let code = if *error == StoreError::Full { ErrorCode::StorageFull } else { ErrorCode::StorageUnavailable };
    Failure::new(code, error.sentence(), FailureOrigin::Client)
}
