use moorline_core::protocol::{
    Codec, ErrorCode, ErrorFrame, Goaway, GoawayReason, Offset, Ping, Pong, ProducerState, Published, Qos, ServerFrame,
    Start, Subscribed,
};
use moorline_core::{
    Client, ClientConfig, HostSignal, Input, Now, Output, PublishOptions, StoreError, SubscribeOptions, SubscriptionId,
    Ticket, Timestamp, TransportId,
};
use proptest::prelude::*;

use crate::host::{channel, deliver, epoch, message, number, position, welcome};

#[derive(Clone, Debug)]
enum Step {
    Publish(u8, u8),
    Subscribe(u8),
    Unsubscribe(u64),
    Consumed(u64, u8),
    Ack(u64, u64),
    Opened(u64),
    Closed(u64, u16),
    Frame(u64, Vec<u8>),
    Persisted(u64, bool),
    Buffered(u64, u16),
    Host(u8),
    Timeout(u16),
    Disconnect,
    Connect,
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let known = prop_oneof![
        Just(ServerFrame::Welcome(welcome(ProducerState::Resumed))),
        (1u64..40).prop_map(|n| ServerFrame::Pong(Pong { n })),
        (1u64..40).prop_map(|n| ServerFrame::Ping(Ping { n, next: None })),
        (1u64..40, 0u64..9, 0u64..9).prop_map(|(req, from, head)| subscribed(req, from, head)),
        prop::collection::vec(1u64..20, 0..6)
            .prop_map(|offsets| deliver("a", offsets.into_iter().map(|offset| message(offset, None)).collect())),
        (1u64..40, 1u64..9).prop_map(|(req, offset)| {
            let offset = Some(Offset(offset));
            ServerFrame::Published(Published { req, epoch: epoch("e1"), offset, duplicate: false })
        }),
        (1u64..40, 0..ErrorCode::ALL.len(), 0u64..9).prop_map(|(req, code, expected)| {
            let mut error = ErrorFrame::new(ErrorCode::ALL[code].clone(), "no");
            error.req = (req > 1).then_some(req);
            error.expected = Some(expected);
            ServerFrame::Error(error)
        }),
        (0u32..3_000, 0u32..3_000)
            .prop_map(|(after, window)| { ServerFrame::Goaway(Goaway { after, window, reason: GoawayReason::Move }) }),
    ];
    let encoded = known.prop_map(|frame| {
        let mut out = Vec::new();
        Codec::Binary.encode_server(&frame, &mut out);
        out
    });
    prop_oneof![8 => encoded, 1 => prop::collection::vec(any::<u8>(), 0..64)]
}

fn subscribed(req: u64, from: u64, head: u64) -> ServerFrame {
    ServerFrame::Subscribed(Subscribed {
        req,
        channel: channel("a"),
        number: number("a"),
        epoch: epoch("e1"),
        head: Offset(head),
        from: Offset(from),
        start: Start::Live,
        reason: None,
        first: None,
        expires: None,
        members: None,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0u8..3, 0u8..3).prop_map(|(channel, qos)| Step::Publish(channel, qos)),
        1 => (0u8..4).prop_map(Step::Subscribe),
        1 => (0u64..5).prop_map(Step::Unsubscribe),
        1 => (0u64..5, any::<u8>()).prop_map(|(id, count)| Step::Consumed(id, count)),
        1 => (0u64..5, 0u64..20).prop_map(|(id, offset)| Step::Ack(id, offset)),
        3 => (0u64..2).prop_map(Step::Opened),
        1 => (0u64..2, prop_oneof![Just(1006u16), Just(4000), Just(4100), Just(4506)])
            .prop_map(|(back, code)| Step::Closed(back, code)),
        8 => (0u64..2, frame()).prop_map(|(back, bytes)| Step::Frame(back, bytes)),
        4 => (0u64..3, any::<bool>()).prop_map(|(back, ok)| Step::Persisted(back, ok)),
        1 => (0u64..2, any::<u16>()).prop_map(|(back, bytes)| Step::Buffered(back, bytes)),
        1 => (0u8..5).prop_map(Step::Host),
        3 => any::<u16>().prop_map(Step::Timeout),
        1 => Just(Step::Disconnect),
        2 => Just(Step::Connect),
    ]
}

/// Runs steps on a client; what is drained when is the caller's choice.
struct Run {
    client: Client,
    ms: u64,
    transport: u64,
    ticket: u64,
}

impl Run {
    fn new() -> Self {
        let now = Now { mono: Timestamp::from_millis(1), unix: 1 };
        let config = ClientConfig { socket_bytes: 30_000, ..ClientConfig::new("ws://a") };
        let client = Client::new(config, Vec::new(), [3; 32], now).unwrap();
        Self { client, ms: 1, transport: 0, ticket: 0 }
    }

    fn now(&self) -> Now {
        Now { mono: Timestamp::from_millis(self.ms), unix: self.ms }
    }

    fn drain(&mut self, into: &mut Vec<String>) {
        while let Some(output) = self.client.poll_output() {
            into.push(shown(&output));
        }
    }

