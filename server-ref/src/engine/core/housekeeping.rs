use std::ops::Bound;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Offset, ProducerId};

use super::retention::RetentionRule;
use super::store::MessageStore;
use super::{ChannelId, EngineCore, NOTE_EVERY_MS};
use crate::engine::hooks::{HOOKS, OPERATIONS};
use crate::engine::record::Record;
use crate::engine::{ChannelKey, Owner};
use crate::planted::Bug;

/// Verdicts kept of a producer that has not published for a while.
pub(super) const IDLE_VERDICTS: usize = 32;
/// ms after which a producer counts as idle.
pub(super) const IDLE_MS: u64 = 600_000;
/// How many channels, producers or owners are looked at in one go.
const AT_ONCE: usize = 1_024;
/// A start so many ms after the newest record is taken for a wrong clock at first.
const LONG_MS: u64 = 30 * 24 * 3_600_000;
/// For so many ms after such a start nothing is forgotten.
const REST_MS: u64 = 3_600_000;

/// What a core holds, for tests, metrics and `inspect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreStats {
    /// Channels known.
    pub channels: usize,
    /// Ids in memory: those that the store has not taken over.
    pub ids: usize,
    /// Producers in memory.
    pub producers: usize,
    /// Cursors in memory.
    pub cursors: usize,
    /// Connections attached.
    pub sessions: usize,
    /// Revocations in force.
    pub revocations: usize,
    /// Members of all channels.
    pub members: usize,
}

/// Where forgetting goes on.
#[derive(Debug, Default)]
pub(super) struct Housekeeping {
    stage: Stage,
    /// When this round began.
    began: UnixMillis,
    /// When this start was.
    started: UnixMillis,
    /// Nothing is forgotten before.
    rests_until: UnixMillis,
}

#[derive(Debug, Default)]
enum Stage {
    /// Nothing is under way.
    #[default]
    Idle,
    Producers(Option<ProducerId>),
    Cursors(Option<Owner>),
    Channels(Option<ChannelKey>),
}

impl Housekeeping {
    /// A start, and the time of the newest record.
    pub(super) fn begin(&mut self, now: UnixMillis, newest: UnixMillis) {
        self.started = now;
        if newest > 0 && now > newest.saturating_add(LONG_MS) {
            self.rests_until = now + REST_MS;
        }
    }
}

impl<S: MessageStore> EngineCore<S> {
    /// Forgets what is too old: messages, ids, producers, cursors, channels, revocations. A round takes as many calls
    /// as there is to look at; returns whether this one goes on. The host begins a round every few seconds, and treats
    /// what a call yields as part of a batch.
    pub fn expire(&mut self, now: UnixMillis) -> bool {
        if self.is_resting(now) {
            return false;
        }
        let mut left = AT_ONCE;
        let mut stage = std::mem::take(&mut self.housekeeping.stage);
        if matches!(stage, Stage::Idle) {
            self.expire_revocations(now);
            self.housekeeping.began = now;
            stage = Stage::Producers(None);
        }
        while left > 0 && !matches!(stage, Stage::Idle) {
            stage = match stage {
                Stage::Producers(after) => self
                    .expire_producers(after, &mut left, now)
                    .map_or(Stage::Cursors(None), |a| Stage::Producers(Some(a))),
                Stage::Cursors(after) => {
                    let after = self.expire_cursors(after.as_ref(), &mut left, now);
                    after.map_or(Stage::Channels(None), |after| Stage::Cursors(Some(after)))
                }
                Stage::Channels(after) => {
                    let after = self.expire_channels(after.as_ref(), &mut left, now);
                    after.map_or(Stage::Idle, |after| Stage::Channels(Some(after)))
                }
                Stage::Idle => Stage::Idle,
            };
        }
        self.housekeeping.stage = stage;
        self.is_expiring()
    }

    /// Tells whether a round of [`expire`](Self::expire) is under way.
    pub fn is_expiring(&self) -> bool {
        !matches!(self.housekeeping.stage, Stage::Idle)
    }

    /// Returns how much there is.
    pub fn stats(&self) -> CoreStats {
        CoreStats {
            channels: self.channels.len(),
            ids: self.channels.values().map(|channel| channel.ids.len()).sum(),
            producers: self.producers.len(),
            cursors: self.cursors.len(),
            sessions: self.sessions.len(),
            revocations: self.revoked.len(),
            members: self.presence.members(),
        }
    }

    /// Tells whether something was last used so long ago that it is forgotten. What was not used since the start may
    /// have been used after that was last written down, but no later than the start: so of two things the one that was
    /// used first is over first.
    pub(super) fn is_over(&self, used: UnixMillis, kept: u64, now: UnixMillis) -> bool {
        let latest = used.saturating_add(NOTE_EVERY_MS).min(self.housekeeping.started).max(used);
        latest < now.saturating_sub(kept) && !self.is_resting(now)
    }

    /// Tells whether nothing is forgotten for now.
    pub(super) fn is_resting(&self, now: UnixMillis) -> bool {
        now < self.housekeeping.rests_until && now >= self.housekeeping.started
    }

    fn expire_revocations(&mut self, now: UnixMillis) {
        let before = now.saturating_sub(self.config.revocations_ms);
        self.revoked.retain(|_, revoked| revoked.time >= before);
    }

