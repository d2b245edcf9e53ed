use arbitrary::Unstructured;
use bytes::Bytes;

/// Numbers at which something may change.
const EDGES: &[u64] = &[0, 1, 2, 127, 128, 255, 256, 65_535, 65_536, u32::MAX as u64, (1 << 53) - 1, 1 << 53, u64::MAX];
/// Sizes of payloads that no fuzzer would spell out.
const SIZES: &[usize] = &[1_000, 20_000, 65_536, 65_537, 100_000];

/// Choices drawn from a fuzzer's bytes, from the front; when they are used up, the first of everything.
pub(crate) struct Choices<'a>(Unstructured<'a>);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Tells whether all bytes are used up.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Returns a number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// Returns true in about `percent` of 100 cases, and never when all bytes are used up.
    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        !self.is_over() && self.byte() % 100 < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// Returns a number that is small most of the time, and sometimes at an edge.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=199 => u64::from(small % 40),
            200..=239 => self.pick(EDGES),
            240.. => self.0.arbitrary().unwrap_or(0),
        }
    }

    /// As [`number`](Self::number), at most 2^53−1.
    pub(crate) fn safe(&mut self) -> u64 {
        self.number().min(moorline_protocol::limits::MAX_SAFE_INTEGER)
    }

    pub(crate) fn int(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or(u32::MAX)
    }

    /// Returns as many of the next bytes as the first of them says.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        self.0.bytes(len).unwrap_or_default()
    }

    /// Returns the bytes of a payload: spelled out, or one byte many times.
    pub(crate) fn payload(&mut self) -> Bytes {
        if self.chance(20) { vec![b'x'; self.pick(SIZES)].into() } else { Bytes::copy_from_slice(self.bytes()) }
    }

    /// Returns something, or nothing.
    pub(crate) fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.chance(50) { Some(make(self)) } else { None }
    }

    /// Returns up to `most` things.
    pub(crate) fn list<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }
}
