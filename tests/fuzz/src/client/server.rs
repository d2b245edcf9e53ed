use std::collections::{BTreeMap, VecDeque};

use moorline_core::protocol::{
    Acked, Authed, ChannelName, ChannelNumber, ChannelRef, ClientFrame, Codec, Deliver, DeviceId, Durability, Epoch,
    Hello, Limits, Message, Offset, Packed, Page, Payload, Pong, ProducerGrant, ProducerId, ProducerRequest,
    ProducerState, Published, ServerFrame, Since, Start, Subscribe, Subscribed, Unsubscribed, Utf8Bytes, Welcome,
};

use crate::choices::Choices;
use crate::frames::Aim;

/// A server that answers as it should, more or less, when it is its turn.
#[derive(Default)]
pub(super) struct Server {
    heard: VecDeque<ClientFrame>,
    answers: VecDeque<ServerFrame>,
    /// Channels of the connection, by number.
    channels: Vec<ChannelName>,
    heads: BTreeMap<ChannelName, u64>,
    requests: Vec<u64>,
    numbers: Vec<u32>,
    generation: u64,
}

impl Server {
    pub(super) fn hear(&mut self, frame: ClientFrame) {
        let request = match &frame {
            ClientFrame::Publish(publish) => publish.req,
            ClientFrame::Subscribe(subscribe) => Some(subscribe.req),
            ClientFrame::History(history) => Some(history.req),
            ClientFrame::Auth(auth) => Some(auth.req),
            ClientFrame::Ping(ping) => Some(ping.n),
            _ => None,
        };
        self.requests.extend(request);
        if let ClientFrame::Hello(hello) = &frame {
            self.requests.extend(hello.subscribe.iter().map(|subscribe| subscribe.req));
        }
        // What a lie is about is recent.
        let old = self.requests.len().saturating_sub(16);
        self.requests.drain(..old);
        self.heard.push_back(frame);
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self) {
        self.heard.clear();
        self.answers.clear();
        self.channels.clear();
        self.numbers.clear();
    }

