//! What everything is written and read with.

use moorline_protocol::binary::varint;
use moorline_protocol::{Bytes, ChannelName, Epoch, Offset, Position, Utf8Bytes};

use super::recording::RecordingError;

/// What everything is written with.
pub(super) trait Writer {
    fn write_u64(&mut self, value: u64);
    fn write_bytes(&mut self, bytes: &[u8]);
    fn write_text(&mut self, text: &str) {
        self.write_bytes(text.as_bytes());
    }
    fn write_flag(&mut self, flag: bool) {
        self.write_u64(flag.into());
    }
    /// 0 for none, else one more than the value.
    fn write_option(&mut self, value: Option<u64>) {
        self.write_u64(value.map_or(0, |value| value.saturating_add(1)));
    }
    fn write_position(&mut self, position: Position) {
        self.write_text(position.epoch.as_str());
        self.write_u64(position.offset.0);
    }
}

impl Writer for Vec<u8> {
    fn write_u64(&mut self, value: u64) {
        varint::put(value, self);
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        varint::put_bytes(bytes, self);
    }
}

/// What everything is read with.
pub(super) struct Reader(pub(super) Bytes);

impl Reader {
    pub(super) fn u64(&mut self) -> Result<u64, RecordingError> {
        Ok(varint::take(&mut self.0)?)
    }

    pub(super) fn usize(&mut self) -> Result<usize, RecordingError> {
        usize::try_from(self.u64()?).map_err(|_| RecordingError::Damaged)
    }

    pub(super) fn flag(&mut self) -> Result<bool, RecordingError> {
        Ok(self.u64()? != 0)
    }

    pub(super) fn option(&mut self) -> Result<Option<u64>, RecordingError> {
        Ok(self.u64()?.checked_sub(1))
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, RecordingError> {
        Ok(varint::take_bytes(&mut self.0)?)
    }

    pub(super) fn text(&mut self) -> Result<Utf8Bytes, RecordingError> {
        Ok(varint::take_text(&mut self.0)?)
    }

    pub(super) fn channel(&mut self) -> Result<ChannelName, RecordingError> {
        ChannelName::new(&self.text()?).map_err(|_| RecordingError::Damaged)
    }

    pub(super) fn position(&mut self) -> Result<Position, RecordingError> {
        let epoch = Epoch::new(&self.text()?).map_err(|_| RecordingError::Damaged)?;
        Ok(Position { epoch, offset: Offset(self.u64()?) })
    }
}
