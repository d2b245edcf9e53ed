//! What the cores tell their apps, against what the model says.

use moorline_core::protocol::ErrorCode;
use moorline_core::{ConnectionState, Event, PublishOutcome, StateReason, SubscriptionId};

use crate::client::{Reader, Reading, SimClient};
use crate::model::{Log, Violation};
use crate::world::World;

impl World {
    pub(super) fn event(&mut self, index: usize, event: Event) {
        self.trace.add(self.now, "event", index as u64, &[], || format!("{event:?}"));
        if let Some(notes) = &mut self.notes {
            notes.told(index, &event);
        }
        match event {
            Event::Subscribed { readers, head, from, start } => {
                self.each_reader(index, &readers, |reader, log| reader.continuity.subscribed(head, from, &start, log));
                self.cursor_begins(index, &readers);
            }
            Event::Reset { readers, epoch, first, from, reason, .. } => {
                self.history.resets += 1;
                self.each_reader(index, &readers, |reader, log| {
                    reader.continuity.reset(epoch, (first, from), &reason, log)
                });
                self.note_loss(index, &readers);
            }
            Event::Message { readers, message } => {
                let broken = self.history.received(&message, &mut self.server.engine.log);
                self.violations.extend(broken);
                self.each_reader(index, &readers, |reader, log| {
                    let broken = reader.continuity.message(&message, log);
                    reader.queue.push_back(message.clone());
                    reader.fed = true;
                    broken
                });
                self.plan_work(index);
            }
            Event::Acked { readers, position } => {
                let mut channel = None;
                let may_expire = self.scenario.keeps.forgets_cursors();
                self.each_reader(index, &readers, |reader, _| {
                    channel = Some(reader.continuity.channel.clone());
                    // A cursor that expired begins again where the process stands, whatever its app has done.
                    let done = reader.done;
                    let beyond = !may_expire
                        && done.is_none_or(|done| done.epoch == position.epoch && done.offset < position.offset);
                    beyond.then(|| Violation::new(9, format!("cursor at {position:?}, worked off {done:?}")))
                });
                self.confirmed(index, channel, position);
            }
            Event::PublishSettled { id, outcome, .. } => self.settled(index, id, outcome),
            Event::CallFinished { id, result } => self.called(index, id, &result),
            Event::PresenceChanged { readers, .. } => self.check_view(index, &readers),
            Event::StatusChanged { users } => self.statuses_told(index, users),
            Event::StatusEnded { failure } => self.status_ended(index, &failure),
            Event::SubscriptionEnded { readers, failure } => self.ended(index, &readers, &failure),
            Event::StateChanged { state, reason } => self.state_changed(index, state, &reason),
            _ => {}
        }
    }

    /// Where a durable reader begins, a cursor stands from now on.
    fn cursor_begins(&mut self, index: usize, ids: &[SubscriptionId]) {
        let host = &mut self.clients[index];
        let Some(process) = &mut host.process else { return };
        let durable = |reader: &&mut Reader| reader.reading == Reading::Durable && ids.contains(&reader.id);
        for reader in process.readers.iter_mut().filter(durable) {
            if let Some(position) = reader.continuity.position {
                let done = *host.disk.done.entry(reader.continuity.channel.clone()).or_insert(position);
                reader.done = reader.done.or(Some(done));
            }
        }
    }

    /// What was reported as lost, the app is done with.
    fn note_loss(&mut self, index: usize, ids: &[SubscriptionId]) {
        let host = &mut self.clients[index];
        let Some(process) = &mut host.process else { return };
        let keeps = |reader: &&mut Reader| {
            matches!(reader.reading, Reading::Durable | Reading::Owned) && ids.contains(&reader.id)
        };
        for reader in process.readers.iter_mut().filter(keeps) {
            if let Some(position) = reader.continuity.position {
                let position = reader.worked_off(position);
                host.disk.done.insert(reader.continuity.channel.clone(), position);
            }
        }
    }

    fn confirmed(
        &mut self,
        index: usize,
        channel: Option<moorline_core::protocol::ChannelName>,
        position: moorline_core::protocol::Position,
    ) {
        let Some(channel) = channel else { return };
        let before = self.clients[index].confirmed.insert(channel.clone(), position);
        let is_back = before.is_some_and(|before| before.epoch == position.epoch && before.offset > position.offset);
        if is_back && !self.scenario.keeps.forgets_cursors() {
            self.violate(9, format!("client {index}, {channel}: cursor at {position:?}, confirmed before: {before:?}"));
        }
    }

