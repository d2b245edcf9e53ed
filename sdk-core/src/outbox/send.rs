//! What goes out, and when.

use moorline_protocol::time::Timestamp;
use moorline_protocol::{
    ChannelName, ChannelRef, ClientFrame, ErrorCode, Generation, Payload, ProducerGrant, ProducerId, ProducerState,
    Publish, Qos, decimal, joined,
};

use super::entry::{Entry, Flow, Lane, Number, Progress};
use super::{Link, Outbox, STALE_SENDS, Send, Tenure};
use crate::config::PublishOptions;
use crate::event::{Event, Failure, Origin as FailureOrigin, PublishOutcome};
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};
use crate::sorted::search;
use crate::store::Key;
use crate::timer::{PATIENCE, is_due};

impl Outbox {
    pub(crate) fn on_welcome(
        &mut self,
        grant: Option<&ProducerGrant>,
        limits: moorline_protocol::Limits,
        now: Timestamp,
        out: &mut Outgoing,
    ) {
        self.adopt_limits(limits);
        self.link = Link::Up { generation: grant.map(|grant| grant.generation) };
        match grant {
            Some(grant) => self.attach(grant, out),
            None => self.detach(out),
        }
        self.pump_all(now, out);
    }

    fn attach(&mut self, grant: &ProducerGrant, out: &mut Outgoing) {
        if self.producer == Some(grant.id) && grant.state != ProducerState::Expired {
            if self.bugs.has(Bug::ResendWithNewSequence) {
                self.lanes.iter_mut().for_each(Lane::renumber);
            }
            return;
        }
        if self.producer.is_some() {
            self.leave_producer(super::producer::Lost::Expired, out);
        }
        self.producer = Some(grant.id);
        out.store.set_producer(Some(grant.id));
    }

    /// The server gives this client no producer. Sequences of an earlier one that now settle without a verdict would
    /// be missing for ever: it is given up.
    fn detach(&mut self, out: &mut Outgoing) {
        if self.lanes.iter().any(|lane| lane.entries.iter().any(|entry| entry.number != Number::None)) {
            self.leave_producer(super::producer::Lost::Expired, out);
        }
    }

    /// Without a producer, QoS 2 is impossible.
    fn refuse_exactly_once(&mut self, channel: &ChannelName, out: &mut Outgoing) {
        let Some(lane) = self.find_lane(channel) else { return };
        let meant = lane.entries.iter().filter(|entry| entry.qos == Qos::ExactlyOnce);
        let refused: Vec<Key> = meant.map(|entry| entry.key).collect();
        for key in refused {
            let text = "the server offers no publishing at QoS 2 to this client";
            let failure = Failure::new(ErrorCode::FeatureDisabled, text, FailureOrigin::Server);
            self.settle(channel, key, PublishOutcome::Failed(failure), out);
        }
    }

    /// The connection is gone: everything without an answer must be sent again.
    pub(crate) fn on_lost(&mut self) {
        self.link = Link::Down;
        self.sends.clear();
        for lane in &mut self.lanes {
            if !self.bugs.has(Bug::LossForgotten) {
                lane.entries.iter_mut().for_each(|entry| entry.rewind());
            }
            lane.flow = Flow::Open;
        }
    }

    pub(super) fn pump_all(&mut self, now: Timestamp, out: &mut Outgoing) {
        let channels: Vec<_> = self.lanes.iter().map(|lane| lane.channel.clone()).collect();
        for channel in channels {
            self.pump(&channel, now, out);
        }
    }

