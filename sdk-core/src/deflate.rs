//! Inflating and CRC-32C in little code, for builds where size is worth more than speed (`docs/adr/0013-small-core.md`):
//! RFC 1951 one bit at a time, and a check sum by half bytes.

use crate::inflate::Fault;

/// The longest code in bits.
const LONGEST: usize = 15;
/// The most symbols of one code: literals, the end of a block, and lengths.
const SYMBOLS: usize = 288;
/// In which order a block lists the lengths of the code that its codes are written in.
const ORDER: [u8; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Inflates all of `data` into `room` from `at` on, and returns where it ended. What is before `at` can be referred to.
pub(crate) fn inflate(data: &[u8], room: &mut [u8], at: usize) -> Result<usize, Fault> {
    let mut bits = Bits { data, held: 0, count: 0 };
    let mut out = Out { room, at };
    loop {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut out)?,
            1 => {
                let mut lengths = [8; SYMBOLS + 32];
                for (from, length) in [(144, 9), (256, 7), (280, 8), (SYMBOLS, 5)] {
                    lengths.iter_mut().skip(from).for_each(|of| *of = length);
                }
                packed(&lengths, SYMBOLS, &mut bits, &mut out)?;
            }
            2 => {
                let (lengths, literals) = code_lengths(&mut bits)?;
                packed(&lengths, literals, &mut bits, &mut out)?;
            }
            _ => return Err(Fault::Stream),
        }
        if is_last {
            return if bits.data.is_empty() { Ok(out.at) } else { Err(Fault::Stream) };
        }
    }
}

/// Reads bits, lowest first.
struct Bits<'a> {
    data: &'a [u8],
    held: u32,
    count: u32,
}

impl Bits<'_> {
    /// Takes so many, at most 16; fewer than 8 are held afterwards.
    fn take(&mut self, count: u32) -> Result<u32, Fault> {
        while self.count < count {
            let (first, rest) = self.data.split_first().ok_or(Fault::Stream)?;
            self.held |= u32::from(*first) << self.count;
            self.count += 8;
            self.data = rest;
        }
        let taken = self.held & ((1 << count) - 1);
        self.held >>= count;
        self.count -= count;
        Ok(taken)
    }
}

struct Out<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl Out<'_> {
    fn put(&mut self, byte: u8) -> Result<(), Fault> {
        *self.room.get_mut(self.at).ok_or(Fault::Room)? = byte;
        self.at += 1;
        Ok(())
    }

    /// Repeats so many bytes from so far back; they may overlap.
    fn repeat(&mut self, length: usize, back: usize) -> Result<(), Fault> {
        let from = self.at.checked_sub(back).ok_or(Fault::Stream)?;
        for index in from..from + length {
            let byte = *self.room.get(index).ok_or(Fault::Room)?;
            self.put(byte)?;
        }
        Ok(())
    }
}

/// A prefix code: how many symbols have each length, and the symbols in the order of their codes.
struct Code {
    counts: [u16; LONGEST + 1],
    symbols: [u16; SYMBOLS],
}

impl Code {
    fn new(lengths: &[u8]) -> Result<Self, Fault> {
        let mut code = Self { counts: [0; _], symbols: [0; _] };
        for length in lengths.iter().filter(|length| **length > 0) {
            *code.counts.get_mut(usize::from(*length)).ok_or(Fault::Stream)? += 1;
        }
        // Where the symbols of each length begin.
        let mut places = [0; LONGEST + 1];
        let (mut left, mut used) = (1, 0);
        for (place, count) in places.iter_mut().zip(code.counts).skip(1) {
            left = left * 2 - i32::from(count);
            if left < 0 {
                return Err(Fault::Stream);
            }
            *place = used;
            used += usize::from(count);
        }
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let place = places.get_mut(usize::from(*length)).ok_or(Fault::Stream)?;
            *code.symbols.get_mut(*place).ok_or(Fault::Stream)? = symbol as u16;
            *place += 1;
        }
        // A code that does not use all bits has one symbol at most.
        if left > 0 && used > 1 { Err(Fault::Stream) } else { Ok(code) }
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Result<usize, Fault> {
        let (mut code, mut first, mut before) = (0, 0, 0);
        for count in self.counts.iter().skip(1) {
            let count = usize::from(*count);
            code = code * 2 + bits.take(1)? as usize;
            first *= 2;
            if code < first + count {
                return self.symbols.get(before + code - first).map(|symbol| usize::from(*symbol)).ok_or(Fault::Stream);
            }
            before += count;
            first += count;
        }
        Err(Fault::Stream)
    }
}

/// A block as it is.
fn stored(bits: &mut Bits<'_>, out: &mut Out<'_>) -> Result<(), Fault> {
    (bits.held, bits.count) = (0, 0);
    let length = bits.take(16)?;
    if bits.take(16)? != length ^ 0xffff {
        return Err(Fault::Stream);
    }
    for _ in 0..length {
        let byte = bits.take(8)?;
        out.put(byte as u8)?;
    }
    Ok(())
}

/// Reads the lengths of both codes of a block; tells how many are the first's.
fn code_lengths(bits: &mut Bits<'_>) -> Result<([u8; 320], usize), Fault> {
    let (literals, distances) = (bits.take(5)? as usize + 257, bits.take(5)? as usize + 1);
    let listed = bits.take(4)? as usize + 4;
    if literals > 286 || distances > 30 {
        return Err(Fault::Stream);
    }
    let mut lengths = [0; 19];
    for index in ORDER.iter().take(listed) {
        *lengths.get_mut(usize::from(*index)).ok_or(Fault::Stream)? = bits.take(3)? as u8;
    }
    let code = Code::new(&lengths)?;
    let mut lengths = [0; 320];
    let mut at = 0;
    let mut last = None;
    while at < literals + distances {
        let (length, times) = match code.symbol(bits)? {
            16 => (last.ok_or(Fault::Stream)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u8, 1),
        };
        last = Some(length);
        for _ in 0..times {
            *lengths.get_mut(at).ok_or(Fault::Stream)? = length;
            at += 1;
        }
    }
    // What is repeated may not go beyond the last.
    if at > literals + distances { Err(Fault::Stream) } else { Ok((lengths, literals)) }
}

