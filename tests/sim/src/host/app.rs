//! The apps: what they publish, and how they work off what they get.

use bytes::Bytes;
use moorline_core::protocol::{ChannelName, Payload, Utf8Bytes};
use moorline_core::{PublishError, PublishOptions, Received, SubscriptionId};

use crate::client::{Reader, Reading};
use crate::history::Publish;
use crate::scenario::{Content, PublishPlan};
use crate::world::{Happening, World, channel};

impl World {
    /// Publishes; returns the name of what was queued.
    pub(crate) fn publish(&mut self, plan: PublishPlan) -> Option<String> {
        self.publish_to(&channel(plan.channel), plan)
    }

    /// Publishes to a channel by its name.
    pub(crate) fn publish_to(&mut self, channel: &ChannelName, plan: PublishPlan) -> Option<String> {
        let PublishPlan { client: index, qos, content, .. } = plan;
        if self.clients[index].process.is_none() || self.is_frozen(index) {
            return None;
        }
        let order = self.clients[index].next_order;
        self.clients[index].next_order += 1;
        let name = format!("m{index}-{order}");
        let text = self.text(index, order, content);
        let hash = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
        let options = PublishOptions {
            qos: Some(qos),
            id: Some(Utf8Bytes::from(name.as_str())),
            ttl: plan.ttl,
            ..Default::default()
        };
        let now = self.client_now(index);
        let outbox = self.scenario.outbox;
        let process = self.clients[index].process.as_mut()?;
        match process.core.publish(channel, Payload::Json(Bytes::from(text)), options, now) {
            Ok(publish) => process.publishes.insert(publish, name.clone()),
            Err(PublishError::OutboxFull) if process.core.outbox().messages >= outbox => return None,
            Err(PublishError::Closed) => return None,
            Err(error) => {
                self.violate(11, format!("client {index}: publish refused: {error}"));
                return None;
            }
        };
        self.trace.add(self.now, "publish", index as u64, name.as_bytes(), || format!("{name} {qos:?} in {channel}"));
        let publish = Publish {
            client: index,
            device: self.clients[index].device,
            channel: self.clients[index].canonical(channel),
            qos,
            order,
            hash,
            content,
            refused: false,
            expires: plan.ttl.is_some(),
            life: 0,
            outcome: None,
            rolled_back: false,
            orphaned: false,
        };
        self.history.published(name.clone(), publish);
        self.drive(index);
        Some(name)
    }

    /// What a publish carries: JSON, unless it is poison.
    fn text(&self, index: usize, order: u64, content: Content) -> String {
        // Of its own, so that it cannot be taken for another message's.
        let word = format!("{index}:{order:x}.");
        let mut padding = word.repeat(self.scenario.payload.div_ceil(word.len()));
        padding.truncate(self.scenario.payload);
        match content {
            Content::Poison => format!("{{\"from\":{index},\"order\":{order}"),
            Content::Fresh => {
                format!("{{\"from\":{index},\"order\":{order},\"padding\":\"{padding}\"}}")
            }
        }
    }

    /// Plans the work of every reader that has just got its first message.
    pub(super) fn plan_work(&mut self, index: usize) {
        let life = self.clients[index].life;
        let work = self.clients[index].work_ms * 1000;
        let Some(process) = &mut self.clients[index].process else { return };
        let mut idle = Vec::new();
        for reader in process.readers.iter_mut().filter(|reader| !reader.queue.is_empty() && !reader.working) {
            reader.working = true;
            idle.push(reader.id);
        }
        for reader in idle {
            let delay = work + self.dice.range(0, 1_000);
            self.after(delay, Happening::AppWork { client: index, life, reader });
        }
    }

    /// The app works off one message, or (if it is quick) all that wait.
    pub(crate) fn app_work(&mut self, index: usize, life: u32, id: SubscriptionId) {
        if self.clients[index].life != life {
            return;
        }
        if self.is_frozen(index) {
            let until = self.clients[index].process.as_ref().map_or(0, |process| process.frozen_until);
            return self.at(until + 1, Happening::AppWork { client: index, life, reader: id });
        }
        let work = self.clients[index].work_ms;
        let now = self.client_now(index);
        let host = &mut self.clients[index];
        let Some(process) = &mut host.process else { return };
        let Some(reader) = process.readers.iter_mut().find(|reader| reader.id == id) else { return };
        let at_once = if work == 0 { reader.queue.len() } else { reader.queue.len().min(1) };
        let taken: Vec<_> = reader.queue.drain(..at_once).collect();
        process.core.consumed(id, taken.len(), now);
        if let Some(position) = taken.iter().rev().find_map(Received::position) {
            let position = reader.worked_off(position);
            if matches!(reader.reading, Reading::Durable | Reading::Owned) {
                host.disk.done.insert(reader.continuity.channel.clone(), position);
            }
            if reader.reading == Reading::Durable {
                process.core.ack(id, position, now);
            }
        }
        reader.working = !reader.queue.is_empty();
        if reader.working {
            self.after(work * 1000 + 1, Happening::AppWork { client: index, life, reader: id });
        }
        self.drive(index);
    }
}

impl Reader {
    /// Notes what the app is done with. What comes again after a restart was worked off before.
    pub(super) fn worked_off(
        &mut self,
        position: moorline_core::protocol::Position,
    ) -> moorline_core::protocol::Position {
        let known = self.done.filter(|done| done.epoch == position.epoch && done.offset >= position.offset);
        let position = known.unwrap_or(position);
        self.done = Some(position);
        position
    }
}
