//! Finds deliveries in whatever a peer sends: every payload begins with a mark that occurs nowhere else.

/// Starts a mark.
const SIGN: u8 = b'^';
/// Hexadecimal digits of a mark: the send time.
const DIGITS: usize = 16;

/// A payload that carries when it was sent.
#[derive(Debug)]
pub(crate) struct Stamp {
    payload: Vec<u8>,
}

impl Stamp {
    /// Makes one of `size` bytes, or of as many as a mark needs.
    pub(crate) fn new(size: usize) -> Self {
        let mut payload = vec![SIGN];
        payload.resize(1 + DIGITS, b'0');
        payload.extend((payload.len()..size).map(|at| b'a' + (at * 7 % 26) as u8));
        Self { payload }
    }

    /// Returns the payload with this send time.
    pub(crate) fn at(&mut self, sent: u64) -> &[u8] {
        let digits = self.payload.iter_mut().skip(1).take(DIGITS);
        for (digit, shift) in digits.zip((0..u64::BITS).step_by(4).rev()) {
            let value = (sent >> shift) as u8 & 0xf;
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        }
        &self.payload
    }
}

/// The end of what was read from one connection, if a mark may begin in it.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    rest: Vec<u8>,
}

impl Scanner {
    /// Calls `found` with the send time of every mark in `fresh`, marks cut in two by a read included.
    pub(crate) fn scan(&mut self, fresh: &[u8], mut found: impl FnMut(u64)) {
        if self.rest.is_empty() {
            let rest = scan(fresh, &mut found);
            self.rest.extend_from_slice(rest);
        } else {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(fresh);
            let rest = scan(&joined, &mut found).len();
            joined.drain(..joined.len() - rest);
            self.rest = joined;
        }
    }
}

fn scan<'a>(bytes: &'a [u8], found: &mut impl FnMut(u64)) -> &'a [u8] {
    for at in memchr::memchr_iter(SIGN, bytes) {
        match bytes.get(at + 1..at + 1 + DIGITS) {
            None => return bytes.get(at..).unwrap_or_default(),
            // Frames hold the sign by chance; sixteen digits behind it they do not.
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {
                let digits = std::str::from_utf8(digits).unwrap_or_default();
                found(u64::from_str_radix(digits, 16).unwrap_or(0));
            }
            Some(_) => {}
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chunks: &[&[u8]]) -> Vec<u64> {
        let (mut scanner, mut times) = (Scanner::default(), Vec::new());
        for chunk in chunks {
            scanner.scan(chunk, |time| times.push(time));
        }
        times
    }

    #[test]
    fn marks_are_found_wherever_a_read_cuts_them() {
        let mut stream = vec![0x82, 0x7e, b'^', 1, 2];
        stream.extend(Stamp::new(40).at(17));
        stream.push(b'^');
        stream.extend(Stamp::new(17).at(u64::MAX));
        for cut in 0..stream.len() {
            let (left, right) = stream.split_at(cut);
            assert_eq!(all(&[left, right]), [17, u64::MAX], "cut at {cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(all(&single), [17, u64::MAX]);
    }
}
