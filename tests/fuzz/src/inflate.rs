//! Inflating what a server says is compressed.

use bytes::Bytes;
use moorline_core::inflate::{Inflater, Recent};
use moorline_protocol::binary::{DeliverHead, encode_deliver_body, encode_message};
use moorline_protocol::{
    ChannelNumber, ChannelRef, Message, Offset, Packed, PackedDictionary, Payload, Utf8Bytes, limits,
};
use zlib_rs::{Deflate, DeflateFlush};

use crate::choices::Choices;
use crate::memory;

/// Memory beside what is inflated: the tables of the inflater, a dictionary, and the list of a page's messages.
const BESIDE: usize = 320 * 1024;
/// Deflate makes at most so many bytes of one.
const MOST_PER_BYTE: usize = 1_032;

/// A client with some messages is sent `packed` frames: honest ones, spoilt ones, and ones that are made up. It
/// takes no more memory than the frame announces, what it inflates has the announced length and check sum, and a
/// frame that is honest always comes out.
pub fn inflate(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (mut inflater, mut recent) = (Inflater::default(), Recent::default());
    let mut payloads: Vec<Bytes> = Vec::new();
    while !choices.is_over() {
        let offset = payloads.len() as u64 + 1;
        match choices.below(4) {
            0 => {
                let payload = choices.payload();
                recent.push(Offset(offset), &payload);
                payloads.push(payload);
            }
            1 => {
                let message = message(offset, choices.payload());
                let packed = honest(&payloads, &message);
                let deliver = inflater.unpack(&packed, &recent).expect("an honest frame is inflated");
                assert_eq!(deliver.messages, [message]);
            }
            2 => {
                let mut packed = honest(&payloads, &message(offset, choices.payload()));
                spoil(&mut packed, &mut choices);
                unpack(&mut inflater, &packed, &recent);
            }
            _ => unpack(&mut inflater, &made_up(&mut choices), &recent),
        }
    }
}

fn unpack(inflater: &mut Inflater, packed: &Packed, recent: &Recent) {
    let announced = (packed.length as usize).min(limits::PACKED_BYTES);
    // Nothing is made of few bytes that say they are many. It is there twice: where it is inflated, and for good.
    let possible = announced.min(packed.data.len() * MOST_PER_BYTE);
    let mut result = None;
    let used = memory::peak(|| result = Some(inflater.unpack(packed, recent)));
    assert!(
        used <= 2 * possible + BESIDE,
        "{used} bytes of memory for {} bytes that say they are {announced}",
        packed.data.len()
    );
    if let Some(Ok(deliver)) = result {
        assert!(deliver.messages.len() <= limits::PAGE_MESSAGES);
        assert!(packed.length as usize <= limits::PACKED_BYTES);
    }
}

/// Spoils one thing.
fn spoil(packed: &mut Packed, choices: &mut Choices<'_>) {
    let mut data = packed.data.to_vec();
    match choices.below(6) {
        0 => packed.crc ^= 1 << choices.below(32),
        1 => packed.length = choices.int(),
        2 => data.truncate(choices.below(256)),
        3 => packed.dictionary = dictionary(choices),
        4 => data.extend_from_slice(choices.bytes()),
        _ => {
            let (at, bit) = (usize::try_from(choices.number()).unwrap_or(0) % data.len().max(1), choices.below(8));
            data.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
        }
    }
    packed.data = data.into();
}

fn made_up(choices: &mut Choices<'_>) -> Packed {
    Packed {
        channel: ChannelRef::Number(ChannelNumber(1)),
        dictionary: dictionary(choices),
        length: choices.int(),
        crc: choices.int(),
        data: Bytes::copy_from_slice(choices.bytes()),
    }
}

fn dictionary(choices: &mut Choices<'_>) -> Option<PackedDictionary> {
    choices.maybe(|choices| PackedDictionary { count: choices.byte(), oldest: Offset(choices.number()) })
}

fn message(offset: u64, payload: Bytes) -> Message {
    Message {
        offset: Some(Offset(offset)),
        prev: None,
        id: Utf8Bytes::from_static("m"),
        user: None,
        time: 1,
        headers: Vec::new(),
        payload: Payload::Binary(payload),
    }
}

/// Deflates a message against the newest of `payloads`, as a server does it.
fn honest(payloads: &[Bytes], message: &Message) -> Packed {
    let mut size = 0;
    let fits = payloads.iter().rev().take(limits::DICTIONARY_MESSAGES).take_while(|payload| {
        size += payload.len();
        size <= limits::DICTIONARY_BYTES
    });
    let count = fits.count();
    let newest = &payloads[payloads.len() - count..];
    let oldest = Offset((payloads.len() - count) as u64 + 1);
    let mut encoded = Vec::new();
    encode_message(message, &mut encoded);
    let head = DeliverHead { number: ChannelNumber(1), replay: false, more: false, at: None };
    let mut body = Vec::new();
    encode_deliver_body(head, [&encoded.into()].into_iter(), &mut body);
    let mut deflate = Deflate::new(6, false, 15);
    if count > 0 {
        deflate.set_dictionary(&newest.concat()).expect("a dictionary");
    }
    let mut data = vec![0; body.len() + 1_000];
    deflate.compress(&body, &mut data, DeflateFlush::Finish).expect("a stream");
    data.truncate(deflate.total_out() as usize);
    Packed {
        channel: ChannelRef::Number(ChannelNumber(1)),
        dictionary: (count > 0).then_some(PackedDictionary { count: count as u8, oldest }),
        length: body.len() as u32,
        crc: crc32c::crc32c(&body),
        data: data.into(),
    }
}

/// Inputs to begin with: each kind of step, after some messages.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let messages: Vec<u8> = (0..20).flat_map(|n| [0, 99, 8, b'm', b'e', b's', b's', b'a', b'g', b'e', n]).collect();
    let step = |step: &[u8]| [&messages[..], step].concat();
    let mut seeds = vec![
        step(&[1, 99, 8, b'm', b'e', b's', b's', b'a', b'g', b'e', 77]),
        step(&[3, 1, 16, 5, 3, 7, 4, 0x63, 0, 0, 0]),
        // A payload of 65,536 bytes that are all the same, and then small ones.
        step(&[1, 0, 2, 0, 99, 1, 7, 1, 99, 2, 8, 8]),
    ];
    seeds.extend((0..6).map(|how| step(&[2, 99, 4, b'm', b'e', b's', b's', how, 3, 3])));
    seeds
}
