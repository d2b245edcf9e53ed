//! Messages as frames, and frames of a version that does not exist yet.

use bytes::{BufMut, Bytes, BytesMut};
use moorline_core::protocol::binary::varint::put_bytes;
use moorline_core::protocol::{ClientFrame, Codec, Decoded, Packed, ServerFrame, Utf8Bytes};

/// A frame type of a later version that may be ignored, and one that may not.
const LATER: (u8, u8) = (0xfd, 0x7d);

/// Decodes a client's message.
pub(crate) fn up(bytes: &Bytes) -> Vec<ClientFrame> {
    let mut bytes = bytes.clone();
    let mut frames = Vec::new();
    while let Ok(Some(decoded)) = Codec::Binary.decode_client(&mut bytes) {
        if let Decoded::Frame(frame) = decoded {
            frames.push(frame);
        }
    }
    frames
}

/// Decodes a server's message.
pub(crate) fn down(bytes: &Bytes) -> Vec<ServerFrame> {
    let mut bytes = bytes.clone();
    let mut frames = Vec::new();
    while let Ok(Some(decoded)) = Codec::Binary.decode_server(&mut bytes) {
        if let Decoded::Frame(frame) = decoded {
            frames.push(frame);
        }
    }
    frames
}

/// Returns two frames of a later version: one may be ignored, the other must be answered.
pub(crate) fn later() -> Bytes {
    let mut bytes = Vec::new();
    put_bytes(&[LATER.0, 1], &mut bytes);
    put_bytes(&[LATER.1, 1], &mut bytes);
    bytes.into()
}

/// Returns a client's message as a later version would send it: with a capability of its own, and a frame that may
/// be ignored.
pub(crate) fn up_of_later_version(message: &Bytes) -> Bytes {
    let mut bytes = Vec::new();
    for frame in up(message) {
        let frame = match frame {
            ClientFrame::Hello(mut hello) => {
                hello.caps.push(Utf8Bytes::from("later"));
                ClientFrame::Hello(hello)
            }
            frame => frame,
        };
        Codec::Binary.encode_client(&frame, &mut bytes);
    }
    put_bytes(&[LATER.0, 1, 2], &mut bytes);
    bytes.into()
}

/// Returns a server's message as a later version might send it: with a frame that may be ignored before it.
pub(crate) fn down_of_later_version(message: &Bytes) -> Bytes {
    let mut bytes = BytesMut::new();
    let mut first = Vec::new();
    put_bytes(&[LATER.0, 1, 2], &mut first);
    bytes.put_slice(&first);
    bytes.put_slice(message);
    bytes.freeze()
}

/// Spoils the compressed deliveries of a server's message in one of six ways.
pub(crate) fn garbled(message: &Bytes, how: u64, at: usize) -> Bytes {
    let mut bytes = Vec::new();
    for frame in down(message) {
        let frame = match frame {
            ServerFrame::Packed(packed) => ServerFrame::Packed(garble(packed, how, at)),
            frame => frame,
        };
        Codec::Binary.encode_server(&frame, &mut bytes);
    }
    bytes.into()
}

fn garble(mut packed: Packed, how: u64, at: usize) -> Packed {
    let mut data = packed.data.to_vec();
    let at = at % data.len().max(1);
    match how {
        0 => packed.crc ^= 1 << (at % 32),
        1 => packed.length = packed.length.wrapping_add(1),
        2 => packed.length = u32::MAX,
        3 => data.truncate(at),
        _ => data.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x10),
    }
    Packed { data: data.into(), ..packed }
}

/// Shows a client's message.
pub(crate) fn show_up(bytes: &Bytes) -> String {
    up(bytes).iter().map(|frame| format!("{frame:?} ")).collect()
}

/// Shows a server's message.
pub(crate) fn show_down(bytes: &Bytes) -> String {
    down(bytes).iter().map(|frame| format!("{frame:?} ")).collect()
}
