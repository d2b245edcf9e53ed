use std::collections::BTreeMap;

use moorline_core::protocol::{ChannelName, Epoch, Message, Offset, Position, Utf8Bytes};
use moorline_server::engine::Owner;
use moorline_server::engine::hooks::HOOKS;
use moorline_server::engine::record::{ChannelId, Record};

use super::{First, Violation};

/// What the durable log holds, and everything that was ever seen under a position.
#[derive(Default)]
pub(crate) struct Log {
    channels: BTreeMap<ChannelName, Channel>,
    numbers: BTreeMap<ChannelId, ChannelName>,
    cursors: BTreeMap<(Owner, ChannelName), Position>,
    /// Invariant 8: a position names one message, for ever.
    named: BTreeMap<ChannelName, Vec<(Epoch, Names)>>,
    /// The latest time that the engine was told: what expires later has not expired yet.
    pub(crate) latest: u64,
}

/// Messages by offset.
type Names = BTreeMap<Offset, Name>;

/// A message's id and the hash of its payload.
struct Name {
    id: String,
    content: u64,
}

/// A channel's lives, the newest last.
#[derive(Default)]
struct Channel {
    lives: Vec<Life>,
}

/// One life of a channel's log.
struct Life {
    epoch: Epoch,
    /// Messages before it are gone.
    first: Offset,
    head: Offset,
    entries: BTreeMap<Offset, Entry>,
    /// Whether the engine has lost it.
    over: bool,
}

/// A message of the log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// Who published it.
    pub(crate) user: Option<Utf8Bytes>,
    pub(crate) content: u64,
    /// ms since 1970.
    pub(crate) time: u64,
    /// ms since 1970.
    pub(crate) expires: Option<u64>,
    /// The latest time that the engine had been told when it was written.
    pub(crate) written: u64,
}

impl Log {
    /// Takes a record that has become durable.
    pub(crate) fn record(&mut self, record: &Record) -> Option<Violation> {
        match record {
            Record::Channel { id, key, epoch, first, head, .. } => {
                self.numbers.insert(*id, key.name.clone());
                self.begin(&key.name, *epoch, *first, *head);
            }
            Record::NewEpoch { channel, epoch } => return self.renew(*channel, *epoch),
            Record::Append { channel, id, expires, bytes, .. } => {
                let name = self.numbers.get(channel)?.clone();
                let message = moorline_core::protocol::binary::decode_message(&mut bytes.clone()).ok()?;
                let entry = Entry {
                    id: message.id.as_str().to_owned(),
                    user: message.user.clone(),
                    content: content(&message),
                    time: message.time,
                    expires: *expires,
                    written: self.latest,
                };
                return self.append(&name, id.offset, entry);
            }
            Record::Trim { channel, first } => {
                if let Some(life) =
                    self.numbers.get(channel).and_then(|name| self.channels.get_mut(name)?.lives.last_mut())
                {
                    life.first = life.first.max(*first);
                }
            }
            Record::Cursor { owner, channel, position, .. } => {
                let name = self.numbers.get(channel)?.clone();
                self.cursors.insert((owner.clone(), name), *position);
            }
            Record::ForgetCursor { owner, channel } => {
                let name = self.numbers.get(channel)?.clone();
                self.cursors.remove(&(owner.clone(), name));
            }
            Record::ForgetChannel { id } => {
                // Its next life is not written before its first message.
                let name = self.numbers.remove(id)?;
                self.channels.get_mut(&name)?.lives.iter_mut().for_each(|life| life.over = true);
            }
            _ => {}
        }
        None
    }

    /// The server begins anew with these records. What an engine that loses nothing had before must be there.
    pub(crate) fn reread(&mut self, records: &[Record], loses_nothing: bool) -> Option<Violation> {
        let before = std::mem::take(&mut self.channels);
        self.numbers.clear();
        self.cursors.clear();
        let mut broken = First::default();
        for record in records {
            broken.note(self.record(record));
        }
        for (name, channel) in before {
            for life in channel.lives {
                let missing = self.compare(&name, &life).filter(|_| loses_nothing && !life.over);
                broken.note(missing);
                let channel = self.channels.entry(name.clone()).or_default();
                if !channel.lives.iter().any(|known| known.epoch == life.epoch) {
                    channel.lives.insert(0, Life { over: true, ..life });
                }
            }
        }
        broken.into_violation()
    }

    /// Compares what survived of a life with what there was.
    fn compare(&mut self, name: &ChannelName, before: &Life) -> Option<Violation> {
        let lives = self.channels.get_mut(name).map(|channel| &mut channel.lives);
        let mut survivor = lives.and_then(|lives| lives.iter_mut().find(|life| life.epoch == before.epoch));
        let mut broken = First::default();
        for (offset, entry) in &before.entries {
            match survivor.as_mut().and_then(|life| life.entries.get_mut(offset)) {
                Some(kept) if kept.id == entry.id && kept.content == entry.content => kept.written = entry.written,
                _ => {
                    let what = format!("{name} {offset} ({}) was durable and is gone after a restart", entry.id);
                    broken.note(Some(Violation::new(1, what)));
                }
            }
        }
        broken.into_violation()
    }

    fn begin(&mut self, name: &ChannelName, epoch: Epoch, first: Offset, head: Offset) {
        let channel = self.channels.entry(name.clone()).or_default();
        channel.lives.retain(|life| life.epoch != epoch);
        channel.lives.push(Life { epoch, first, head, entries: BTreeMap::new(), over: false });
    }

