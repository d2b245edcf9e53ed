use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use moorline_core::protocol::{ClientFrame, CloseCode, Codec, Decoded, limits};
use moorline_core::{
    Client, ClientConfig, ConnectionState, Event, Failure, Input, Now, Output, PublishId, StoreBatch, StoreError,
    Ticket, Timestamp, TransportId,
};

/// A host with a clock, a store and one socket, which checks what it is told to do.
pub(super) struct Host {
    client: Client,
    /// What the store has committed.
    pub(super) disk: BTreeMap<Vec<u8>, Vec<u8>>,
    mono_ms: u64,
    unix_ms: u64,
    batches: VecDeque<(Ticket, StoreBatch)>,
    last_ticket: Option<Ticket>,
    socket: Socket,
    newest: Option<TransportId>,
    frames: Vec<ClientFrame>,
    /// When a token was asked for that has not come.
    token_asked: Option<u64>,
    /// What was published and is not settled.
    publishes: BTreeSet<PublishId>,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Socket {
    None,
    Opening(TransportId),
    /// Whether `hello` was sent.
    Open(TransportId, bool),
}

impl Host {
    pub(super) fn new(config: ClientConfig, disk: BTreeMap<Vec<u8>, Vec<u8>>, seed: u8) -> Self {
        let stored = disk.clone().into_iter().collect();
        let client = Client::new(config, stored, [seed; 32], now(1_000, 1_700_000_000_000));
        Self::with(client.expect("a store that this client has written"), disk)
    }

    pub(super) fn with(client: Client, disk: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        let mut host = Self {
            publishes: client.restored().map(|(id, ..)| id).collect(),
            client,
            disk,
            mono_ms: 1_000,
            unix_ms: 1_700_000_000_000,
            batches: VecDeque::new(),
            last_ticket: None,
            socket: Socket::None,
            newest: None,
            frames: Vec::new(),
            token_asked: None,
            closed: false,
        };
        host.drain();
        host
    }

