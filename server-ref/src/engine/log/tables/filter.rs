//! A Bloom filter in lines of 64 bytes: a key has all its bits in one line, which is one line of the processor's cache.
//! At 10 bits a key about one key in a hundred seems to be there and is not.

use xxhash_rust::xxh3::xxh3_64;

use crate::engine::core::StateKey;

const LINE: usize = 64;
const BITS_PER_KEY: usize = 10;
/// Bits that a key sets.
const PROBES: u32 = 6;

/// Returns the hash by which a filter knows a key.
pub(super) fn hash(key: StateKey) -> u64 {
    xxh3_64(&key.0.to_le_bytes())
}

/// Makes a filter of keys, given their hashes.
pub(super) fn build(hashes: &[u64]) -> Vec<u8> {
    let lines = (hashes.len() * BITS_PER_KEY).div_ceil(LINE * 8).max(1);
    let mut filter = vec![0; lines * LINE];
    for hash in hashes {
        let from = line(*hash, lines) * LINE;
        for (byte, bit) in bits(*hash) {
            filter.get_mut(from + byte).into_iter().for_each(|byte| *byte |= bit);
        }
    }
    filter
}

/// Tells whether a key may be in a filter.
pub(super) fn admits(filter: &[u8], hash: u64) -> bool {
    let from = line(hash, (filter.len() / LINE).max(1)) * LINE;
    bits(hash).all(|(byte, bit)| filter.get(from + byte).is_none_or(|byte| byte & bit != 0))
}

/// Spreads the high bits of a hash over lines.
fn line(hash: u64, lines: usize) -> usize {
    ((u128::from(hash) * lines as u128) >> 64) as usize
}

/// Returns the bytes within a line and the bits in them that the low bits of a hash name.
fn bits(hash: u64) -> impl Iterator<Item = (usize, u8)> {
    // What chose the line must not choose the bits, too.
    let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..PROBES).map(move |probe| {
        let bit = (mixed >> (probe * 9)) as usize & (LINE * 8 - 1);
        (bit / 8, 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_admitted_and_few_others() {
        for count in [1, 10, 3_200_u128] {
            let hashes: Vec<u64> = (0..count).map(|n| hash(StateKey(n))).collect();
            let filter = build(&hashes);
            assert!(hashes.iter().all(|hash| admits(&filter, *hash)));
            let others = (1 << 64..(1 << 64) + 10_000_u128).filter(|n| admits(&filter, hash(StateKey(*n)))).count();
            assert!(others < 250, "{others} of 10000 strangers among {count}");
            assert!(filter.len() * 8 <= (count as usize * BITS_PER_KEY).next_multiple_of(LINE * 8));
        }
    }
}
