//! Whatever has happened: once the network, the server and the store work again, every publish settles, once, and
//! every channel is read, within so many steps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use moorline_core::protocol::{
    ChannelName, ChannelRef, ClientFrame, CloseCode, Codec, ErrorCode, ErrorFrame, Goaway, GoawayReason, Offset,
    Payload, Position, ProducerId, ProducerRequest, ProducerState, Publish, Published, Qos, ServerFrame, Since, Start,
    Subscribe, Subscribed, Unsubscribed, Utf8Bytes, Welcome,
};
use moorline_core::{
    Client, ClientConfig, ConnectionState, Event, Failure, HostSignal, Input, Now, Origin, Output, PublishId,
    PublishOptions, StoreBatch, StoreError, SubscribeOptions, SubscriptionId, Ticket, Timestamp, TokenSource,
    TransportId,
};
use proptest::prelude::*;

use crate::host::{channel, epoch, number, position, read, welcome};

/// Steps that healing may take: timers, answers, commits.
const STEPS: usize = 1_000;
const CHANNELS: [&str; 3] = ["a", "b", "@me"];

/// What happens while nothing works properly.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        channel: usize,
        qos: u8,
        ttl: Option<u32>,
        bytes: usize,
    },
    Subscribe {
        channel: usize,
        durable: bool,
    },
    Unsubscribe {
        reader: u64,
        forget: bool,
    },
    Ack {
        reader: u64,
        offset: u64,
    },
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

/// What an app does.
fn app_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3usize, 0u8..3, prop::option::of(1u32..30), prop_oneof![Just(2usize), Just(2_000)])
            .prop_map(|(channel, qos, ttl, bytes)| Step::Publish { channel, qos, ttl, bytes }),
        2 => (0..3usize, any::<bool>()).prop_map(|(channel, durable)| Step::Subscribe { channel, durable }),
        1 => (1u64..6, any::<bool>()).prop_map(|(reader, forget)| Step::Unsubscribe { reader, forget }),
        1 => (1u64..6, 0u64..20).prop_map(|(reader, offset)| Step::Ack { reader, offset }),
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
        10 => app_step(),
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

/// A server that keeps the rules.
struct Server {
    producer: u128,
    offers_producer: bool,
    /// By producer and channel: the last sequence taken.
    taken: BTreeMap<(u128, ChannelName), u64>,
    head: u64,
    /// How the next requests are refused.
    refusals: VecDeque<ErrorCode>,
    /// What it has said and the client has not heard.
    down: VecDeque<ServerFrame>,
}

impl Server {
    fn hear(&mut self, frame: ClientFrame) {
        match frame {
            ClientFrame::Hello(hello) => {
                let greeting = self.greet(hello.producer);
                self.down.push_back(ServerFrame::Welcome(greeting));
                hello.subscribe.into_iter().for_each(|subscribe| self.subscribe(&subscribe));
            }
            ClientFrame::Subscribe(subscribe) => self.subscribe(&subscribe),
            ClientFrame::Unsubscribe(unsubscribe) => {
                let frame = Unsubscribed { req: Some(unsubscribe.req), channel: channel("a"), code: None };
                self.down.push_back(ServerFrame::Unsubscribed(frame));
            }
            ClientFrame::Publish(publish) => self.publish(&publish),
            ClientFrame::Ping(ping) => {
                self.down.push_back(ServerFrame::Pong(moorline_core::protocol::Pong { n: ping.n }));
            }
            _ => {}
        }
    }

    fn greet(&mut self, producer: Option<ProducerRequest>) -> Welcome {
        let state = match producer {
            Some(ProducerRequest::Resume(ProducerId(id))) if id == self.producer => ProducerState::Resumed,
            Some(ProducerRequest::Resume(_)) => ProducerState::Expired,
            Some(ProducerRequest::New) | None => ProducerState::New,
        };
        if state != ProducerState::Resumed {
            self.producer += 1;
        }
        let mut greeting = welcome(state);
        greeting.user = Some(moorline_core::protocol::UserName::new("alice").unwrap());
        greeting.limits.message = 1_000;
        greeting.ping = 60_000;
        match &mut greeting.producer {
            Some(grant) if self.offers_producer => grant.id = ProducerId(self.producer),
            _ => greeting.producer = None,
        }
        greeting
    }

