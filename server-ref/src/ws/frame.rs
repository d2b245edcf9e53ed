use bytes::{Buf, Bytes, BytesMut};
use moorline_protocol::CloseCode;

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text message, known to be UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping; answer with the same bytes.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The client closes, with this code.
    Close(Option<CloseCode>),
}

/// How a client broke RFC 6455, or its message is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Close with 1002.
    #[error("the WebSocket frame is not allowed: {0}")]
    Protocol(&'static str),
    /// Close with 1007.
    #[error("a text message is not UTF-8")]
    Utf8,
    /// Close with 4506.
    #[error("the WebSocket message is larger than 1 MiB; send it as several")]
    TooLarge,
}

impl Violation {
    /// Returns the code to close with.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Protocol(_) => CloseCode(1002),
            Self::Utf8 => CloseCode(1007),
            Self::TooLarge => CloseCode::TOO_LARGE,
        }
    }
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Bytes of a control frame's payload.
const CONTROL_BYTES: usize = 125;

/// Reads frames from a byte stream; holds memory only inside an unfinished frame or message.
#[derive(Debug)]
pub struct Reader {
    max: usize,
    buffer: BytesMut,
    message: Option<Unfinished>,
}

/// What has come of a message in fragments.
#[derive(Debug)]
struct Unfinished {
    opcode: u8,
    bytes: BytesMut,
    /// Of a text: so many bytes are known to be UTF-8.
    checked: usize,
}

struct Head {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    len: usize,
    size: usize,
}

impl Reader {
    /// Creates a reader for messages of at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { max, buffer: BytesMut::new(), message: None }
    }

    /// Adds bytes from the socket.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes what has arrived whole; `None` until more bytes come.
    ///
    /// # Errors
    /// [`Violation`]: close the connection with its code.
    pub fn poll(&mut self) -> Result<Option<Incoming>, Violation> {
        loop {
            let Some(head) = self.head()? else {
                if self.buffer.is_empty() {
                    self.buffer = BytesMut::new();
                }
                return Ok(None);
            };
            if self.buffer.len() < head.size + head.len {
                return Ok(None);
            }
            self.buffer.advance(head.size);
            let mut payload = self.buffer.split_to(head.len);
            unmask(&mut payload, head.mask);
            if let Some(incoming) = self.take(&head, payload)? {
                return Ok(Some(incoming));
            }
        }
    }

    fn head(&self) -> Result<Option<Head>, Violation> {
        let (Some(first), Some(second)) = (self.buffer.first(), self.buffer.get(1)) else { return Ok(None) };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 {
            return Err(Violation::Protocol("a reserved bit is set"));
        }
        if second & 0x80 == 0 {
            return Err(Violation::Protocol("a client's frame must be masked"));
        }
        if !matches!(opcode, 0 | TEXT | BINARY | CLOSE | PING | PONG) {
            return Err(Violation::Protocol("the opcode is unknown"));
        }
        let (len, at) = match second & 0x7f {
            126 => match self.buffer.get(2..4).and_then(|b| b.try_into().ok()) {
                Some(bytes) => (u64::from(u16::from_be_bytes(bytes)), 4),
                None => return Ok(None),
            },
            127 => match self.buffer.get(2..10).and_then(|b| b.try_into().ok()) {
                Some(bytes) => (u64::from_be_bytes(bytes), 10),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        if opcode >= CLOSE && (!fin || len > CONTROL_BYTES as u64) {
            return Err(Violation::Protocol("a control frame is fragmented or longer than 125 bytes"));
        }
        let so_far = self.message.as_ref().map_or(0, |message| message.bytes.len());
        let Some(len) = usize::try_from(len).ok().filter(|len| so_far.saturating_add(*len) <= self.max) else {
            return Err(Violation::TooLarge);
        };
        match self.buffer.get(at..at + 4).and_then(|b| b.try_into().ok()) {
            Some(mask) => Ok(Some(Head { fin, opcode, mask, len, size: at + 4 })),
            None => Ok(None),
        }
    }

    fn take(&mut self, head: &Head, payload: BytesMut) -> Result<Option<Incoming>, Violation> {
        match (head.opcode, self.message.take()) {
            (PING, message) => {
                self.message = message;
                Ok(Some(Incoming::Ping(payload.freeze())))
            }
            (PONG, message) => {
                self.message = message;
                Ok(Some(Incoming::Pong))
            }
            (CLOSE, _) => close_code(&payload).map(|code| Some(Incoming::Close(code))),
            (0, None) => Err(Violation::Protocol("a continuation without a beginning")),
            (0, Some(mut message)) => {
                message.bytes.extend_from_slice(&payload);
                self.complete(head.fin, message)
            }
            (_, Some(_)) => Err(Violation::Protocol("a new message inside another")),
            (opcode, None) => self.complete(head.fin, Unfinished { opcode, bytes: payload, checked: 0 }),
        }
    }

    fn complete(&mut self, fin: bool, mut message: Unfinished) -> Result<Option<Incoming>, Violation> {
        if message.opcode == TEXT {
            message.checked += check_utf8(message.bytes.get(message.checked..).unwrap_or_default(), fin)?;
        }
        if !fin {
            self.message = Some(message);
            return Ok(None);
        }
        let bytes = message.bytes.freeze();
        Ok(Some(if message.opcode == TEXT { Incoming::Text(bytes) } else { Incoming::Binary(bytes) }))
    }
}

/// Checks that a text, or what has come of it, can be UTF-8. Returns how much of it is.
fn check_utf8(text: &[u8], whole: bool) -> Result<usize, Violation> {
    match std::str::from_utf8(text) {
        Ok(text) => Ok(text.len()),
        Err(error) if !whole && error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(Violation::Utf8),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let word = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Reads the code of a close frame.
fn close_code(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::Protocol("a close frame of one byte")) };
    };
    let code = u16::from_be_bytes(*code);
    let allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if !allowed {
        return Err(Violation::Protocol("a close code that may not be sent"));
    }
    check_utf8(reason, true)?;
    Ok(Some(CloseCode(code)))
}

