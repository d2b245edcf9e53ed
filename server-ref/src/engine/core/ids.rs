use std::collections::VecDeque;

use hashbrown::HashTable;
use moorline_protocol::Offset;
use moorline_protocol::time::UnixMillis;

use crate::engine::record::IdEntry;

/// The ids of a channel's newest messages, those that the store has not taken over.
///
/// Every stored message has one, so the entries are consecutive offsets and no offset is kept: 24 bytes an entry, and
/// 5 to 10 for finding it. An id is known by 64 bits of a keyed hash. Among 100,000 ids that a new one meets one of
/// them by accident has a probability of 5·10⁻¹⁵ per publish; it would then be refused as reused, since the content's
/// hash differs. For a message to be taken for another, all 128 bits would have to agree.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    /// The offset of the first slot.
    first: Offset,
    slots: VecDeque<Slot>,
    /// The low bits of the offsets, by key.
    table: HashTable<u32>,
    /// Whether the slots are in the table: after a start only once they are asked for.
    is_indexed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u64,
    hash: u64,
    time: UnixMillis,
}

impl Ids {
    /// Returns the newest message with this key.
    pub(super) fn find(&mut self, key: u64) -> Option<IdEntry> {
        self.index();
        let (first, slots) = (self.first.0 as u32, &self.slots);
        let is_it = |low: &u32| slot(slots, first, *low).is_some_and(|slot| slot.key == key);
        let number = self.table.find(key, is_it)?.wrapping_sub(first);
        let Slot { key, hash, time } = *self.slots.get(number as usize)?;
        Some(IdEntry { key, hash, offset: Offset(self.first.0 + u64::from(number)), time })
    }

    /// Remembers the id of the channel's next message, and at most so many in all.
    pub(super) fn insert(&mut self, entry: IdEntry, most: usize) {
        if self.slots.is_empty() || self.first.0 + self.slots.len() as u64 != entry.offset.0 {
            *self = Self { first: entry.offset, is_indexed: self.is_indexed, ..Self::default() };
        }
        self.slots.push_back(Slot { key: entry.key, hash: entry.hash, time: entry.time });
        if self.is_indexed {
            self.note(entry.key, entry.offset.0 as u32);
        }
        while self.slots.len() > most {
            self.forget_oldest();
        }
    }

    /// Planted: keeps the newest so many.
    pub(super) fn keep(&mut self, most: usize) {
        while self.slots.len() > most {
            self.forget_oldest();
        }
    }

    /// Forgets those up to an offset.
    pub(super) fn forget_until(&mut self, last: Offset) {
        let known = self.slots.len();
        while !self.slots.is_empty() && self.first <= last {
            self.forget_oldest();
        }
        self.shrink(known);
    }

    /// Forgets what is older than `before`.
    pub(super) fn expire(&mut self, before: UnixMillis) {
        let known = self.slots.len();
        while self.slots.front().is_some_and(|slot| slot.time < before) {
            self.forget_oldest();
        }
        self.shrink(known);
    }

    /// Gives memory back if there are fewer than before.
    fn shrink(&mut self, known: usize) {
        if self.slots.len() < known && self.slots.len() * 4 < self.slots.capacity() {
            self.slots.shrink_to_fit();
            let (first, slots) = (self.first.0 as u32, &self.slots);
            self.table.shrink_to_fit(|low| slot(slots, first, *low).map_or(0, |slot| slot.key));
        }
    }

