use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use moorline_core::TransportId;
use moorline_protocol::CloseCode;
use moorline_server::node::ConnId;

use crate::wire::Wire;

/// What travels on a link.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Message(Bytes),
    Close(Option<CloseCode>),
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Message(bytes) => bytes.len(),
            Self::Close(_) => 0,
        }
    }
}

/// One direction of a link: ordered, delayed, never reordered (as TCP).
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    items: VecDeque<(u64, Item)>,
    last_arrival: u64,
    bytes: usize,
    closed: bool,
}

impl Pipe {
    /// Queues an item to arrive at `arrival` µs or after what was sent before it. Returns its arrival.
    pub(crate) fn push(&mut self, arrival: u64, item: Item) -> Option<u64> {
        if self.closed {
            return None;
        }
        self.closed = matches!(item, Item::Close(_));
        self.last_arrival = self.last_arrival.max(arrival);
        self.bytes += item.bytes();
        self.items.push_back((self.last_arrival, item));
        Some(self.last_arrival)
    }

    /// Adds the frames of a message to the one before it, if that is still on its way.
    pub(crate) fn merge(&mut self, message: &Bytes) -> bool {
        let Some((_, Item::Message(last))) = self.items.back_mut() else { return false };
        let mut both = BytesMut::with_capacity(last.len() + message.len());
        both.extend_from_slice(last);
        both.extend_from_slice(message);
        *last = both.freeze();
        self.bytes += message.len();
        true
    }

    /// Takes the next item that has arrived by `now`.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Item> {
        if self.items.front()?.0 > now {
            return None;
        }
        let (_, item) = self.items.pop_front()?;
        self.bytes -= item.bytes();
        Some(item)
    }

    /// Bytes on the way.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the next item arrives.
    pub(crate) fn next_arrival(&self) -> Option<u64> {
        self.items.front().map(|(at, _)| *at)
    }

    /// Loses everything on the way and ends the stream with a close at `arrival`.
    pub(crate) fn cut(&mut self, arrival: u64) {
        self.items.clear();
        self.bytes = 0;
        self.closed = false;
        self.last_arrival = arrival;
        self.push(arrival, Item::Close(None));
    }

    /// Loses everything on the way and everything that follows; the reader never learns of it.
    pub(crate) fn sever(&mut self) {
        self.items.clear();
        self.bytes = 0;
        self.closed = true;
    }

    /// Lets everything that is held arrive from `at` on.
    pub(crate) fn release(&mut self, at: u64) {
        for (arrival, _) in &mut self.items {
            *arrival = at;
        }
        self.last_arrival = at;
    }

    /// Delays everything on the way until `at` at least.
    pub(crate) fn hold_until(&mut self, at: u64) {
        for (arrival, _) in &mut self.items {
            *arrival = (*arrival).max(at);
        }
        self.last_arrival = self.last_arrival.max(at);
    }
}

/// A socket between a client and the server.
pub(crate) struct Link {
    pub(crate) client: usize,
    /// The incarnation of the client's process that opened it.
    pub(crate) client_life: u32,
    pub(crate) transport: TransportId,
    /// The server's side: which life of the server, which shard, and its connection; `None` until opened there.
    pub(crate) server: Option<(u32, usize, ConnId)>,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    pub(crate) client_done: bool,
    pub(crate) server_done: bool,
    /// At which step of the world bytes were last put into `down`, and how many were waiting then.
    pub(crate) backlog: (u64, usize),
    /// Whether what the client sent arrives when its next connection is there.
    pub(crate) lingers: bool,
    /// Whether anything has reached the server.
    pub(crate) greeted: bool,
    /// Deliveries that are to be lost.
    pub(crate) to_lose: u32,
    /// Deliveries that are to arrive twice.
    pub(crate) to_repeat: u32,
    /// Compressed deliveries that are to be spoilt.
    pub(crate) to_garble: u32,
    pub(crate) wire: Wire,
}

/// Splits a binary message behind its first frame, if it has several.
pub(crate) fn split(message: &Bytes) -> Option<(Bytes, Bytes)> {
    let mut rest = message.clone();
    moorline_protocol::binary::varint::take_bytes(&mut rest).ok()?;
    let first = message.len() - rest.len();
    (!rest.is_empty()).then(|| (message.slice(..first), rest))
}
