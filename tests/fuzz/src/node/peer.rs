use std::collections::BTreeMap;

use bytes::Bytes;
use moorline_protocol::{ChannelRef, ClientFrame, Codec, Decoded, Deliver, ServerFrame, limits};

use super::MAX_CHANNELS;

/// Bytes that may wait for a socket: the mark at which its reading stops, what one more message can cause, and what
/// one batch of the engine publishes.
const QUEUE: usize = 12 << 20;

/// A connection as its client sees it.
pub(super) struct Peer {
    pub(super) codec: Codec,
    /// Bytes that the socket has not taken yet.
    pub(super) queued: usize,
    /// Requests and how many answers each may still get.
    requests: BTreeMap<u64, usize>,
    /// Channels it is subscribed to: names and numbers.
    channels: BTreeMap<String, u32>,
    pub(super) numbers: Vec<u32>,
}

impl Peer {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, queued: 0, requests: BTreeMap::new(), channels: BTreeMap::new(), numbers: Vec::new() }
    }

    /// The client says this.
    pub(super) fn says(&mut self, frame: &ClientFrame) {
        match frame {
            ClientFrame::Hello(hello) => hello.subscribe.iter().for_each(|subscribe| self.asks(subscribe.req)),
            ClientFrame::Auth(auth) => self.asks(auth.req),
            ClientFrame::Subscribe(subscribe) => self.asks(subscribe.req),
            ClientFrame::Unsubscribe(unsubscribe) => self.asks(unsubscribe.req),
            ClientFrame::Publish(publish) => publish.req.into_iter().for_each(|req| self.asks(req)),
            ClientFrame::History(history) => self.asks(history.req),
            ClientFrame::Presence(presence) => self.asks(presence.req),
            ClientFrame::Status(status) => self.asks(status.req),
            _ => {}
        }
    }

    /// The client says something that this world has not made.
    pub(super) fn says_bytes(&mut self, mut message: Bytes) {
        while let Ok(Some(decoded)) = self.codec.decode_client(&mut message) {
            match decoded {
                Decoded::Frame(frame) => self.says(&frame),
                Decoded::Unsupported { req } => req.into_iter().for_each(|req| self.asks(req)),
                Decoded::Ignored => {}
            }
        }
    }

    fn asks(&mut self, req: u64) {
        *self.requests.entry(req).or_default() += 1;
    }

    /// The server says this. Returns the frames.
    pub(super) fn hears(&mut self, mut message: Bytes, may: impl Fn(&str) -> bool) -> Vec<ServerFrame> {
        self.queued += message.len();
        assert!(self.queued <= QUEUE, "{} bytes wait for one socket", self.queued);
        let mut frames = Vec::new();
        loop {
            match self.codec.decode_server(&mut message) {
                Ok(None) => return frames,
                Ok(Some(Decoded::Frame(frame))) => {
                    self.check(&frame, &may);
                    frames.push(frame);
                }
                other => panic!("a client would not understand this: {other:?}"),
            }
        }
    }

    fn check(&mut self, frame: &ServerFrame, may: &impl Fn(&str) -> bool) {
        match frame {
            ServerFrame::Subscribed(subscribed) => {
                self.answered(subscribed.req);
                let name = subscribed.channel.as_str();
                assert!(may(name), "subscribed to {name}");
                let before = self.channels.insert(name.to_owned(), subscribed.number.0);
                assert_eq!(before, None, "subscribed twice to {name}");
                assert!(self.channels.len() <= MAX_CHANNELS as usize, "{} channels", self.channels.len());
                self.numbers.push(subscribed.number.0);
            }
            ServerFrame::Unsubscribed(unsubscribed) => {
                unsubscribed.req.into_iter().for_each(|req| self.answered(req));
                self.channels.remove(unsubscribed.channel.as_str());
            }
            ServerFrame::Authed(authed) => self.answered(authed.req),
            ServerFrame::Published(published) => self.answered(published.req),
            ServerFrame::Page(page) => {
                self.answered(page.req);
                assert!(may(page.channel.as_str()), "a page of {}", page.channel);
            }
            ServerFrame::Error(error) => error.req.into_iter().for_each(|req| self.answered(req)),
            ServerFrame::Deliver(deliver) => self.delivered(deliver),
            ServerFrame::Packed(packed) => self.subscribed(&packed.channel),
            ServerFrame::Reset(reset) => self.subscribed(&reset.channel),
            ServerFrame::Dropped(dropped) => self.subscribed(&dropped.channel),
            ServerFrame::Acked(acked) => self.subscribed(&acked.channel),
            _ => {}
        }
    }

    fn answered(&mut self, req: u64) {
        let left = self.requests.get_mut(&req).filter(|left| **left > 0);
        *left.unwrap_or_else(|| panic!("an answer to {req}, which was not asked")) -= 1;
    }

    fn subscribed(&self, channel: &ChannelRef) {
        let known = match channel {
            ChannelRef::Name(name) => self.channels.contains_key(name.as_str()),
            ChannelRef::Number(number) => self.channels.values().any(|known| *known == number.0),
        };
        assert!(known, "something about {channel:?}, which is not subscribed to");
    }

    fn delivered(&self, deliver: &Deliver) {
        self.subscribed(&deliver.channel);
        assert!(deliver.messages.len() <= limits::PAGE_MESSAGES, "{} messages", deliver.messages.len());
        let offsets: Vec<_> = deliver.messages.iter().filter_map(|message| message.offset).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    }
}