/// Returns the head of an unmasked frame with this opcode and length.
pub fn header(text: bool, len: usize) -> Vec<u8> {
    head(if text { TEXT } else { BINARY }, len)
}

fn head(opcode: u8, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(10);
    out.push(0x80 | opcode);
    match len {
        0..=125 => out.push(len as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out
}

/// Returns a whole message as one frame.
pub fn frame(text: bool, message: &[u8]) -> Bytes {
    let mut out = header(text, message.len());
    out.extend_from_slice(message);
    out.into()
}

/// Returns the answer to a ping.
pub fn pong_frame(payload: &[u8]) -> Bytes {
    let mut out = head(PONG, payload.len());
    out.extend_from_slice(payload);
    out.into()
}

/// Returns a close frame. The reason is for people; what does not fit into a control frame is left out.
pub fn close_frame(code: CloseCode, reason: &str) -> Bytes {
    let mut reason = reason.to_owned();
    while reason.len() > CONTROL_BYTES - 2 {
        reason.pop();
    }
    let mut out = head(CLOSE, 2 + reason.len());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = head(opcode, payload.len());
        out[0] = opcode | if fin { 0x80 } else { 0 };
        out[1] |= 0x80;
        let mask = [1, 2, 3, 4];
        out.extend_from_slice(&mask);
        let mut payload = payload.to_vec();
        unmask(&mut payload, mask);
        out.extend(payload);
        out
    }

    #[test]
    fn messages_arrive_whole_however_they_are_cut() {
        let mut bytes = masked(true, BINARY, &[7; 300]);
        bytes.extend(masked(false, TEXT, "h\u{e4}".as_bytes().split_at(2).0));
        bytes.extend(masked(true, PING, b"x"));
        bytes.extend(masked(true, 0, "h\u{e4}".as_bytes().split_at(2).1));
        let mut reader = Reader::new(1000);
        let mut seen = Vec::new();
        for byte in bytes {
            reader.feed(&[byte]);
            seen.extend(std::iter::from_fn(|| reader.poll().unwrap()));
        }
        let text = Incoming::Text(Bytes::from("h\u{e4}"));
        assert_eq!(seen, [Incoming::Binary(Bytes::from(vec![7; 300])), Incoming::Ping(Bytes::from("x")), text]);
    }

    #[test]
    fn a_text_in_a_million_fragments_is_checked_once() {
        let text = "\u{e4}".repeat(512 * 1024);
        let mut reader = Reader::new(1 << 20);
        let (mut opcode, mut fin) = (TEXT, false);
        for (at, byte) in text.bytes().enumerate() {
            fin = at + 1 == text.len();
            reader.feed(&masked(fin, opcode, &[byte]));
            opcode = 0;
            if !fin {
                assert_eq!(reader.poll(), Ok(None));
            }
        }
        assert_eq!((fin, reader.poll()), (true, Ok(Some(Incoming::Text(text.into())))));
    }

    #[test]
    fn a_character_that_is_never_finished_is_named() {
        let mut reader = Reader::new(100);
        reader.feed(&masked(false, TEXT, &[b'x', 0xe2, 0x82]));
        reader.feed(&masked(true, 0, &[]));
        assert_eq!(reader.poll(), Err(Violation::Utf8));
    }

    #[test]
    fn violations_are_named() {
        let fails = |bytes: &[u8]| {
            let mut reader = Reader::new(100);
            reader.feed(bytes);
            reader.poll().unwrap_err().close_code().0
        };
        assert_eq!(fails(&[0x82, 0x00]), 1002);
        assert_eq!(fails(&masked(true, 3, b"")), 1002);
        assert_eq!(fails(&masked(false, PING, b"")), 1002);
        assert_eq!(fails(&masked(true, 0, b"")), 1002);
        assert_eq!(fails(&masked(true, TEXT, &[0xff])), 1007);
        assert_eq!(fails(&masked(true, BINARY, &[0; 101])), 4506);
        assert_eq!(fails(&masked(true, CLOSE, &[3, 237])), 1002);
    }
}
