use moorline_core::protocol::{CloseCode, ErrorCode};
use moorline_core::{Failure, Origin};

/// Writes what the host reads: varints, texts and bytes behind their lengths.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    pub(crate) fn number(&mut self, mut value: u64) {
        while value > 127 {
            self.byte(value as u8 | 128);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    pub(crate) fn size(&mut self, size: usize) {
        self.number(size as u64);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.size(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes what may be absent: a zero, or a one and the value.
    pub(crate) fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Writes a number that may be absent as zero, or one more than it.
    pub(crate) fn above_zero(&mut self, value: Option<u64>) {
        self.number(value.map_or(0, |value| value.saturating_add(1)));
    }

    pub(crate) fn close_code(&mut self, code: Option<CloseCode>) {
        self.above_zero(code.map(|code| u64::from(code.0)));
    }

    pub(crate) fn code(&mut self, code: &ErrorCode) {
        let number = code.number();
        self.number(u64::from(number));
        if number == 0 {
            self.text(code.name());
        }
    }

    pub(crate) fn failure(&mut self, failure: &Failure) {
        self.code(&failure.code);
        self.text(&failure.message);
        self.byte(match failure.origin {
            Origin::Client => 0,
            Origin::Server => 1,
            Origin::Transport => 2,
        });
    }

    /// Writes how something ended: a zero and the value, or a one and the failure.
    pub(crate) fn result<T>(&mut self, result: &Result<T, Failure>, write: impl FnOnce(&mut Self, &T)) {
        self.flag(result.is_err());
        match result {
            Ok(value) => write(self, value),
            Err(failure) => self.failure(failure),
        }
    }
}
