use std::collections::VecDeque;

use moorline_protocol::limits::SDK_MESSAGE_BYTES;
use moorline_protocol::{Bytes, ClientFrame, CloseCode, Codec};

use crate::event::Event;
use crate::io::{Output, TransportId};
use crate::store::Store;

/// What all rooms write to: the one ordered queue of outputs, the frames and the store's batch of this call.
///
/// Frames of one call share a WebSocket message and writes of one call a batch, so that the outputs do not depend
/// on when the host drains them.
pub(crate) struct Outgoing {
    queue: VecDeque<Output>,
    frames: Vec<u8>,
    transport: Option<TransportId>,
    /// Bytes that wait in the socket, if the host counts them.
    buffered: Option<usize>,
    next_req: u64,
    /// Messages sent so far, on all sockets.
    sent: u64,
    pub(crate) store: Store,
}

impl Outgoing {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            queue: VecDeque::new(),
            frames: Vec::new(),
            transport: None,
            buffered: None,
            next_req: 1,
            sent: 0,
            store,
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.queue.push_back(Output::Event(event));
    }

    /// Returns a request number that this process has not used.
    pub(crate) fn req(&mut self) -> u64 {
        let req = self.next_req;
        self.next_req += 1;
        req
    }

    /// Names the socket that frames go to.
    pub(crate) fn open(&mut self, transport: TransportId) {
        self.frames.clear();
        self.buffered = None;
        self.transport = Some(transport);
    }

    pub(crate) fn on_buffered(&mut self, transport: TransportId, bytes: usize) {
        if self.transport == Some(transport) {
            self.buffered = Some(bytes);
        }
    }

    /// Returns the bytes that wait in the socket, as far as the host counts them.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered.unwrap_or(0)
    }

    /// Returns how many messages were sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Forgets the socket, which is gone, and what was to be sent.
    pub(crate) fn abandon(&mut self) {
        self.frames.clear();
        self.transport = None;
    }

    /// Sends what waits, then closes the socket.
    pub(crate) fn close(&mut self, code: CloseCode) {
        self.flush_frames();
        if let Some(id) = self.transport.take() {
            self.queue.push_back(Output::CloseTransport { id, code });
        }
    }

    pub(crate) fn send(&mut self, frame: &ClientFrame) {
        if self.transport.is_none() {
            return;
        }
        let before = self.frames.len();
        Codec::Binary.encode_client(frame, &mut self.frames);
        if before > 0 && self.frames.len() > SDK_MESSAGE_BYTES {
            let last = self.frames.split_off(before);
            self.flush_frames();
            self.frames = last;
        }
    }

    /// Ends a call: what it wants sent and stored joins the queue.
    pub(crate) fn flush(&mut self) {
        self.flush_frames();
        if let Some((ticket, batch)) = self.store.take_batch() {
            self.queue.push_back(Output::Persist { ticket, batch });
        }
    }

    fn flush_frames(&mut self) {
        let Some(id) = self.transport else { return };
        if !self.frames.is_empty() {
            let bytes = Bytes::from(std::mem::take(&mut self.frames));
            self.buffered = self.buffered.map(|buffered| buffered + bytes.len());
            self.sent += 1;
            self.queue.push_back(Output::Send { id, bytes });
        }
    }
}
