//! What publishers were told, what apps saw, and what the log held, and the invariants over all three.

use std::collections::{BTreeMap, BTreeSet};

use moorline_core::{PublishOutcome, Received};
use moorline_protocol::{ChannelName, Epoch, ErrorCode, Message, Offset, Position, Qos, Start};

/// A broken promise: which invariant of the quality page, and what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The number of the invariant, 1–16.
    pub invariant: u8,
    /// What happened.
    pub what: String,
}

/// One publish of an app.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) client: usize,
    pub(crate) channel: ChannelName,
    pub(crate) qos: Qos,
    /// Its place among the publishes of this client.
    pub(crate) order: u64,
    pub(crate) content: u64,
    /// Whether it may be forgotten before it was seen.
    pub(crate) expires: bool,
    pub(crate) outcome: Option<PublishOutcome>,
    /// Which incarnation of the process was told so.
    pub(crate) life: u32,
    /// Whether the process that published it died before it was settled.
    pub(crate) orphaned: bool,
}

/// A channel, an epoch's name, an offset.
type Key = (ChannelName, String, Offset);

/// A message as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    id: String,
    content: u64,
}

/// Everything seen from outside.
#[derive(Default)]
pub(crate) struct History {
    publishes: BTreeMap<String, Publish>,
    /// Every message ever seen under a position, by anybody.
    positions: BTreeMap<Key, Entry>,
    /// What the log was found to hold, whenever it was read.
    log: BTreeMap<Key, Entry>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) delivered: u64,
    pub(crate) resets: u64,
}

impl History {
    pub(crate) fn violate(&mut self, invariant: u8, what: String) {
        self.violations.push(Violation { invariant, what });
    }

    pub(crate) fn published(&mut self, id: String, publish: Publish) {
        self.publishes.insert(id, publish);
    }

    pub(crate) fn publishes(&self) -> impl Iterator<Item = (&String, &Publish)> {
        self.publishes.iter()
    }

    /// The process that published it died, or may not publish any more.
    pub(crate) fn orphan(&mut self, id: &str) {
        if let Some(publish) = self.publishes.get_mut(id) {
            publish.orphaned = true;
        }
    }

    pub(crate) fn settled(&mut self, id: &str, life: u32, outcome: PublishOutcome) {
        let Some(publish) = self.publishes.get_mut(id) else {
            return self.violate(11, format!("{id} settled but was never published"));
        };
        if let PublishOutcome::Kept(_) = outcome {
            // This process has ended; the next one goes on with it.
            publish.orphaned = true;
            return;
        }
        if let Some(before) = &publish.outcome {
            // A process killed between the answer and the removal from its store asks again: the same verdict.
            let same = match (before, &outcome) {
                (PublishOutcome::Stored(a), PublishOutcome::Stored(b)) => a.offset == b.offset || a.epoch != b.epoch,
                (PublishOutcome::Stored(_), PublishOutcome::Uncertain) => true,
                // The store failed, and the process died before the store took the removal.
                (PublishOutcome::Failed(failure), _) => failure.code == ErrorCode::StorageFull,
                _ => false,
            };
            if !same || life == publish.life {
                let what = format!("{id} settled twice: {before:?}, then {outcome:?}");
                return self.violate(11, what);
            }
        }
        let (channel, content) = (publish.channel.clone(), publish.content);
        publish.outcome = Some(outcome.clone());
        publish.life = life;
        if let PublishOutcome::Stored(stored) = outcome
            && let Some(offset) = stored.offset
        {
            self.position(&channel, stored.epoch, offset, id, content);
        }
    }

    /// Invariant 8: a position names one message.
    fn position(&mut self, channel: &ChannelName, epoch: Epoch, offset: Offset, id: &str, content: u64) {
        let key = (channel.clone(), epoch.as_str().to_owned(), offset);
        let entry = Entry { id: id.to_owned(), content };
        if let Some(other) = self.positions.get(&key).filter(|other| **other != entry) {
            let what = format!("{channel} {}:{offset} is {} and {id}", key.1, other.id);
            return self.violate(8, what);
        }
        self.positions.insert(key, entry);
    }