    /// Sockets and tickets are guessed from the number of steps, so that early and late draining see the same inputs.
    fn step(&mut self, step: &Step) {
        let now = self.now();
        let names = ["a", "b", "c", "d"];
        let client = &mut self.client;
        match step {
            Step::Publish(name, qos) => {
                let options = PublishOptions { qos: Qos::from_level(*qos), ..PublishOptions::default() };
                let payload = moorline_core::protocol::Payload::Binary(vec![1].into());
                let _ = client.publish(&channel(names[usize::from(*name)]), payload, options, now);
            }
            Step::Subscribe(name) => {
                let durable = Some(*name == 0);
                let options = SubscribeOptions { durable, ..SubscribeOptions::default() };
                let _ = client.subscribe(&channel(names[usize::from(*name)]), options, now);
            }
            Step::Unsubscribe(id) => client.unsubscribe(SubscriptionId(*id), false, now),
            Step::Consumed(id, count) => client.consumed(SubscriptionId(*id), usize::from(*count), now),
            Step::Ack(id, offset) => client.ack(SubscriptionId(*id), position(*offset), now),
            Step::Opened(back) => {
                client.handle_input(
                    Input::TransportOpened { id: TransportId(self.transport.saturating_sub(*back)) },
                    now,
                );
            }
            Step::Closed(back, code) => {
                let id = TransportId(self.transport.saturating_sub(*back));
                let code = Some(moorline_core::protocol::CloseCode(*code));
                client.handle_input(Input::TransportClosed { id, code }, now);
            }
            Step::Frame(back, bytes) => {
                let id = TransportId(self.transport.saturating_sub(*back));
                client.handle_input(Input::Message { id, bytes: bytes.clone().into() }, now);
            }
            Step::Persisted(back, ok) => {
                let result = if *ok { Ok(()) } else { Err(StoreError::Full) };
                let ticket = Ticket(self.ticket.saturating_sub(*back));
                client.handle_input(Input::Persisted { ticket, result }, now);
            }
            Step::Buffered(back, bytes) => {
                let id = TransportId(self.transport.saturating_sub(*back));
                client.handle_input(Input::Buffered { id, bytes: usize::from(*bytes) }, now);
            }
            Step::Host(signal) => {
                let signals = [
                    HostSignal::Online,
                    HostSignal::Offline,
                    HostSignal::Foreground,
                    HostSignal::Background,
                    HostSignal::Wake,
                ];
                client.handle_input(Input::Host(signals[usize::from(*signal)]), now);
            }
            Step::Timeout(ms) => {
                self.ms += u64::from(*ms);
                self.client.handle_timeout(self.now());
            }
            Step::Disconnect => client.disconnect(now),
            Step::Connect => client.connect(now),
        }
    }

    fn learn(&mut self, outputs: &[String]) {
        self.transport = outputs.iter().filter(|output| output.starts_with("OpenTransport")).count() as u64;
        self.ticket = outputs.iter().filter(|output| output.starts_with("Persist")).count() as u64;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn draining_early_or_late_gives_the_same_outputs(steps in prop::collection::vec(step(), 0..80)) {
        let (mut early, mut late) = (Run::new(), Run::new());
        let (mut early_outputs, mut late_outputs) = (Vec::new(), Vec::new());
        for step in &steps {
            early.step(step);
            early.drain(&mut early_outputs);
            early.learn(&early_outputs);
            late.step(step);
            late.transport = early.transport;
            late.ticket = early.ticket;
        }
        late.drain(&mut late_outputs);
        prop_assert_eq!(early_outputs, late_outputs);
        prop_assert_eq!(early.client.poll_timeout(), late.client.poll_timeout());
    }

    #[test]
    fn timers_move_on_and_extra_timeouts_change_nothing(steps in prop::collection::vec(step(), 0..80)) {
        let (mut plain, mut nervous) = (Run::new(), Run::new());
        let (mut plain_outputs, mut nervous_outputs) = (Vec::new(), Vec::new());
        for step in &steps {
            plain.step(step);
            plain.drain(&mut plain_outputs);
            plain.learn(&plain_outputs);
            nervous.step(step);
            nervous.drain(&mut nervous_outputs);
            nervous.learn(&nervous_outputs);
            let now = nervous.now();
            for run in [&mut plain, &mut nervous] {
                run.client.handle_timeout(now);
                let due = run.client.poll_timeout();
                prop_assert!(due.is_none_or(|at| at > now.mono), "{:?} at {:?}", due, now);
            }
            nervous.client.handle_timeout(now);
            plain.drain(&mut plain_outputs);
            nervous.drain(&mut nervous_outputs);
        }
        prop_assert_eq!(plain_outputs, nervous_outputs);
    }

    #[test]
    fn garbage_from_the_server_never_panics_nor_piles_up(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..60),
    ) {
        let mut run = Run::new();
        run.step(&Step::Connect);
        let mut outputs = Vec::new();
        for bytes in frames {
            run.drain(&mut outputs);
            run.learn(&outputs);
            run.step(&Step::Persisted(0, true));
            run.step(&Step::Opened(0));
            let length = bytes.len();
            let mut before = Vec::new();
            run.drain(&mut before);
            run.step(&Step::Frame(0, bytes));
            let mut produced = 0;
            while let Some(output) = run.client.poll_output() {
                produced += 1;
                outputs.push(shown(&output));
            }
            prop_assert!(produced <= length + 8);
            outputs.append(&mut before);
            run.step(&Step::Timeout(30_000));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_life() {
    let life = || {
        let mut run = Run::new();
        let mut outputs = Vec::new();
        for step in [Step::Connect, Step::Publish(0, 2), Step::Persisted(0, true), Step::Timeout(9), Step::Host(0)] {
            run.step(&step);
            run.drain(&mut outputs);
            run.learn(&outputs);
        }
        outputs
    };
    assert_eq!(life(), life());
    assert!(life().iter().any(|output| output.starts_with("Persist")));
    let _ = |output: Output| output;
}

/// Everything of an output, also what its own form for people hides.
fn shown(output: &Output) -> String {
    match output {
        Output::Send { bytes, .. } => format!("{output:?} {bytes:?}"),
        Output::Persist { batch, .. } => format!("{output:?} {:?} {:?}", batch.deletes, batch.puts),
        output => format!("{output:?}"),
    }
}
