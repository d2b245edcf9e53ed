//! Compression: deflated once, against messages that every receiver holds.

use std::collections::VecDeque;

use bytes::Bytes;
use moorline_protocol::binary::{DeliverHead, decode_message, encode_deliver_body};
use moorline_protocol::{ChannelRef, Codec, Offset, Packed, PackedDictionary, ServerFrame, limits};
use zlib_rs::{Deflate, DeflateFlush, Status};

use crate::planted::{Bug, Bugs};

/// Bytes from which deflating pays.
const LEAST: usize = 100;
/// The level, of 1 to 9, of what is deflated once for all.
const LEVEL_LIVE: i32 = 6;
/// The level of pages, which each reader has deflated for itself: at 6 they take 6 % fewer bytes, and 2.6 times as long.
const LEVEL_PAGE: i32 = 2;
/// The largest window that deflate has: 2^15 bytes.
const WINDOW_BITS: u8 = 15;

/// The newest stored messages of a channel, contiguous and whole: at most 16 and 32,000 bytes of payload. Their
/// payloads, oldest first, are the dictionary of what follows.
#[derive(Debug, Default)]
pub(super) struct Recent {
    payloads: VecDeque<Bytes>,
    bytes: usize,
    /// The offset after the newest.
    next: Offset,
}

impl Recent {
    /// Holds nothing, and goes on with `next`.
    pub(super) fn before(next: Offset) -> Self {
        Self { next, ..Self::default() }
    }

    /// Returns the offset from which on a receiver must hold everything.
    pub(super) fn oldest(&self) -> Offset {
        Offset(self.next.0.saturating_sub(self.payloads.len() as u64))
    }

    /// Takes the next message, encoded. Ephemeral ones leave no trace.
    pub(super) fn push(&mut self, message: &Bytes) {
        let Ok(message) = decode_message(&mut message.clone()) else { return };
        let Some(offset) = message.offset else { return };
        if offset != self.next {
            *self = Self::before(offset);
        }
        let payload = message.payload.bytes().clone();
        self.bytes += payload.len();
        self.payloads.push_back(payload);
        self.next = offset.next();
        while (self.payloads.len() > limits::DICTIONARY_MESSAGES || self.bytes > limits::DICTIONARY_BYTES)
            && let Some(oldest) = self.payloads.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    /// Planted: takes a message into the dictionary that has no place in the log.
    pub(super) fn push_ephemeral(&mut self, message: &Bytes) {
        let Ok(message) = decode_message(&mut message.clone()) else { return };
        if let Some(newest) = self.payloads.back_mut() {
            self.bytes = self.bytes - newest.len() + message.payload.bytes().len();
            newest.clone_from(message.payload.bytes());
        }
    }

    fn describe(&self) -> Option<PackedDictionary> {
        let count = u8::try_from(self.payloads.len()).ok().filter(|count| *count > 0)?;
        Some(PackedDictionary { count, oldest: self.oldest() })
    }
}

/// What a node has compressed, in bytes of whole frames, each counted once, whatever the number of its receivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackedStats {
    /// Frames.
    pub frames: u64,
    /// What they would have been.
    pub before: u64,
    /// What they are.
    pub after: u64,
}

/// How a channel's live messages have shrunk lately: where none does, deflating them is time for nothing.
#[derive(Debug, Default)]
pub(super) struct Thrift {
    /// Frames in a row that did not shrink, or were left alone.
    in_vain: u32,
}

/// So many frames in a row that do not shrink are not tried again for a while.
const IN_VAIN: u32 = 8;
/// Then one of so many is tried, until one shrinks.
const ONE_OF: u32 = 16;

impl Thrift {
    /// Tells whether the next frame is worth a try, and counts it as one that did not shrink.
    fn tries(&mut self) -> bool {
        let tries = self.in_vain < IN_VAIN || self.in_vain == IN_VAIN + ONE_OF - 1;
        self.in_vain = if self.in_vain < IN_VAIN + ONE_OF - 1 { self.in_vain + 1 } else { IN_VAIN };
        tries
    }

    /// It did shrink.
    fn shrank(&mut self) {
        self.in_vain = 0;
    }
}

/// Makes `packed` frames; one per node, whatever the number of channels.
#[derive(Default)]
pub(super) struct Packer {
    /// 300 KB: made when first needed.
    deflate: Option<Deflate>,
    dictionary: Vec<u8>,
    body: Vec<u8>,
    data: Vec<u8>,
    pub(super) stats: PackedStats,
    bugs: Bugs,
}

impl Packer {
    pub(super) fn new(bugs: Bugs) -> Self {
        Self { bugs, ..Self::default() }
    }

