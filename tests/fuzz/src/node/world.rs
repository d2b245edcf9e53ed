use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{AppName, ClientFrame, Codec, Durability, Offset};
use moorline_server::engine::core::{CoreConfig, EngineCore, MemoryStore, RetentionRule, RetentionRules};
use moorline_server::engine::record::Record;
use moorline_server::engine::{
    ChannelKey, Command, Completion, EngineError, EngineInfo, Read, ReadRange, Reply, Revocation, ShardId, Ticket,
};
use moorline_server::node::{ConnId, Node, NodeConfig, Output, Pressure};
use moorline_server::planted::Bugs;

use super::peer::Peer;
use super::tokens::Tokens;
use super::witness::Witness;
use super::{BURST, MAX_CHANNELS, MAX_CONNECTIONS, MAX_MESSAGE, PEERS, RATE, WITNESS};
use crate::choices::Choices;
use crate::frames::{Aim, CLIENT_KINDS, client_frame, named};

const SHARD: ShardId = ShardId(0);
/// The shard that looks at the log from outside.
const OBSERVER: ShardId = ShardId(7);
/// Bytes of one batch of the engine, about.
const BATCH_BYTES: usize = 4 << 20;

/// See [`node`](super::node).
pub(super) struct World<'a> {
    pub(super) choices: Choices<'a>,
    node: Node,
    engine: EngineCore<MemoryStore>,
    inbox: VecDeque<(Ticket, Command)>,
    replies: VecDeque<Reply>,
    mono_ms: u64,
    peers: BTreeMap<ConnId, Peer>,
    witness: Witness,
    /// What the node said to the witness since it was last asked.
    to_witness: Vec<Bytes>,
    drained: usize,
}

impl<'a> World<'a> {
    pub(super) fn new(choices: Choices<'a>) -> Self {
        let mut engine = EngineCore::new(core_config(), MemoryStore::default());
        engine.begin(false, 0);
        let mut world = Self {
            choices,
            node: Node::new(node_config(), Arc::new(Tokens), [5; 32]),
            engine,
            inbox: VecDeque::new(),
            replies: VecDeque::new(),
            mono_ms: 1_000,
            peers: BTreeMap::new(),
            witness: Witness::default(),
            to_witness: Vec::new(),
            drained: 0,
        };
        world.open(WITNESS, Codec::Binary);
        world.say(WITNESS, &Witness::hello());
        world.catch_up();
        world
    }

    pub(super) fn step(&mut self) {
        let conn = ConnId(self.choices.below(PEERS as usize) as u32);
        match self.choices.below(12) {
            0..=5 => self.speak(conn),
            6 | 7 => {
                let full = self.choices.chance(3);
                self.run_engine(full);
            }
            8 => {
                let count = self.choices.below(8);
                self.deliver(count);
            }
            9 => {
                let ms = self.choices.number().min(30_000);
                self.pass(ms);
            }
            10 => self.take_from_socket(conn),
            _ => self.rare(conn),
        }
        self.witness_listens();
    }

    /// Everything that is under way arrives; then the witness has got all there is, and the node stops well.
    pub(super) fn end(mut self) {
        self.catch_up();
        let last = self.witness.publish();
        self.say(WITNESS, &last);
        self.catch_up();
        let head = self.head("room");
        self.witness.check(head);
        let now = self.now();
        self.node.drain(100, 1_000, now);
        self.obey();
        self.catch_up();
        self.pass(10_000);
        assert_eq!((self.node.connections(), self.drained), (0, 1), "connections after the drain, and its end");
        assert!(self.peers.is_empty(), "connections that were not closed");
    }

    fn now(&self) -> Now {
        Now { mono: Timestamp::from_millis(self.mono_ms), unix: 1_700_000_000_000 + self.mono_ms }
    }

    fn open(&mut self, conn: ConnId, codec: Codec) {
        self.peers.insert(conn, Peer::new(codec));
        let now = self.now();
        self.node.handle_opened(conn, AppName::default_app(), codec, now);
        self.obey();
    }

