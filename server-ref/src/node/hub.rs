use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::binary::{DeliverHead, decode_message, encode_deliver};
use moorline_protocol::{ChannelNumber, ChannelRef, Codec, Deliver, Epoch, Message, Offset, ServerFrame, limits};

use super::cohorts::{Cohorts, Seat};
use super::io::{ConnId, Output};
use super::packing::{Packer, Thrift};
use crate::engine::{ChannelKey, Stored};
use crate::planted::{Bug, Bugs};

/// Names a hub on its shard. Channels are counted per app, so that none sees how many another has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HubNumber {
    /// The app, by the order in which they came.
    app: u32,
    /// The channel, as its subscribers know it.
    pub(super) channel: ChannelNumber,
}

impl HubNumber {
    /// Returns what stands before an app's first channel.
    pub(super) fn before_first(app: u32) -> Self {
        Self { app, channel: ChannelNumber(0) }
    }

    /// Returns the next one of the same app.
    pub(super) fn next(self) -> Self {
        Self { channel: ChannelNumber(self.channel.0 + 1), ..self }
    }
}

/// A channel of this shard: who gets its messages, and how far they were sent.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) key: ChannelKey,
    pub(super) number: HubNumber,
    /// `None` until the engine has answered the first open.
    pub(super) tip: Option<Tip>,
    /// Subscriptions in any state; at zero the hub goes.
    pub(super) subscribers: usize,
    /// Those who are live.
    cohorts: Cohorts,
    /// Whether its messages may be compressed.
    pub(super) packs: bool,
    thrift: Thrift,
    /// Messages fanned out since the hub began, for the count of those dropped.
    pub(super) fanned_out: u64,
}

/// How far a hub's messages were fanned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) epoch: Epoch,
    pub(super) fanned: Offset,
}

impl Hub {
    pub(super) fn new(key: ChannelKey, number: HubNumber, packs: bool) -> Self {
        Self {
            key,
            number,
            tip: None,
            subscribers: 0,
            cohorts: Cohorts::default(),
            packs,
            thrift: Thrift::default(),
            fanned_out: 0,
        }
    }

    pub(super) fn join(&mut self, conn: ConnId, seat: Seat) {
        let fanned = self.tip.map_or(Offset::ZERO, |tip| tip.fanned);
        let seat = if matches!(seat, Seat::Packed { .. }) && !self.packs { Seat::Plain } else { seat };
        self.cohorts.join(conn, seat, fanned);
    }

    pub(super) fn leave(&mut self, conn: ConnId, codec: Codec) {
        self.cohorts.leave(conn, codec);
    }

    /// Returns how many connections are live.
    pub(super) fn live(&self) -> usize {
        let Cohorts { json, plain, packed, .. } = &self.cohorts;
        json.len() + plain.len() + packed.len()
    }

    /// The channel begins a new life: nobody is live until it has joined again.
    pub(super) fn begin_anew(&mut self, tip: Tip, bugs: Bugs) {
        self.tip = Some(tip);
        if !bugs.has(Bug::PackedAcrossResets) {
            self.cohorts = Cohorts::default();
        }
    }

    /// Planted: takes an ephemeral message into the dictionary.
    pub(super) fn remember_ephemeral(&mut self, message: &Bytes) {
        self.cohorts.recent.push_ephemeral(message);
    }

    /// Sends messages to everyone who is live: encoded once per cohort, split at a page's size. With a packer, those
    /// who hold the dictionary get them deflated where that pays.
    pub(super) fn fan_out(
        &mut self,
        messages: &[Bytes],
        mut packer: Option<&mut Packer>,
        mut emit: impl FnMut(Output),
    ) {
        self.fanned_out += messages.len() as u64;
        for part in parts(messages) {
            let mut send = |cohort: &Arc<Vec<ConnId>>, codec, message: &Bytes| {
                if !cohort.is_empty() {
                    emit(Output::Fanout { conns: Arc::clone(cohort), codec, message: message.clone() });
                }
            };
            let Cohorts { json, plain, packed, .. } = &self.cohorts;
            if !(plain.is_empty() && packed.is_empty()) {
                let message = self.encode(Codec::Binary, part);
                send(plain, Codec::Binary, &message);
                let packer = packer.as_deref_mut().filter(|_| !packed.is_empty());
                let head = self.head();
                let live = Some((&self.cohorts.recent, &mut self.thrift));
                let deflated = packer.and_then(|packer| packer.pack(head, part.iter(), live, message.len()));
                send(packed, Codec::Binary, &deflated.unwrap_or(message));
            }
            if !json.is_empty() {
                send(json, Codec::Json, &self.encode(Codec::Json, part));
            }
            self.cohorts.remember(part);
        }
    }

