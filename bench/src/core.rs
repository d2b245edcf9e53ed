//! What it costs the client core to receive a message.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use moorline_core::protocol::{
    ChannelName, ChannelNumber, ChannelRef, Codec, Deliver, DeviceId, Durability, Epoch, Limits, Message, NameError,
    Offset, Payload, ServerFrame, Start, Subscribed, Utf8Bytes, Welcome,
};
use moorline_core::{
    Client, ClientConfig, Event, Input, Now, Output, StoreError, SubscribeError, SubscribeOptions, SubscriptionId,
    Timestamp, TransportId,
};

use crate::error::{Error, Result};
use crate::machine::{Pinned, Role};
use crate::table::{self, Column, Goal, Table};

/// Receiving in the client core: one WebSocket message in, until the app has its messages.
#[derive(Debug, clap::Args)]
pub(crate) struct Core {
    /// How often each is measured.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Messages per round.
    #[arg(long, default_value_t = 200_000)]
    messages: u64,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 120)]
    size: usize,
}

const COST: &str = "ns/message";
const COLUMNS: &[Column] = &[(COST, 0), ("WebSocket bytes/message", 0)];
const NUMBER: ChannelNumber = ChannelNumber(7);
/// Frames that are encoded ahead of each timed stretch.
const STRETCH: u64 = 2_000;

impl Core {
    pub(crate) fn run(&self) -> Result {
        let _core = Pinned::to(Role::Server)?;
        let mut rows = Vec::new();
        for (name, per_frame) in [("one message per frame", 1), ("16 messages per frame", 16)] {
            let rounds = (0..self.rounds).map(|_| self.measure(per_frame)).collect::<Result<Vec<_>>>()?;
            rows.push((name, rounds));
        }
        let single = Table::new(COLUMNS, rows.iter().take(1).cloned());
        Table::new(COLUMNS, rows).print(&format!("Receive live messages of {} B at QoS 1, binary codec", self.size));
        let what = format!("Client core receives one {} B message, native, ns", self.size);
        table::compare("–", &[single.line(what, COST, Goal::AtMost(1_000.0))]);
        Ok(())
    }

    /// Times what a host does for each WebSocket message: hand it in, drain the outputs, report what the app took.
    fn measure(&self, per_frame: u64) -> Result<Vec<f64>> {
        let mut app = App::online()?;
        let (mut spent, mut bytes, mut offset) = (0.0, 0, 0);
        while offset < self.messages {
            let frames = (0..STRETCH).map(|_| frame(&mut offset, per_frame, self.size)).collect::<Vec<_>>();
            bytes += frames.iter().map(Bytes::len).sum::<usize>();
            let begin = Instant::now();
            frames.into_iter().for_each(|frame| app.receive(frame));
            spent += begin.elapsed().as_secs_f64();
        }
        if app.received != offset {
            return Err(Error::Answer("moorline-core", "receiving"));
        }
        Ok(vec![spent * 1e9 / offset as f64, bytes as f64 / offset as f64])
    }
}

/// A host without IO: a client that is online and reads one channel.
struct App {
    client: Client,
    now: Now,
    transport: TransportId,
    reader: SubscriptionId,
    received: u64,
}

impl App {
    fn online() -> Result<Self> {
        Self::try_online().map_err(|_| Error::Answer("moorline-core", "connecting"))
    }

    fn try_online() -> std::result::Result<Self, Setup> {
        let now = Now { mono: Timestamp::from_millis(1_000), unix: 1_767_225_600_000 };
        let mut client = Client::new(ClientConfig::new("ws://bench/ws"), Vec::new(), [7; 32], now)?;
        let channel = ChannelName::new("room:42")?;
        let reader = client.subscribe(&channel, SubscribeOptions::default(), now)?;
        client.connect(now);
        let mut app = Self { client, now, transport: TransportId(0), reader, received: 0 };
        app.drain();
        app.input(Input::TransportOpened { id: app.transport });
        app.receive(encoded(&ServerFrame::Welcome(welcome()?)));
        app.receive(encoded(&ServerFrame::Subscribed(Subscribed {
            req: 1,
            channel,
            number: NUMBER,
            epoch: Epoch::new("k3v9x2.1")?,
            head: Offset::ZERO,
            from: Offset::ZERO,
            start: Start::Live,
            reason: None,
            first: None,
            expires: None,
            members: None,
        })));
        Ok(app)
    }

    fn receive(&mut self, bytes: Bytes) {
        self.input(Input::Message { id: self.transport, bytes });
    }

    fn input(&mut self, input: Input) {
        self.client.handle_input(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        let mut taken = 0;
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::OpenTransport { id, .. } => self.transport = id,
                Output::Persist { ticket, .. } => {
                    self.client.handle_input(Input::Persisted { ticket, result: Ok(()) }, self.now);
                }
                Output::Event(Event::Message { message, .. }) => {
                    black_box(&message);
                    taken += 1;
                }
                Output::Event(_) | Output::Send { .. } | Output::CloseTransport { .. } | Output::NeedToken { .. } => {}
            }
        }
        if taken > 0 {
            self.client.consumed(self.reader, taken, self.now);
            self.received += taken as u64;
        }
    }
}

/// What cannot go wrong while connecting, but has a type.
#[derive(Debug, thiserror::Error)]
enum Setup {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

fn welcome() -> std::result::Result<Welcome, NameError> {
    Ok(Welcome {
        v: 1,
        session: Utf8Bytes::from_static("s"),
        user: None,
        device: DeviceId::new("0123456789abcdef")?,
        time: 1_767_225_600_000,
        ping: 25_000,
        durability: Durability::Disk,
        producer: None,
        expires: None,
        caps: Vec::new(),
        limits: Limits { message: 65_536, channels: 256, window: 32, spread: 0 },
    })
}

/// Returns the next live frame of so many messages.
fn frame(offset: &mut u64, messages: u64, size: usize) -> Bytes {
    let first = *offset + 1;
    *offset += messages;
    let message = |offset| Message {
        offset: Some(Offset(offset)),
        prev: None,
        id: Utf8Bytes::from(format!("{offset:012x}")),
        user: Some(Utf8Bytes::from_static("alice")),
        time: 1_767_225_600_000 + offset,
        headers: Vec::new(),
        payload: Payload::Text(Utf8Bytes::from("x".repeat(size))),
    };
    let messages = (first..=*offset).map(message).collect();
    let channel = ChannelRef::Number(NUMBER);
    encoded(&ServerFrame::Deliver(Deliver { channel, replay: false, more: false, at: None, messages }))
}

fn encoded(frame: &ServerFrame) -> Bytes {
    let mut bytes = Vec::new();
    Codec::Binary.encode_server(frame, &mut bytes);
    bytes.into()
}
