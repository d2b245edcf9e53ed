use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// All chance of a run: drawn from a seed, or from bytes that a fuzzer chose.
#[derive(Debug)]
pub struct Dice(Source);

#[derive(Debug)]
enum Source {
    Seed(Box<ChaCha8Rng>),
    Bytes(std::vec::IntoIter<u8>),
}

impl Dice {
    /// Draws from a seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(Source::Seed(Box::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// Draws from `bytes`; when they are used up, every draw is 0.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Source::Bytes(bytes.into_iter()))
    }

    fn word(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(rng) => rng.next_u64(),
            // Two bytes a draw: enough for every choice made here, and a fuzzer's input lasts longer.
            Source::Bytes(bytes) => {
                let low = bytes.next().unwrap_or(0);
                u64::from_le_bytes([low, bytes.next().unwrap_or(0), 0, 0, 0, 0, 0, 0])
            }
        }
    }

    /// Returns a number of `low..=high`.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.word() % (high - low + 1)
    }

    /// Returns true in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.word() % 100 < percent
    }

    /// Returns an index below `len`, 0 for an empty range.
    pub fn index(&mut self, len: usize) -> usize {
        (self.word() % len.max(1) as u64) as usize
    }

    /// Returns a seed for a core.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for chunk in seed.chunks_mut(8) {
            chunk.copy_from_slice(&self.word().to_le_bytes());
        }
        seed
    }
}