    fn say(&mut self, conn: ConnId, frame: &ClientFrame) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        peer.says(frame);
        let mut message = Vec::new();
        peer.codec.encode_client(frame, &mut message);
        self.message(conn, message.into());
    }

    fn message(&mut self, conn: ConnId, message: Bytes) {
        let now = self.now();
        self.node.handle_message(conn, message, now);
        let asked = self.obey();
        assert!(asked <= BURST as usize, "{asked} publishes in one message");
    }

    /// A hostile client says something; one that is not there comes first.
    fn speak(&mut self, conn: ConnId) {
        let Some(peer) = self.peers.get(&conn) else {
            let codec = self.choices.pick(&[Codec::Binary, Codec::Json]);
            self.open(conn, codec);
            if self.choices.chance(90) {
                let frame = client_frame(0, &Aim::nobody(codec), &mut self.choices);
                self.say(conn, &frame);
            }
            return;
        };
        if Pressure::of(peer.queued) == Pressure::Full {
            return;
        }
        let (codec, numbers) = (peer.codec, peer.numbers.clone());
        let message = if self.choices.chance(90) {
            self.frames(&Aim { codec, requests: &[], numbers: &numbers })
        } else {
            Bytes::copy_from_slice(self.choices.bytes())
        };
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.says_bytes(message.clone());
        }
        self.message(conn, message);
    }

    /// Makes a message of a few frames, or of one frame many times.
    fn frames(&mut self, aim: &Aim<'_>) -> Bytes {
        let mut message = Vec::new();
        for _ in 0..1 + self.choices.below(3) {
            let kind = self.choices.below(CLIENT_KINDS);
            let frame = client_frame(kind, aim, &mut self.choices);
            aim.codec.encode_client(&frame, &mut message);
        }
        if self.choices.chance(4) {
            let times = (1 + self.choices.below(256)) * 16;
            let one = message.clone();
            while message.len() + one.len() < 1 << 20 && message.len() < one.len() * times {
                if aim.codec == Codec::Json {
                    message.push(b'\n');
                }
                message.extend_from_slice(&one);
            }
        }
        message.into()
    }

    /// The engine takes one batch, or has no room for it.
    fn run_engine(&mut self, full: bool) {
        let now = self.now().unix;
        let mut bytes = 0;
        while let Some((ticket, command)) = self.inbox.pop_front() {
            if let Command::Append(append) = &command {
                bytes += append.payload.bytes().len();
            }
            if full {
                self.engine.refuse(SHARD, ticket, command, EngineError::Full, now);
            } else {
                self.engine.handle(SHARD, ticket, command, now);
            }
            if bytes > BATCH_BYTES {
                break;
            }
        }
        if self.choices.chance(50) {
            self.engine.flush_cursors(now);
        }
        if self.choices.chance(10) {
            self.engine.expire(now);
        }
        self.collect();
    }

    fn collect(&mut self) {
        for record in self.engine.take_records(self.now().unix) {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            let mut bytes = Bytes::from(bytes);
            assert_eq!(Record::decode(&mut bytes), Ok(record), "as it is written");
            assert!(bytes.is_empty());
        }
        let own = self.engine.take_replies().into_iter().filter(|(shard, _)| *shard == SHARD);
        self.replies.extend(own.map(|(_, reply)| reply));
        assert!(self.engine.take_pending_reads().is_empty(), "memory answers at once");
    }

    fn deliver(&mut self, count: usize) {
        let now = self.now();
        let count = count.min(self.replies.len());
        self.node.handle_replies(self.replies.drain(..count), now);
        self.obey();
    }

    fn pass(&mut self, ms: u64) {
        let end = self.mono_ms + ms;
        // In steps, so that the witness can answer its pings.
        while self.mono_ms < end {
            self.mono_ms = end.min(self.mono_ms + 5_000);
            let now = self.now();
            self.node.handle_timeout(now);
            self.obey();
            let due = self.node.poll_timeout();
            assert!(due.is_none_or(|(due, _)| due > now.mono), "due at {due:?}, and it is {now:?}");
            self.witness_listens();
        }
    }

    fn take_from_socket(&mut self, conn: ConnId) {
        let taken = usize::from(self.choices.byte()) * 8_192;
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.queued = peer.queued.saturating_sub(taken);
            let pressure = Pressure::of(peer.queued);
            let now = self.now();
            self.node.handle_pressure(conn, pressure, now);
            self.obey();
        }
    }

    fn rare(&mut self, conn: ConnId) {
        let (now, app) = (self.now(), AppName::default_app());
        match self.choices.below(4) {
            0 => {
                self.peers.remove(&conn);
                self.node.handle_closed(conn, now);
                self.obey();
            }
            1 => {
                let revocation = Revocation::Token { app, jti: "bob".into() };
                self.engine.handle(OBSERVER, Ticket(0), Command::Revoke(revocation), now.unix);
                self.collect();
            }
            _ => self.node.handle_activity(conn, now),
        }
    }

    /// Runs engine and node until nothing is under way.
    fn catch_up(&mut self) {
        for _ in 0..10_000 {
            if self.inbox.is_empty() && self.replies.is_empty() && self.to_witness.is_empty() {
                return;
            }
            self.run_engine(false);
            self.deliver(usize::MAX);
            self.witness_listens();
        }
        panic!("node and engine never come to rest");
    }

    fn witness_listens(&mut self) {
        for message in std::mem::take(&mut self.to_witness) {
            let Some(peer) = self.peers.get_mut(&WITNESS) else { return };
            peer.queued = 0;
            for frame in peer.hears(message, |_| true) {
                if let Some(answer) = self.witness.hear(frame) {
                    self.say(WITNESS, &answer);
                }
            }
        }
    }

    /// Does what the node wants. Returns how many publishes it handed to the engine.
    fn obey(&mut self) -> usize {
        let mut publishes = 0;
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { conn, message } => self.send(conn, message),
                Output::Fanout { conns, codec, message } => {
                    for conn in conns.iter() {
                        assert_eq!(self.peers.get(conn).map(|peer| peer.codec), Some(codec), "{conn:?}");
                        self.send(*conn, message.clone());
                    }
                }
                Output::Close { conn, code } => {
                    assert!(
                        conn != WITNESS || code == moorline_protocol::CloseCode::GOING_AWAY,
                        "closes the witness: {code:?}"
                    );
                    assert!(self.peers.remove(&conn).is_some(), "closes {conn:?}, which is not open");
                }
                Output::Engine(ticket, command) => {
                    publishes += usize::from(matches!(command, Command::Append(_) | Command::Broadcast(_)));
                    self.inbox.push_back((ticket, command));
                }
                Output::Ask { .. } | Output::Call(..) | Output::Uncall(_) | Output::Warn(_) => {}
                Output::Drained => self.drained += 1,
            }
        }
        publishes
    }

    fn send(&mut self, conn: ConnId, message: Bytes) {
        if conn == WITNESS {
            return self.to_witness.push(message);
        }
        let peer = self.peers.get_mut(&conn).unwrap_or_else(|| panic!("something for {conn:?}, which is not open"));
        let before = Pressure::of(peer.queued);
        peer.hears(message, |channel| channel.starts_with("room") || channel == "@alice" || channel == "@bob");
        let after = Pressure::of(peer.queued);
        if before != after {
            let now = self.now();
            self.node.handle_pressure(conn, after, now);
        }
    }

    /// Returns the newest offset of a channel.
    fn head(&mut self, name: &str) -> Offset {
        let channel = ChannelKey { app: AppName::default_app(), name: named(name) };
        let read = Read { channel, range: ReadRange::Newest, max_messages: 1, max_bytes: 1 };
        let now = self.now().unix;
        self.engine.handle(OBSERVER, Ticket(0), Command::Read(read), now);
        let heads = self.engine.take_replies().into_iter().filter_map(|(_, reply)| match reply {
            Reply::Completed(_, Ok(Completion::Read(page))) => Some(page.head),
            _ => None,
        });
        heads.last().expect("an answer")
    }
}

fn core_config() -> CoreConfig {
    let rule = RetentionRule { prefix: String::new(), max_age_ms: None, max_bytes: None, max_count: Some(12) };
    CoreConfig { retention: RetentionRules::new(vec![rule]), ..CoreConfig::new("fuzz") }
}

fn node_config() -> NodeConfig {
    NodeConfig {
        shard: SHARD,
        ping_ms: 25_000,
        max_message: MAX_MESSAGE,
        max_channels: MAX_CHANNELS,
        max_connections: MAX_CONNECTIONS,
        publish_rate: Some(RATE),
        publish_burst: BURST,
        spread_ms: 0,
        name_anonymous: false,
        callouts: moorline_server::node::CalloutRules::default(),
        compression: moorline_server::node::CompressionRules::default(),
        hooks: moorline_server::engine::hooks::HookRules::default(),
        engine: EngineInfo { durability: Durability::Memory },
        bugs: Bugs::default(),
    }
}
