//! Inflating `packed` frames: never beyond what is announced, never against other messages than the server's, never
//! without the check sum.
//!
//! Whatever is wrong with a frame is an [`InflateError`], and nothing of it was used.

#[cfg(feature = "fast-inflate")]
use crc32c::crc32c as checksum;
#[cfg(feature = "fast-inflate")]
use miniz_oxide::inflate::TINFLStatus;
#[cfg(feature = "fast-inflate")]
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use moorline_protocol::binary::decode_deliver_body;
use moorline_protocol::{Bytes, Deliver, Offset, Packed, PackedDictionary, limits};

#[cfg(not(feature = "fast-inflate"))]
use crate::deflate::crc32c as checksum;
use crate::planted::{Bug, Bugs};

/// Deflate makes at most so many bytes of one.
const MOST_PER_BYTE: usize = 1_032;
/// Room that is kept from frame to frame: a dictionary and a page.
const KEPT_ROOM: usize = 128 * 1024;

/// Why a `packed` frame is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InflateError {
    /// The dictionary is made of no messages, of too many, or of some that this connection was not sent.
    #[error("the dictionary is made of messages that are not held")]
    Dictionary,
    /// It follows on an older message than the newest: it has been here before.
    #[error("the messages are held already")]
    Repeated,
    /// The announced length is above the limit, or more than its data can inflate to.
    #[error("the announced length is impossible")]
    Length,
    /// The data is no deflate stream, ends early or late, or refers to bytes before its dictionary.
    #[error("the data cannot be inflated")]
    Stream,
    /// The data inflates to another length than was announced.
    #[error("the data inflates to another length than announced")]
    Announced,
    /// The inflated bytes have another check sum.
    #[error("the check sum is another")]
    Checksum,
    /// The inflated bytes are no messages.
    #[error("the inflated bytes are no messages")]
    Body,
}

/// Why deflated data cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is no deflate stream, ends early or late, or refers to bytes before the first.
    Stream,
    /// There is more than there is room for.
    Room,
}

/// The newest stored messages of a channel that arrived on this connection: contiguous and whole, at most 16 and
/// 32,000 bytes of payload.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// Their payloads, oldest first.
    bytes: Vec<u8>,
    sizes: Vec<usize>,
    /// The offset after the newest.
    next: Offset,
}

impl Recent {
    /// Takes a message that has arrived. One that is known changes nothing; after a gap only what follows it counts.
    pub fn push(&mut self, offset: Offset, payload: &[u8]) {
        if offset < self.next {
            return;
        }
        if offset > self.next {
            self.bytes.clear();
            self.sizes.clear();
        }
        self.bytes.extend_from_slice(payload);
        self.sizes.push(payload.len());
        self.next = offset.next();
        while self.sizes.len() > limits::DICTIONARY_MESSAGES || self.bytes.len() > limits::DICTIONARY_BYTES {
            let oldest = self.sizes.remove(0);
            self.bytes.drain(..oldest);
        }
    }

    /// Returns the payloads from the oldest of a dictionary to the newest message.
    fn dictionary(&self, of: PackedDictionary) -> Result<&[u8], InflateError> {
        let count = usize::from(of.count);
        let next = of.oldest.0.saturating_add(u64::from(of.count));
        if count > 0 && next < self.next.0 {
            return Err(InflateError::Repeated);
        }
        if count == 0 || next > self.next.0 || count > self.sizes.len() {
            return Err(InflateError::Dictionary);
        }
        let older: usize = self.sizes.iter().take(self.sizes.len() - count).sum();
        self.bytes.get(older..).ok_or(InflateError::Dictionary)
    }
}

/// Inflates frames; one per client.
#[derive(Default)]
pub struct Inflater {
    /// 11 KB: made when first needed.
    #[cfg(feature = "fast-inflate")]
    state: Option<Box<DecompressorOxide>>,
    /// The dictionary, and what is inflated behind it.
    room: Vec<u8>,
    bugs: Bugs,
}

impl Inflater {
    /// Creates one that has not inflated anything.
    pub fn new(bugs: Bugs) -> Self {
        Self { bugs, ..Self::default() }
    }

    /// Makes a `deliver` of a `packed` frame. Allocates no more than the announced length, which is at most
    /// [`limits::PACKED_BYTES`], and the dictionary.
    ///
    /// # Errors
    /// [`InflateError`].
    pub fn unpack(&mut self, packed: &Packed, recent: &Recent) -> Result<Deliver, InflateError> {
        let dictionary = match packed.dictionary {
            None => &[],
            Some(of) => recent.dictionary(of)?,
        };
        let mut body = self.inflate(packed, dictionary)?;
        if checksum(&body) != packed.crc && !self.bugs.has(Bug::ChecksumIgnored) {
            return Err(InflateError::Checksum);
        }
        decode_deliver_body(packed.channel.clone(), &mut body).map_err(|_| InflateError::Body)
    }

    fn inflate(&mut self, packed: &Packed, dictionary: &[u8]) -> Result<Bytes, InflateError> {
        let length = packed.length as usize;
        if length > limits::PACKED_BYTES || length > packed.data.len().saturating_mul(MOST_PER_BYTE) {
            return Err(InflateError::Length);
        }
        self.room.clear();
        self.room.reserve_exact(dictionary.len() + length);
        self.room.extend_from_slice(dictionary);
        self.room.resize(dictionary.len() + length, 0);
        let made = self.run(&packed.data, dictionary.len());
        let body = self.room.get(dictionary.len()..).map(Bytes::copy_from_slice);
        if self.room.capacity() > KEPT_ROOM {
            self.room = Vec::new();
        }
        match (made, body) {
            (Ok(made), Some(body)) if made == length => Ok(body),
            (Ok(_) | Err(Fault::Room), _) => Err(InflateError::Announced),
            (Err(Fault::Stream), _) => Err(InflateError::Stream),
        }
    }

    /// Inflates into the room from `at` on; returns how many bytes that made.
    #[cfg(feature = "fast-inflate")]
    fn run(&mut self, data: &[u8], at: usize) -> Result<usize, Fault> {
        let state = self.state.get_or_insert_default();
        state.init();
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, taken, made) = decompress(state, data, &mut self.room, at, flags);
        if status == TINFLStatus::Done && taken == data.len() {
            Ok(made)
        } else if status == TINFLStatus::HasMoreOutput {
            Err(Fault::Room)
        } else {
            Err(Fault::Stream)
        }
    }

    #[cfg(not(feature = "fast-inflate"))]
    fn run(&mut self, data: &[u8], at: usize) -> Result<usize, Fault> {
        crate::deflate::inflate(data, &mut self.room, at).map(|end| end - at)
    }
}