    /// Deflates a page, or live messages against what is recent; `None` where that does not make it shorter than
    /// `plain` bytes, or did not lately.
    pub(super) fn pack<'a>(
        &mut self,
        head: DeliverHead,
        messages: impl Iterator<Item = &'a Bytes>,
        live: Option<(&Recent, &mut Thrift)>,
        plain: usize,
    ) -> Option<Bytes> {
        self.body.clear();
        encode_deliver_body(head, messages, &mut self.body);
        if !(LEAST..=limits::PACKED_BYTES).contains(&self.body.len()) {
            return None;
        }
        let (recent, mut thrift) = live.unzip();
        if thrift.as_mut().is_some_and(|thrift| !thrift.tries()) {
            return None;
        }
        let dictionary = recent.and_then(Recent::describe);
        self.dictionary.clear();
        recent.into_iter().flat_map(|recent| &recent.payloads).for_each(|p| self.dictionary.extend_from_slice(p));
        if self.bugs.has(Bug::PackedAgainstOthers) {
            self.dictionary.reverse();
        }
        let packed = Packed {
            channel: ChannelRef::Number(head.number),
            dictionary,
            length: self.body.len() as u32,
            crc: crc32c::crc32c(&self.body),
            data: self.deflate(if recent.is_some() { LEVEL_LIVE } else { LEVEL_PAGE })?,
        };
        let mut out = Vec::with_capacity(packed.data.len() + 32);
        Codec::Binary.encode_server(&ServerFrame::Packed(packed), &mut out);
        if out.len() >= plain {
            return None;
        }
        if let Some(thrift) = thrift {
            thrift.shrank();
        }
        self.stats.frames += 1;
        self.stats.before += plain as u64;
        self.stats.after += out.len() as u64;
        Some(out.into())
    }

    /// Deflates the body against the dictionary.
    ///
    /// There is always room for the whole stream: a state that is reset in the middle of one keeps what it had not handed
    /// out yet, and with each such time has less room for the next, until it panics (zlib-rs 0.6).
    fn deflate(&mut self, level: i32) -> Option<Bytes> {
        let mut deflate = self.deflate.take().unwrap_or_else(|| Deflate::new(level, false, WINDOW_BITS));
        deflate.reset();
        deflate.set_level(level).ok()?;
        if !self.dictionary.is_empty() {
            deflate.set_dictionary(&self.dictionary).ok()?;
        }
        self.data.resize(zlib_rs::compress_bound(self.body.len()), 0);
        let status = deflate.compress(&self.body, &mut self.data, DeflateFlush::Finish).ok()?;
        let written = usize::try_from(deflate.total_out()).ok()?;
        let data = self.data.get(..written).filter(|_| status == Status::StreamEnd)?;
        // Only what has ended its stream is used again.
        self.deflate = Some(deflate);
        Some(Bytes::copy_from_slice(data))
    }
}

#[cfg(test)]
mod tests {
    use moorline_protocol::binary::encode_message;
    use moorline_protocol::{ChannelNumber, Message, Payload, Utf8Bytes};

    use super::*;

    fn message(offset: u64) -> Bytes {
        let payload = Payload::Text(format!("{offset} is what Alice wrote to everybody. ").repeat(9).into());
        let (offset, id) = (Some(Offset(offset)), Utf8Bytes::from_static("m"));
        let mut bytes = Vec::new();
        encode_message(
            &Message { offset, prev: None, id, user: None, time: 1, headers: Vec::new(), payload },
            &mut bytes,
        );
        bytes.into()
    }

    #[test]
    fn what_is_made_does_not_depend_on_what_was_made_before() {
        let head = DeliverHead { number: ChannelNumber(1), replay: false, more: false, at: None };
        let mut recent = Recent::before(Offset(1));
        (1..=20).for_each(|offset| recent.push(&message(offset)));
        let live = |packer: &mut Packer| {
            packer.pack(head, [&message(21)].into_iter(), Some((&recent, &mut Thrift::default())), 1_000).unwrap()
        };
        let page =
            |packer: &mut Packer| packer.pack(head, [&message(8), &message(9)].into_iter(), None, 1_000).unwrap();
        let (mut fresh, mut used) = (Packer::default(), Packer::default());
        let first = live(&mut used);
        assert_eq!(page(&mut used), page(&mut fresh));
        assert_eq!(live(&mut used), first);
        assert!(
            used.pack(head, [&message(21)].into_iter(), Some((&recent, &mut Thrift::default())), first.len()).is_none(),
            "it is no shorter"
        );
        assert_eq!(used.stats.frames, 3);
    }

    #[test]
    fn what_does_not_shrink_is_tried_now_and_then() {
        let head = DeliverHead { number: ChannelNumber(1), replay: false, more: false, at: None };
        let recent = Recent::before(Offset(1));
        let (mut packer, mut thrift) = (Packer::default(), Thrift::default());
        let mut pack = |plain| packer.pack(head, [&message(1)].into_iter(), Some((&recent, &mut thrift)), plain);
        // A frame that would have to be shorter than nothing does not shrink.
        (0..8).for_each(|_| assert_eq!(pack(0), None));
        for round in 0..3 {
            (0..15).for_each(|n| assert_eq!(pack(1_000), None, "round {round}: {n} is left alone"));
            if round < 2 {
                assert_eq!(pack(0), None, "one of sixteen is tried");
            }
        }
        assert!(pack(1_000).is_some(), "and shrinks");
        assert!(pack(1_000).is_some() && pack(0).is_none() && pack(1_000).is_some(), "all are tried again");
    }
}