    /// Returns all of them, oldest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = IdEntry> {
        let numbered = (self.first.0..).zip(&self.slots);
        numbered.map(|(offset, slot)| IdEntry {
            key: slot.key,
            hash: slot.hash,
            offset: Offset(offset),
            time: slot.time,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    fn index(&mut self) {
        if std::mem::replace(&mut self.is_indexed, true) {
            return;
        }
        let (first, slots) = (self.first.0 as u32, &self.slots);
        self.table.reserve(slots.len(), |low| slot(slots, first, *low).map_or(0, |slot| slot.key));
        for number in 0..self.slots.len() as u32 {
            if let Some(key) = self.slots.get(number as usize).map(|slot| slot.key) {
                self.note(key, (self.first.0 as u32).wrapping_add(number));
            }
        }
    }

    /// Puts a slot into the table, in place of an older one with the same key.
    fn note(&mut self, key: u64, low: u32) {
        let (first, slots) = (self.first.0 as u32, &self.slots);
        let key_of = |low: &u32| slot(slots, first, *low).map_or(0, |slot| slot.key);
        match self.table.find_mut(key, |other| key_of(other) == key) {
            Some(older) => *older = low,
            None => drop(self.table.insert_unique(key, low, key_of)),
        }
    }

    fn forget_oldest(&mut self) {
        let low = self.first.0 as u32;
        if let Some(slot) = self.slots.pop_front() {
            self.first = self.first.next();
            // If the id came again, the table names the newer message.
            if let Ok(entry) = self.table.find_entry(slot.key, |other| *other == low) {
                entry.remove();
            }
        }
    }
}

fn slot(slots: &VecDeque<Slot>, first: u32, low: u32) -> Option<&Slot> {
    slots.get(low.wrapping_sub(first) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u64, offset: u64, time: u64) -> IdEntry {
        IdEntry { key, hash: key + 1, offset: Offset(offset), time }
    }

    #[test]
    fn finds_what_was_inserted_and_forgets_the_oldest() {
        let mut ids = Ids::default();
        for offset in 1..=10 {
            ids.insert(entry(offset * 7, offset, offset), 5);
        }
        assert_eq!(ids.find(35), None);
        assert_eq!(ids.find(42), Some(entry(42, 6, 6)));
        ids.expire(9);
        assert_eq!(ids.find(56), None);
        assert_eq!(ids.entries().collect::<Vec<_>>(), [entry(63, 9, 9), entry(70, 10, 10)]);
    }

    #[test]
    fn an_id_that_came_again_is_the_newer_one_until_that_is_old() {
        let mut ids = Ids::default();
        assert_eq!(ids.find(1), None);
        ids.insert(entry(1, 1, 10), 9);
        ids.insert(entry(2, 2, 20), 9);
        ids.insert(entry(1, 3, 30), 9);
        assert_eq!(ids.find(1), Some(entry(1, 3, 30)));
        ids.expire(15);
        assert_eq!(ids.find(1), Some(entry(1, 3, 30)));
        ids.expire(40);
        assert_eq!(ids.find(1), None);
        assert_eq!(ids.len(), 0);
    }

    #[test]
    fn offsets_beyond_32_bits_and_what_is_indexed_late_are_found() {
        let (base, mut ids) = ((1 << 32) - 3, Ids::default());
        for n in 0..100 {
            ids.insert(entry(n, base + n, n), 64);
        }
        for n in 36..100 {
            assert_eq!(ids.find(n), Some(entry(n, base + n, n)));
        }
        assert_eq!(ids.find(35), None);
        ids.insert(entry(100, base + 100, 100), 64);
        assert_eq!((ids.find(36), ids.find(100)), (None, Some(entry(100, base + 100, 100))));
    }

    #[test]
    fn what_the_store_has_taken_over_is_forgotten() {
        let mut ids = Ids::default();
        (1..=100).for_each(|n| ids.insert(entry(n, n, n), 1_000));
        assert_eq!(ids.find(60), Some(entry(60, 60, 60)));
        ids.forget_until(Offset(60));
        assert_eq!((ids.find(60), ids.find(61), ids.len()), (None, Some(entry(61, 61, 61)), 40));
        ids.forget_until(Offset(60));
        ids.forget_until(Offset(200));
        assert_eq!((ids.len(), ids.slots.capacity()), (0, 0));
        ids.insert(entry(7, 101, 9), 1_000);
        assert_eq!(ids.find(7), Some(entry(7, 101, 9)));
    }

    #[test]
    fn an_offset_that_does_not_follow_begins_anew() {
        let mut ids = Ids::default();
        ids.insert(entry(1, 1, 1), 9);
        ids.insert(entry(2, 5, 2), 9);
        assert_eq!((ids.find(1), ids.find(2)), (None, Some(entry(2, 5, 2))));
    }
}
