//! Finds deliveries in whatever a peer sends: every payload begins with a mark that occurs nowhere else.

use crate::template::{DIGITS, digits};

/// Starts a mark; the digits of the send time follow.
const SIGN: u8 = b'^';

/// Returns a payload of `size` bytes, or as many as a mark needs, that carries `sent`.
pub(crate) fn payload(sent: u64, size: usize) -> Vec<u8> {
    let mut payload = format!("{}{}", char::from(SIGN), digits(sent)).into_bytes();
    payload.extend((payload.len()..size).map(|at| b'a' + (at * 7 % 26) as u8));
    payload
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
        stream.extend(payload(17, 40));
        stream.push(b'^');
        stream.extend(payload(u64::MAX, 17));
        for cut in 0..stream.len() {
            let (left, right) = stream.split_at(cut);
            assert_eq!(all(&[left, right]), [17, u64::MAX], "cut at {cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(all(&single), [17, u64::MAX]);
    }
}