    /// Notes what a read of the log found.
    pub(crate) fn logged(&mut self, channel: &ChannelName, epoch: Epoch, message: &Message) {
        let Some(offset) = message.offset else { return };
        let content = content(message);
        self.position(channel, epoch, offset, &message.id, content);
        let key = (channel.clone(), epoch.as_str().to_owned(), offset);
        self.log.insert(key, Entry { id: message.id.as_str().to_owned(), content });
    }

    pub(crate) fn received(&mut self, received: &Received) {
        self.delivered += 1;
        let message = &received.message;
        let content = content(message);
        if let Some(publish) = self.publishes.get(message.id.as_str())
            && publish.content != content
        {
            self.violate(8, format!("{} arrived with another content", message.id.as_str()));
        }
        if let Some(offset) = message.offset {
            self.position(&received.channel, received.epoch, offset, &message.id, content);
        }
    }

    /// Checks what can only be checked when all is quiet. `volatile`: the log was allowed to lose everything.
    pub(crate) fn check_end(&mut self, volatile: bool, doubts_allowed: bool) {
        let mut found = Vec::new();
        let mut by_id: BTreeMap<(&ChannelName, &str), Vec<&Key>> = BTreeMap::new();
        for (key, entry) in &self.log {
            by_id.entry((&key.0, entry.id.as_str())).or_default().push(key);
        }
        for ((channel, id), keys) in &by_id {
            if keys.len() > 1 && !volatile {
                found.push((2, format!("{id} stands {} times in {channel}: {keys:?}", keys.len())));
            }
        }
        for (id, publish) in &self.publishes {
            let stored = by_id.contains_key(&(&publish.channel, id.as_str()));
            match &publish.outcome {
                Some(PublishOutcome::Stored(at)) if !volatile => {
                    let key = at.offset.map(|o| (publish.channel.clone(), at.epoch.as_str().to_owned(), o));
                    if key.is_some_and(|key| self.log.get(&key).is_none_or(|entry| entry.id != *id)) || !stored {
                        found.push((1, format!("{id} was acknowledged at {at:?} and is not in the log")));
                    }
                }
                Some(PublishOutcome::Failed(failure)) if stored => {
                    found.push((11, format!("{id} failed ({failure}) and is in the log")));
                }
                // Without a sequence, what was sent and has expired is not sent again to find out.
                Some(PublishOutcome::Uncertain) if publish.expires && publish.qos == Qos::AtLeastOnce => {}
                Some(PublishOutcome::Uncertain) if !doubts_allowed => {
                    found.push((11, format!("{id} is uncertain without a cause")));
                }
                None if !publish.orphaned => found.push((11, format!("{id} never settled"))),
                _ => {}
            }
        }
        self.check_order(&mut found);
        for (invariant, what) in found {
            self.violate(invariant, what);
        }
    }

    /// Invariant 3: QoS 2 messages of one client stand in a channel in the order of publishing.
    fn check_order(&self, found: &mut Vec<(u8, String)>) {
        let mut last: BTreeMap<(&ChannelName, &str, usize), (u64, &str)> = BTreeMap::new();
        for ((channel, epoch, offset), entry) in &self.log {
            let Some(publish) = self.publishes.get(&entry.id).filter(|p| p.qos == Qos::ExactlyOnce) else { continue };
            let key = (channel, epoch.as_str(), publish.client);
            if let Some((order, id)) = last.get(&key)
                && *order > publish.order
            {
                found.push((3, format!("{} at {channel} {offset} stands after {id}", entry.id)));
            }
            last.insert(key, (publish.order, entry.id.as_str()));
        }
    }

