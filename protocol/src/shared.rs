//! Shared bytes in little code, for builds where size is worth more than speed (`docs/adr/0013-small-core.md`).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A part of bytes that are held together with others, without a copy: of `bytes::Bytes`, what a client needs.
#[derive(Default)]
pub struct Bytes {
    whole: Option<Arc<Vec<u8>>>,
    from: usize,
    to: usize,
}

impl Bytes {
    /// Returns no bytes.
    pub const fn new() -> Self {
        Self { whole: None, from: 0, to: 0 }
    }

    /// Copies `bytes`.
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }

    /// Returns how many they are.
    pub fn len(&self) -> usize {
        self.to - self.from
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Leaves none.
    pub fn clear(&mut self) {
        self.to = self.from;
    }

    /// Leaves the first `count` out; there are so many.
    pub fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "there are not so many");
        self.from += count.min(self.len());
    }

    /// Takes the first `count`; there are so many. No bytes hold nothing.
    #[must_use]
    #[inline(never)]
    pub fn split_to(&mut self, count: usize) -> Self {
        if count == 0 {
            return Self::new();
        }
        let mut first = self.clone();
        self.advance(count);
        first.to = self.from;
        first
    }
}

// None of these is to be in each of its callers.
impl Clone for Bytes {
    #[inline(never)]
    fn clone(&self) -> Self {
        Self { whole: self.whole.clone(), from: self.from, to: self.to }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline(never)]
    fn deref(&self) -> &[u8] {
        self.whole.as_ref().and_then(|whole| whole.get(self.from..self.to)).unwrap_or_default()
    }
}

impl From<Vec<u8>> for Bytes {
    #[inline(never)]
    fn from(bytes: Vec<u8>) -> Self {
        let to = bytes.len();
        Self { whole: Some(Arc::new(bytes)), from: 0, to }
    }
}

impl From<&'static str> for Bytes {
    fn from(text: &'static str) -> Self {
        Self::copy_from_slice(text.as_bytes())
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        bytes.to_vec()
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use ::bytes::Buf;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_what_those_of_the_library_are(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            steps in proptest::collection::vec((0..4_u8, any::<prop::sample::Index>()), 0..12),
        ) {
            let (mut ours, mut theirs) = (Bytes::from(bytes.clone()), ::bytes::Bytes::from(bytes));
            let mut taken = Vec::new();
            for (step, count) in steps {
                let count = count.index(theirs.len() + 1);
                match step {
                    0 => taken.push((ours.split_to(count), theirs.split_to(count))),
                    1 => {
                        ours.advance(count);
                        theirs.advance(count);
                    }
                    2 => taken.push((ours.clone(), theirs.clone())),
                    _ => {
                        taken.push((std::mem::take(&mut ours), std::mem::take(&mut theirs)));
                        ours = Bytes::copy_from_slice(&taken[0].0);
                        theirs = ::bytes::Bytes::copy_from_slice(&taken[0].1);
                    }
                }
                prop_assert_eq!((ours.len(), ours.is_empty()), (theirs.len(), theirs.is_empty()));
                prop_assert_eq!(&*ours, &*theirs);
            }
            for ((ours, theirs), (others, _)) in taken.iter().zip(taken.iter().rev()) {
                prop_assert_eq!(&**ours, &**theirs);
                prop_assert_eq!(ours.cmp(others), (**ours).cmp(&**others));
                prop_assert_eq!(ours == others, **ours == **others);
            }
            ours.clear();
            prop_assert!(ours.is_empty() && Vec::from(ours).is_empty());
        }
    }

    #[test]
    fn no_bytes_hold_nothing() {
        let mut bytes = Bytes::from("abc");
        let none = bytes.split_to(0);
        assert!(none.is_empty() && none.whole.is_none());
        assert_eq!(*bytes, *b"abc");
    }
}