    pub(super) fn now(&self) -> Now {
        now(self.mono_ms, self.unix_ms)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn newest(&self) -> Option<TransportId> {
        self.newest
    }

    pub(super) fn opening(&self) -> Option<TransportId> {
        if let Socket::Opening(id) = self.socket { Some(id) } else { None }
    }

    pub(super) fn open(&self) -> Option<TransportId> {
        if let Socket::Open(id, _) = self.socket { Some(id) } else { None }
    }

    /// Takes what was sent since the last call.
    pub(super) fn take_frames(&mut self) -> Vec<ClientFrame> {
        std::mem::take(&mut self.frames)
    }

    /// Runs a command.
    pub(super) fn call<T>(&mut self, command: impl FnOnce(&mut Client) -> T) -> T {
        let result = command(&mut self.client);
        self.drain();
        result
    }

    /// Runs a command that publishes; its receipt is known before it is drained.
    pub(super) fn publish<E>(&mut self, command: impl FnOnce(&mut Client) -> Result<PublishId, E>) {
        if let Ok(id) = command(&mut self.client) {
            assert!(self.publishes.insert(id), "two publishes are {id:?}");
        }
        self.drain();
    }

    pub(super) fn input(&mut self, input: Input) {
        let now = self.now();
        self.call(|client| client.handle_input(input, now));
    }

    pub(super) fn opened(&mut self, id: TransportId) {
        if self.socket == Socket::Opening(id) {
            self.socket = Socket::Open(id, false);
        }
        self.input(Input::TransportOpened { id });
    }

    /// A message arrived. Whatever it says, no socket is opened for it at once.
    pub(super) fn heard(&mut self, id: TransportId, bytes: Bytes) {
        let before = self.newest;
        self.input(Input::Message { id, bytes });
        assert_eq!(self.newest, before, "a message makes the client connect at once");
    }

    /// A socket is gone. Another one is never opened at once.
    pub(super) fn gone(&mut self, id: TransportId, code: Option<CloseCode>) {
        let before = self.newest;
        if matches!(self.socket, Socket::Opening(current) | Socket::Open(current, _) if current == id) {
            self.socket = Socket::None;
        }
        self.input(Input::TransportClosed { id, code });
        assert_eq!(self.newest, before, "a closed socket makes the client connect at once");
    }

    /// Answers the oldest batch.
    pub(super) fn persisted(&mut self, result: Result<(), StoreError>) {
        let Some((ticket, batch)) = self.batches.pop_front() else { return };
        if result.is_ok() {
            if batch.clear {
                self.disk.clear();
            }
            for key in batch.deletes {
                self.disk.remove(&key);
            }
            self.disk.extend(batch.puts);
        }
        self.input(Input::Persisted { ticket, result });
    }

    pub(super) fn token(&mut self, result: Result<Option<String>, Failure>) {
        if self.token_asked.take().is_some() {
            self.input(Input::Token(result));
        }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.mono_ms += ms;
        self.unix_ms += ms;
        self.timeout();
    }

    /// The wall clock is set.
    pub(super) fn jump_wall(&mut self, unix_ms: u64) {
        self.unix_ms = unix_ms.min(1 << 50);
        self.timeout();
    }

    /// Waits for the next deadline.
    pub(super) fn wait(&mut self) {
        if let Some(due) = self.client.poll_timeout() {
            let due = u64::try_from(due.since_origin().as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
            let ms = due.saturating_sub(self.mono_ms);
            // A deadline that never comes is none.
            if ms < 1 << 44 {
                self.pass(ms);
            }
        }
    }

    /// Waits for many deadlines.
    pub(super) fn settle_time(&mut self) {
        for _ in 0..16 {
            self.wait();
        }
    }

    fn timeout(&mut self) {
        let now = self.now();
        self.call(|client| client.handle_timeout(now));
        let due = self.client.poll_timeout();
        assert!(due.is_none_or(|due| due > now.mono), "due at {due:?}, and it is {now:?}");
    }

    fn drain(&mut self) {
        while let Some(output) = self.client.poll_output() {
            self.obey(output);
        }
        assert_eq!(self.client.outbox().messages, self.publishes.len(), "messages in the outbox");
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::OpenTransport { id, .. } => {
                assert!(self.socket == Socket::None && !self.closed, "a second socket, or one after the end");
                assert!(self.newest < Some(id), "socket {id:?} after {:?}", self.newest);
                (self.socket, self.newest) = (Socket::Opening(id), Some(id));
            }
            Output::Send { id, bytes } => self.send(id, bytes),
            Output::CloseTransport { id, .. } => {
                let current = matches!(self.socket, Socket::Opening(own) | Socket::Open(own, _) if own == id);
                assert!(current, "closes {id:?}, which is not open");
                self.socket = Socket::None;
            }
            Output::NeedToken { .. } => {
                assert!(!self.closed, "a request for a token after the end");
                let again = self.token_asked.replace(self.mono_ms);
                assert!(again.is_none_or(|at| self.mono_ms >= at + 60_000), "asked again within 60 s");
            }
            Output::Persist { ticket, batch } => {
                assert!(self.last_ticket < Some(ticket), "batch {ticket:?} after {:?}", self.last_ticket);
                self.last_ticket = Some(ticket);
                self.batches.push_back((ticket, batch));
            }
            Output::Event(event) => self.tell(&event),
        }
    }

    fn send(&mut self, id: TransportId, mut bytes: Bytes) {
        let Socket::Open(open, greeted) = self.socket else { panic!("sends to {id:?}, which is not open") };
        assert_eq!(open, id, "sends to a socket that is gone");
        assert!(bytes.len() <= limits::TRANSPORT_MESSAGE_BYTES, "a message of {} bytes", bytes.len());
        let mut greeted = greeted;
        loop {
            match Codec::Binary.decode_client(&mut bytes) {
                Ok(None) => break,
                Ok(Some(Decoded::Frame(frame))) => {
                    let hello = matches!(frame, ClientFrame::Hello(_));
                    assert_ne!(hello, greeted, "`hello` is sent once, first");
                    greeted = true;
                    self.frames.push(frame);
                }
                other => panic!("a server would refuse this: {other:?}"),
            }
        }
        self.socket = Socket::Open(open, greeted);
    }

    fn tell(&mut self, event: &Event) {
        match event {
            Event::PublishSettled { id, .. } => {
                assert!(self.publishes.remove(id), "{id:?} settles twice, or was never published");
            }
            Event::PublishSent { id } => assert!(self.publishes.contains(id), "{id:?} is sent after its end"),
            Event::StateChanged { state, .. } => {
                let fits = match state {
                    ConnectionState::Online => matches!(self.socket, Socket::Open(_, true)),
                    ConnectionState::Idle | ConnectionState::Closed => self.socket == Socket::None,
                    _ => true,
                };
                assert!(fits, "{state:?} with another socket");
            }
            Event::Closed { .. } => self.closed = true,
            Event::Message { .. } => assert!(!self.closed, "a message after the end"),
            _ => {}
        }
    }
}

fn now(mono_ms: u64, unix_ms: u64) -> Now {
    Now { mono: Timestamp::from_millis(mono_ms), unix: unix_ms }
}