    /// Sends what the channel's window, the store and the server allow.
    pub(super) fn pump(&mut self, channel: &ChannelName, now: Timestamp, out: &mut Outgoing) {
        self.expire(channel, now, out);
        let Link::Up { generation } = self.link else { return };
        if generation.is_none() {
            self.refuse_exactly_once(channel, out);
        }
        self.refuse_too_large(channel, out);
        let (window, bugs) = (self.limits.window, self.bugs);
        let producer = self.producer.filter(|_| self.tenure == Tenure::Staying);
        let Some(lane) = self.find_lane(channel) else { return };
        if let Flow::Held { .. } = lane.flow {
            return;
        }
        if let (Some(producer), Some(_)) = (producer, generation)
            && let Some(commit) = lane.number(window, producer, bugs, out)
        {
            self.commits.push(commit);
        }
        let Some(lane) = self.find_lane(channel) else { return };
        let mut sends = Vec::new();
        lane.send(window, generation, bugs, now, &mut sends, out);
        self.sends.append(&mut sends);
        self.forget_stale_sends();
    }

    /// A server that never answers what a rewind voided must not pile up requests.
    fn forget_stale_sends(&mut self) {
        if self.sends.len() <= 2 * self.stats.messages + STALE_SENDS {
            return;
        }
        let lanes = &self.lanes;
        self.sends.retain(|send| {
            let index = search(lanes, send.channel.as_str(), |lane| lane.channel.as_str());
            let lane = index.ok().and_then(|index| lanes.get(index));
            let entry = lane.and_then(|lane| lane.entries.get(lane.index(send.key)?));
            entry.is_some_and(|entry| entry.is_waiting_for(send.req))
        });
    }

    /// Refuses what is larger than this server allows before it is numbered.
    fn refuse_too_large(&mut self, channel: &ChannelName, out: &mut Outgoing) {
        let (window, limit) = (self.limits.window, self.limits.message);
        let is_too_large =
            |entry: &Entry| entry.payload.bytes().len() > limit && entry.number == Number::None && !entry.may_be_sent();
        while let Some(lane) = self.find_lane(channel)
            && let Some(entry) = lane.entries.iter().take(window).find(|entry| is_too_large(entry))
        {
            let (key, size) = (entry.key, entry.payload.bytes().len());
            let (size, limit) = (decimal(size as u64), decimal(limit as u64));
            let text = joined(&["the message has ", &size, " bytes; at most ", &limit, " are allowed now"]);
            let failure = Failure::new(ErrorCode::LimitMessage, text, FailureOrigin::Client);
            self.settle(channel, key, PublishOutcome::Failed(failure), out);
        }
    }

    /// Gives up what has outlived its `ttl` before it was numbered.
    fn expire(&mut self, channel: &ChannelName, now: Timestamp, out: &mut Outgoing) {
        let Some(lane) = self.find_lane(channel) else { return };
        if lane.expiry().is_none_or(|at| at > now) {
            return;
        }
        let late = lane.entries.iter().filter(|entry| entry.expiry().is_some_and(|at| at <= now));
        let late: Vec<_> = late.map(|entry| (entry.key, entry.may_be_sent())).collect();
        for (key, in_doubt) in late {
            let text = "the message outlived its ttl before it could be sent";
            let outcome = if in_doubt {
                PublishOutcome::Uncertain
            } else {
                PublishOutcome::Failed(Failure::new(ErrorCode::PublishExpired, text, FailureOrigin::Client))
            };
            self.settle(channel, key, outcome, out);
        }
    }

    /// Tells whether the server has owed an answer for too long.
    pub(crate) fn is_unanswered(&self, now: Timestamp) -> bool {
        is_due(self.patience(), now)
    }

    /// Ends pauses that are over, and gives up what has outlived its `ttl`.
    pub(crate) fn on_timeout(&mut self, now: Timestamp, out: &mut Outgoing) {
        let due = |lane: &&mut Lane| {
            lane.held_until().is_some_and(|at| at <= now) || lane.expiry().is_some_and(|at| at <= now)
        };
        let mut channels = Vec::new();
        for lane in self.lanes.iter_mut().filter(due) {
            if lane.held_until().is_some_and(|at| at <= now) {
                lane.flow = Flow::Open;
            }
            channels.push(lane.channel.clone());
        }
        for channel in channels {
            self.pump(&channel, now, out);
        }
    }

