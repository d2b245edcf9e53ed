//! The frames of RFC 6455, read by the server and by another implementation.

use std::io::{Cursor, Read, Write};

use moorline_protocol::CloseCode;
use moorline_server::ws::{self, Incoming, Reader};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::choices::Choices;
use crate::memory;

/// Bytes of a message, at most.
const MAX: usize = 4_096;

/// What the first byte of an input chooses.
const RAW: u8 = 0;

/// What a client sends, cut anywhere: the same messages whatever the cuts, the same as another implementation
/// reads, in memory that is bounded by the limit of a message.
pub fn websocket(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let mut choices = Choices::new(rest);
    let stream = if *mode == RAW { rest.to_vec() } else { frames(&mut choices) };
    let whole = read(&stream, &mut Choices::new(&[255; 64]));
    let pieces = read(&stream, &mut choices);
    assert_eq!(whole, pieces, "cut in other places");
    // Frames that are cut short are made whole, so that both have to judge them.
    let padded = [stream.as_slice(), &[0; 2 * MAX]].concat();
    assert_eq!(read(&padded, &mut Choices::new(&[])).0, by_tungstenite(&padded), "read by tungstenite");
    whole.0.iter().for_each(is_written_well);
}

/// Inputs of [`websocket`].
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..24).map(|n| [&[1], crate::noise(n, 80).as_slice()].concat()).collect()
}

/// What came of a stream.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// A close, or something for which the connection is closed.
    End,
}

/// Reads a stream with the server's reader. Returns what came, and the code that the connection would be closed with.
fn read(stream: &[u8], cuts: &mut Choices<'_>) -> (Vec<Heard>, Option<CloseCode>) {
    let mut reader = Reader::new(MAX);
    let mut heard = Vec::new();
    let mut end = None;
    let used = memory::peak(|| {
        let mut rest = stream;
        while !rest.is_empty() && end.is_none() {
            let (piece, others) = rest.split_at(rest.len().min(1 + usize::from(cuts.byte()) * 4));
            rest = others;
            reader.feed(piece);
            end = drain(&mut reader, &mut heard);
        }
    });
    let kept: usize = heard.iter().map(Heard::len).sum();
    assert!(used <= 4 * (MAX + stream.len() + kept) + 64 * heard.len() + 16_384, "{used} bytes");
    (heard, end)
}

fn drain(reader: &mut Reader, heard: &mut Vec<Heard>) -> Option<CloseCode> {
    loop {
        let (what, code) = match reader.poll() {
            Ok(None) => return None,
            Ok(Some(Incoming::Text(bytes))) => (Heard::Text(bytes.to_vec()), None),
            Ok(Some(Incoming::Binary(bytes))) => (Heard::Binary(bytes.to_vec()), None),
            Ok(Some(Incoming::Ping(bytes))) => (Heard::Ping(bytes.to_vec()), None),
            Ok(Some(Incoming::Pong)) => (Heard::Pong, None),
            Ok(Some(Incoming::Close(code))) => (Heard::End, Some(code.unwrap_or(CloseCode::NORMAL))),
            Err(violation) => (Heard::End, Some(violation.close_code())),
        };
        assert!(what.len() <= MAX);
        if let Heard::Text(text) = &what {
            assert!(std::str::from_utf8(text).is_ok(), "not a text");
        }
        heard.push(what);
        if code.is_some() {
            return code;
        }
    }
}

/// Reads a stream with tungstenite.
fn by_tungstenite(stream: &[u8]) -> Vec<Heard> {
    let config = WebSocketConfig::default().max_message_size(Some(MAX)).max_frame_size(Some(MAX));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(stream)), Role::Server, Some(config));
    let mut heard = Vec::new();
    loop {
        heard.push(match socket.read() {
            Ok(Message::Text(text)) => Heard::Text(text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => Heard::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Heard::Ping(bytes.to_vec()),
            Ok(Message::Pong(_)) => Heard::Pong,
            Err(tokio_tungstenite::tungstenite::Error::Io(_)) => return heard,
            Ok(Message::Close(_) | Message::Frame(_)) | Err(_) => Heard::End,
        });
        if heard.last() == Some(&Heard::End) {
            return heard;
        }
    }
}

/// The bytes of a client; what is said to it goes nowhere.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(into)? {
            // The client is quiet, not gone.
            0 => Err(std::io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Heard {
    fn len(&self) -> usize {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) | Self::Ping(bytes) => bytes.len(),
            Self::Pong | Self::End => 0,
        }
    }
}

/// What the server would send of this is what a client reads.
fn is_written_well(heard: &Heard) {
    let (frame, expected) = match heard {
        Heard::Text(bytes) => (ws::frame(true, bytes), Message::text(String::from_utf8_lossy(bytes).into_owned())),
        Heard::Binary(bytes) => (ws::frame(false, bytes), Message::binary(bytes.clone())),
        Heard::Ping(bytes) => (ws::pong_frame(bytes), Message::Pong(bytes.clone().into())),
        Heard::Pong | Heard::End => return,
    };
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(&frame)), Role::Client, None);
    assert_eq!(socket.read().ok(), Some(expected));
}

/// Frames of a client, most of them good.
fn frames(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..choices.below(24) {
        let opcode = choices.pick(&[1, 2, 0, 0, 9, 10, 8, 3]);
        let payload = payload(opcode, choices);
        let fin = opcode >= 8 || choices.chance(60);
        let reserved = if choices.chance(3) { choices.byte() & 0x70 } else { 0 };
        stream.push(opcode | if fin { 0x80 } else { 0 } | reserved);
        head(&payload, choices, &mut stream);
    }
    stream
}

/// Appends the second byte, the length in the shortest or a longer form, the mask, and the payload.
fn head(payload: &[u8], choices: &mut Choices<'_>, stream: &mut Vec<u8>) {
    let masked = !choices.chance(2);
    let bit = if masked { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..126 if !choices.chance(5) => stream.push(bit | len as u8),
        len @ 0..65_536 if !choices.chance(5) => {
            stream.push(bit | 126);
            stream.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            stream.push(bit | 127);
            let lie = if choices.chance(5) { choices.number() } else { len as u64 };
            stream.extend_from_slice(&lie.to_be_bytes());
        }
    }
    let mask = if masked { [choices.byte(), choices.byte(), choices.byte(), choices.byte()] } else { [0; 4] };
    if masked {
        stream.extend_from_slice(&mask);
    }
    stream.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

fn payload(opcode: u8, choices: &mut Choices<'_>) -> Vec<u8> {
    if opcode == 8 {
        let code = choices.pick(&[1000_u16, 1001, 1005, 1007, 1015, 2999, 3000, 4999, 5000]);
        return [&code.to_be_bytes(), choices.bytes()].concat();
    }
    match choices.below(6) {
        0 => vec![choices.byte(); choices.below(256) * 20],
        1 => "h\u{e4}\u{1f600}".as_bytes()[..choices.below(8)].to_vec(),
        2 => b"\xf0\x9f".to_vec(),
        _ => choices.bytes().iter().take(125).copied().collect(),
    }
}
