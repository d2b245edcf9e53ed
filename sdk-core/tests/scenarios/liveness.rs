//! Whatever has happened: once the network, the server and the store work again, every publish settles, once, and
//! every channel is read, within so many steps.

use std::collections::{BTreeSet, VecDeque};

use moorline_core::protocol::{
    CloseCode, Codec, ErrorCode, Goaway, GoawayReason, Payload, Qos, ServerFrame, Utf8Bytes,
};
use moorline_core::{
    Client, ClientConfig, ConnectionState, Event, Failure, HostSignal, Input, Now, Origin, Output, PublishId,
    PublishOptions, StoreBatch, StoreError, SubscribeOptions, SubscriptionId, Ticket, Timestamp, TokenSource,
    TransportId,
};
use proptest::prelude::*;

use crate::host::{channel, position, read};
use crate::server::Server;

/// Steps that healing may take: timers, answers, commits.
const STEPS: usize = 1_000;
const CHANNELS: [&str; 3] = ["a", "b", "@me"];

/// What an app does.
#[derive(Clone, Debug)]
enum Wish {
    Publish { channel: usize, qos: u8, ttl: Option<u32>, bytes: usize },
    Subscribe { channel: usize, durable: bool },
    Unsubscribe { reader: u64, forget: bool },
    Ack { reader: u64, offset: u64 },
}

/// What happens while nothing works properly.
#[derive(Clone, Debug)]
enum Step {
    App(Wish),
    Open,
    Cut(Option<u16>),
    /// The connection is lost, and another one comes as far as so many answers.
    Reconnect {
        hears: usize,
    },
    Hear {
        frames: usize,
        lost: bool,
    },
    Refuse(ErrorCode),
    ForgetProducer,
    OfferProducer(bool),
    Goaway {
        after: u32,
        restart: bool,
    },
    Commit(bool),
    Token(bool),
    LoseToken,
    Signal(u8),
    Pass(u64),
    Disconnect,
    Connect,
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        6 => (0..3usize, 0u8..3, prop::option::of(1u32..30), prop_oneof![Just(2usize), Just(2_000)])
            .prop_map(|(channel, qos, ttl, bytes)| Wish::Publish { channel, qos, ttl, bytes }),
        2 => (0..3usize, any::<bool>()).prop_map(|(channel, durable)| Wish::Subscribe { channel, durable }),
        1 => (1u64..6, any::<bool>()).prop_map(|(reader, forget)| Wish::Unsubscribe { reader, forget }),
        1 => (1u64..6, 0u64..20).prop_map(|(reader, offset)| Wish::Ack { reader, offset }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let refusals = prop_oneof![
        Just(ErrorCode::LimitRate),
        Just(ErrorCode::StorageUnavailable),
        Just(ErrorCode::LimitChannels),
        Just(ErrorCode::ChannelDenied),
        Just(ErrorCode::PublishUnknownProducer),
    ];
    let codes = prop_oneof![Just(None), Just(Some(4000)), Just(Some(4003)), Just(Some(4100)), Just(Some(4506))];
    prop_oneof![
        10 => wish().prop_map(Step::App),
        4 => Just(Step::Open),
        2 => (0..5usize).prop_map(|hears| Step::Reconnect { hears }),
        2 => codes.prop_map(Step::Cut),
        8 => (1..20usize, any::<bool>()).prop_map(|(frames, lost)| Step::Hear { frames, lost: lost && frames > 10 }),
        2 => refusals.prop_map(Step::Refuse),
        1 => Just(Step::ForgetProducer),
        1 => any::<bool>().prop_map(Step::OfferProducer),
        1 => (0u32..3_000, any::<bool>()).prop_map(|(after, restart)| Step::Goaway { after, restart }),
        6 => prop::bool::weighted(0.8).prop_map(Step::Commit),
        3 => prop::bool::weighted(0.8).prop_map(Step::Token),
        1 => Just(Step::LoseToken),
        1 => (0u8..5).prop_map(Step::Signal),
        4 => (0u64..30_000).prop_map(Step::Pass),
        1 => Just(Step::Disconnect),
        3 => Just(Step::Connect),
    ]
}

/// The client, what is around it, and what it has said.
struct World {
    client: Client,
    server: Server,
    ms: u64,
    opening: Option<TransportId>,
    open: Option<TransportId>,
    uncommitted: VecDeque<(Ticket, StoreBatch)>,
    tokens_asked: usize,
    unsettled: BTreeSet<PublishId>,
    settled: BTreeSet<PublishId>,
    readers: BTreeSet<SubscriptionId>,
    joined: BTreeSet<SubscriptionId>,
}

impl World {
    fn new() -> Self {
        let now = Now { mono: Timestamp::from_millis(1_000), unix: 1_700_000_000_000 };
        let mut config = ClientConfig::new("ws://a");
        config.token = TokenSource::Provider;
        Self {
            client: Client::new(config, Vec::new(), [5; 32], now).unwrap(),
            server: Server::new(),
            ms: 1_000,
            opening: None,
            open: None,
            uncommitted: VecDeque::new(),
            tokens_asked: 0,
            unsettled: BTreeSet::new(),
            settled: BTreeSet::new(),
            readers: BTreeSet::new(),
            joined: BTreeSet::new(),
        }
    }