    fn subscribe(&mut self, subscribe: &Subscribe) {
        let req = subscribe.req;
        if let Some(code) = self.refusals.pop_front() {
            return self.refuse(req, code);
        }
        let from = match subscribe.since {
            Since::Position(Position { offset, .. }) => offset,
            _ => Offset(self.head),
        };
        self.down.push_back(ServerFrame::Subscribed(Subscribed {
            req,
            channel: subscribe.channel.clone(),
            number: number(subscribe.channel.as_str()),
            epoch: epoch("e1"),
            head: Offset(self.head),
            from,
            start: Start::Live,
            reason: None,
            first: None,
            expires: None,
            members: None,
        }));
    }

    fn publish(&mut self, publish: &Publish) {
        let (Some(req), ChannelRef::Name(name)) = (publish.req, &publish.channel) else { return };
        let code = self.refusals.pop_front();
        let Some(seq) = publish.seq else {
            return match code {
                Some(code) => self.refuse(req, code),
                None => self.store(req, false),
            };
        };
        let known = self.taken.contains_key(&(self.producer, name.clone()));
        let last = *self.taken.get(&(self.producer, name.clone())).unwrap_or(&0);
        assert!(seq <= last + 1 || last > 0 || seq == 1 || !known, "a sequence that begins nowhere");
        match code {
            // A producer that is full is so for channels that it never wrote to.
            Some(ErrorCode::LimitChannels) if last > 0 => self.refuse(req, ErrorCode::LimitRate),
            Some(ErrorCode::PublishUnknownProducer) => {
                self.producer += 1;
                self.refuse(req, ErrorCode::PublishUnknownProducer);
            }
            _ if seq <= last => self.store(req, true),
            _ if seq > last + 1 => {
                let error = ErrorFrame::new(ErrorCode::PublishGap, "no");
                let error = ErrorFrame { req: Some(req), expected: Some(last + 1), ..error };
                self.down.push_back(ServerFrame::Error(error));
            }
            Some(code) if code.is_retryable() => self.refuse(req, code),
            code => {
                self.taken.insert((self.producer, name.clone()), seq);
                match code {
                    Some(code) => self.refuse(req, code),
                    None => self.store(req, false),
                }
            }
        }
    }

    fn store(&mut self, req: u64, duplicate: bool) {
        self.head += u64::from(!duplicate);
        let offset = Some(Offset(self.head));
        self.down.push_back(ServerFrame::Published(Published { req, epoch: epoch("e1"), offset, duplicate }));
    }

    fn refuse(&mut self, req: u64, code: ErrorCode) {
        self.down.push_back(ServerFrame::Error(ErrorFrame { req: Some(req), ..ErrorFrame::new(code, "no") }));
    }
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
            server: Server {
                producer: 1,
                offers_producer: true,
                taken: BTreeMap::new(),
                head: 10,
                refusals: VecDeque::new(),
                down: VecDeque::new(),
            },
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

    fn step(&mut self, step: &Step) {
        let now = self.now();
        match step.clone() {
            Step::Publish { channel: index, qos, ttl, bytes } => {
                let payload = Payload::Text(Utf8Bytes::from("x".repeat(bytes)));
                let mut options = PublishOptions::new().qos(Qos::from_level(qos).unwrap());
                options.ttl = ttl;
                let published = self.client.publish(&channel(CHANNELS[index]), payload, options, now);
                self.drain();
                // At QoS 0 it settles within the call.
                self.unsettled.extend(published.ok().filter(|id| !self.settled.contains(id)));
            }
            Step::Subscribe { channel: index, durable } => {
                let options = SubscribeOptions::new().durable(durable);
                if let Ok(id) = self.client.subscribe(&channel(CHANNELS[index]), options, now) {
                    self.readers.insert(id);
                }
            }
            Step::Unsubscribe { reader, forget } => {
                self.client.unsubscribe(SubscriptionId(reader), forget, now);
                self.readers.remove(&SubscriptionId(reader));
            }
            Step::Ack { reader, offset } => self.client.ack(SubscriptionId(reader), position(offset), now),
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
                (0..hears).for_each(|_| drop(self.hear(false)));
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
            Step::Commit(is_ok) => drop(self.commit(is_ok)),
            Step::Token(is_ok) => drop(self.token(is_ok)),
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
    fn heal(&mut self, meanwhile: &[Step]) -> usize {
        self.server.refusals.clear();
        self.server.offers_producer = true;
        self.client.connect(self.now());
        self.drain();
        for taken in 0..STEPS {
            if let Some(step) = meanwhile.get(taken) {
                self.step(step);
            } else if self.is_live() {
                return taken;
            }
            assert!(self.go_on(), "nothing is scheduled: {:?}", self.client.state());
        }
        STEPS
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn after_everything_heals_all_is_well(
        is_online in any::<bool>(),
        steps in prop::collection::vec(step(), 0..120),
        meanwhile in prop::collection::vec(app_step(), 0..8),
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
