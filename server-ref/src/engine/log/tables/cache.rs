//! Blocks and filters of tables that were read lately, up to a number of bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use rustc_hash::FxHashMap;

/// Bytes that an entry takes beside its content, about.
const OVERHEAD: usize = 96;

/// A table's number, and where a block or filter of it begins.
pub(super) type Place = (u64, u64);

/// See the module's documentation. Who was asked for since it was last passed over stays once more.
pub(super) struct Cache {
    entries: FxHashMap<Place, (Bytes, bool)>,
    /// In the order in which they go.
    order: VecDeque<Place>,
    bytes: usize,
    capacity: usize,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: FxHashMap::default(), order: VecDeque::new(), bytes: 0, capacity }
    }

    pub(super) fn get(&mut self, place: Place) -> Option<Bytes> {
        let (content, asked) = self.entries.get_mut(&place)?;
        *asked = true;
        Some(content.clone())
    }

    /// Keeps what was not there.
    pub(super) fn put(&mut self, place: Place, content: Bytes) {
        self.bytes += content.len() + OVERHEAD;
        if let Some((old, _)) = self.entries.insert(place, (content, false)) {
            self.bytes -= old.len() + OVERHEAD;
        } else {
            self.order.push_back(place);
        }
        self.shrink();
    }

    /// Changes how many bytes there may be.
    pub(super) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.shrink();
    }

    /// Returns how many bytes there are.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn shrink(&mut self) {
        while self.bytes > self.capacity
            && let Some(place) = self.order.pop_front()
        {
            if self.entries.get_mut(&place).is_some_and(|(_, asked)| std::mem::take(asked)) {
                self.order.push_back(place);
            } else if let Some((content, _)) = self.entries.remove(&place) {
                self.bytes -= content.len() + OVERHEAD;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_and_spares_what_is_asked_for() {
        let block = Bytes::from(vec![0; 1_000]);
        let mut cache = Cache::new(10 * (1_000 + OVERHEAD));
        for n in 0..1_000 {
            cache.put((1, n), block.clone());
            assert!(cache.get((1, 0)).is_some(), "after {n}");
            assert!(cache.bytes() <= cache.capacity);
        }
        assert_eq!((cache.entries.len(), cache.order.len()), (10, 10));
        assert!(cache.get((1, 999)).is_some() && cache.get((1, 500)).is_none());
        cache.resize(0);
        assert_eq!((cache.bytes(), cache.entries.len()), (0, 0));
        cache.put((2, 0), block);
        assert_eq!(cache.bytes(), 0);
    }
}
