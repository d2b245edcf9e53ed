//! When the producer is lost: what may have been stored under it is uncertain, the rest moves to the next one.

use moorline_protocol::{ProducerId, Qos, Sequence};

use super::entry::{Entry, Flow, Lane, Number, Origin};
use super::{Outbox, Tenure};
use crate::event::PublishOutcome;
use crate::outgoing::Outgoing;

/// How a producer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// The server has forgotten it.
    Expired,
    /// The server knows more of it than this client: the store was rolled back, and what it holds was perhaps sent
    /// in a life that it does not remember.
    RolledBack,
    /// It may write to no further channel; nothing of it is in doubt.
    Full,
}

impl Outbox {
    /// Gives the producer up.
    pub(super) fn leave_producer(&mut self, lost: Lost, out: &mut Outgoing) {
        let uncertain = self.entries(&|entry| {
            let may_be_taken = lost == Lost::RolledBack && entry.origin == Origin::Restored;
            entry.qos == Qos::ExactlyOnce && (entry.may_be_sent() || may_be_taken)
        });
        for (channel, key) in uncertain {
            self.settle(&channel, key, PublishOutcome::Uncertain, out);
        }
        self.producer = None;
        self.tenure = Tenure::Staying;
        self.commits.clear();
        out.store.set_producer(None);
        for lane in &mut self.lanes {
            lane.forget_sequences(out);
        }
        self.lanes.retain(|lane| !lane.is_idle());
    }

    /// Gives a full producer up once nothing of it is in doubt; tells whether it did.
    pub(crate) fn leave_full_producer(&mut self, out: &mut Outgoing) -> bool {
        let in_doubt = |entry: &Entry| entry.number != Number::None && entry.may_be_sent();
        let is_done = self.tenure == Tenure::Leaving
            && !self.lanes.iter().any(|lane| lane.entries.iter().any(|entry| in_doubt(entry)));
        if is_done {
            self.leave_producer(Lost::Full, out);
        }
        is_done
    }

    /// Settles what an earlier process numbered under a producer that is not ours any more.
    pub(crate) fn settle_orphans(&mut self, out: &mut Outgoing) {
        for (channel, key) in self.entries(&|entry| entry.origin == Origin::Orphaned) {
            self.settle(&channel, key, PublishOutcome::Uncertain, out);
        }
    }
}

impl Lane {
    /// Begins anew with sequence 1.
    pub(super) fn forget_sequences(&mut self, out: &mut Outgoing) {
        self.next_seq = 1;
        self.flow = Flow::Open;
        self.tries = 0;
        if let Some(record) = self.record.take() {
            out.store.delete_sequence(record);
        }
        self.withdraw_numbers(&|_| true, out);
    }

    /// Takes the sequences of unsent messages back.
    pub(super) fn withdraw_numbers(&mut self, is_meant: &dyn Fn(&Entry) -> bool, out: &mut Outgoing) {
        let mut changed = Vec::new();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if entry.number != Number::None && !entry.may_be_sent() && is_meant(entry) {
                entry.number = Number::None;
                changed.push(index);
            }
        }
        for index in changed {
            if let Some(entry) = self.entries.get(index) {
                self.put(entry, None, out);
            }
        }
    }

    /// The server has nothing from `seq` on, which is the next sequence again: what came after it was never taken.
    pub(super) fn return_to(&mut self, seq: Sequence, producer: ProducerId, out: &mut Outgoing) {
        let is_after = |entry: &Entry| entry.seq().is_some_and(|of| of > seq);
        self.entries.iter_mut().filter(|entry| is_after(entry)).for_each(|entry| entry.void());
        self.withdraw_numbers(&is_after, out);
        self.next_seq = seq;
        if let Some(record) = self.record {
            out.store.put_sequence(record, &self.channel, producer, seq);
        }
    }

    /// Planted: what was sent gets a new sequence.
    pub(super) fn renumber(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.number != Number::None) {
            entry.number = Number::None;
        }
    }
}
