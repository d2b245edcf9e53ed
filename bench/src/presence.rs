//! All members of a channel come back at once: what watchers are told, on a node and an engine without sockets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{
    AppName, ChannelName, ClientFrame, Codec, Durability, Hello, PresenceMode, Subscribe, UserName, Utf8Bytes,
};
use moorline_server::engine::core::{CoreConfig, EngineCore, MemoryStore};
use moorline_server::engine::{Command, EngineInfo, Reply, ShardId, Ticket};
use moorline_server::node::{AuthFailure, Authenticator, Claims, ConnId, Grant, Node, NodeConfig, Output, Permissions};
use moorline_server::planted::Bugs;

use crate::error::Result;
use crate::table::{self, Column};

/// All members of a channel come back at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Presence {
    /// Members; each of them watches all.
    #[arg(long, value_delimiter = ',', default_values_t = [1_250, 2_500, 5_000])]
    members: Vec<u32>,
    /// ms within which they all come back.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 3_000])]
    within: Vec<u64>,
}

const SHARD: ShardId = ShardId(0);
/// ms since 1970 when the measurement begins: any moment will do.
const BEGIN: u64 = 1_800_000_000_000;
const COLUMNS: &[Column] = &[
    ("batches", 0),
    ("frames to members", 0),
    ("per member", 1),
    ("KB in all", 0),
    ("bytes per member", 0),
    ("CPU ms", 0),
    ("one frame per change and watcher", 0),
];

impl Presence {
    pub(crate) fn run(&self) -> Result {
        let mut rows = Vec::new();
        for within in &self.within {
            for members in &self.members {
                let name = format!("{members} members within {within} ms, after a restart");
                rows.push((name, vec![measure(*members, *within, None)]));
            }
        }
        for members in &self.members {
            let name = format!("{members} members within 3000 ms, connections cut 2 s before");
            rows.push((name, vec![measure(*members, 3_000, Some(2_000))]));
        }
        let rows: Vec<_> = rows.iter().map(|(name, rounds)| (name.as_str(), rounds.clone())).collect();
        table::print("All members of a channel come back; each watches all", COLUMNS, &rows);
        Ok(())
    }
}

/// Lets all members come back, and counts what they are told. With `cut`, they were there, and their connections
/// ended so many ms before.
fn measure(members: u32, within: u64, cut: Option<u64>) -> Vec<f64> {
    let mut rig = Rig::new();
    if let Some(cut) = cut {
        (0..members).for_each(|conn| rig.come(conn, 1));
        rig.pass(1_000);
        (0..members).for_each(|conn| rig.node.handle_closed(ConnId(conn), rig.now()));
        rig.pass(cut);
    }
    rig.told = Told::default();
    let begin = Instant::now();
    for conn in 0..members {
        let at = u64::from(conn) * within / u64::from(members);
        rig.pass_until(at);
        rig.come(conn, 2);
    }
    rig.pass(1_000);
    let spent = begin.elapsed().as_secs_f64() * 1e3;
    let Told { batches, frames, bytes } = rig.told;
    let each = |sum: u64| sum as f64 / f64::from(members);
    let naive = f64::from(members) * f64::from(members);
    vec![batches as f64, frames as f64, each(frames), bytes as f64 / 1e3, each(bytes), spent, naive]
}

/// What watchers were told of members.
#[derive(Default)]
struct Told {
    batches: u64,
    frames: u64,
    bytes: u64,
}

struct Rig {
    node: Node,
    core: EngineCore<MemoryStore>,
    ms: u64,
    /// When the current part began.
    since: u64,
    asked: VecDeque<(Ticket, Command)>,
    told: Told,
}

/// Lets everybody in, under the name that the token is.
struct Anybody;

impl Authenticator for Anybody {
    fn verify(
        &self,
        _app: &AppName,
        token: Option<&str>,
        _channel: Option<&ChannelName>,
        _now: u64,
    ) -> std::result::Result<Claims, AuthFailure> {
        let grants = vec![Grant { pattern: "*".into(), can: Permissions::ALL }];
        Ok(Claims { user: token.and_then(|name| UserName::new(name).ok()), grants, ..Claims::default() })
    }

