//! The host: a clock, a store, and the wire to the script.

use std::collections::BTreeMap;

use moorline_core::blackbox::Recording;
use moorline_core::protocol::{
    Bytes, ChannelName, ChannelNumber, ChannelRef, ClientFrame, CloseCode, Codec, Decoded, Deliver, DeviceId,
    Durability, Epoch, ErrorCode, ErrorFrame, Limits, Message, Offset, Payload, Position, ProducerGrant, ProducerId,
    ProducerState, Published, ServerFrame, Start, Subscribed, Utf8Bytes, Welcome,
};
use moorline_core::{
    Client, ClientConfig, Event, HostSignal, Input, Now, Output, PublishOptions, StateReason, StoreError,
    SubscribeOptions, SubscriptionId, Ticket, Timestamp, TransportId,
};

pub(crate) const EPOCH: &str = "e1";
pub(crate) const PRODUCER: ProducerId = ProducerId(77);

/// Whether batches are committed at once or when the test says so.
#[derive(PartialEq, Eq)]
pub(crate) enum Commits {
    AtOnce,
    ByHand,
}

pub(crate) struct Host {
    pub(crate) client: Client,
    pub(crate) now_ms: u64,
    /// How far the device's wall clock is off.
    pub(crate) skew_ms: i64,
    pub(crate) disk: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) commits: Commits,
    pub(crate) uncommitted: Vec<(Ticket, moorline_core::StoreBatch)>,
    pub(crate) frames: Vec<ClientFrame>,
    pub(crate) events: Vec<Event>,
    pub(crate) opened: Vec<(TransportId, String)>,
    pub(crate) closed: Vec<(TransportId, CloseCode)>,
    pub(crate) token_asks: Vec<moorline_core::TokenReason>,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::with(ClientConfig::new("ws://a"), BTreeMap::new())
    }

    pub(crate) fn with(config: ClientConfig, disk: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        Self::build(config, disk, [7; 32], 0)
    }

    /// A client with other dice.
    pub(crate) fn seeded(seed: [u8; 32]) -> Self {
        Self::build(ClientConfig::new("ws://a"), BTreeMap::new(), seed, 0)
    }

    /// A process on a device whose wall clock is so far off.
    pub(crate) fn with_clock(config: ClientConfig, disk: BTreeMap<Vec<u8>, Vec<u8>>, skew_ms: i64) -> Self {
        Self::build(config, disk, [7; 32], skew_ms)
    }

    fn build(config: ClientConfig, disk: BTreeMap<Vec<u8>, Vec<u8>>, seed: [u8; 32], skew_ms: i64) -> Self {
        let stored = disk.clone().into_iter().collect();
        let now = Now { mono: Timestamp::from_millis(1_000), unix: 1_700_000_000_000_u64.strict_add_signed(skew_ms) };
        Self {
            client: Client::new(config, stored, seed, now).unwrap(),
            now_ms: 1_000,
            skew_ms,
            disk,
            commits: Commits::AtOnce,
            uncommitted: Vec::new(),
            frames: Vec::new(),
            events: Vec::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            token_asks: Vec::new(),
        }
    }

    /// A client that has its `welcome`.
    pub(crate) fn online() -> Self {
        let mut host = Self::new();
        host.go_online();
        host
    }

    /// The same store, another process.
    pub(crate) fn restart(self) -> Self {
        Self::with(ClientConfig::new("ws://a"), self.disk.clone())
    }

    pub(crate) fn now(&self) -> Now {
        let unix = (1_700_000_000_000 + self.now_ms).saturating_add_signed(self.skew_ms);
        Now { mono: Timestamp::from_millis(self.now_ms), unix }
    }

    pub(crate) fn go_online(&mut self) {
        self.connect();
        self.open();
        self.send(ServerFrame::Welcome(welcome(ProducerState::New)));
    }

    pub(crate) fn connect(&mut self) {
        self.client.connect(self.now());
        self.drain();
    }

    pub(crate) fn transport(&self) -> TransportId {
        self.opened.last().unwrap().0
    }

    pub(crate) fn open(&mut self) {
        let id = self.transport();
        self.input(Input::TransportOpened { id });
    }

    /// Waits for the next attempt and opens its socket.
    pub(crate) fn reopen(&mut self) {
        let before = self.opened.len();
        while self.opened.len() == before {
            self.wait();
        }
        self.open();
    }

    pub(crate) fn cut(&mut self, code: Option<u16>) {
        let id = self.transport();
        self.input(Input::TransportClosed { id, code: code.map(CloseCode) });
    }

    pub(crate) fn signal(&mut self, signal: HostSignal) {
        self.input(Input::Host(signal));
    }

    pub(crate) fn send(&mut self, frame: ServerFrame) {
        let mut out = Vec::new();
        Codec::Binary.encode_server(&frame, &mut out);
        self.raw(out);
    }

    pub(crate) fn raw(&mut self, bytes: Vec<u8>) {
        let id = self.transport();
        self.input(Input::Message { id, bytes: Bytes::from(bytes) });
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.client.handle_input(input, self.now());
        self.drain();
    }

    /// Lets time pass, firing timers when they are due.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(due) = self.due().filter(|due| *due <= end) {
            self.now_ms = self.now_ms.max(due);
            self.fire();
        }
        self.now_ms = end;
    }

    /// Passes time without firing timers, as a sleeping device does.
    pub(crate) fn sleep(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// Goes to the next deadline.
    pub(crate) fn wait(&mut self) {
        self.now_ms = self.now_ms.max(self.due().expect("something is scheduled"));
        self.fire();
    }

    fn due(&self) -> Option<u64> {
        self.client.poll_timeout().map(|at| at.since_origin().as_micros().div_ceil(1_000) as u64)
    }

    fn fire(&mut self) {
        self.client.handle_timeout(self.now());
        self.drain();
        assert!(self.client.poll_timeout().is_none_or(|at| at > self.now().mono), "a deadline that does not move");
    }

    pub(crate) fn commit(&mut self, result: Result<(), StoreError>) {
        let (ticket, batch) = self.uncommitted.remove(0);
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

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::OpenTransport { id, url } => self.opened.push((id, url)),
                Output::Send { id, bytes } => {
                    assert_eq!(id, self.transport());
                    self.frames.extend(read(bytes));
                }
                Output::CloseTransport { id, code } => self.closed.push((id, code)),
                Output::NeedToken { reason } => self.token_asks.push(reason),
                Output::Persist { ticket, batch } => self.uncommitted.push((ticket, batch)),
                Output::Event(event) => self.events.push(event),
            }
        }
        if self.commits == Commits::AtOnce && !self.uncommitted.is_empty() {
            self.commit(Ok(()));
        }
    }

    pub(crate) fn take_frames(&mut self) -> Vec<ClientFrame> {
        std::mem::take(&mut self.frames)
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn subscribe(&mut self, name: &str, options: SubscribeOptions) -> SubscriptionId {
        let id = self.client.subscribe(&channel(name), options, self.now()).unwrap();
        self.drain();
        id
    }

    /// Answers the newest `subscribe` for a channel, also one in `hello`.
    pub(crate) fn subscribed(&mut self, name: &str, from: u64, head: u64, start: Start) {
        let subscribe = self.asked(name);
        self.send(ServerFrame::Subscribed(Subscribed {
            req: subscribe.req,
            channel: channel(name),
            number: number(name),
            epoch: epoch(EPOCH),
            head: Offset(head),
            from: Offset(from),
            start,
            reason: None,
            first: None,
            expires: None,
            members: None,
        }));
    }

    /// Returns the newest `subscribe` for a channel.
    pub(crate) fn asked(&self, name: &str) -> moorline_core::protocol::Subscribe {
        let mut asked = self.frames.iter().rev().flat_map(|frame| match frame {
            ClientFrame::Hello(hello) => hello.subscribe.clone(),
            ClientFrame::Subscribe(subscribe) => vec![subscribe.clone()],
            _ => Vec::new(),
        });
        asked.find(|subscribe| subscribe.channel == channel(name)).expect("no subscribe")
    }

    pub(crate) fn deliver(&mut self, name: &str, offsets: impl IntoIterator<Item = u64>) {
        let messages = offsets.into_iter().map(|offset| message(offset, None)).collect();
        self.send(deliver(name, messages));
    }

    pub(crate) fn page(&mut self, name: &str, offsets: impl IntoIterator<Item = u64>, more: bool) {
        let messages = offsets.into_iter().map(|offset| message(offset, None)).collect();
        self.send(ServerFrame::Deliver(Deliver {
            channel: ChannelRef::Number(number(name)),
            replay: true,
            more,
            at: None,
            messages,
        }));
    }

    pub(crate) fn publish(&mut self, name: &str, options: PublishOptions) -> moorline_core::PublishId {
        let payload = Payload::Text(Utf8Bytes::from("hi"));
        let id = self.client.publish(&channel(name), payload, options, self.now()).unwrap();
        self.drain();
        id
    }

    /// Returns the publishes that were sent since the last call: request and sequence.
    pub(crate) fn take_publishes(&mut self) -> Vec<(u64, Option<u64>)> {
        let publish = |frame| match frame {
            ClientFrame::Publish(publish) => Some((publish.req.unwrap_or(0), publish.seq)),
            _ => None,
        };
        self.take_frames().into_iter().filter_map(publish).collect()
    }

    pub(crate) fn published(&mut self, req: u64, offset: u64) {
        let (epoch, offset) = (epoch(EPOCH), Some(Offset(offset)));
        self.send(ServerFrame::Published(Published { req, epoch, offset, duplicate: false }));
    }

    pub(crate) fn refuse(&mut self, req: u64, code: ErrorCode, change: impl FnOnce(&mut ErrorFrame)) {
        let mut error = ErrorFrame::new(code, "no");
        error.req = Some(req);
        change(&mut error);
        self.send(ServerFrame::Error(error));
    }

    /// Returns the offsets handed out since the last call.
    pub(crate) fn take_offsets(&mut self) -> Vec<u64> {
        let offset = |event| match event {
            Event::Message { message, .. } => message.message.offset.map(|offset| offset.0),
            _ => None,
        };
        self.take_events().into_iter().filter_map(offset).collect()
    }

    /// Returns why the state changed last.
    pub(crate) fn last_reason(&self) -> StateReason {
        let reason = |event: &Event| match event {
            Event::StateChanged { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        self.events.iter().rev().find_map(reason).expect("the state never changed")
    }

    pub(crate) fn outcomes(&self) -> Vec<(moorline_core::PublishId, moorline_core::PublishOutcome)> {
        let outcome = |event: &Event| match event {
            Event::PublishSettled { id, outcome, .. } => Some((*id, outcome.clone())),
            _ => None,
        };
        self.events.iter().filter_map(outcome).collect()
    }
}

pub(crate) fn read(mut bytes: Bytes) -> Vec<ClientFrame> {
    let mut frames = Vec::new();
    while let Some(frame) = Codec::Binary.decode_client(&mut bytes).unwrap() {
        let Decoded::Frame(frame) = frame else { panic!("an unknown frame") };
        frames.push(frame);
    }
    frames
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

pub(crate) fn number(name: &str) -> ChannelNumber {
    ChannelNumber(name.bytes().map(u32::from).sum())
}

pub(crate) fn epoch(text: &str) -> Epoch {
    Epoch::new(text).unwrap()
}

pub(crate) fn position(offset: u64) -> Position {
    Position { epoch: epoch(EPOCH), offset: Offset(offset) }
}

pub(crate) fn message(offset: u64, prev: Option<u64>) -> Message {
    Message {
        offset: Some(Offset(offset)),
        prev: prev.map(Offset),
        id: Utf8Bytes::from(format!("m{offset}")),
        user: None,
        time: 1_700_000_000_000,
        headers: Vec::new(),
        payload: Payload::Text(Utf8Bytes::from("hello")),
    }
}

pub(crate) fn deliver(name: &str, messages: Vec<Message>) -> ServerFrame {
    let channel = ChannelRef::Number(number(name));
    ServerFrame::Deliver(Deliver { channel, replay: false, more: false, at: None, messages })
}

pub(crate) fn welcome(state: ProducerState) -> Welcome {
    Welcome {
        v: 1,
        session: Utf8Bytes::from("s"),
        user: None,
        device: DeviceId::new("0123456789abcdef").unwrap(),
        time: 1_700_000_000_000,
        ping: 25_000,
        durability: Durability::Disk,
        producer: Some(ProducerGrant { id: PRODUCER, generation: 1, state }),
        expires: None,
        caps: Vec::new(),
        limits: Limits { message: 65_536, channels: 256, window: 32, spread: 0 },
    }
}

impl Drop for Host {
    /// Whatever a scenario did: its black box does it again, and holds no secret.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let file = self.client.blackbox();
        let recording = Recording::read(&file).unwrap();
        if recording.lost() == 0 && file.len() > 64 {
            assert_eq!(recording.run(|_| ()).unwrap(), recording.hash(), "the black box does something else");
        }
    }
}
