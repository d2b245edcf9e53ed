//! Moorline's binary frames.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use moorline_protocol::{
    ChannelName, ChannelRef, ClientFrame, Codec, Decoded, Hello, Payload, Pong, Publish, Qos, ServerFrame, Subscribe,
    Utf8Bytes,
};

use crate::error::{Error, Result};
use crate::server::Server;
use crate::template::{NUMBER, digits};
use crate::ws::{self, Connection, Message, Opcode};

const BINARY: u8 = 2;

/// Starts the server in development mode, which has no rate limits and takes `dev:<user>` as a token.
///
/// # Errors
/// As [`Server::start`].
pub(super) fn start(program: &Path, disk: &Path) -> Result<Server> {
    Server::start(program, disk, |address, folder| {
        let data = folder.join("data").display().to_string();
        vec!["--dev".to_owned(), "--listen".to_owned(), address.to_string(), "--data".to_owned(), data]
    })
}

pub(super) fn open(address: SocketAddr, who: usize, level: Option<u8>, peer: &'static str) -> Result<Connection> {
    let mut connection = Connection::open(address, "/ws", Some(Codec::BINARY_SUBPROTOCOL), peer)?;
    let unexpected = || Error::Answer(peer, "subscribing");
    let subscribe = match level {
        Some(level) => {
            let qos = Qos::from_level(level).ok_or_else(unexpected)?;
            vec![Subscribe { qos, ..Subscribe::new(1, channel(peer)?) }]
        }
        None => Vec::new(),
    };
    let mut expected = 1 + subscribe.len();
    let token = Some(Utf8Bytes::from(format!("dev:bench-{who}")));
    let hello = Hello { v: 1, token, subscribe, ..Hello::default() };
    connection.send(Opcode::Binary, &encoded(&ClientFrame::Hello(hello)))?;
    while expected > 0 {
        for frame in frames(&connection.receive(peer)?) {
            if !matches!(frame, ServerFrame::Welcome(_) | ServerFrame::Subscribed(_)) {
                return Err(unexpected());
            }
            expected = expected.saturating_sub(1);
        }
    }
    Ok(connection)
}

pub(super) fn publish(level: u8, payload: Vec<u8>, peer: &'static str) -> Result<Vec<u8>> {
    let qos = Qos::from_level(level).ok_or(Error::Answer(peer, "publishing"))?;
    let acknowledged = qos > Qos::AtMostOnce;
    let publish = Publish {
        channel: ChannelRef::Name(channel(peer)?),
        qos,
        // Answers are counted, not told apart.
        req: acknowledged.then_some(1),
        id: acknowledged.then(|| Utf8Bytes::from(digits(NUMBER))),
        seq: None,
        generation: None,
        ttl: None,
        headers: Vec::new(),
        payload: Payload::Binary(Bytes::from(payload)),
    };
    Ok(encoded(&ClientFrame::Publish(publish)))
}

pub(super) fn answer(message: &Message, out: &mut Vec<u8>) {
    for frame in frames(message) {
        if let ServerFrame::Ping(ping) = frame {
            ws::encode(Opcode::Binary, &encoded(&ClientFrame::Pong(Pong { n: ping.n })), out);
        }
    }
}

/// What a publisher was told in one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// Publishes that are stored.
    pub(crate) stored: u64,
    /// Publishes that were refused.
    pub(crate) refused: u64,
}

impl Acknowledged {
    /// Counts the answers in a message.
    pub(crate) fn in_message(message: &Message) -> Self {
        let mut counts = Self::default();
        for frame in frames(message) {
            counts.stored += u64::from(matches!(frame, ServerFrame::Published(_)));
            counts.refused += u64::from(matches!(frame, ServerFrame::Error(_)));
        }
        counts
    }
}

fn channel(peer: &'static str) -> Result<ChannelName> {
    ChannelName::new("bench").map_err(|_| Error::Answer(peer, "naming a channel"))
}

fn encoded(frame: &ClientFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    Codec::Binary.encode_client(frame, &mut bytes);
    bytes
}

fn frames(message: &Message) -> impl Iterator<Item = ServerFrame> {
    let payload = if message.opcode == BINARY { message.payload.as_slice() } else { &[] };
    let mut bytes = Bytes::copy_from_slice(payload);
    std::iter::from_fn(move || {
        loop {
            match Codec::Binary.decode_server(&mut bytes) {
                Ok(Some(Decoded::Frame(frame))) => return Some(frame),
                Ok(Some(Decoded::Ignored | Decoded::Unsupported { .. })) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    })
}