    /// A new life with the messages of the one before.
    fn renew(&mut self, channel: ChannelId, epoch: Epoch) -> Option<Violation> {
        let name = self.numbers.get(&channel)?.clone();
        let lives = &mut self.channels.get_mut(&name)?.lives;
        let last = lives.last()?;
        let life = Life { epoch, first: last.first, head: last.head, entries: last.entries.clone(), over: false };
        let again: Vec<_> = life.entries.iter().map(|(offset, entry)| (*offset, entry.clone())).collect();
        lives.push(life);
        again.into_iter().find_map(|(offset, entry)| self.name(&name, epoch, offset, &entry.id, entry.content))
    }

    fn append(&mut self, name: &ChannelName, offset: Offset, entry: Entry) -> Option<Violation> {
        let life = self.channels.get_mut(name)?.lives.last_mut()?;
        let epoch = life.epoch;
        if offset != life.head.next() {
            return Some(Violation::new(8, format!("{name}: {offset} was written after {}", life.head)));
        }
        let before = life.entries.values().next_back().map_or(0, |entry| entry.time);
        if entry.time < before {
            let what =
                format!("{name} {offset}: its time {} is before that of the message before it, {before}", entry.time);
            return Some(Violation::new(3, what));
        }
        life.head = offset;
        life.entries.insert(offset, entry.clone());
        self.name(name, epoch, offset, &entry.id, entry.content)
    }

    /// Notes what somebody saw under a position.
    pub(crate) fn name(
        &mut self,
        channel: &ChannelName,
        epoch: Epoch,
        offset: Offset,
        id: &str,
        content: u64,
    ) -> Option<Violation> {
        if !self.named.contains_key(channel) {
            self.named.insert(channel.clone(), Vec::new());
        }
        let lives = self.named.get_mut(channel)?;
        let index = lives.iter().position(|(known, _)| *known == epoch).unwrap_or_else(|| {
            lives.push((epoch, Names::new()));
            lives.len() - 1
        });
        let fresh = || Name { id: id.to_owned(), content };
        let known = lives[index].1.entry(offset).or_insert_with(fresh);
        (known.id != id || known.content != content)
            .then(|| Violation::new(8, format!("{channel} {}:{offset} is {} and {id}", epoch.as_str(), known.id)))
    }

    fn life(&self, channel: &ChannelName, epoch: Epoch) -> Option<&Life> {
        self.channels.get(channel)?.lives.iter().rev().find(|life| life.epoch == epoch)
    }

    /// Returns what stands at a position.
    pub(crate) fn entry(&self, channel: &ChannelName, epoch: Epoch, offset: Offset) -> Option<&Entry> {
        self.life(channel, epoch)?.entries.get(&offset)
    }

    /// Returns the newest durable position of a channel that was ever written.
    pub(crate) fn head(&self, channel: &ChannelName) -> Option<Position> {
        let life = self.channels.get(channel)?.lives.last().filter(|life| !life.over)?;
        Some(Position { epoch: life.epoch, offset: life.head })
    }

    /// Returns the oldest offset that a life keeps.
    pub(crate) fn first(&self, channel: &ChannelName, epoch: Epoch) -> Option<Offset> {
        self.life(channel, epoch).map(|life| life.first)
    }

    /// Returns the first message between two offsets (both exclusive) that a reader must get: it has not expired.
    pub(crate) fn missing(&self, channel: &ChannelName, epoch: Epoch, after: Offset, before: Offset) -> Option<Offset> {
        let life = self.life(channel, epoch)?;
        if after.next() >= before {
            return None;
        }
        let mut between = life.entries.range(after.next()..before);
        between.find(|(_, entry)| entry.expires.is_none_or(|at| at > self.latest)).map(|(offset, _)| *offset)
    }

    /// Returns how many messages a reader at a position has still to get.
    pub(crate) fn missing_after(&self, channel: &ChannelName, position: Position) -> usize {
        let Some(life) = self.life(channel, position.epoch) else { return 0 };
        let after = life.entries.range(position.offset.next()..);
        after.filter(|(_, entry)| entry.expires.is_none_or(|at| at > self.latest)).count()
    }

    /// Returns the durable cursor of a device in a channel.
    pub(crate) fn cursor(&self, owner: &Owner, channel: &ChannelName) -> Option<Position> {
        self.cursors.get(&(owner.clone(), channel.clone())).copied()
    }

    /// Returns every message of the newest life of every channel of the apps.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&ChannelName, Epoch, Offset, &Entry)> {
        let told = self.channels.iter().filter(|(name, _)| name.as_str() != HOOKS);
        let newest = told.filter_map(|(name, channel)| Some((name, channel.lives.last()?)));
        let newest = newest.filter(|(_, life)| !life.over);
        newest
            .flat_map(|(name, life)| life.entries.iter().map(move |(offset, entry)| (name, life.epoch, *offset, entry)))
    }

    /// Tells whether a life is over: what it held may be gone.
    pub(crate) fn is_over(&self, channel: &ChannelName, epoch: Epoch) -> bool {
        self.head(channel).is_none_or(|head| head.epoch != epoch)
    }
}

/// Hashes a message's payload.
pub(crate) fn content(message: &Message) -> u64 {
    xxhash_rust::xxh3::xxh3_64(message.payload.bytes())
}