    /// QoS 0: now or never.
    pub(super) fn send_ephemeral(
        &self,
        channel: &ChannelName,
        payload: Payload,
        options: PublishOptions,
        out: &mut Outgoing,
    ) -> PublishOutcome {
        let why = match self.link {
            Link::Down => "a message at QoS 0 is dropped while there is no connection",
            Link::Up { .. } if out.buffered() >= self.limits.socket => {
                "a message at QoS 0 is dropped while too much waits in the socket"
            }
            Link::Up { .. } => {
                out.send(&ClientFrame::Publish(Publish {
                    channel: ChannelRef::Name(channel.clone()),
                    qos: Qos::AtMostOnce,
                    req: None,
                    id: options.id,
                    seq: None,
                    generation: None,
                    ttl: options.ttl,
                    headers: options.headers,
                    payload,
                }));
                return PublishOutcome::Sent;
            }
        };
        PublishOutcome::Failed(Failure::new(ErrorCode::PublishDropped, why, FailureOrigin::Client))
    }
}

impl Lane {
    /// Gives sequences to the messages that enter the send window, in one batch with all earlier removals.
    fn number(
        &mut self,
        window: usize,
        producer: ProducerId,
        bugs: Bugs,
        out: &mut Outgoing,
    ) -> Option<(crate::io::Ticket, ChannelName)> {
        let ticket = out.store.ticket();
        let before = self.next_seq;
        let mut next = before;
        let mut numbered = Vec::new();
        for (index, entry) in self.entries.iter_mut().enumerate().take(window) {
            if entry.qos == Qos::ExactlyOnce && entry.number == Number::None {
                entry.number = Number::Committing { seq: next, ticket };
                next += 1;
                numbered.push(index);
            }
        }
        if numbered.is_empty() {
            return None;
        }
        self.next_seq = next;
        for index in numbered {
            if let Some(entry) = self.entries.get(index) {
                self.put(entry, Some(producer), out);
            }
        }
        let record = *self.record.get_or_insert_with(|| out.store.key());
        let stored = if bugs.has(Bug::SequenceNotPersisted) { before.min(1) } else { next };
        out.store.put_sequence(record, &self.channel, producer, stored);
        Some((ticket, self.channel.clone()))
    }

    /// Sends the front of the lane; a QoS 2 message never before an earlier one.
    fn send(
        &mut self,
        window: usize,
        generation: Option<Generation>,
        bugs: Bugs,
        now: Timestamp,
        sends: &mut Vec<Send>,
        out: &mut Outgoing,
    ) {
        let mut is_blocked = generation.is_none();
        for entry in self.entries.iter_mut().take(window) {
            if entry.is_waiting() {
                continue;
            }
            let seq = match (entry.qos, entry.number) {
                (Qos::AtMostOnce | Qos::AtLeastOnce, _) => None,
                (Qos::ExactlyOnce, _) if is_blocked => continue,
                (Qos::ExactlyOnce, Number::Durable { seq }) => Some(seq),
                (Qos::ExactlyOnce, Number::Committing { seq, .. }) if bugs.has(Bug::SendBeforePersist) => Some(seq),
                (Qos::ExactlyOnce, Number::None | Number::Committing { .. }) => {
                    is_blocked = true;
                    continue;
                }
            };
            let req = out.req();
            let first = entry.progress == Progress::Unsent;
            entry.progress = Progress::Waiting { req, in_doubt: entry.may_be_sent() };
            sends.push(Send { req, channel: self.channel.clone(), key: entry.key, deadline: now + PATIENCE });
            out.send(&ClientFrame::Publish(Publish {
                channel: ChannelRef::Name(self.channel.clone()),
                qos: entry.qos,
                req: Some(req),
                id: Some(entry.message_id.clone()),
                seq,
                generation: seq.and(generation),
                ttl: entry.remaining_ttl(now),
                headers: entry.headers.clone(),
                payload: entry.payload.clone(),
            }));
            if first {
                out.event(Event::PublishSent { id: entry.id });
            }
        }
    }
}