/// A block of literals and of repeats, in two codes: the lengths of the second follow on so many of the first.
fn packed(lengths: &[u8], literals: usize, bits: &mut Bits<'_>, out: &mut Out<'_>) -> Result<(), Fault> {
    let (first, second) = lengths.split_at_checked(literals).ok_or(Fault::Stream)?;
    let (literals, distances) = (Code::new(first)?, Code::new(second)?);
    loop {
        let symbol = literals.symbol(bits)?;
        match symbol {
            0..256 => out.put(symbol as u8)?,
            256 => return Ok(()),
            257..286 => {
                let step = symbol - 257;
                let length = match step {
                    28 => 258,
                    _ => 3 + stepped(step, 4, bits)?,
                };
                let step = distances.symbol(bits)?;
                if step >= 30 {
                    return Err(Fault::Stream);
                }
                let back = 1 + stepped(step, 2, bits)?;
                out.repeat(length, back)?;
            }
            _ => return Err(Fault::Stream),
        }
    }
}

/// Reads a number of which `step` says how large about it is: with each `per` steps it has another bit.
fn stepped(step: usize, per: usize, bits: &mut Bits<'_>) -> Result<usize, Fault> {
    let Some(extra) = (step / per).checked_sub(1) else { return Ok(step) };
    Ok(((per + step % per) << extra) + bits.take(extra as u32)? as usize)
}

/// What half a byte does to the check sum.
const HALVES: [u32; 16] = {
    let mut halves = [0; 16];
    let mut half = 0;
    while half < 16 {
        let mut sum = half;
        let mut bit = 0;
        while bit < 4 {
            sum = (sum >> 1) ^ (0x82f6_3b78 * (sum & 1));
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "at compile time")]
        {
            halves[half as usize] = sum;
        }
        half += 1;
    }
    halves
};

/// Returns the CRC-32C of some bytes.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let half = |sum: u32| (sum >> 4) ^ HALVES.get((sum & 15) as usize).copied().unwrap_or_default();
    !bytes.iter().fold(!0, |sum, byte| half(half(sum ^ u32::from(*byte))))
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output};
    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
    use proptest::prelude::*;

    use super::*;

    /// What the library makes of it.
    fn library(data: &[u8], room: &mut [u8], at: usize) -> Option<usize> {
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, taken, made) = decompress(&mut DecompressorOxide::new(), data, room, at, flags);
        (status == TINFLStatus::Done && taken == data.len()).then_some(at + made)
    }

    fn deflated(bytes: &[u8], flags: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let status = compress_to_output(&mut CompressorOxide::new(flags), bytes, TDEFLFlush::Finish, |part| {
            out.extend_from_slice(part);
            true
        });
        assert_eq!(status.0, TDEFLStatus::Done);
        out
    }

    /// Both agree on what it is, or that it is nothing.
    fn agree(data: &[u8], dictionary: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut rooms = [0, 1].map(|_| [dictionary, &vec![0; length][..]].concat());
        let [ours, theirs] = &mut rooms;
        let ended = [inflate(data, ours, dictionary.len()).ok(), library(data, theirs, dictionary.len())];
        assert_eq!(ended[0], ended[1]);
        ended[0].map(|end| {
            assert_eq!(ours[..end], theirs[..end]);
            ours[dictionary.len()..end].to_vec()
        })
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let word =
            proptest::sample::select(vec![&b"moorline "[..], b"a", b"\0\xff", b"the same again, ", b"0123456789"]);
        let noise = proptest::collection::vec(any::<u8>(), 0..40);
        proptest::collection::vec(prop_oneof![word.prop_map(<[u8]>::to_vec), noise], 0..200)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn it_inflates_what_the_library_deflates(bytes in text(), probes in 0..300_u32, forced in 0..3_usize) {
            let forced = [0, 0x40000, 0x80000][forced];
            let data = deflated(&bytes, probes | forced);
            prop_assert_eq!(agree(&data, b"before", bytes.len()), Some(bytes.clone()));
            prop_assert_eq!(agree(&data, b"", bytes.len() + 9), Some(bytes.clone()));
            if !bytes.is_empty() {
                prop_assert_eq!(inflate(&data, &mut vec![0; bytes.len() - 1], 0), Err(Fault::Room));
            }
        }

        #[test]
        fn of_what_is_broken_it_says_what_the_library_says(
            bytes in text(),
            probes in 0..300_u32,
            breaks in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut data = deflated(&bytes, probes);
            let kept = cut.index(data.len() + 1);
            agree(&data[..kept], b"before", bytes.len());
            for (at, by) in breaks {
                let at = at.index(data.len());
                data[at] ^= by;
            }
            agree(&data, b"before", bytes.len() + 300);
        }

        #[test]
        fn of_noise_it_says_what_the_library_says(data in proptest::collection::vec(any::<u8>(), 0..60)) {
            agree(&data, b"before", 1_000);
        }

        #[test]
        fn the_check_sum_is_that_of_the_library(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(crc32c(&bytes), ::crc32c::crc32c(&bytes));
        }
    }
}
