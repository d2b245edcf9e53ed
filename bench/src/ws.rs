//! As much of RFC 6455 as a load generator needs, written by hand so that its own cost stays small and known.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(10);
const MASK: [u8; 4] = [0x5a, 0x3c, 0x96, 0xe1];

/// The opcode of a ping of the WebSocket itself.
pub(crate) const PING: u8 = 9;

/// What a message of ours holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// Bytes.
    Binary = 2,
    /// The answer to a ping of the WebSocket itself.
    Pong = 10,
}

/// A message from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The opcode's number.
    pub(crate) opcode: u8,
    /// The content.
    pub(crate) payload: Vec<u8>,
}

/// A blocking connection, and what was read from it beyond the last message.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The socket.
    pub(crate) stream: TcpStream,
    inbox: Vec<u8>,
}

impl Connection {
    /// Connects and upgrades.
    ///
    /// # Errors
    /// [`Error::Answer`] unless the server switches protocols, [`Error::Io`].
    pub(crate) fn open(address: SocketAddr, path: &str, subprotocol: Option<&str>, peer: &'static str) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let subprotocol = subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{subprotocol}\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut connection = Self { stream, inbox: Vec::new() };
        let head = connection.until(peer, |inbox| {
            memchr::memmem::find(inbox, b"\r\n\r\n").map(|at| inbox.drain(..at + 4).collect::<Vec<u8>>())
        })?;
        if head.starts_with(b"HTTP/1.1 101") { Ok(connection) } else { Err(Error::Answer(peer, "upgrading")) }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result {
        let mut frame = Vec::new();
        encode(opcode, payload, &mut frame);
        Ok(self.stream.write_all(&frame)?)
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Io`].
    pub(crate) fn receive(&mut self, peer: &'static str) -> Result<Message> {
        self.until(peer, decode)
    }

    /// Takes in bytes that were read elsewhere and returns the messages that are complete.
    pub(crate) fn take_in(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.inbox.extend_from_slice(bytes);
        std::iter::from_fn(|| decode(&mut self.inbox)).collect()
    }

    fn until<T>(&mut self, peer: &'static str, take: impl Fn(&mut Vec<u8>) -> Option<T>) -> Result<T> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(taken) = take(&mut self.inbox) {
                return Ok(taken);
            }
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err(Error::Closed(peer));
            }
            self.inbox.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
    }
}

/// Appends one masked message.
pub(crate) fn encode(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode as u8);
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        medium @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    let (words, rest) = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(MASK)).to_ne_bytes();
    }
    rest.iter_mut().zip(MASK).for_each(|(byte, mask)| *byte ^= mask);
}

/// Takes the first message off `inbox` if it is complete. Servers under measurement do not fragment.
fn decode(inbox: &mut Vec<u8>) -> Option<Message> {
    let (&first, &second) = (inbox.first()?, inbox.get(1)?);
    let (header, length) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(inbox.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(inbox.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let payload = inbox.get(header..header + length)?.to_vec();
    inbox.drain(..header + length);
    Some(Message { opcode: first & 0x0f, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_message_unmasks_to_its_payload() {
        for length in [0, 125, 126, 70_000] {
            let payload = vec![7; length];
            let mut frame = Vec::new();
            encode(Opcode::Binary, &payload, &mut frame);
            assert_eq!(frame[0], 0x82);
            let body = &frame[frame.len() - length..];
            let plain: Vec<u8> = body.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            assert_eq!(plain, payload);
        }
    }

    #[test]
    fn messages_are_taken_off_one_by_one() {
        let mut inbox = vec![0x82, 2, 1, 2, 0x89, 0, 0x82, 126, 0, 200];
        assert_eq!(decode(&mut inbox), Some(Message { opcode: 2, payload: vec![1, 2] }));
        assert_eq!(decode(&mut inbox), Some(Message { opcode: 9, payload: vec![] }));
        assert_eq!(decode(&mut inbox), None);
        inbox.extend([3; 200]);
        assert_eq!(decode(&mut inbox), Some(Message { opcode: 2, payload: vec![3; 200] }));
        assert!(inbox.is_empty());
    }
}