    /// Tells whether everything that the log held between two offsets (both exclusive) may have expired.
    pub(crate) fn may_have_expired(&self, channel: &ChannelName, epoch: Epoch, after: Offset, before: Offset) -> bool {
        let key = |offset| (channel.clone(), epoch.as_str().to_owned(), offset);
        let mut between = self.log.range(key(after.next())..key(before));
        between.all(|(_, entry)| self.publishes.get(&entry.id).is_some_and(|publish| publish.expires))
    }

    /// Returns the offsets of a channel's epoch that the log was seen to hold above `after`.
    pub(crate) fn logged_after(&self, channel: &ChannelName, epoch: Epoch, after: Offset) -> usize {
        let from = (channel.clone(), epoch.as_str().to_owned(), after.next());
        let to = (channel.clone(), epoch.as_str().to_owned(), Offset(u64::MAX));
        self.log.range(from..=to).count()
    }
}

/// Hashes a message's payload.
pub(crate) fn content(message: &Message) -> u64 {
    xxhash_rust::xxh3::xxh3_64(message.payload.bytes())
}

/// What one reader of one channel may expect next.
#[derive(Debug)]
pub(crate) struct Continuity {
    pub(crate) channel: ChannelName,
    pub(crate) qos: Qos,
    /// Everything up to here was handed out or reported lost; `None` before the first `Subscribed`.
    pub(crate) position: Option<Position>,
    /// After a restart of the process, the server may go back as far as it likes, but not beyond this.
    pub(crate) at_most: Option<Position>,
    seen_ephemeral: BTreeSet<String>,
}

impl Continuity {
    pub(crate) fn new(channel: ChannelName, qos: Qos, at_most: Option<Position>) -> Self {
        Self { channel, qos, position: None, at_most, seen_ephemeral: BTreeSet::new() }
    }

    pub(crate) fn subscribed(
        &mut self,
        head: Position,
        from: Offset,
        start: &Start,
        history: &History,
    ) -> Option<Violation> {
        let now = Position { epoch: head.epoch, offset: from };
        let before = self.position.replace(now);
        if *start == Start::Reset || self.qos == Qos::AtMostOnce {
            self.at_most = None;
            return None;
        }
        let bound = self.at_most.take();
        let broken = match (before, bound) {
            (Some(before), _) if before.epoch == now.epoch && before.offset < now.offset => {
                !history.may_have_expired(&self.channel, now.epoch, before.offset, now.offset.next())
            }
            (Some(before), _) => before != now,
            // Only an engine that may lose everything changes epochs, and it loses cursors with them.
            (None, Some(bound)) => bound.epoch == now.epoch && now.offset > bound.offset,
            (None, None) => false,
        };
        broken.then(|| Violation {
            invariant: 7,
            what: format!("{}: {start:?} from {now:?}, but the reader stood at {before:?} {bound:?}", self.channel),
        })
    }

    pub(crate) fn reset(&mut self, epoch: Epoch, from: Offset) {
        self.position = Some(Position { epoch, offset: from });
    }

    pub(crate) fn message(&mut self, received: &Received, history: &History) -> Option<Violation> {
        let message = &received.message;
        let violation = |invariant, what| Some(Violation { invariant, what });
        let Some(offset) = message.offset else {
            let id = message.id.as_str().to_owned();
            let fresh = self.seen_ephemeral.insert(id.clone());
            return if fresh { None } else { violation(4, format!("{}: {id} twice at QoS 0", self.channel)) };
        };
        let Some(position) = self.position else {
            return violation(5, format!("{}: {offset} before any subscribed", self.channel));
        };
        if position.epoch != received.epoch {
            return violation(5, format!("{}: {offset} of another epoch", self.channel));
        }
        if offset <= position.offset {
            return violation(5, format!("{}: {offset} after {}", self.channel, position.offset));
        }
        let gap = self.qos > Qos::AtMostOnce && message.previous().is_some_and(|previous| previous > position.offset);
        if gap && !history.may_have_expired(&self.channel, position.epoch, position.offset, offset) {
            return violation(5, format!("{}: {offset} after {}: a silent gap", self.channel, position.offset));
        }
        self.position = Some(Position { epoch: received.epoch, offset });
        None
    }
}
