//! What the server and the store answer.

use std::time::Duration;

use moorline_protocol::time::Timestamp;
use moorline_protocol::{ChannelName, ErrorCode, ErrorFrame, Published, Qos, ReusedBy, Sequence};

use super::Outbox;
use super::entry::{Flow, Number, Progress};
use super::producer::Lost;
use crate::connection::doubled;
use crate::error::StoreError;
use crate::event::{Failure, Origin, PublishOutcome, Stored};
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
    refused: Refused,
}

/// What a refusal for ever says about a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// It is not stored.
    Surely,
    /// An earlier send of it may have been: without a sequence the server cannot tell.
    ThisTime,
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
                self.leave_producer(Lost::RolledBack, out);
                return Verdict::Reattach;
            }
            (ErrorCode::PublishGap, _) => return self.on_gap(&about, error, now, out),
            (_, _) if error.retry || self.bugs.has(Bug::PoisonBlocks) => {
                self.hold(&about, about.seq, error.after, now);
            }
            (code, _) => {
                let outcome = match about.refused {
                    Refused::ThisTime if *code != ErrorCode::PublishReused => PublishOutcome::Uncertain,
                    Refused::Surely | Refused::ThisTime => PublishOutcome::Failed(failure(error)),
                };
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
        let is_current = entry.progress == Progress::Waiting { req: send.req };
        let is_unsure = entry.is_in_doubt && entry.qos < Qos::ExactlyOnce;
        let refused = if is_unsure { Refused::ThisTime } else { Refused::Surely };
        is_current.then(|| About { channel: send.channel.clone(), key: send.key, seq: entry.seq(), refused })
    }

    fn find_send(&self, req: u64) -> Option<usize> {
        if self.bugs.has(Bug::AnswersInOrder) {
            return (!self.sends.is_empty()).then_some(0);
        }
        self.sends.binary_search_by_key(&req, |send| send.req).ok()
    }

    fn on_gap(&mut self, about: &About, error: &ErrorFrame, now: Timestamp, out: &mut Outgoing) -> Verdict {
        let expected = error.expected.or(about.seq);
        let oldest = self.find_lane(&about.channel).and_then(|lane| lane.entries.iter().find_map(super::Entry::seq));
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
        let first = Duration::from_millis(u64::from(after.unwrap_or(FIRST_PAUSE).max(1)));
        // Several refusals of one round count once.
        if let Flow::Open = lane.flow {
            lane.flow = Flow::Held { until: now + doubled(first, lane.tries, MAX_PAUSE.max(first)) };
            lane.tries = lane.tries.saturating_add(1);
        }
        for entry in &mut lane.entries {
            let is_meant =
                entry.key == about.key || from.is_some_and(|from| entry.seq().is_some_and(|seq| seq >= from));
            if is_meant && !bugs.has(Bug::RefusalForgotten) {
                entry.rewind();
            }
            if entry.key == about.key && bugs.has(Bug::RefusalRenumbered) {
                entry.number = Number::None;
            }
        }
    }

    /// The server refused a frame as too large for the transport: fails the largest message under way.
    pub(crate) fn fail_largest(&mut self, out: &mut Outgoing) -> bool {
        let mut largest: Option<(usize, ChannelName, Key)> = None;
        for lane in &self.lanes {
            for entry in lane.entries.iter().filter(|entry| entry.is_waiting()) {
                let size = entry.payload.bytes().len();
                if largest.as_ref().is_none_or(|(most, ..)| size > *most) {
                    largest = Some((size, lane.channel.clone(), entry.key));
                }
            }
        }
        let Some((_, channel, key)) = largest else { return false };
        let failure = Failure {
            code: ErrorCode::LimitMessage,
            message: "the server refused the message as too large for one frame".to_owned(),
            origin: Origin::Server,
        };
        self.settle(&channel, key, PublishOutcome::Failed(failure), out);
        true
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
            self.fail_batch(ticket, error, out);
        }
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

    /// Nothing of the batch is stored: what it held fails unless the server may have it, and later sequences close up.
    fn fail_batch(&mut self, ticket: Ticket, error: &StoreError, out: &mut Outgoing) {
        let mut failed = Vec::new();
        for lane in &mut self.lanes {
            let mut lowest: Option<Sequence> = None;
            for entry in lane.entries.iter().filter(|entry| entry.progress == Progress::Unsent) {
                let committing = match entry.number {
                    Number::Committing { seq, ticket: of } if of == ticket => Some(seq),
                    Number::None | Number::Committing { .. } | Number::Durable { .. } => None,
                };
                if committing.is_some() || entry.stored == Some(ticket) {
                    failed.push((lane.channel.clone(), entry.key));
                    lowest = lowest.or_else(|| entry.seq());
                }
            }
            if let Some(lowest) = lowest {
                lane.next_seq = lowest;
                lane.withdraw_numbers(|entry| entry.seq().is_some_and(|seq| seq > lowest), out);
            }
        }
        for (channel, key) in failed {
            self.settle(&channel, key, PublishOutcome::Failed(store_failure(error)), out);
        }
    }
}

/// Turns the store's error into what the app sees.
fn store_failure(error: &StoreError) -> Failure {
    let code = if *error == StoreError::Full { ErrorCode::StorageFull } else { ErrorCode::StorageUnavailable };
    Failure { code, message: error.to_string(), origin: Origin::Client }
}
