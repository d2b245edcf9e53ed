//! Session ids: each is given once, and none says how many were given, which is other apps' business.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::engine::{SessionId, ShardId};

/// Makes the ids of one node's sessions: below the 16 bits of the shard a count, permuted under a key.
///
/// Ids of anonymous connections scope their messages' ids, which outlive a start; so each start has a key of its own.
pub(super) struct SessionIds {
    shard: ShardId,
    given: u64,
    /// The key, as a function of a stream and a place in it.
    keyed: ChaCha8Rng,
}

/// Bits of the count, in two halves.
const BITS: u32 = 48;
const HALF_BITS: u32 = BITS / 2;
const HALF: u64 = (1 << HALF_BITS) - 1;
/// Rounds of the permutation, a Feistel network. Each has a stream; 0 is the node's own.
const ROUNDS: u64 = 8;
/// Words of a block of the stream.
const BLOCK_WORDS: u128 = 16;

impl SessionIds {
    /// `seed` is the key.
    pub(super) fn new(shard: ShardId, seed: [u8; 32]) -> Self {
        Self { shard, given: 0, keyed: ChaCha8Rng::from_seed(seed) }
    }

    /// Returns the next id.
    pub(super) fn make(&mut self) -> SessionId {
        let (mut left, mut right) = (self.given >> HALF_BITS & HALF, self.given & HALF);
        self.given += 1;
        for round in 1..=ROUNDS {
            (left, right) = (right, left ^ self.half(round, right));
        }
        SessionId(u64::from(self.shard.0) << BITS | left << HALF_BITS | right)
    }

    fn half(&mut self, round: u64, of: u64) -> u64 {
        self.keyed.set_stream(round);
        self.keyed.set_word_pos(u128::from(of) * BLOCK_WORDS);
        self.keyed.next_u64() & HALF
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn first(shard: u16, seed: u8, count: usize) -> Vec<u64> {
        let mut ids = SessionIds::new(ShardId(shard), [seed; 32]);
        std::iter::repeat_with(|| ids.make().0).take(count).collect()
    }

    #[test]
    fn ids_are_given_once_and_do_not_count() {
        let ids = first(3, 7, 2_000);
        assert!(ids.iter().all(|id| id >> BITS == 3));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        assert!(ids.windows(2).all(|two| two[0].abs_diff(two[1]) > 1_000));
        let grows = ids.windows(2).filter(|two| two[0] < two[1]).count();
        assert!((800..1_200).contains(&grows), "{grows}");
    }

    #[test]
    fn a_seed_has_its_own_and_always_the_same() {
        let ids = first(0, 7, 100);
        assert_eq!(ids, first(0, 7, 100));
        assert!(first(0, 8, 100).iter().all(|id| !ids.contains(id)));
    }
}
