//! Compressed deliveries: inflated against what arrived on this connection, and asked for again when they cannot be.

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use moorline_core::inflate::{InflateError, Inflater, Recent};
use moorline_core::planted::Bugs;
use moorline_core::protocol::binary::{DeliverHead, encode_deliver_body, encode_message};
use moorline_core::protocol::{
    Bytes, ChannelNumber, ChannelRef, ClientFrame, Codec, Message, Offset, Packed, PackedDictionary, Payload, Pong,
    ProducerState, Qos, Reset, ResetReason, ServerFrame, Start, Utf8Bytes, limits,
};
use moorline_core::{ClientConfig, ConnectionState, StateReason, SubscribeOptions};
use proptest::prelude::*;

use crate::host::{EPOCH, Host, epoch, number, welcome};

/// A raw deflate stream of `body`. A window of a dictionary is what a stream sees that has deflated it before, and
/// was flushed at a byte.
fn deflated(dictionary: &[u8], body: &[u8]) -> Bytes {
    let mut out = vec![0; dictionary.len() + body.len() + 1_000];
    let mut state = CompressorOxide::new(create_comp_flags_from_zip_params(6, 0, 0));
    let (_, _, primed) = compress(&mut state, dictionary, &mut out, TDEFLFlush::Sync);
    let (status, taken, made) = compress(&mut state, body, &mut out[primed..], TDEFLFlush::Finish);
    assert_eq!((status, taken), (TDEFLStatus::Done, body.len()));
    Bytes::copy_from_slice(&out[primed..primed + made])
}

fn text(offset: u64) -> String {
    format!("{offset} is what Alice wrote to everybody who was in the room at that time")
}

fn message(offset: u64) -> Message {
    Message { payload: Payload::Text(text(offset).into()), ..crate::host::message(offset, None) }
}

fn body(offsets: std::ops::RangeInclusive<u64>, replay: bool) -> Vec<u8> {
    let messages: Vec<Bytes> = offsets
        .map(|offset| {
            let mut bytes = Vec::new();
            encode_message(&message(offset), &mut bytes);
            bytes.into()
        })
        .collect();
    let mut out = Vec::new();
    let head = DeliverHead { number: ChannelNumber(1), replay, more: false, at: None };
    encode_deliver_body(head, messages.iter(), &mut out);
    out
}

/// Messages of `room`, deflated against the `count` before them, as a server does it.
fn packed(offsets: std::ops::RangeInclusive<u64>, count: u8) -> Packed {
    let oldest = offsets.start() - u64::from(count);
    let dictionary: String = (oldest..*offsets.start()).map(text).collect();
    let body = body(offsets, false);
    Packed {
        channel: ChannelRef::Number(number("room")),
        dictionary: (count > 0).then_some(PackedDictionary { count, oldest: Offset(oldest) }),
        length: body.len() as u32,
        crc: crc32c::crc32c(&body),
        data: deflated(dictionary.as_bytes(), &body),
    }
}

