//! When the producer is lost: what may have been stored under it is uncertain, the rest moves to the next one.

use moorline_protocol::Qos;

use super::Outbox;
use super::entry::{Entry, Flow, Lane, Number, Origin, Progress};
use crate::event::PublishOutcome;
use crate::outgoing::Outgoing;
use crate::planted::Bug;

/// How a producer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// The server has forgotten it.
    Expired,
    /// The server knows more of it than this client: the store was rolled back, and what it holds was perhaps sent
    /// in a life that it does not remember.
    RolledBack,
}

impl Outbox {
    /// Gives the producer up.
    pub(super) fn leave_producer(&mut self, lost: Lost, out: &mut Outgoing) {
        let mut uncertain = Vec::new();
        for lane in &mut self.lanes {
            for entry in lane.entries.iter_mut().filter(|entry| entry.qos == Qos::ExactlyOnce) {
                if self.bugs.has(Bug::ExpiredResent) {
                    entry.progress = Progress::Unsent;
                } else if entry.may_be_sent() || (lost == Lost::RolledBack && entry.origin == Origin::Restored) {
                    uncertain.push((lane.channel.clone(), entry.key));
                }
            }
        }
        for (channel, key) in uncertain {
            self.settle(&channel, key, PublishOutcome::Uncertain, out);
        }
        self.producer = None;
        self.commits.clear();
        out.store.set_producer(None);
        for lane in &mut self.lanes {
            lane.forget_sequences(out);
        }
        self.lanes.retain(|lane| !lane.is_idle());
    }

    /// Settles what an earlier process numbered under a producer that is not ours any more.
    pub(crate) fn settle_orphans(&mut self, out: &mut Outgoing) {
        let of = |lane: &Lane| {
            let channel = lane.channel.clone();
            let is_orphan = |entry: &&Entry| entry.origin == Origin::Orphaned;
            lane.entries.iter().filter(is_orphan).map(move |entry| (channel.clone(), entry.key)).collect::<Vec<_>>()
        };
        for (channel, key) in self.lanes.iter().flat_map(of).collect::<Vec<_>>() {
            self.settle(&channel, key, PublishOutcome::Uncertain, out);
        }
    }
}

impl Lane {
    /// Begins anew with sequence 1.
    fn forget_sequences(&mut self, out: &mut Outgoing) {
        self.next_seq = 1;
        self.flow = Flow::Open;
        self.tries = 0;
        if let Some(record) = self.record.take() {
            out.store.delete_sequence(record);
        }
        self.withdraw_numbers(|_| true, out);
    }

    /// Takes the sequences of unsent messages back.
    pub(super) fn withdraw_numbers(&mut self, is_meant: impl Fn(&Entry) -> bool, out: &mut Outgoing) {
        let mut changed = Vec::new();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if entry.number != Number::None && entry.progress == Progress::Unsent && is_meant(entry) {
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

    /// Planted: what was sent gets a new sequence.
    pub(super) fn renumber(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.number != Number::None) {
            entry.number = Number::None;
        }
    }
}