    fn settled(&mut self, index: usize, id: moorline_core::PublishId, outcome: PublishOutcome) {
        let message = self.clients[index].process.as_mut().and_then(|process| process.publishes.remove(&id));
        match message {
            Some(message) => {
                let life = self.clients[index].life;
                let excuses = self.clients[index].excuses;
                let lost = self.server.engine.lost;
                let denied = self.server.desk.denies(&self.clients[index].name);
                let forgetful = self.scenario.keeps.ids_ms.is_some();
                let healed = self.healed;
                let context = crate::history::Context { life, excuses, lost, denied, healed, forgetful };
                let broken = self.history.settled(&message, context, outcome, &mut self.server.engine.log);
                self.violations.extend(broken);
            }
            None => self.violate(11, format!("client {index} settled {id:?} twice, or never published it")),
        }
    }

    fn ended(&mut self, index: usize, ids: &[SubscriptionId], failure: &moorline_core::Failure) {
        let SimClient { name, excuses, .. } = &self.clients[index];
        let refuses = self.server.desk.denies(name) || self.backend.refused.contains(name);
        let denied = failure.code == ErrorCode::ChannelDenied && refuses && !self.healed;
        let displaced = is_displaced(failure) && excuses.displaced;
        if !denied && !displaced && !self.server.desk.is_revoked(name) {
            self.violate(6, format!("client {index}: a subscription ended: {failure}"));
        }
        if let Some(process) = &mut self.clients[index].process {
            let is_over = |reader: &Reader| ids.contains(&reader.id);
            for reader in process.readers.iter().filter(|reader| is_over(reader)) {
                process.entered.remove(&reader.continuity.channel);
            }
            process.readers.retain(|reader| !is_over(reader));
        }
    }

    /// Invariant 15: a client that leaves or stops has a reason, and one that waits goes on.
    fn state_changed(&mut self, index: usize, state: ConnectionState, reason: &StateReason) {
        let now = self.now;
        // The world may lose or spoil a delivery, and then what fills the hole.
        let link = self.links.iter().rfind(|link| link.client == index);
        let lost = link.map_or(0, |link| link.wire.lost + link.wire.spoilt);
        if let StateReason::ProtocolViolation(what) = reason
            && lost < 2
        {
            self.violate(15, format!("client {index} leaves a server that keeps to the protocol: {what}"));
        }
        let host = &mut self.clients[index];
        if let Some(process) = &mut host.process {
            process.waiting_since = match state {
                ConnectionState::Connecting | ConnectionState::Recovering if *reason != StateReason::Requested => {
                    Some(now)
                }
                _ => None,
            };
            process.online_since = (state == ConnectionState::Online).then_some(now);
            if state == ConnectionState::Online {
                process.invited = None;
            }
        }
        if state != ConnectionState::Closed {
            return;
        }
        let excused = match reason {
            StateReason::Refused(failure) if failure.code == ErrorCode::AuthRevoked => {
                self.server.desk.is_revoked(&host.name)
            }
            StateReason::Refused(failure) if is_displaced(failure) => host.excuses.displaced,
            StateReason::Refused(failure) if failure.code == ErrorCode::ClientUser => host.excuses.other_user,
            _ => false,
        };
        if !excused {
            self.violate(15, format!("client {index} stopped for good: {reason:?}"));
        } else if !self.server.desk.is_revoked(&self.clients[index].name) {
            self.restart_later(index);
        }
    }

    fn each_reader(
        &mut self,
        index: usize,
        ids: &[SubscriptionId],
        mut act: impl FnMut(&mut Reader, &Log) -> Option<Violation>,
    ) {
        let Some(process) = &mut self.clients[index].process else { return };
        for reader in process.readers.iter_mut().filter(|reader| ids.contains(&reader.id)) {
            if let Some(broken) = act(reader, &self.server.engine.log) {
                let what = format!("client {index}: {}", broken.what);
                self.violations.push(Violation { what, ..broken });
            }
        }
    }
}

/// Tells whether a client was told that another connection of its device stands.
fn is_displaced(failure: &moorline_core::Failure) -> bool {
    matches!(failure.code, ErrorCode::ConnectionDisplaced | ErrorCode::DeviceConflict)
}