fn reading(caps: &[&'static str], options: SubscribeOptions) -> Host {
    let mut host = Host::new();
    host.connect();
    host.open();
    greet(&mut host, caps);
    host.subscribe("room", options);
    host.subscribed("room", 10, 10, Start::Live);
    host.take_frames();
    host.take_events();
    host
}

fn greet(host: &mut Host, caps: &[&'static str]) {
    let mut greeting = welcome(ProducerState::New);
    greeting.caps = caps.iter().map(|cap| Utf8Bytes::from_static(cap)).collect();
    host.send(ServerFrame::Welcome(greeting));
}

fn with_dict() -> Host {
    reading(&[Packed::CAP], SubscribeOptions::default())
}

fn send(host: &mut Host, packed: Packed) {
    host.send(ServerFrame::Packed(packed));
}

/// Plain deliveries of messages.
fn plain(host: &mut Host, offsets: std::ops::RangeInclusive<u64>, replay: bool) {
    let messages = offsets.map(message).collect();
    let channel = ChannelRef::Number(number("room"));
    let (more, at) = (false, None);
    host.send(ServerFrame::Deliver(moorline_core::protocol::Deliver { channel, replay, more, at, messages }));
}

/// Returns the rewinds that were asked for, and the number of the last fence.
fn rewinds(host: &mut Host) -> (Vec<u64>, Option<u64>) {
    let (mut rewinds, mut fence) = (Vec::new(), None);
    for frame in host.take_frames() {
        match frame {
            ClientFrame::More(more) if more.rewind => rewinds.push(more.after.0),
            ClientFrame::Ping(ping) => fence = Some(ping.n),
            _ => {}
        }
    }
    (rewinds, fence)
}

fn caps(host: &mut Host) -> Vec<String> {
    let hello = host.take_frames().into_iter().find_map(|frame| match frame {
        ClientFrame::Hello(hello) => Some(hello),
        _ => None,
    });
    hello.unwrap().caps.iter().map(|cap| cap.as_str().to_owned()).collect()
}

#[test]
fn the_client_says_that_it_can_inflate_unless_it_is_told_not_to() {
    let mut host = Host::new();
    host.connect();
    host.open();
    assert_eq!(caps(&mut host), ["dict", "push", "call"]);
    let mut host = Host::with(
        ClientConfig { compression: false, ..ClientConfig::new("ws://a") },
        std::collections::BTreeMap::new(),
    );
    host.connect();
    host.open();
    assert_eq!(caps(&mut host), ["push", "call"]);
}

#[test]
fn messages_are_inflated_against_those_before_them() {
    let mut host = with_dict();
    send(&mut host, packed(11..=11, 0));
    send(&mut host, packed(12..=13, 1));
    plain(&mut host, 14..=14, false);
    send(&mut host, packed(15..=40, 4));
    send(&mut host, packed(41..=41, 16));
    assert_eq!(host.take_offsets(), (11..=41).collect::<Vec<_>>());
    assert_eq!(rewinds(&mut host).0, [0; 0]);
}

#[test]
fn what_is_repeated_is_dropped_and_primes_all_the_same() {
    let mut host = with_dict();
    plain(&mut host, 11..=12, false);
    send(&mut host, packed(13..=13, 2));
    send(&mut host, packed(13..=13, 2));
    send(&mut host, packed(12..=12, 1));
    send(&mut host, packed(14..=14, 3));
    assert_eq!(host.take_offsets(), [11, 12, 13, 14]);
    assert_eq!(rewinds(&mut host).0, [0; 0]);
}

#[test]
fn a_dictionary_that_is_not_held_is_a_hole() {
    let mut host = with_dict();
    plain(&mut host, 11..=11, false);
    // 12 was lost.
    send(&mut host, packed(13..=13, 2));
    send(&mut host, packed(14..=14, 3));
    let (asked, fence) = rewinds(&mut host);
    assert_eq!((host.take_offsets(), asked), (vec![11], vec![11]));
    plain(&mut host, 12..=14, true);
    host.send(ServerFrame::Pong(Pong { n: fence.unwrap() }));
    send(&mut host, packed(15..=15, 4));
    assert_eq!((host.take_offsets(), rewinds(&mut host).0), (vec![12, 13, 14, 15], vec![]));
}

#[test]
fn before_the_subscription_nothing_is_held() {
    let mut host = with_dict();
    send(&mut host, packed(11..=11, 1));
    assert_eq!(rewinds(&mut host).0, [10]);
}

#[test]
fn a_reset_empties_the_dictionary() {
    let mut host = with_dict();
    plain(&mut host, 11..=12, false);
    let (epoch, first, head, from) = (epoch(EPOCH), Offset(10), Offset(12), Offset(12));
    let (channel, reason) = (ChannelRef::Number(number("room")), ResetReason::Epoch);
    host.send(ServerFrame::Reset(Reset { channel, epoch, first, head, from, reason }));
    send(&mut host, packed(13..=13, 2));
    assert_eq!(rewinds(&mut host).0, [12]);
}

#[test]
fn a_gap_empties_the_dictionary() {
    let mut host = with_dict();
    plain(&mut host, 11..=12, false);
    let later = Message { prev: Some(Offset(12)), ..message(20) };
    host.send(crate::host::deliver("room", vec![later]));
    send(&mut host, packed(21..=21, 2));
    assert_eq!((host.take_offsets(), rewinds(&mut host).0), (vec![11, 12, 20], vec![20]));
}

/// What can be wrong with a frame whose dictionary is held.
fn spoilt() -> Vec<(InflateError, Packed)> {
    let right = || packed(13..=13, 2);
    let mut flipped = right().data.to_vec();
    flipped[10] ^= 0x10;
    let mut longer = right().data.to_vec();
    longer.push(0);
    let bomb = deflated(b"", &vec![0; 4 << 20]);
    vec![
        (InflateError::Checksum, Packed { crc: right().crc ^ 1, ..right() }),
        (InflateError::Announced, Packed { length: right().length - 1, ..right() }),
        (InflateError::Announced, Packed { length: right().length + 1, ..right() }),
        (InflateError::Length, Packed { length: u32::MAX, ..right() }),
        (InflateError::Length, Packed { length: limits::PACKED_BYTES as u32 + 1, data: bomb.clone(), ..right() }),
        (InflateError::Length, Packed { length: limits::PACKED_BYTES as u32, ..right() }),
        (InflateError::Announced, Packed { length: limits::PACKED_BYTES as u32, data: bomb, ..right() }),
        (InflateError::Stream, Packed { data: Bytes::copy_from_slice(&right().data[..5]), length: 100, ..right() }),
        (InflateError::Stream, Packed { data: longer.into(), ..right() }),
        // A stored block, then a match that begins before the dictionary.
        (
            InflateError::Stream,
            Packed { data: Bytes::copy_from_slice(&[0x63, 0x64, 0x62, 0x66, 0xff, 0x3f]), ..right() },
        ),
        (InflateError::Stream, Packed { data: Bytes::copy_from_slice(&[0xff; 40]), length: 100, ..right() }),
        (InflateError::Body, {
            let body = b"no body of a delivery at all";
            Packed { length: 28, crc: crc32c::crc32c(body), data: deflated(b"", body), ..right() }
        }),
    ]
}

fn held() -> Recent {
    let mut recent = Recent::default();
    (11..=12).for_each(|offset| recent.push(Offset(offset), text(offset).as_bytes()));
    recent
}

#[test]
fn everything_that_can_be_wrong_has_a_name() {
    let mut inflater = Inflater::new(Bugs::default());
    for (error, packed) in spoilt() {
        assert_eq!(inflater.unpack(&packed, &held()), Err(error), "{packed:?}");
    }
    let dictionary = |count, oldest| Packed {
        dictionary: Some(PackedDictionary { count, oldest: Offset(oldest) }),
        ..packed(13..=13, 2)
    };
    for (count, oldest) in [(0, 13), (3, 10), (1, 13), (2, 12), (255, u64::MAX)] {
        assert_eq!(inflater.unpack(&dictionary(count, oldest), &held()), Err(InflateError::Dictionary));
    }
    assert_eq!(inflater.unpack(&dictionary(1, 11), &held()), Err(InflateError::Repeated));
    // It is none the worse for it.
    assert_eq!(inflater.unpack(&packed(13..=13, 2), &held()).unwrap().messages, [message(13)]);
}

#[test]
fn few_bytes_do_not_become_many_messages() {
    let many = body(13..=13 + limits::PAGE_MESSAGES as u64, false);
    let packed = Packed {
        dictionary: None,
        length: many.len() as u32,
        crc: crc32c::crc32c(&many),
        data: deflated(b"", &many),
        ..packed(13..=13, 0)
    };
    assert_eq!(Inflater::default().unpack(&packed, &held()), Err(InflateError::Body));
}

#[test]
fn the_first_fault_is_asked_for_again_and_comes_as_it_is() {
    for (error, packed_13) in spoilt() {
        let mut host = with_dict();
        plain(&mut host, 11..=12, false);
        send(&mut host, packed_13);
        // What was under way then follows on what could not be read.
        send(&mut host, packed(14..=14, 3));
        let (asked, fence) = rewinds(&mut host);
        assert_eq!(asked, [12], "{error}");
        host.send(ServerFrame::Pong(Pong { n: fence.unwrap() }));
        plain(&mut host, 13..=14, true);
        send(&mut host, packed(15..=15, 4));
        assert_eq!((host.take_offsets(), rewinds(&mut host).0), (vec![11, 12, 13, 14, 15], vec![]), "{error}");
        assert_eq!(host.client.state(), ConnectionState::Online);
    }
}

#[test]
fn after_the_second_fault_the_client_comes_back_without_it() {
    let mut host = with_dict();
    plain(&mut host, 11..=12, false);
    send(&mut host, Packed { crc: 0, ..packed(13..=13, 2) });
    plain(&mut host, 13..=13, true);
    send(&mut host, Packed { crc: 0, ..packed(14..=14, 3) });
    assert_eq!(host.client.state(), ConnectionState::Recovering);
    assert!(matches!(host.last_reason(), StateReason::ProtocolViolation(_)));
    host.reopen();
    assert_eq!(caps(&mut host), ["push", "call"]);
    // A server that compresses all the same breaks the protocol.
    greet(&mut host, &[Packed::CAP]);
    host.send(ServerFrame::Packed(packed(14..=14, 0)));
}

#[test]
fn a_page_that_cannot_be_inflated_after_a_rewind_ends_the_connection() {
    let mut host = with_dict();
    plain(&mut host, 11..=12, false);
    send(&mut host, Packed { crc: 0, ..packed(13..=13, 2) });
    let (_, fence) = rewinds(&mut host);
    host.send(ServerFrame::Pong(Pong { n: fence.unwrap() }));
    let body = body(13..=13, true);
    let page = Packed { dictionary: None, crc: 0, data: deflated(b"", &body), ..packed(13..=13, 0) };
    send(&mut host, page);
    assert_eq!(host.client.state(), ConnectionState::Recovering);
    host.reopen();
    assert_eq!(caps(&mut host), ["push", "call"]);
}

#[test]
fn who_did_not_ask_for_it_does_not_take_it() {
    let lossy = SubscribeOptions { qos: Some(Qos::AtMostOnce), ..SubscribeOptions::default() };
    for mut host in [reading(&[], SubscribeOptions::default()), reading(&[Packed::CAP], lossy)] {
        send(&mut host, packed(11..=11, 0));
        assert_eq!(host.client.state(), ConnectionState::Recovering);
    }
}

#[test]
fn a_new_connection_holds_nothing() {
    let mut host = with_dict();
    plain(&mut host, 11..=14, false);
    host.cut(None);
    host.reopen();
    greet(&mut host, &[Packed::CAP]);
    host.subscribed("room", 14, 14, Start::Live);
    host.take_frames();
    send(&mut host, packed(15..=15, 4));
    assert_eq!(rewinds(&mut host).0, [14]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever was sent before and however it is cut into frames: what arrives is what was sent.
    #[test]
    fn inflated_is_what_was_deflated(
        payloads in proptest::collection::vec(proptest::collection::vec(0..8_u8, 0..3_000), 1..40),
        cuts in proptest::collection::vec(1..6_usize, 1..40),
        joins in 0..20_u64,
    ) {
        let mut inflater = Inflater::default();
        let (mut ours, mut theirs) = (Recent::default(), Vec::<(u64, Vec<u8>)>::new());
        let mut offset = 1;
        let mut rest = &payloads[..];
        for cut in cuts.iter().cycle() {
            let (frame, others) = rest.split_at((*cut).min(rest.len()));
            rest = others;
            if frame.is_empty() {
                break;
            }
            let messages: Vec<Message> = (offset..).zip(frame).map(|(offset, payload)| Message {
                payload: Payload::Binary(Bytes::copy_from_slice(payload)),
                ..message(offset)
            }).collect();
            let encoded: Vec<Bytes> = messages.iter().map(|message| {
                let mut bytes = Vec::new();
                encode_message(message, &mut bytes);
                bytes.into()
            }).collect();
            let mut body = Vec::new();
            let head = DeliverHead { number: ChannelNumber(1), replay: false, more: false, at: None };
            encode_deliver_body(head, encoded.iter(), &mut body);
            // The receiver came with message `joins`.
            let held: Vec<_> = theirs.iter().filter(|(offset, _)| *offset >= joins).collect();
            let dictionary: Vec<u8> = held.iter().flat_map(|(_, payload)| payload.clone()).collect();
            let packed = Packed {
                channel: ChannelRef::Number(ChannelNumber(1)),
                dictionary: held.first().map(|(oldest, _)| PackedDictionary {
                    count: held.len() as u8,
                    oldest: Offset(*oldest),
                }),
                length: body.len() as u32,
                crc: crc32c::crc32c(&body),
                data: deflated(&dictionary, &body),
            };
            prop_assert_eq!(inflater.unpack(&packed, &ours).unwrap().messages, messages);
            for payload in frame {
                if offset >= joins {
                    ours.push(Offset(offset), payload);
                }
                theirs.push((offset, payload.clone()));
                while theirs.len() > 16 || theirs.iter().map(|(_, payload)| payload.len()).sum::<usize>() > 32_000 {
                    theirs.remove(0);
                }
                offset += 1;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Frames with their dictionaries, for every implementation: `tests/vectors/inflate.json`.
fn vectors() -> String {
    let encoded = |frame: &ServerFrame| {
        let mut bytes = Vec::new();
        Codec::Binary.encode_server(frame, &mut bytes);
        hex(&bytes)
    };
    let page = {
        let body = body(9..=12, true);
        let (length, crc, data) = (body.len() as u32, crc32c::crc32c(&body), deflated(b"", &body));
        Packed { length, crc, data, ..packed(9..=12, 0) }
    };
    let good = [
        ("alone", packed(9..=9, 0)),
        ("against one message", packed(10..=10, 1)),
        ("two messages against the same four", packed(13..=14, 4)),
        ("against 16 messages", packed(25..=25, 16)),
        ("a page", page),
    ];
    let mut text = String::from("{\"good\": [\n");
    for (n, (name, frame)) in good.iter().enumerate() {
        let oldest = frame.dictionary.map_or(0, |of| of.oldest.0);
        let count = frame.dictionary.map_or(0, |of| u64::from(of.count));
        let dictionary: Vec<_> =
            (oldest..oldest + count).map(|offset| format!("\"{}\"", hex(self::text(offset).as_bytes()))).collect();
        let mut recent = Recent::default();
        (oldest..oldest + count).for_each(|offset| recent.push(Offset(offset), self::text(offset).as_bytes()));
        let deliver = Inflater::default().unpack(frame, &recent).unwrap();
        let (packed, deliver) = (encoded(&ServerFrame::Packed(frame.clone())), encoded(&ServerFrame::Deliver(deliver)));
        let comma = if n + 1 < good.len() { "," } else { "" };
        text += &format!(
            "{{\"name\": \"{name}\", \"dictionary\": [{}], \"packed\": \"{packed}\", \"deliver\": \"{deliver}\"}}{comma}\n",
            dictionary.join(", ")
        );
    }
    text += "], \"bad\": [\n";
    let held: Vec<_> = (11..=12).map(|offset| format!("\"{}\"", hex(self::text(offset).as_bytes()))).collect();
    // Some are too long to be read by people.
    let bad: Vec<_> = spoilt().into_iter().filter(|(_, frame)| frame.data.len() < 1_000).collect();
    for (n, (error, frame)) in bad.iter().enumerate() {
        let packed = encoded(&ServerFrame::Packed(frame.clone()));
        let comma = if n + 1 < bad.len() { "," } else { "" };
        text += &format!(
            "{{\"why\": \"{error}\", \"dictionary\": [{}], \"packed\": \"{packed}\"}}{comma}\n",
            held.join(", ")
        );
    }
    text + "]}\n"
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test that writes its own golden file when it is told to")]
fn the_golden_frames_are_inflated() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/inflate.json");
    let vectors = vectors();
    if std::env::var_os("MOORLINE_BLESS").is_some() {
        std::fs::write(file, &vectors).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), vectors);
}
