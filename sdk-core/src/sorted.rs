use std::cmp::Ordering;

/// A map of few hundred users, in the order of their names. A sorted list is a tenth of the code of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sorted<T>(Vec<T>);

/// What is kept under its own user's name.
pub(crate) trait Named {
    /// Returns the name.
    fn name(&self) -> &str;
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Named> Sorted<T> {
    /// Takes entries in any order; of several with one name the last stays.
    pub(crate) fn new(entries: Vec<T>) -> Self {
        let mut sorted = Self::default();
        for entry in entries {
            sorted.insert(entry);
        }
        sorted
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.0.get(self.find(name).ok()?)
    }

    pub(crate) fn insert(&mut self, entry: T) {
        match self.find(entry.name()) {
            Ok(index) => {
                if let Some(slot) = self.0.get_mut(index) {
                    *slot = entry;
                }
            }
            Err(index) => self.0.insert(index, entry),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Ok(index) = self.find(name) {
            self.0.remove(index);
        }
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.0.retain(keep);
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        search(&self.0, name, T::name)
    }
}

/// Finds a name in a list that is in the order of names, or where it would be.
pub(crate) fn search<T>(list: &[T], name: &str, of: impl Fn(&T) -> &str) -> Result<usize, usize> {
    search_by(list.len(), name, &|index| list.get(index).map_or("", &of))
}

/// The search for all types of lists: one each would be many times the code.
fn search_by<'a>(length: usize, name: &str, at: &dyn Fn(usize) -> &'a str) -> Result<usize, usize> {
    let (mut low, mut high) = (0, length);
    while low < high {
        let middle = low.midpoint(high);
        match at(middle).cmp(name) {
            Ordering::Less => low = middle + 1,
            Ordering::Equal => return Ok(middle),
            Ordering::Greater => high = middle,
        }
    }
    Err(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Named for (&'static str, u32) {
        fn name(&self) -> &str {
            self.0
        }
    }

    #[test]
    fn it_is_in_order_and_has_each_name_once() {
        let mut map = Sorted::new(vec![("b", 1), ("a", 2), ("c", 3), ("b", 4)]);
        assert_eq!(map.iter().copied().collect::<Vec<_>>(), [("a", 2), ("b", 4), ("c", 3)]);
        assert_eq!((map.get("b"), map.get("d"), map.len()), (Some(&("b", 4)), None, 3));
        map.remove("a");
        map.remove("x");
        map.retain(|(_, number)| *number != 3);
        assert_eq!(map.iter().copied().collect::<Vec<_>>(), [("b", 4)]);
    }
}
