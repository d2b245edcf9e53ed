use std::collections::VecDeque;

use hashbrown::HashTable;
use moorline_protocol::time::UnixMillis;

use crate::engine::record::IdEntry;

/// The ids of a channel that are remembered. A busy channel asks for one and adds one with every message, so what is
/// looked up is small: a table of numbers, each of which names an entry of a ring.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    /// Oldest first, numbered as they came.
    ring: VecDeque<IdEntry>,
    /// The number of the oldest; numbers wrap.
    first: u32,
    numbers: HashTable<u32>,
}

impl Ids {
    pub(super) fn find(&self, key: u128) -> Option<&IdEntry> {
        let (ring, first) = (&self.ring, self.first);
        let number = self.numbers.find(hash(key), |number| is_at(ring, first, *number, key))?;
        ring.get(place(first, *number))
    }

    /// Remembers an id, in place of what was known under its key; forgets the oldest beyond `max`.
    pub(super) fn insert(&mut self, entry: IdEntry, max: usize) {
        let (ring, first) = (&self.ring, self.first);
        let number = first.wrapping_add(ring.len() as u32);
        let key_of = |number: &u32| ring.get(place(first, *number)).map_or(0, |entry| entry.key);
        let same = |number: &u32| is_at(ring, first, *number, entry.key);
        let known = self.numbers.entry(hash(entry.key), same, |number| hash(key_of(number)));
        *known.or_insert(number).get_mut() = number;
        self.ring.push_back(entry);
        while self.ring.len() > max {
            self.forget_oldest();
        }
    }

    /// Forgets what is older than `before`.
    pub(super) fn expire(&mut self, before: UnixMillis) {
        while self.ring.front().is_some_and(|oldest| oldest.time < before) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.ring.pop_front() else { return };
        let gone = self.first;
        self.first = gone.wrapping_add(1);
        // A newer entry may have taken its place in the table.
        if let Ok(number) = self.numbers.find_entry(hash(oldest.key), |number| *number == gone) {
            number.remove();
        }
    }

    /// Returns all, oldest first; an id that came again stands here again.
    pub(super) fn entries(&self) -> impl Iterator<Item = &IdEntry> {
        self.ring.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }
}

/// Keys are hashes already.
fn hash(key: u128) -> u64 {
    key as u64
}

fn place(first: u32, number: u32) -> usize {
    number.wrapping_sub(first) as usize
}

fn is_at(ring: &VecDeque<IdEntry>, first: u32, number: u32, key: u128) -> bool {
    ring.get(place(first, number)).is_some_and(|entry| entry.key == key)
}

#[cfg(test)]
mod tests {
    use moorline_protocol::Offset;

    use super::*;

    fn entry(key: u128, n: u64) -> IdEntry {
        IdEntry { key, hash: n, offset: Offset(n), time: n }
    }

    fn known(ids: &Ids, keys: impl IntoIterator<Item = u128>) -> Vec<u64> {
        keys.into_iter().filter_map(|key| ids.find(key)).map(|entry| entry.offset.0).collect()
    }

    #[test]
    fn the_newest_are_known_and_no_others() {
        let mut ids = Ids { first: u32::MAX - 7, ..Ids::default() };
        (1..=20).for_each(|n| ids.insert(entry(u128::from(n) << 3, n), 10));
        assert_eq!(known(&ids, (0..200).map(|n| n << 3)), (11..=20).collect::<Vec<_>>());
        ids.expire(16);
        assert_eq!(known(&ids, (0..200).map(|n| n << 3)), (16..=20).collect::<Vec<_>>());
        assert_eq!((ids.entries().count(), ids.numbers.len()), (5, 5));
    }

    #[test]
    fn an_id_that_came_again_is_known_by_its_newest_entry() {
        let mut ids = Ids::default();
        [(7, 1), (8, 2), (7, 3)].into_iter().for_each(|(key, n)| ids.insert(entry(key, n), 10));
        assert_eq!(known(&ids, [7, 8]), [3, 2]);
        ids.expire(3);
        assert_eq!(known(&ids, [7, 8]), [3]);
        ids.expire(4);
        assert!(ids.is_empty() && ids.numbers.is_empty());
    }

    #[test]
    fn keys_with_the_same_hash_are_told_apart() {
        let mut ids = Ids::default();
        let keys = [5, 5 | 1 << 64, 5 | 2 << 64];
        keys.into_iter().zip(1..).for_each(|(key, n)| ids.insert(entry(key, n), 2));
        assert_eq!(known(&ids, keys), [2, 3]);
    }
}