    /// The head of live deliveries.
    fn head(&self) -> DeliverHead {
        DeliverHead { number: self.number.channel, replay: false, more: false, at: None }
    }

    fn encode(&self, codec: Codec, messages: &[Bytes]) -> Bytes {
        let mut out = Vec::new();
        match codec {
            Codec::Binary => {
                encode_deliver(self.head(), messages.iter(), &mut out);
            }
            Codec::Json => {
                let messages = messages.iter().filter_map(|bytes| decode_message(&mut bytes.clone()).ok()).collect();
                let channel = ChannelRef::Name(self.key.name.clone());
                let deliver = Deliver { channel, replay: false, more: false, at: None, messages };
                codec.encode_server(&ServerFrame::Deliver(deliver), &mut out);
            }
        }
        out.into()
    }
}

/// Splits messages so that no part is larger than a page, unless it is one message.
fn parts(messages: &[Bytes]) -> impl Iterator<Item = &[Bytes]> {
    let mut rest = messages;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(limits::PAGE_MESSAGES).take_while(|message| {
            bytes += message.len();
            bytes <= limits::PAGE_BYTES
        });
        let count = fits.count().max(1).min(rest.len());
        let (part, others) = rest.split_at(count);
        rest = others;
        (!part.is_empty()).then_some(part)
    })
}

/// A page for one connection.
pub(super) struct PageFrame<'a> {
    pub(super) codec: Codec,
    pub(super) channel: ChannelRef,
    /// Whether it may be deflated.
    pub(super) packs: bool,
    pub(super) more: bool,
    pub(super) at: Option<Offset>,
    /// What the client had before the first message.
    pub(super) sent: Offset,
    pub(super) messages: &'a [Stored],
}

/// Encodes a replay page. Messages that do not follow on the one before are written anew, with `prev`.
pub(super) fn encode_page(page: &PageFrame<'_>, packer: &mut Packer) -> Bytes {
    let mut out = Vec::new();
    let mut before = page.sent;
    let mut marked = Vec::with_capacity(page.messages.len());
    for stored in page.messages {
        let gap = before.next() != stored.offset;
        marked.push((stored, gap.then_some(before)));
        before = stored.offset;
    }
    if let (Codec::Binary, ChannelRef::Number(number)) = (page.codec, &page.channel) {
        let head = DeliverHead { number: *number, replay: true, more: page.more, at: page.at };
        let messages: Vec<Bytes> = marked.iter().map(|(stored, prev)| with_prev(&stored.bytes, *prev)).collect();
        encode_deliver(head, messages.iter(), &mut out);
        let deflated = if page.packs { packer.pack(head, messages.iter(), None, out.len()) } else { None };
        return deflated.unwrap_or_else(|| out.into());
    }
    let messages = marked.iter().filter_map(|(stored, prev)| message(&stored.bytes, *prev)).collect();
    let deliver = Deliver { channel: page.channel.clone(), replay: true, more: page.more, at: page.at, messages };
    page.codec.encode_server(&ServerFrame::Deliver(deliver), &mut out);
    out.into()
}

/// Decodes a stored message and adds what came before it.
pub(super) fn message(bytes: &Bytes, prev: Option<Offset>) -> Option<Message> {
    let message = decode_message(&mut bytes.clone()).ok()?;
    Some(Message { prev, ..message })
}

fn with_prev(bytes: &Bytes, prev: Option<Offset>) -> Bytes {
    match prev.and_then(|prev| message(bytes, Some(prev))) {
        None => bytes.clone(),
        Some(message) => {
            let mut out = Vec::with_capacity(bytes.len() + 8);
            moorline_protocol::binary::encode_message(&message, &mut out);
            out.into()
        }
    }
}