    fn now(&self) -> Now {
        Now { mono: Timestamp::from_millis(self.ms), unix: 1_700_000_000_000 + self.ms }
    }

    fn input(&mut self, input: Input) {
        self.client.handle_input(input, self.now());
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::OpenTransport { id, .. } => self.opening = Some(id),
                Output::Send { id, bytes } => {
                    if self.open == Some(id) {
                        read(bytes).into_iter().for_each(|frame| self.server.hear(frame));
                    }
                }
                Output::CloseTransport { .. } => self.unplug(),
                Output::NeedToken { .. } => self.tokens_asked += 1,
                Output::Persist { ticket, batch } => self.uncommitted.push_back((ticket, batch)),
                Output::Event(event) => self.event(event),
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Welcome { .. } => self.joined.clear(),
            Event::Subscribed { readers, .. } => self.joined.extend(readers.iter()),
            Event::SubscriptionEnded { readers, .. } => readers.iter().for_each(|reader| {
                self.readers.remove(reader);
            }),
            Event::PublishSettled { id, .. } => {
                assert!(self.settled.insert(id), "{id:?} settled twice");
                self.unsettled.remove(&id);
            }
            _ => {}
        }
    }

    fn unplug(&mut self) {
        (self.open, self.opening) = (None, None);
        self.server.down.clear();
    }

    fn open_socket(&mut self) {
        if let Some(id) = self.opening.take() {
            self.open = Some(id);
            self.input(Input::TransportOpened { id });
        }
    }

    /// The client hears the next thing the server has said.
    fn hear(&mut self, lost: bool) -> bool {
        let (Some(id), Some(frame)) = (self.open, self.server.down.pop_front()) else { return false };
        if !lost {
            let mut bytes = Vec::new();
            Codec::Binary.encode_server(&frame, &mut bytes);
            self.input(Input::Message { id, bytes: bytes.into() });
        }
        true
    }

    fn commit(&mut self, is_ok: bool) -> bool {
        let Some((ticket, _)) = self.uncommitted.pop_front() else { return false };
        self.input(Input::Persisted { ticket, result: if is_ok { Ok(()) } else { Err(StoreError::Full) } });
        true
    }

    fn token(&mut self, is_ok: bool) -> bool {
        if self.tokens_asked == 0 {
            return false;
        }
        self.tokens_asked -= 1;
        let failure = Failure::new(ErrorCode::ServerInternal, "down", Origin::Transport);
        self.input(Input::Token(if is_ok { Ok(Some("token".into())) } else { Err(failure) }));
        true
    }

    /// Goes to the next deadline. The server gives signs of life, so that no silence hides what stands still.
    fn wait(&mut self) -> bool {
        let Some(due) = self.client.poll_timeout() else { return false };
        self.ms = self.ms.max(due.since_origin().as_micros().div_ceil(1_000) as u64);
        if let Some(id) = self.open {
            self.input(Input::Activity { id });
        }
        self.client.handle_timeout(self.now());
        self.drain();
        true
    }

    fn app(&mut self, wish: &Wish) {
        let now = self.now();
        match *wish {
            Wish::Publish { channel: index, qos, ttl, bytes } => {
                let payload = Payload::Text(Utf8Bytes::from("x".repeat(bytes)));
                let mut options = PublishOptions::new().qos(Qos::from_level(qos).unwrap());
                options.ttl = ttl;
                let published = self.client.publish(&channel(CHANNELS[index]), payload, options, now);
                self.drain();
                // At QoS 0 it settles within the call.
                self.unsettled.extend(published.ok().filter(|id| !self.settled.contains(id)));
            }
            Wish::Subscribe { channel: index, durable } => {
                let options = SubscribeOptions::new().durable(durable);
                if let Ok(id) = self.client.subscribe(&channel(CHANNELS[index]), options, now) {
                    self.readers.insert(id);
                }
            }
            Wish::Unsubscribe { reader, forget } => {
                self.client.unsubscribe(SubscriptionId(reader), forget, now);
                self.readers.remove(&SubscriptionId(reader));
            }
            Wish::Ack { reader, offset } => self.client.ack(SubscriptionId(reader), position(offset), now),
        }
        self.drain();
    }

