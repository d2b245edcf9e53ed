//! What holds for every frame, and for every input that is none.

use bytes::Bytes;
use moorline_protocol::{ClientFrame, Codec, Decoded, ServerFrame};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::allocation::peak;
use crate::strategies::{client, server};
use crate::wire::Wire;

const CODECS: [Codec; 2] = [Codec::Binary, Codec::Json];

/// Decoding holds at most so many bytes for each byte of its input, and [`CONSTANT`] beside.
pub(crate) const FACTOR: usize = 64;
pub(crate) const CONSTANT: usize = 4096;

/// Returns a frame as a codec can say it: JSON has no numbers of channels.
fn sayable<F: Wire>(codec: Codec, frame: &F) -> F {
    if codec == Codec::Json { frame.named() } else { frame.clone() }
}

fn has_form<F: Wire>(codec: Codec, frame: &F) -> bool {
    codec == Codec::Binary || frame.kind().1 != "packed"
}

fn round_trip<F: Wire>(frame: &F) -> Result<(), TestCaseError> {
    for codec in CODECS {
        let frame = sayable(codec, frame);
        if has_form(codec, &frame) {
            prop_assert_eq!(&F::only(codec, frame.encoded(codec)), &frame);
        }
    }
    Ok(())
}

/// Binary → JSON → binary gives the same bytes.
fn through_json<F: Wire>(frame: &F) -> Result<(), TestCaseError> {
    let frame = frame.named();
    if has_form(Codec::Json, &frame) {
        let binary = frame.encoded(Codec::Binary);
        let json = F::only(Codec::Binary, binary.clone()).encoded(Codec::Json);
        prop_assert_eq!(F::only(Codec::Json, json).encoded(Codec::Binary), binary);
    }
    Ok(())
}

fn one_message<F: Wire>(frames: &[F]) -> Result<(), TestCaseError> {
    for codec in CODECS {
        let frames: Vec<F> = frames.iter().map(|frame| sayable(codec, frame)).collect();
        let frames: Vec<F> = frames.into_iter().filter(|frame| has_form(codec, frame)).collect();
        let mut message = Vec::new();
        frames.iter().for_each(|frame| frame.encode(codec, &mut message));
        let decoded = F::all(codec, message).unwrap();
        prop_assert_eq!(decoded, frames.into_iter().map(Decoded::Frame).collect::<Vec<_>>());
    }
    Ok(())
}

/// Whatever arrives: no panic, little memory, and what is understood can be said again.
fn survives<F: Wire>(codec: Codec, message: &[u8]) -> Result<(), TestCaseError> {
    let mut rest = Bytes::copy_from_slice(message);
    loop {
        let before = rest.len();
        let (bytes, decoded) = peak(|| F::decode(codec, &mut rest));
        prop_assert!(bytes <= FACTOR * before + CONSTANT, "{} bytes held for {} of input", bytes, before);
        match decoded {
            Ok(Some(Decoded::Frame(frame))) => {
                prop_assert_eq!(&F::only(codec, frame.encoded(codec)), &frame);
            }
            Ok(Some(Decoded::Ignored | Decoded::Unsupported { .. })) => {}
            Ok(None) | Err(_) => return Ok(()),
        }
    }
}

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    CutTo(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let json = prop::sample::select(vec!["\"a\":", "null", "[{", "\\ud800", "\n", "9e9"]);
    prop_oneof![
        (at(), prop_oneof![any::<u8>(), Just(0), Just(0x7f), Just(0x80), Just(0xff)])
            .prop_map(|(at, to)| Change::Set(at, to)),
        (at(), vec(any::<u8>(), 1..12)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), json).prop_map(|(at, text)| Change::Insert(at, text.into())),
        (at(), 1..9_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (at(), 1..60_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        at().prop_map(Change::CutTo),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let len = bytes.len();
        if len == 0 {
            break;
        }
        match change {
            Change::Set(at, to) => bytes[at.index(len)] = *to,
            Change::Insert(at, more) => drop(bytes.splice(at.index(len)..at.index(len), more.iter().copied())),
            Change::Remove(at, count) => drop(bytes.drain(at.index(len)..(at.index(len) + count).min(len))),
            Change::Repeat(at, count) => {
                let again = bytes[at.index(len)..(at.index(len) + count).min(len)].to_vec();
                bytes.splice(at.index(len)..at.index(len), again);
            }
            Change::CutTo(at) => bytes.truncate(at.index(len)),
        }
    }
    bytes
}

fn survives_changes<F: Wire>(frames: &[F], changes: &[Change]) -> Result<(), TestCaseError> {
    for codec in CODECS {
        let mut message = Vec::new();
        frames.iter().map(|frame| sayable(codec, frame)).for_each(|frame| frame.encode(codec, &mut message));
        survives::<F>(codec, &changed(message, changes))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn client_frames_survive_a_round_trip(frame in client()) {
        round_trip(&frame)?;
        through_json(&frame)?;
    }

    #[test]
    fn server_frames_survive_a_round_trip(frame in server()) {
        round_trip(&frame)?;
        through_json(&frame)?;
    }

    #[test]
    fn a_message_holds_several_frames(from_client in vec(client(), 0..6), from_server in vec(server(), 0..6)) {
        one_message(&from_client)?;
        one_message(&from_server)?;
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..400)) {
        for codec in CODECS {
            survives::<ClientFrame>(codec, &bytes)?;
            survives::<ServerFrame>(codec, &bytes)?;
        }
    }

    #[test]
    fn changed_frames_of_the_client_do_no_harm(frames in vec(client(), 1..3), changes in vec(change(), 1..6)) {
        survives_changes(&frames, &changes)?;
    }

    #[test]
    fn changed_frames_of_the_server_do_no_harm(frames in vec(server(), 1..3), changes in vec(change(), 1..6)) {
        survives_changes(&frames, &changes)?;
    }
}
