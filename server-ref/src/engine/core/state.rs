//! Ids, producers and cursors as a store keeps them: their keys, what a value says, and when it is over.

use std::ops::Range;

use bytes::Bytes;
use moorline_protocol::binary::varint::{put, take};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, Offset, ProducerId, UserName};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::Xxh3;

use super::roster::covers;
use crate::engine::Owner;
use crate::engine::record::{ChannelId, IdEntry, Record};

/// Names an id, a producer or a cursor in a store. The ids of a channel stand next to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateKey(pub u128);

/// The kind stands in the highest byte.
const KIND: u32 = 120;
const ID: u8 = 1;
const PRODUCER: u8 = 2;
const CURSOR: u8 = 3;
const PUSH: u8 = 4;
const ROSTER: u8 = 5;

impl StateKey {
    /// Returns the key of an id.
    pub(super) fn of_id(channel: ChannelId, key: u64) -> Self {
        Self::new(ID, u128::from(channel.0) << 64 | u128::from(key))
    }

    /// Returns the key of a producer.
    pub(super) fn of_producer(id: ProducerId) -> Self {
        Self::new(PRODUCER, id.0)
    }

    /// Returns the key of a cursor.
    pub(super) fn of_cursor(owner: &Owner, channel: ChannelId, salt: u64) -> Self {
        let mut hash = Xxh3::with_seed(salt);
        for part in [owner.app.as_str(), owner.user.as_str(), owner.device.as_str()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(&channel.0.to_le_bytes());
        Self::new(CURSOR, hash.digest128())
    }

    /// Returns the key of the devices of a user.
    pub(super) fn of_push(app: &AppName, user: &UserName, salt: u64) -> Self {
        Self::of_user(PUSH, app, user, salt)
    }

    /// Returns the key of the list of a user's cursors.
    pub(super) fn of_roster(app: &AppName, user: &UserName, salt: u64) -> Self {
        Self::of_user(ROSTER, app, user, salt)
    }

    fn of_user(kind: u8, app: &AppName, user: &UserName, salt: u64) -> Self {
        let mut hash = Xxh3::with_seed(salt);
        for part in [app.as_str(), user.as_str()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self::new(kind, hash.digest128())
    }

    /// Returns the first key of a cursor, and the first after all of them.
    #[cfg(feature = "shell")]
    pub(in crate::engine) fn cursors() -> Range<Self> {
        Self::new(CURSOR, 0)..Self::new(PUSH, 0)
    }

    fn new(kind: u8, rest: u128) -> Self {
        Self(u128::from(kind) << KIND | rest & ((1 << KIND) - 1))
    }

    fn kind(self) -> u8 {
        (self.0 >> KIND) as u8
    }

    /// Returns the channel of an id.
    fn channel(self) -> ChannelId {
        ChannelId((self.0 >> 64) as u32)
    }
}

/// Appends the value of an id: the content's hash (8 bytes), offset and time.
pub(super) fn encode_id(entry: &IdEntry, out: &mut Vec<u8>) {
    out.extend_from_slice(&entry.hash.to_le_bytes());
    put(entry.offset.0, out);
    put(entry.time, out);
}

/// Reads the value of an id; `None` if it is not one.
pub(super) fn decode_id(key: u64, value: &Bytes) -> Option<IdEntry> {
    let hash = u64::from_le_bytes(value.get(..8)?.try_into().ok()?);
    let mut rest = value.slice(8..);
    Some(IdEntry { key, hash, offset: Offset(take(&mut rest).ok()?), time: take(&mut rest).ok()? })
}

/// Values by their keys. An empty value says that there is none any more.
#[derive(Debug, Default)]
pub struct Entries {
    bytes: Vec<u8>,
    places: Vec<(StateKey, Range<usize>)>,
}

impl Entries {
    /// Adds what is written into the buffer.
    pub(in crate::engine) fn push(&mut self, key: StateKey, write: impl FnOnce(&mut Vec<u8>)) {
        let from = self.bytes.len();
        write(&mut self.bytes);
        self.places.push((key, from..self.bytes.len()));
    }

    /// Brings them into the order of their keys; of several with one key the last counts.
    pub fn sort(&mut self) {
        self.places.sort_unstable_by_key(|(key, place)| (*key, std::cmp::Reverse(place.start)));
        self.places.dedup_by_key(|(key, _)| *key);
    }

    /// Returns them in order.
    pub fn iter(&self) -> impl Iterator<Item = (StateKey, &[u8])> {
        self.places.iter().map(|(key, place)| (*key, self.bytes.get(place.clone()).unwrap_or_default()))
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// What a checkpoint consists of.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Encoded records that rebuild everything but messages, ids, producers and cursors.
    pub records: Vec<u8>,
    /// The ids, producers and cursors that have changed since the last one that was written.
    pub state: Entries,
    /// What of those that were written before may be dropped.
    pub expiry: Expiry,
}

/// What may be forgotten, as of a moment; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    /// Ids that are older.
    pub(super) ids_before: UnixMillis,
    /// In channels that have more ids than are remembered: those before an offset.
    pub(super) floors: FxHashMap<ChannelId, Offset>,
    /// Producers that were not used since.
    pub(super) producers_before: UnixMillis,
    /// Cursors that were not used since.
    pub(super) cursors_before: UnixMillis,
}

impl Expiry {
    /// Tells whether nobody will ask for a value any more.
    pub fn is_over(&self, key: StateKey, value: &Bytes) -> bool {
        match key.kind() {
            ID => decode_id(0, value).is_some_and(|entry| {
                let floor = self.floors.get(&key.channel());
                entry.time < self.ids_before || floor.is_some_and(|floor| entry.offset < *floor)
            }),
            PRODUCER => used(value).is_some_and(|used| used < self.producers_before),
            PUSH => used(value).is_some_and(|used| used < self.cursors_before),
            CURSOR => used(value).is_some_and(|used| used < self.cursors_before),
            ROSTER => covers(value).is_some_and(|covers| covers < self.cursors_before),
            _ => false,
        }
    }
}

/// Returns when a producer, a cursor or the devices of a user were last used.
fn used(value: &Bytes) -> Option<UnixMillis> {
    match Record::decode(&mut value.clone()) {
        Ok(Record::Producer { used, .. } | Record::Cursor { used, .. }) => Some(used),
        Ok(Record::Push { devices, .. }) => Some(devices.iter().map(|device| device.used).max().unwrap_or(0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_it_was() {
        let entry = IdEntry { key: 7, hash: u64::MAX, offset: Offset(1 << 40), time: 1_800_000_000_000 };
        let mut value = Vec::new();
        encode_id(&entry, &mut value);
        assert_eq!(decode_id(7, &value.into()), Some(entry));
        assert_eq!(decode_id(7, &Bytes::from_static(b"short")), None);
    }

    #[test]
    fn an_id_is_over_by_age_or_by_number() {
        let key = StateKey::of_id(ChannelId(3), 9);
        let value = |offset, time| {
            let mut value = Vec::new();
            encode_id(&IdEntry { key: 9, hash: 1, offset: Offset(offset), time }, &mut value);
            Bytes::from(value)
        };
        let floors = FxHashMap::from_iter([(ChannelId(3), Offset(5))]);
        let expiry = Expiry { ids_before: 100, floors, ..Expiry::default() };
        assert!(expiry.is_over(key, &value(5, 99)) && expiry.is_over(key, &value(4, 100)));
        assert!(!expiry.is_over(key, &value(5, 100)));
        assert!(!expiry.is_over(StateKey::of_id(ChannelId(4), 9), &value(4, 100)));
        assert!(!Expiry::default().is_over(key, &value(1, 1)));
    }

    #[test]
    fn producers_and_cursors_are_over_when_they_were_not_used() {
        let owner = Owner {
            app: AppName::default_app(),
            user: UserName::new("alice").unwrap(),
            device: moorline_protocol::DeviceId::new("device-of-0alice").unwrap(),
        };
        let encoded = |record: Record| {
            let mut value = Vec::new();
            record.encode(&mut value);
            Bytes::from(value)
        };
        let (id, position) = (
            ProducerId(5),
            moorline_protocol::Position { epoch: moorline_protocol::Epoch::default(), offset: Offset(1) },
        );
        let producer = encoded(Record::Producer { id, owner: owner.clone(), generation: 1, used: 50 });
        let cursor = encoded(Record::Cursor { owner: owner.clone(), channel: ChannelId(1), position, used: 50 });
        let (of_producer, of_cursor) = (StateKey::of_producer(id), StateKey::of_cursor(&owner, ChannelId(1), 0));
        for (before, over) in [(50, false), (51, true)] {
            let expiry = Expiry { producers_before: before, ..Expiry::default() };
            assert_eq!((expiry.is_over(of_producer, &producer), expiry.is_over(of_cursor, &cursor)), (over, false));
            let expiry = Expiry { cursors_before: before, ..Expiry::default() };
            assert_eq!((expiry.is_over(of_producer, &producer), expiry.is_over(of_cursor, &cursor)), (false, over));
        }
    }

    #[test]
    fn kinds_never_meet() {
        let keys = [StateKey::of_id(ChannelId(u32::MAX), u64::MAX), StateKey::of_producer(ProducerId(u128::MAX))];
        assert_eq!(keys.map(StateKey::kind), [ID, PRODUCER]);
        assert_eq!(keys.map(StateKey::channel)[0], ChannelId(u32::MAX));
    }
}
