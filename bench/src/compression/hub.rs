//! The real node with one channel and so many receivers, without sockets and without a log.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use moorline_core::protocol::time::Now;
use moorline_core::protocol::{
    AppName, ChannelName, ClientFrame, Codec, Durability, Epoch, Hello, Offset, Packed, Since, Subscribe, Utf8Bytes,
};
use moorline_server::engine::{
    Attached, ChannelKey, Command, Completion, EngineInfo, Event, Opened, ReadPage, Reply, ShardId, Stored, Ticket,
};
use moorline_server::node::{
    AuthFailure, Authenticator, Claims, CompressionRules, ConnId, Grant, Node, NodeConfig, Output, Permissions,
};
use moorline_server::planted::Bugs;

use crate::error::{Error, Result};

/// Everybody may do everything.
struct Open;

impl Authenticator for Open {
    fn verify(
        &self,
        _: &AppName,
        _: Option<&str>,
        _: Option<&ChannelName>,
        _: u64,
    ) -> std::result::Result<Claims, AuthFailure> {
        let grants = vec![Grant { pattern: "*".into(), can: Permissions::ALL }];
        Ok(Claims { grants, ..Claims::default() })
    }

    fn has_app(&self, _: &AppName) -> bool {
        true
    }
}

/// See the module's documentation.
pub(super) struct Hub {
    node: Node,
    key: ChannelKey,
    epoch: Epoch,
    log: Vec<Stored>,
    asked: VecDeque<(Ticket, Command)>,
    sent: Vec<Bytes>,
}

impl Hub {
    /// Makes a channel with so many receivers that can or cannot inflate.
    pub(super) fn new(receivers: u32, packs: bool) -> Result<Self> {
        let wrong = |_| Error::Answer("moorline-server", "naming");
        let config = NodeConfig {
            shard: ShardId(0),
            ping_ms: 25_000,
            max_message: 65_536,
            max_channels: 256,
            max_connections: u32::MAX,
            publish_rate: None,
            publish_burst: 100,
            spread_ms: 1_000,
            name_anonymous: false,
            callouts: moorline_server::node::CalloutRules::default(),
            compression: CompressionRules::default(),
            hooks: moorline_server::engine::hooks::HookRules::default(),
            engine: EngineInfo { durability: Durability::Memory },
            bugs: Bugs::default(),
        };
        let mut hub = Self {
            node: Node::new(config, Arc::new(Open), [7; 32]),
            key: ChannelKey { app: AppName::default_app(), name: ChannelName::new("room:42").map_err(wrong)? },
            epoch: Epoch::new("k3v9x2.1").map_err(wrong)?,
            log: Vec::new(),
            asked: VecDeque::new(),
            sent: Vec::new(),
        };
        (0..receivers).for_each(|conn| drop(hub.join(conn, packs, Since::Now)));
        Ok(hub)
    }

    /// Lets somebody in, and returns what is sent: the answers, and pages.
    pub(super) fn join(&mut self, conn: u32, packs: bool, since: Since) -> Vec<Bytes> {
        let now = now();
        self.node.handle_opened(ConnId(conn), self.key.app.clone(), Codec::Binary, now);
        let caps = packs.then(|| Utf8Bytes::from_static(Packed::CAP)).into_iter().collect();
        let subscribe = vec![Subscribe { since, ..Subscribe::new(1, self.key.name.clone()) }];
        let hello = Hello { v: 1, token: None, device: None, run: None, sdk: None, producer: None, caps, subscribe };
        let mut bytes = Vec::new();
        Codec::Binary.encode_client(&ClientFrame::Hello(hello), &mut bytes);
        self.node.handle_message(ConnId(conn), bytes.into(), now);
        self.settle();
        std::mem::take(&mut self.sent)
    }

    /// Publishes a message, and returns what is sent for it: one WebSocket message for each cohort.
    pub(super) fn publish(&mut self, stored: &Stored) -> Vec<Bytes> {
        let (channel, epoch) = (self.key.clone(), self.epoch);
        let event = Event::Published { channel, epoch, messages: vec![stored.clone()] };
        self.node.handle_replies([Reply::Event(event)], now());
        self.settle();
        self.log.push(stored.clone());
        std::mem::take(&mut self.sent)
    }

    fn settle(&mut self) {
        loop {
            while let Some(output) = self.node.poll_output() {
                match output {
                    Output::Send { message, .. } | Output::Fanout { message, .. } => self.sent.push(message),
                    Output::Engine(ticket, command) => self.asked.push_back((ticket, command)),
                    Output::Close { .. }
                    | Output::Drained
                    | Output::Ask { .. }
                    | Output::Call(..)
                    | Output::Uncall(_)
                    | Output::Warn(_) => {}
                }
            }
            let Some((ticket, command)) = self.asked.pop_front() else { return };
            if let Some(completion) = self.answer(command) {
                self.node.handle_replies([Reply::Completed(ticket, Ok(completion))], now());
            }
        }
    }
}

impl Hub {
    /// Answers for the engine, as far as it is asked here.
    fn answer(&self, command: Command) -> Option<Completion> {
        let (epoch, first) = (self.epoch, Offset(1));
        let head = self.log.last().map_or(Offset::ZERO, |stored| stored.offset);
        match command {
            Command::Attach(_) => Some(Completion::Attached(Attached::Accepted { producer: None })),
            Command::Open(open) => {
                let from = if open.since == Since::First { Offset::ZERO } else { head };
                Some(Completion::Opened(Opened { epoch, first, head, from, reset: None, members: None }))
            }
            Command::Read(read) => {
                let mut bytes = 0;
                let fits = self.log.iter().take(read.max_messages).take_while(|stored| {
                    bytes += stored.bytes.len();
                    bytes <= read.max_bytes
                });
                let messages: Vec<Stored> = fits.cloned().collect();
                let reached = messages.last().map_or(head, |stored| stored.offset);
                Some(Completion::Read(ReadPage { epoch, first, head, messages, reached, more: reached < head }))
            }
            Command::Detach(..)
            | Command::Unwatch(_)
            | Command::Presence(_)
            | Command::UnwatchPresence(_)
            | Command::Status(_)
            | Command::Channels(_)
            | Command::Disconnect(..)
            | Command::Stats
            | Command::Configure(_)
            | Command::Oldest
            | Command::UnwatchStatus(..)
            | Command::Park(..)
            | Command::Push(..)
            | Command::PushHandles(..)
            | Command::Append(_)
            | Command::Broadcast(_)
            | Command::Ack(_)
            | Command::Forget { .. }
            | Command::Revoke(_) => None,
        }
    }
}

fn now() -> Now {
    Now { mono: moorline_core::Timestamp::from_millis(1_000), unix: 1_767_225_600_000 }
}
