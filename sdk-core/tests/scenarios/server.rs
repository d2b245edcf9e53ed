//! A server that keeps the rules, as far as answers go.

use std::collections::{BTreeMap, VecDeque};

use moorline_core::protocol::{
    ChannelName, ChannelRef, ClientFrame, ErrorCode, ErrorFrame, Offset, Pong, Position, ProducerId, ProducerRequest,
    ProducerState, Publish, Published, ServerFrame, Since, Start, Subscribe, Subscribed, Unsubscribed, UserName,
    Welcome,
};

use crate::host::{channel, epoch, number, welcome};

/// A server that keeps the rules.
pub(crate) struct Server {
    pub(crate) producer: u128,
    pub(crate) offers_producer: bool,
    /// By producer and channel: the last sequence taken.
    taken: BTreeMap<(u128, ChannelName), u64>,
    head: u64,
    /// How the next requests are refused.
    pub(crate) refusals: VecDeque<ErrorCode>,
    /// What it has said and the client has not heard.
    pub(crate) down: VecDeque<ServerFrame>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            producer: 1,
            offers_producer: true,
            taken: BTreeMap::new(),
            head: 10,
            refusals: VecDeque::new(),
            down: VecDeque::new(),
        }
    }

    pub(crate) fn hear(&mut self, frame: ClientFrame) {
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
                self.down.push_back(ServerFrame::Pong(Pong { n: ping.n }));
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
        greeting.user = Some(UserName::new("alice").unwrap());
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
