//! A WebSocket client made of bytes, so that a test can say anything.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Opcodes of RFC 6455.
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came from the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// A frame of the protocol.
    Json(Value),
    /// A binary message.
    Binary(Vec<u8>),
    /// The answer to a ping.
    Pong(Vec<u8>),
    /// A close frame.
    Close(u16, String),
    /// The end of the connection; `true` if it was reset.
    Gone(bool),
}

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    bytes: Vec<u8>,
    heard: VecDeque<Heard>,
}

impl Wire {
    /// Connects, and says nothing.
    pub(crate) fn dial(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// Goes on with a connection of which nothing was read.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, bytes: Vec::new(), heard: VecDeque::new() }
    }

    /// Connects, and becomes a WebSocket that speaks JSON.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::open_at(address, "/ws")
    }

    /// The same at a path of its own.
    pub(crate) fn open_at(address: SocketAddr, path: &str) -> Self {
        let mut wire = Self::dial(address);
        let answer = wire.request(&upgrade(path, ""));
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        wire
    }

    /// Connects and says `hello` with a token.
    pub(crate) fn hello(address: SocketAddr, token: &str) -> Self {
        let mut wire = Self::open(address);
        wire.say(&serde_json::json!({"t": "hello", "v": 1, "token": token}));
        wire.expect("welcome");
        wire
    }

    /// Returns this end of the connection.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends bytes to somebody who may have closed already. Returns whether they were taken.
    pub(crate) fn try_raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// From now on a write that the other side does not take for a second fails.
    pub(crate) fn give_up_writing(&self) {
        self.stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    }

    /// Sends a request and returns the head of the answer, with a body as far as it names its length.
    pub(crate) fn request(&mut self, head: &str) -> String {
        self.raw(head.as_bytes());
        self.response()
    }

    /// Returns the answer to a request: all there is if it ends the connection.
    pub(crate) fn response(&mut self) -> String {
        loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(self.bytes[..end + 4].to_vec()).unwrap();
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                let size = end + 4 + length.map_or(0, |length| length.parse().unwrap());
                if self.bytes.len() >= size {
                    return String::from_utf8(self.bytes.drain(..size).collect()).unwrap();
                }
            }
            if let Some(reset) = self.read() {
                return format!("{}[gone, reset: {reset}]", String::from_utf8_lossy(&self.bytes));
            }
        }
    }

    /// Sends one frame of the protocol.
    pub(crate) fn say(&mut self, value: &Value) {
        self.raw(&frame(true, TEXT, value.to_string().as_bytes()));
    }

    /// Returns what comes next. Pings of the server are answered and passed over.
    pub(crate) fn hear(&mut self) -> Heard {
        let until = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < until, "nothing but pings came from the server");
            match self.heard.pop_front() {
                Some(Heard::Json(value)) if value["t"] == "ping" => {
                    self.say(&serde_json::json!({"t": "pong", "n": value["n"]}));
                }
                Some(heard) => return heard,
                None if self.parse() => {}
                None => {
                    if let Some(reset) = self.read() {
                        return Heard::Gone(reset);
                    }
                }
            }
        }
    }

    /// Returns the next frame, which is of this type.
    pub(crate) fn expect(&mut self, t: &str) -> Value {
        match self.hear() {
            Heard::Json(value) if value["t"] == t => value,
            other => panic!("not `{t}` but {other:?}"),
        }
    }

    /// Returns the next frame.
    pub(crate) fn expect_any(&mut self) -> Value {
        match self.hear() {
            Heard::Json(value) => value,
            other => panic!("not a frame but {other:?}"),
        }
    }

    /// Returns the next frame, which is an error with this code and a sentence that says what to do.
    pub(crate) fn expect_error(&mut self, code: &str) -> Value {
        let error = self.expect("error");
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
        error
    }

    /// The server closes with this code, and then the connection ends in good order.
    pub(crate) fn expect_close(&mut self, code: u16) -> String {
        match self.hear() {
            Heard::Close(found, reason) if found == code => {
                assert_eq!(self.hear(), Heard::Gone(false), "after the close");
                reason
            }
            other => panic!("not a close with {code} but {other:?}"),
        }
    }

    /// The error, then the close.
    pub(crate) fn expect_end(&mut self, code: &str, close: u16) {
        self.expect_error(code);
        self.expect_close(close);
    }

    /// Reads once. Returns whether the end was a reset, at the end.
    fn read(&mut self) -> Option<bool> {
        let mut buffer = [0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) => Some(false),
            Ok(count) => {
                self.bytes.extend_from_slice(&buffer[..count]);
                None
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(true),
            // A process that is stopped and goes on is told so where a time limit stands.
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) => panic!("nothing came from the server: {error}"),
        }
    }

    /// Takes one WebSocket frame out of what has arrived.
    fn parse(&mut self) -> bool {
        let Some((opcode, payload, size)) = parse(&self.bytes) else { return false };
        self.bytes.drain(..size);
        match opcode {
            TEXT => {
                let text = String::from_utf8(payload).unwrap();
                let frames = text.lines().map(|line| Heard::Json(serde_json::from_str(line).unwrap()));
                self.heard.extend(frames);
            }
            BINARY => self.heard.push_back(Heard::Binary(payload)),
            PONG => self.heard.push_back(Heard::Pong(payload)),
            CLOSE => {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                let reason = String::from_utf8(payload[2..].to_vec()).unwrap();
                self.heard.push_back(Heard::Close(code, reason));
            }
            other => panic!("the server sent opcode {other}"),
        }
        true
    }
}

/// Takes an unmasked, whole frame: opcode, payload, and how many bytes it took.
fn parse(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!((first & 0xf0, second & 0x80), (0x80, 0), "whole frames, without extensions and mask");
    let (len, at) = match second {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize, 10),
        short => (usize::from(short), 2),
    };
    Some((first & 0x0f, bytes.get(at..at + len)?.to_vec(), at + len))
}

/// A request for an upgrade. `extra` is whole lines.
pub(crate) fn upgrade(path: &str, extra: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
    )
}

/// A masked frame. The mask of a long one changes nothing: that is faster, and allowed.
pub(crate) fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = head(fin, opcode, payload.len());
    if payload.len() > 10_000 {
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(payload);
    } else {
        let mask = [0x12, 0x34, 0x56, 0x78];
        out.extend_from_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    out
}

/// The head of a masked frame, without the mask.
pub(crate) fn head(fin: bool, opcode: u8, len: usize) -> Vec<u8> {
    let mut out = vec![opcode | if fin { 0x80 } else { 0 }];
    match len {
        0..126 => out.push(0x80 | len as u8),
        126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out
}
