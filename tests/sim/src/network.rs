use std::collections::VecDeque;

use bytes::Bytes;
use moorline_core::TransportId;
use moorline_protocol::CloseCode;
use moorline_server::node::ConnId;

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

    /// Delays everything on the way until `at` at least.
    pub(crate) fn hold_until(&mut self, at: u64) {
        for (arrival, _) in &mut self.items {
            *arrival = (*arrival).max(at);
        }
        self.last_arrival = self.last_arrival.max(at);
    }
}

/// A socket between a client and the server.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: usize,
    /// The incarnation of the client's process that opened it.
    pub(crate) client_life: u32,
    pub(crate) transport: TransportId,
    /// The server's side: which life of the server, and its connection; `None` until opened there.
    pub(crate) server: Option<(u32, ConnId)>,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    pub(crate) client_done: bool,
    pub(crate) server_done: bool,
}
