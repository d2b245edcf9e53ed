//! The server of the world: the real node, once per shard, over the engine of the world.

mod engine;
mod store;
mod tokens;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use moorline_core::protocol::time::{Now, Timestamp};
use moorline_core::protocol::{AppName, Durability};
use moorline_server::engine::{EngineInfo, Reply, ShardId};
use moorline_server::node::{
    CalloutId, CalloutKind, CalloutRule, CalloutRules, ConnId, Node, NodeConfig, OnFailure, Pressure, Terms,
};

pub(crate) use self::engine::SimEngine;
use self::tokens::Tokens;
pub(crate) use self::tokens::{Desk, Token};
use crate::bugs::Bugs;
use crate::decisions::WITHIN_MS;
use crate::scenario::{Engine, Scenario};
use crate::world::EPOCH_US;

/// The shard that commands from outside come from.
pub(crate) const OPERATOR: ShardId = ShardId(900);

/// See the module's documentation.
pub(crate) struct SimServer {
    pub(crate) life: u32,
    /// Empty while no process runs.
    pub(crate) shards: Vec<Shard>,
    pub(crate) engine: SimEngine,
    pub(crate) desk: Desk,
    pub(crate) clock_skew_ms: i64,
    /// Until when the engine takes no writes, and whether it says that it is full.
    pub(crate) readonly: (u64, bool),
    pub(crate) reads_fail_until: u64,
    /// The next sync fails; so long the server stays down then.
    pub(crate) sync_fails: Option<u64>,
    pub(crate) draining: bool,
    pub(crate) down_ms: u64,
    rate: (u32, u32),
    decides: bool,
    count: u16,
    bugs: Bugs,
}

/// One shard of a running server.
pub(crate) struct Shard {
    pub(crate) node: Node,
    pub(crate) timer: Option<u64>,
    pub(crate) pressures: BTreeMap<ConnId, Pressure>,
    /// Replies on their way from the engine.
    pub(crate) replies: VecDeque<(u64, Vec<Reply>)>,
    /// Pages on their way from the thread that reads the disk.
    pub(crate) cold_replies: VecDeque<(u64, Vec<Reply>)>,
    pub(crate) drained: bool,
    /// Whose revocation this shard was told of.
    pub(crate) revoked: BTreeSet<String>,
}

impl SimServer {
    pub(crate) fn new(scenario: &Scenario, bugs: Bugs) -> Self {
        Self {
            life: 0,
            shards: Vec::new(),
            engine: SimEngine::new(scenario, bugs),
            desk: Desk::default(),
            clock_skew_ms: 0,
            readonly: (0, false),
            reads_fail_until: 0,
            sync_fails: None,
            draining: false,
            down_ms: 0,
            rate: scenario.rate,
            decides: scenario.decides,
            count: scenario.shards,
            bugs,
        }
    }

    /// What the server's clocks say at a moment of the world.
    pub(crate) fn clock(&self, now_us: u64) -> Now {
        let unix = (EPOCH_US + now_us) as i64 / 1000 + self.clock_skew_ms;
        Now { mono: Timestamp::new(std::time::Duration::from_micros(now_us)), unix: unix.max(0) as u64 }
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.shards.is_empty()
    }

    /// Starts the nodes; the engine has started before.
    pub(crate) fn start_nodes(&mut self, mut seed: impl FnMut() -> [u8; 32]) {
        self.life += 1;
        self.draining = false;
        let durability = match self.engine.kind {
            Engine::Memory => Durability::Memory,
            Engine::Process => Durability::Process,
            Engine::Disk => Durability::Disk,
        };
        for shard in 0..self.count {
            let config = NodeConfig {
                shard: ShardId(shard),
                ping_ms: 25_000,
                max_message: 65_536,
                max_channels: 256,
                max_connections: 20,
                publish_rate: Some(self.rate.0),
                publish_burst: self.rate.1,
                spread_ms: 1_000,
                name_anonymous: false,
                callouts: backend(self.decides),
                compression: moorline_server::node::CompressionRules::default(),
                hooks: moorline_server::engine::hooks::HookRules::default(),
                engine: EngineInfo { durability: durability.clone() },
                bugs: self.bugs.server(),
            };
            self.shards.push(Shard {
                node: Node::new(config, Arc::new(Tokens), seed()),
                timer: None,
                pressures: BTreeMap::new(),
                replies: VecDeque::new(),
                cold_replies: VecDeque::new(),
                drained: false,
                revoked: BTreeSet::new(),
            });
        }
    }

    /// The process is gone.
    pub(crate) fn forget_process(&mut self) {
        self.shards.clear();
        self.life += 1;
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.engine.is_idle()
            && self.shards.iter().all(|shard| shard.replies.is_empty() && shard.cold_replies.is_empty())
    }
}

/// The app's backend takes calls, and decides in some runs.
fn backend(decides: bool) -> CalloutRules {
    let within_ms = WITHIN_MS;
    let terms = Terms { id: CalloutId(0), within_ms, on_failure: OnFailure::Deny, verifies: true };
    let rule = |kinds| CalloutRule { app: AppName::default_app(), kinds, channels: Vec::new(), terms };
    let deciding = vec![CalloutKind::Connect, CalloutKind::Subscribe, CalloutKind::Publish];
    let rules = [vec![CalloutKind::Rpc]].into_iter().chain(decides.then_some(deciding));
    CalloutRules::new(rules.map(rule).collect())
}
