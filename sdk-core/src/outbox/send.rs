//! What goes out, and when.

use moorline_protocol::time::Timestamp;
use moorline_protocol::{
    ChannelName, ChannelRef, ClientFrame, ErrorCode, Generation, Payload, ProducerGrant, ProducerId, ProducerState,
    Publish, Qos,
};

use super::entry::{Entry, Flow, Lane, Number, Progress};
use super::{Link, MAX_SENDS, Outbox, Send};
use crate::config::PublishOptions;
use crate::event::{Event, Failure, Origin as FailureOrigin, PublishOutcome};
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};
use crate::store::Key;

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
            None => self.refuse_exactly_once(out),
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

    /// The server gives this client no producer: QoS 2 is impossible.
    fn refuse_exactly_once(&mut self, out: &mut Outgoing) {
        let failure = Failure {
            code: ErrorCode::FeatureDisabled,
            message: "the server offers no publishing at QoS 2 to this client".to_owned(),
            origin: FailureOrigin::Server,
        };
        for (channel, key, may_be_sent) in self.all_entries() {
            let is_exactly_once = |lane: &mut Lane| {
                let index = lane.index(key)?;
                lane.entries.get(index).map(|entry| entry.qos == Qos::ExactlyOnce)
            };
            if self.find_lane(&channel).and_then(is_exactly_once) == Some(true) {
                let outcome =
                    if may_be_sent { PublishOutcome::Uncertain } else { PublishOutcome::Failed(failure.clone()) };
                self.settle(&channel, key, outcome, out);
            }
        }
    }

    /// The connection is gone: everything without an answer must be sent again.
    pub(crate) fn on_lost(&mut self) {
        self.link = Link::Down;
        self.sends.clear();
        for lane in &mut self.lanes {
            if !self.bugs.has(Bug::LossForgotten) {
                lane.entries.iter_mut().for_each(Entry::lose);
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
        let (window, producer, bugs) = (self.limits.window, self.producer, self.bugs);
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
        let excess = self.sends.len().saturating_sub(MAX_SENDS);
        self.sends.drain(..excess);
    }

    /// Gives up what has outlived its `ttl` before it was sent or numbered.
    fn expire(&mut self, channel: &ChannelName, now: Timestamp, out: &mut Outgoing) {
        let Some(lane) = self.find_lane(channel) else { return };
        if lane.expiry().is_none_or(|at| at > now) {
            return;
        }
        let is_late = |entry: &&Entry| entry.expiry().is_some_and(|at| at <= now);
        let late: Vec<Key> = lane.entries.iter().filter(is_late).map(|entry| entry.key).collect();
        for key in late {
            let failure = Failure {
                code: ErrorCode::Other("publish.expired".into()),
                message: "the message outlived its ttl before it could be sent".to_owned(),
                origin: FailureOrigin::Client,
            };
            self.settle(channel, key, PublishOutcome::Failed(failure), out);
        }
    }

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
    ) {
        if let Link::Up { .. } = self.link {
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
        }
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
            entry.progress = Progress::Waiting { req };
            sends.push(Send { req, channel: self.channel.clone(), key: entry.key });
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
