use moorline_protocol::Offset;
use moorline_protocol::time::UnixMillis;

use super::store::MessageStore;
use super::{ChannelId, EngineCore};
use crate::engine::record::Record;
use crate::planted::Bug;

/// Verdicts kept of a producer that has not published for a while.
const IDLE_VERDICTS: usize = 32;
/// ms after which a producer counts as idle.
const IDLE_MS: u64 = 600_000;

/// What a core holds, for tests, metrics and `inspect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreStats {
    /// Channels known.
    pub channels: usize,
    /// Producers known.
    pub producers: usize,
    /// Cursors known.
    pub cursors: usize,
    /// Connections attached.
    pub sessions: usize,
}

impl<S: MessageStore> EngineCore<S> {
    /// Forgets what is too old: messages, ids, producers, cursors, channels. The host calls it every few seconds,
    /// and treats what it yields as a batch.
    pub fn expire(&mut self, now: UnixMillis) {
        let mut ids: Vec<ChannelId> = self.channels.keys().copied().collect();
        ids.sort_unstable();
        for id in &ids {
            self.retain_messages(*id, now);
            if let Some(channel) = self.channels.get_mut(id) {
                channel.ids.expire(now.saturating_sub(self.config.ids_ms), self.config.ids_per_channel);
            }
        }
        self.expire_producers(now);
        for (owner, channel) in self.cursors.expired(now.saturating_sub(self.config.cursors_ms)) {
            self.cursors.remove(&owner, channel);
            self.records.push(Record::ForgetCursor { owner, channel });
        }
        for id in ids {
            self.expire_channel(id, now);
        }
    }

    /// Returns how much there is.
    pub fn stats(&self) -> CoreStats {
        CoreStats {
            channels: self.channels.len(),
            producers: self.producers.len(),
            cursors: self.cursors.len(),
            sessions: self.sessions.len(),
        }
    }

    fn retain_messages(&mut self, id: ChannelId, now: UnixMillis) {
        let Some(channel) = self.channels.get(&id).filter(|channel| channel.first <= channel.head) else { return };
        let (old_first, head) = (channel.first, channel.head);
        let Some(rule) = self.config.retention.of(channel.key.name.as_str()) else { return };
        let (age, bytes) = (rule.max_age_ms, rule.max_bytes);
        let mut first = rule.max_count.map_or(old_first, |count| Offset(head.0.saturating_sub(count) + 1));
        if let Some(age) = age {
            let kept = self.store.first_at(id, now.saturating_sub(age)).unwrap_or_else(|| head.next());
            first = first.max(kept);
        }
        if let Some(bytes) = bytes {
            first = first.max(self.store.first_within(id, bytes).unwrap_or(head));
        }
        if first > old_first {
            self.records.push(Record::Trim { channel: id, first });
            self.trim(id, first);
            if self.config.bugs.has(Bug::TrimForgetsIds)
                && let Some(channel) = self.channels.get_mut(&id)
            {
                channel.ids.expire(0, (head.0 + 1).saturating_sub(first.0) as usize);
            }
        }
    }

    pub(super) fn trim(&mut self, id: ChannelId, first: Offset) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.first = channel.first.max(first);
            self.store.trim(id, first);
        }
    }

    fn expire_producers(&mut self, now: UnixMillis) {
        let before = now.saturating_sub(self.config.producers_ms);
        let idle = now.saturating_sub(IDLE_MS);
        let mut gone = Vec::new();
        for (id, producer) in &mut self.producers {
            let attached = producer.session.is_some() && !self.config.bugs.has(Bug::AttachedExpires);
            if !attached && producer.used < before {
                gone.push(*id);
            } else if producer.used < idle {
                producer.channels.values_mut().for_each(|track| track.keep(IDLE_VERDICTS));
            }
        }
        for id in gone {
            self.producers.remove(&id);
            self.records.push(Record::ForgetProducer { id });
        }
    }

    /// Forgets a channel that is empty, unused, and referred to by nothing. A later channel of this name begins
    /// another life, so the epoch that unwritten channels share changes, too.
    fn expire_channel(&mut self, id: ChannelId, now: UnixMillis) {
        let before = now.saturating_sub(self.config.cursors_ms);
        let Some(channel) = self.channels.get(&id) else { return };
        let empty = channel.first > channel.head && channel.ids.is_empty() && channel.watchers.is_empty();
        let referred = || {
            self.cursors.refers_to(id) || self.producers.values().any(|producer| producer.channels.contains_key(&id))
        };
        if !empty || channel.time >= before || referred() {
            return;
        }
        if channel.recorded {
            self.shared_n += u64::from(!self.config.bugs.has(Bug::ForgottenKeepsEpoch));
            self.records.push(self.shared_record());
            self.records.push(Record::ForgetChannel { id });
        }
        self.remove_channel(id);
    }

    pub(super) fn remove_channel(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.remove(&id) {
            self.by_key.remove(&channel.key);
            self.store.forget(id);
        }
    }
}
