#[cfg(feature = "chacha")]
use rand_chacha::ChaCha8Rng as Rng;
use rand_core::{RngCore, SeedableRng};
#[cfg(not(feature = "chacha"))]
use rand_xoshiro::Xoshiro256PlusPlus as Rng;

/// The client's only source of chance, fed by the host's seed.
pub(crate) struct Dice(Rng);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Dice {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(Rng::from_seed(seed))
    }

    /// Returns a number of `0..=max`.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(range) => self.0.next_u64() % range,
            None => self.0.next_u64(),
        }
    }

    /// Returns 22 characters of `[A-Za-z0-9_-]`: 132 random bits.
    pub(crate) fn name(&mut self) -> String {
        let mut text = String::with_capacity(22);
        for _ in 0..3 {
            let mut bits = self.0.next_u64();
            for _ in 0..8 {
                let Some(character) = ALPHABET.get((bits & 63) as usize) else { continue };
                text.push(char::from(*character));
                bits >>= 6;
            }
        }
        text.truncate(22);
        text
    }
}