    fn has_app(&self, _app: &AppName) -> bool {
        true
    }
}

impl Rig {
    fn new() -> Self {
        let config = NodeConfig {
            shard: SHARD,
            ping_ms: 25_000,
            max_message: 65_536,
            max_channels: 256,
            max_connections: 20,
            publish_rate: None,
            publish_burst: 100,
            spread_ms: 3_000,
            name_anonymous: false,
            callouts: moorline_server::node::CalloutRules::default(),
            compression: moorline_server::node::CompressionRules::default(),
            hooks: moorline_server::engine::hooks::HookRules::default(),
            engine: EngineInfo { durability: Durability::Memory },
            bugs: Bugs::default(),
        };
        let mut core = EngineCore::new(CoreConfig::new("bench000"), MemoryStore::default());
        core.begin(false, BEGIN);
        let node = Node::new(config, Arc::new(Anybody), [7; 32]);
        Self { node, core, ms: 0, since: 0, asked: VecDeque::new(), told: Told::default() }
    }

    fn now(&self) -> Now {
        Now { mono: Timestamp::new(Duration::from_millis(self.ms)), unix: BEGIN + self.ms }
    }

    /// A member connects and joins with its state.
    fn come(&mut self, conn: u32, transport: u64) {
        let now = self.now();
        self.node.handle_opened(ConnId(conn), AppName::default_app(), Codec::Binary, now);
        let mut hello = Vec::new();
        Codec::Binary.encode_client(&ClientFrame::Hello(member(conn, transport)), &mut hello);
        self.node.handle_message(ConnId(conn), Bytes::from(hello), now);
        self.drain();
    }

    fn pass(&mut self, ms: u64) {
        self.since = self.ms;
        self.pass_until(ms);
        self.since = self.ms;
    }

    /// Time passes until so many ms of this part; the engine takes a turn each ms, if it has something to do.
    fn pass_until(&mut self, ms: u64) {
        while self.ms < self.since + ms {
            self.ms += 1;
            let now = self.now();
            self.node.handle_timeout(now);
            self.drain();
            if self.asked.is_empty() && self.core.presence_idle_ms(now.unix) != Some(0) {
                continue;
            }
            while !self.asked.is_empty() {
                for (ticket, command) in std::mem::take(&mut self.asked) {
                    self.core.handle(SHARD, ticket, command, now.unix);
                }
                self.turn(now);
            }
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Now) {
        self.core.take_records(now.unix);
        let replies: Vec<Reply> = self.core.take_replies().into_iter().map(|(_, reply)| reply).collect();
        self.node.handle_replies(replies, now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Engine(ticket, command) => self.asked.push_back((ticket, command)),
                // Nothing is published: what goes to many is about members.
                Output::Fanout { conns, message, .. } => {
                    self.told.batches += 1;
                    self.told.frames += conns.len() as u64;
                    self.told.bytes += (conns.len() * message.len()) as u64;
                }
                Output::Send { .. }
                | Output::Close { .. }
                | Output::Drained
                | Output::Ask { .. }
                | Output::Call(..)
                | Output::Uncall(_)
                | Output::Warn(_) => {}
            }
        }
    }
}

fn member(conn: u32, transport: u64) -> Hello {
    let subscribe = ChannelName::new("stadium").ok().map(|channel| Subscribe {
        presence: PresenceMode::Join,
        state: Some(Bytes::from(format!("{{\"nick\":\"member {conn}\"}}"))),
        ..Subscribe::new(1, channel)
    });
    Hello {
        v: 1,
        token: Some(Utf8Bytes::from(format!("member{conn:05}"))),
        device: moorline_protocol::DeviceId::new(&format!("device-{conn:012}")).ok(),
        run: Some(moorline_protocol::Run { boot: 1, transport }),
        sdk: None,
        producer: None,
        caps: Vec::new(),
        subscribe: subscribe.into_iter().collect(),
    }
}