    fn step(&mut self, step: &Step) {
        let now = self.now();
        match step.clone() {
            Step::App(wish) => self.app(&wish),
            Step::Open => self.open_socket(),
            Step::Cut(code) => {
                // Who is not online has sent nothing that could be too large but `hello`.
                let is_online = self.client.state() == ConnectionState::Online;
                let code = code.filter(|code| is_online || *code != CloseCode::TOO_LARGE.0);
                if let Some(id) = self.open.or(self.opening) {
                    self.unplug();
                    self.input(Input::TransportClosed { id, code: code.map(CloseCode) });
                }
            }
            Step::Reconnect { hears } => {
                self.client.connect(now);
                self.step(&Step::Cut(None));
                for _ in 0..50 {
                    if self.open.is_some() || !self.go_on() {
                        break;
                    }
                }
                (0..hears).for_each(|_| {
                    self.hear(false);
                });
            }
            Step::Hear { frames, lost } => (0..frames).for_each(|_| {
                self.hear(lost);
            }),
            Step::Refuse(code) => self.server.refusals.push_back(code),
            Step::ForgetProducer => self.server.producer += 1,
            Step::OfferProducer(is_offered) => self.server.offers_producer = is_offered,
            Step::Goaway { after, restart } => {
                let reason = if restart { GoawayReason::Restart } else { GoawayReason::Move };
                self.server.down.push_back(ServerFrame::Goaway(Goaway { after, window: 100, reason }));
            }
            Step::Commit(is_ok) => {
                self.commit(is_ok);
            }
            Step::Token(is_ok) => {
                self.token(is_ok);
            }
            Step::LoseToken => self.tokens_asked = 0,
            Step::Signal(which) => {
                let signals = [HostSignal::Online, HostSignal::Offline, HostSignal::Foreground, HostSignal::Background];
                let signal = signals.get(usize::from(which)).copied().unwrap_or(HostSignal::Wake);
                self.client.handle_input(Input::Host(signal), now);
            }
            Step::Pass(ms) => {
                self.ms += ms;
                self.client.handle_timeout(self.now());
            }
            Step::Disconnect => self.client.disconnect(now),
            Step::Connect => self.client.connect(now),
        }
        self.drain();
    }

    fn is_live(&self) -> bool {
        let is_read = self.readers.iter().all(|reader| self.joined.contains(reader));
        self.client.state() == ConnectionState::Online && self.unsettled.is_empty() && is_read
    }

    /// One thing happens that works, the quickest first; tells whether there is any.
    fn go_on(&mut self) -> bool {
        let has_opened = self.opening.is_some();
        self.open_socket();
        has_opened || self.hear(false) || self.commit(true) || self.token(true) || self.wait()
    }

    /// Everything works, while the app goes on.
    fn heal(&mut self, meanwhile: &[Wish]) -> usize {
        self.server.refusals.clear();
        self.server.offers_producer = true;
        self.client.connect(self.now());
        self.drain();
        for taken in 0..STEPS {
            if let Some(wish) = meanwhile.get(taken) {
                self.app(wish);
            } else if self.is_live() {
                return taken;
            }
            assert!(self.go_on(), "nothing is scheduled: {:?}", self.client.state());
        }
        STEPS
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn after_everything_heals_all_is_well(
        is_online in any::<bool>(),
        steps in prop::collection::vec(step(), 0..120),
        meanwhile in prop::collection::vec(wish(), 0..8),
    ) {
        let mut world = World::new();
        if is_online {
            prop_assert!(world.heal(&[]) < STEPS);
        }
        for step in &steps {
            world.step(step);
        }
        let taken = world.heal(&meanwhile);
        prop_assert!(
            taken < STEPS,
            "{:?}, {:?} unsettled, {:?} of {:?} joined",
            world.client.state(),
            world.unsettled,
            world.joined,
            world.readers
        );
        prop_assert_eq!(world.client.outbox().messages, 0);
    }
}
