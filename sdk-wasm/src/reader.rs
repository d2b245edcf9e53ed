use bytes::Bytes;
use moorline_core::protocol::{ChannelName, Epoch, ErrorCode, Utf8Bytes};
use moorline_core::{Failure, Origin};

/// The batch is not what the other side of the seam writes: nothing more of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

pub(crate) type Result<T> = std::result::Result<T, Malformed>;

/// Reads what the host wrote: varints, texts and bytes behind their lengths.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn is_set(&mut self) -> Result<bool> {
        Ok(self.byte()? != 0)
    }

    pub(crate) fn number(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in 0..10 {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << (shift * 7);
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    pub(crate) fn size(&mut self) -> Result<usize> {
        self.number().map(|number| usize::try_from(number).unwrap_or(usize::MAX))
    }

    pub(crate) fn slice(&mut self) -> Result<&'a [u8]> {
        let length = self.size()?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes> {
        self.slice().map(Bytes::copy_from_slice)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.slice()?).map_err(|_| Malformed)
    }

    pub(crate) fn utf8(&mut self) -> Result<Utf8Bytes> {
        self.text().map(Utf8Bytes::from)
    }

    pub(crate) fn channel(&mut self) -> Result<ChannelName> {
        ChannelName::new(self.text()?).map_err(|_| Malformed)
    }

    pub(crate) fn epoch(&mut self) -> Result<Epoch> {
        Epoch::new(self.text()?).map_err(|_| Malformed)
    }

    pub(crate) fn failure(&mut self) -> Result<Failure> {
        let code = match u16::try_from(self.number()?).unwrap_or(0) {
            0 => ErrorCode::Other(self.text()?.into()),
            number => ErrorCode::from_number(number).unwrap_or(ErrorCode::ServerInternal),
        };
        let message = self.text()?.to_owned();
        let origin = match self.byte()? {
            0 => Origin::Client,
            1 => Origin::Server,
            _ => Origin::Transport,
        };
        Ok(Failure { code, message, origin })
    }

    /// Reads what may be absent: a zero, or a one and the value.
    pub(crate) fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.is_set()? { read(self).map(Some) } else { Ok(None) }
    }

    /// Reads a count and so many values.
    pub(crate) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut list = Vec::new();
        for _ in 0..self.number()? {
            list.push(read(self)?);
        }
        Ok(list)
    }
}
