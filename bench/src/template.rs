//! A message that is sent over and over: encoded once, only its numbers change. A load generator must cost little.

/// Stands for a publish's number while a template is made.
pub(crate) const NUMBER: u64 = 0xaaaa_aaaa_aaaa_aaaa;
/// Stands for the time it is sent at while a template is made.
pub(crate) const SENT: u64 = 0x5555_5555_5555_5555;
/// Hexadecimal digits of a number.
pub(crate) const DIGITS: usize = 16;

/// Returns a number as it stands in a message.
pub(crate) fn digits(number: u64) -> String {
    format!("{number:016x}")
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    number: Option<usize>,
    sent: Option<usize>,
}

impl Template {
    /// Takes a message in which [`digits`] of [`NUMBER`] and of [`SENT`] stand where the numbers belong.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let find = |number| memchr::memmem::find(&bytes, digits(number).as_bytes());
        let (number, sent) = (find(NUMBER), find(SENT));
        Self { bytes, number, sent }
    }

    /// Returns the message with these numbers.
    pub(crate) fn with(&mut self, number: u64, sent: u64) -> &[u8] {
        for (at, value) in [(self.number, number), (self.sent, sent)] {
            let place = at.and_then(|at| self.bytes.get_mut(at..at + DIGITS)).unwrap_or_default();
            for (digit, shift) in place.iter_mut().zip((0..u64::BITS).step_by(4).rev()) {
                let nibble = (value >> shift) as u8 & 0xf;
                *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            }
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_numbers_change() {
        let mut template = Template::new(format!("<{}|{}>", digits(SENT), digits(NUMBER)).into_bytes());
        for (number, sent) in [(0, u64::MAX), (17, 0x0123_4567_89ab_cdef)] {
            let expected = format!("<{}|{}>", digits(sent), digits(number));
            assert_eq!(template.with(number, sent), expected.as_bytes());
        }
    }
}