    /// Names what the client would listen to.
    pub(super) fn aim(&self) -> Aim<'_> {
        Aim { codec: Codec::Binary, requests: &self.requests, numbers: &self.numbers }
    }

    /// Says the next thing: an answer, or a message.
    pub(super) fn answer(&mut self, choices: &mut Choices<'_>) -> Option<ServerFrame> {
        while self.answers.is_empty() {
            let Some(frame) = self.heard.pop_front() else { return self.deliver(choices) };
            self.answer_to(frame, choices);
        }
        self.answers.pop_front()
    }

    fn answer_to(&mut self, frame: ClientFrame, choices: &mut Choices<'_>) {
        let answer = match frame {
            ClientFrame::Hello(hello) => return self.welcome(hello, choices),
            ClientFrame::Subscribe(subscribe) => self.subscribed(&subscribe, choices),
            ClientFrame::Publish(publish) => {
                let Some(req) = publish.req else { return };
                let offset = Some(Offset(self.grow(&publish.channel)));
                ServerFrame::Published(Published { req, epoch: epoch(), offset, duplicate: choices.chance(20) })
            }
            ClientFrame::Auth(auth) => {
                ServerFrame::Authed(Authed { req: auth.req, expires: choices.maybe(|_| 1_700_000_100_000) })
            }
            ClientFrame::Unsubscribe(unsubscribe) => {
                let Some(channel) = self.name(&unsubscribe.channel) else { return };
                ServerFrame::Unsubscribed(Unsubscribed { req: Some(unsubscribe.req), channel, code: None })
            }
            ClientFrame::Ack(ack) => {
                ServerFrame::Acked(Acked { channel: ack.channel, epoch: ack.epoch, offset: ack.offset })
            }
            ClientFrame::History(history) => ServerFrame::Page(Page {
                req: history.req,
                channel: ChannelName::new("room").expect("a channel's name"),
                epoch: epoch(),
                first: Offset(1),
                head: Offset(9),
                more: false,
                messages: vec![message(1)],
            }),
            ClientFrame::Ping(ping) => ServerFrame::Pong(Pong { n: ping.n }),
            _ => return,
        };
        self.answers.push_back(answer);
    }

    fn welcome(&mut self, hello: Hello, choices: &mut Choices<'_>) {
        self.generation += 1;
        let (id, state) = match hello.producer {
            Some(ProducerRequest::Resume(id)) if choices.chance(80) => (id, ProducerState::Resumed),
            Some(ProducerRequest::Resume(_)) => (ProducerId(u128::from(self.generation)), ProducerState::Expired),
            Some(ProducerRequest::New) | None => (ProducerId(u128::from(self.generation)), ProducerState::New),
        };
        let producer = ProducerGrant { id, generation: self.generation, state };
        let welcome = Welcome {
            v: 1,
            session: "s".into(),
            user: None,
            device: hello.device.unwrap_or_else(|| DeviceId::new("0123456789abcdef").expect("a device")),
            time: 1_700_000_000_000,
            ping: 25_000,
            durability: Durability::Disk,
            producer: if choices.chance(5) { None } else { Some(producer) },
            expires: choices.maybe(|choices| 1_700_000_000_000 + choices.number().min(1 << 40)),
            caps: vec![Utf8Bytes::from_static(Packed::CAP)],
            limits: Limits { message: 65_536, channels: 256, window: 32, spread: choices.int() },
        };
        self.answers.push_back(ServerFrame::Welcome(welcome));
        for subscribe in hello.subscribe {
            let subscribed = self.subscribed(&subscribe, choices);
            self.answers.push_back(subscribed);
        }
    }

    fn subscribed(&mut self, subscribe: &Subscribe, choices: &mut Choices<'_>) -> ServerFrame {
        self.channels.push(subscribe.channel.clone());
        let number = self.channels.len() as u32;
        self.numbers.push(number);
        let head = *self.heads.entry(subscribe.channel.clone()).or_default();
        let (from, start) = match subscribe.since {
            Since::Position(position) if position.epoch == epoch() && position.offset.0 <= head => {
                (position.offset, if position.offset.0 < head { Start::Replay } else { Start::Live })
            }
            Since::Position(_) => (Offset::ZERO, Start::Reset),
            _ => (Offset(head), Start::Live),
        };
        ServerFrame::Subscribed(Subscribed {
            req: subscribe.req,
            channel: subscribe.channel.clone(),
            number: ChannelNumber(number),
            epoch: epoch(),
            head: Offset(head),
            from,
            start,
            reason: None,
            first: None,
            expires: choices.maybe(Choices::safe),
            members: None,
        })
    }

    /// Delivers the next messages of a channel.
    fn deliver(&mut self, choices: &mut Choices<'_>) -> Option<ServerFrame> {
        if self.channels.is_empty() {
            return None;
        }
        let index = choices.below(self.channels.len());
        let channel = ChannelRef::Number(ChannelNumber(index as u32 + 1));
        let replay = choices.chance(30);
        let messages = (0..1 + choices.below(4)).map(|_| message(self.grow(&channel))).collect();
        let more = choices.chance(50);
        Some(ServerFrame::Deliver(Deliver { channel, replay, more, at: None, messages }))
    }

    fn name(&self, channel: &ChannelRef) -> Option<ChannelName> {
        match channel {
            ChannelRef::Name(name) => Some(name.clone()),
            ChannelRef::Number(number) => self.channels.get((number.0 as usize).checked_sub(1)?).cloned(),
        }
    }

    fn grow(&mut self, channel: &ChannelRef) -> u64 {
        let Some(name) = self.name(channel) else { return 1 };
        let head = self.heads.entry(name).or_default();
        *head += 1;
        *head
    }
}

fn epoch() -> Epoch {
    Epoch::new("e1").expect("an epoch")
}

fn message(offset: u64) -> Message {
    Message {
        offset: Some(Offset(offset)),
        prev: None,
        id: Utf8Bytes::from(format!("m{offset}")),
        user: None,
        time: 1_700_000_000_000,
        headers: Vec::new(),
        payload: Payload::Text("hello".into()),
    }
}