    /// Each of these looks at the next ones, at most as many as are left, and returns where to go on. Producers and
    /// cursors that are not in memory are forgotten when they are asked for, or by the store.
    fn expire_producers(&mut self, after: Option<ProducerId>, left: &mut usize, now: UnixMillis) -> Option<ProducerId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids: Vec<ProducerId> =
            self.producers.range((from, Bound::Unbounded)).take(*left).map(|(id, _)| *id).collect();
        let idle = now.saturating_sub(IDLE_MS);
        for id in &ids {
            let Some(producer) = self.producers.get_mut(id) else { continue };
            if producer.published < idle {
                producer.keep(IDLE_VERDICTS);
            }
            let attached = producer.session.is_some() && !self.config.bugs.has(Bug::AttachedExpires);
            let (used, noted) = (producer.used, producer.noted);
            if attached && now.saturating_sub(noted) >= NOTE_EVERY_MS {
                self.use_producer(*id, now);
            } else if attached {
                self.use_channels_of(*id, now);
            } else if self.is_over(used, self.config.producers_ms, now) {
                self.forget_producer(*id);
            } else {
                self.use_channels_of(*id, used);
            }
        }
        *left -= ids.len();
        if *left > 0 { None } else { ids.last().copied() }
    }

    pub(super) fn forget_producer(&mut self, id: ProducerId) {
        self.remove_producer(id);
        self.records.push(Record::ForgetProducer { id });
    }

    pub(super) fn remove_producer(&mut self, id: ProducerId) {
        let mark = self.producers.remove(&id).map(|producer| producer.mark);
        self.residency.drop_producer(id, mark);
    }

    fn expire_cursors(&mut self, after: Option<&Owner>, left: &mut usize, now: UnixMillis) -> Option<Owner> {
        let owners = self.cursors.owners(after, *left);
        for owner in &owners {
            // Whoever uses a cursor is written down before it seems unused.
            for channel in self.cursors.unused(owner, |used| now.saturating_sub(used) >= NOTE_EVERY_MS) {
                if self.sessions.is_reading(owner, channel) {
                    self.touch_cursor(owner, channel, now);
                }
            }
            for channel in self.cursors.unused(owner, |used| self.is_over(used, self.config.cursors_ms, now)) {
                let record = self.drop_cursor(owner.clone(), channel);
                self.records.extend(record);
            }
        }
        *left -= owners.len();
        if *left > 0 { None } else { owners.last().cloned() }
    }

    fn expire_channels(&mut self, after: Option<&ChannelKey>, left: &mut usize, now: UnixMillis) -> Option<ChannelKey> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.by_key.range::<ChannelKey, _>((from, Bound::Unbounded)).take(*left);
        let channels: Vec<(ChannelKey, ChannelId)> = next.map(|(key, id)| (key.clone(), *id)).collect();
        for (_, id) in &channels {
            self.retain_messages(*id, now);
            if let Some(channel) = self.channels.get_mut(id) {
                channel.ids.expire(now.saturating_sub(self.config.ids_ms));
            }
            self.expire_channel(*id, now);
        }
        *left -= channels.len();
        if *left > 0 { None } else { channels.last().map(|(key, _)| key.clone()) }
    }

    fn retain_messages(&mut self, id: ChannelId, now: UnixMillis) {
        let Some(channel) = self.channels.get(&id).filter(|channel| channel.first <= channel.head) else { return };
        let (old_first, head) = (channel.first, channel.head);
        let (app, name) = (&channel.key.app, channel.key.name.as_str());
        let own = match name {
            HOOKS => Some(RetentionRule::of_hooks(self.config.hooks.max_age_ms)),
            OPERATIONS => Some(RetentionRule::of_operations()),
            _ => None,
        };
        let Some(rule) = own.as_ref().or_else(|| self.config.retention.of(app, name)) else { return };
        let (age, bytes) = (rule.max_age_ms, rule.max_bytes);
        let age = age.filter(|_| !self.config.bugs.has(Bug::AgeIgnored));
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
                channel.ids.keep((head.0 + 1).saturating_sub(first.0) as usize);
            }
        }
    }

    pub(super) fn trim(&mut self, id: ChannelId, first: Offset) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.first = channel.first.max(first);
            self.store.trim(id, first);
        }
    }

    /// A producer or a cursor of a channel was used.
    pub(super) fn refer(&mut self, id: ChannelId, used: UnixMillis) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.referred = channel.referred.max(used);
        }
    }

    /// A channel is in use; from time to time that is written down.
    pub(super) fn use_channel(&mut self, id: ChannelId, now: UnixMillis) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.time = channel.time.max(now);
        if channel.recorded && now.saturating_sub(channel.noted) >= NOTE_EVERY_MS {
            channel.noted = now;
            self.records.push(Record::ChannelUsed { id, time: now });
        }
    }

    /// Forgets a channel that is empty and unused. A later channel of this name begins
    /// another life, so the epoch that unwritten channels share changes, too.
    fn expire_channel(&mut self, id: ChannelId, now: UnixMillis) {
        let Some(channel) = self.channels.get(&id) else { return };
        if !channel.watchers.is_empty() {
            return self.use_channel(id, now);
        }
        // Its cursors and producers were used no later than the channel, and have been looked at since the round began.
        let began = now.min(self.housekeeping.began);
        let kept = self.config.cursors_ms.max(self.config.producers_ms).max(self.config.ids_ms);
        let empty = channel.first > channel.head && channel.recorded;
        // What was used before the start may have been used later than is known.
        let referred = channel.referred > 0 && !self.is_over(channel.referred, kept, began);
        if empty && !referred && self.is_over(channel.time, kept, began) {
            self.shared_n += u64::from(!self.config.bugs.has(Bug::ForgottenKeepsEpoch));
            self.records.push(self.shared_record());
            self.records.push(Record::ForgetChannel { id });
            self.remove_channel(id);
        }
    }

    pub(super) fn remove_channel(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.remove(&id) {
            self.by_key.remove(&channel.key);
            self.forget_hooks(id);
            self.store.forget(id);
        }
    }
}
