use moorline_core::protocol::{Bytes, ChannelName, Epoch, ErrorCode, Utf8Bytes};
use moorline_core::{Failure, Origin};

/// The batch is not what the other side of the seam writes: nothing more of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

pub(crate) type Result<T> = std::result::Result<T, Malformed>;

/// Reads what the host wrote: varints, texts and bytes behind their lengths.
///
/// Whether that was there is asked once, with [`whole`](Self::whole), before anything is done with it: what could not be
/// read is empty, or zero.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    is_broken: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest, is_broken: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Passes on what was made of the batch so far, if all of it could be read.
    pub(crate) fn whole<T>(&self, value: T) -> Result<T> {
        if self.is_broken { Err(Malformed) } else { Ok(value) }
    }

    /// Notes what cannot be read.
    fn broken<T: Default>(&mut self) -> T {
        self.is_broken = true;
        self.rest = &[];
        T::default()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return self.broken() };
        self.rest = rest;
        *first
    }

    pub(crate) fn is_set(&mut self) -> bool {
        self.byte() != 0
    }

    pub(crate) fn number(&mut self) -> u64 {
        let mut value = 0;
        for shift in 0..10 {
            let byte = self.byte();
            value |= u64::from(byte & 127) << (shift * 7);
            if byte < 128 {
                return value;
            }
        }
        self.broken()
    }

    pub(crate) fn size(&mut self) -> usize {
        usize::try_from(self.number()).unwrap_or(usize::MAX)
    }

    /// Reads a number; what is above 2^32−1 is that.
    pub(crate) fn clamped(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or(u32::MAX)
    }

    pub(crate) fn slice(&mut self) -> &'a [u8] {
        let length = self.size();
        let Some((taken, rest)) = self.rest.split_at_checked(length) else { return self.broken() };
        self.rest = rest;
        taken
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        Bytes::copy_from_slice(self.slice())
    }

    pub(crate) fn text(&mut self) -> &'a str {
        std::str::from_utf8(self.slice()).unwrap_or_else(|_| self.broken())
    }

    pub(crate) fn string(&mut self) -> String {
        self.text().to_owned()
    }

    pub(crate) fn utf8(&mut self) -> Utf8Bytes {
        Utf8Bytes::from(self.text())
    }

    pub(crate) fn channel(&mut self) -> Result<ChannelName> {
        ChannelName::new(self.text()).map_err(|_| Malformed)
    }

    pub(crate) fn epoch(&mut self) -> Epoch {
        Epoch::new(self.text()).unwrap_or_else(|_| self.broken())
    }

    pub(crate) fn failure(&mut self) -> Failure {
        let code = match u16::try_from(self.number()).unwrap_or(0) {
            0 => ErrorCode::Other(self.text().into()),
            number => ErrorCode::from_number(number).unwrap_or(ErrorCode::ServerInternal),
        };
        let message = self.string();
        let origin = match self.byte() {
            0 => Origin::Client,
            1 => Origin::Server,
            _ => Origin::Transport,
        };
        Failure::new(code, message, origin)
    }

    /// Reads what may be absent: a zero, or a one and the value.
    pub(crate) fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.is_set().then(|| read(self))
    }

    /// Reads a count and so many values.
    pub(crate) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut list = Vec::new();
        for _ in 0..self.number() {
            list.push(read(self));
            if self.is_broken {
                break;
            }
        }
        list
    }
}
