//! The server of the world: the real node and the real engine core, over a disk that forgets what was not synced.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use moorline_core::protocol::time::{Now, Timestamp};
use moorline_core::protocol::{AppName, ChannelName, Durability, Epoch, ErrorCode, Position, UserName};
use moorline_server::engine::core::{CoreConfig, EngineCore, MemoryStore, RetentionRule, RetentionRules};
use moorline_server::engine::record::{ChannelId, Record};
use moorline_server::engine::{Command, Completion, EngineError, EngineInfo, Reply, Revocation, ShardId, Ticket};
use moorline_server::node::{
    AuthFailure, Authenticator, Claims, ConnId, Grant, Node, NodeConfig, Permissions, Pressure,
};
use moorline_server::planted::Bug;

use crate::bugs::Bugs;
use crate::dice::Dice;
use crate::scenario::{Engine, Scenario};
use crate::service::SHARD;
use crate::world::EPOCH_US;

/// The ticket of a command that is not the node's.
pub(crate) const OUTSIDE: Ticket = Ticket(0);
/// The shard that reads the log from outside.
const OBSERVER: ShardId = ShardId(999);

/// See the module's documentation.
pub(crate) struct SimServer {
    pub(crate) life: u32,
    pub(crate) node: Option<Node>,
    pub(crate) timer: Option<u64>,
    pub(crate) inbox: Vec<(Ticket, Command)>,
    /// Whether a batch is planned or being synced.
    pub(crate) busy: bool,
    pub(crate) unreleased: Vec<Reply>,
    pub(crate) pressures: BTreeMap<ConnId, Pressure>,
    pub(crate) clock_skew_ms: i64,
    pub(crate) readonly_until: u64,
    pub(crate) draining: bool,
    pub(crate) down_ms: u64,
    /// How many bytes a byte on a link counts, so that small runs feel pressure, too.
    pub(crate) byte_weight: usize,
    /// Where each channel's log ends, as far as it was shown to anybody.
    pub(crate) heads: BTreeMap<ChannelName, Position>,
    core: EngineCore<MemoryStore>,
    durable: Vec<Record>,
    /// Of the batch that is being synced.
    syncing: Vec<Record>,
    engine: Engine,
    retention: RetentionRules,
    bugs: Bugs,
    stores: u32,
    /// Whether the machine lost power since the server last ran.
    lost_power: bool,
    revoked: BTreeMap<String, (u64, u64)>,
    /// How many durable records `take_appended` has seen.
    noted: usize,
    names: BTreeMap<ChannelId, (ChannelName, Epoch)>,
}

/// Tokens of the world: `name|issued s|expires ms`.
struct Tokens;

impl Authenticator for Tokens {
    fn verify(
        &self,
        _app: &AppName,
        token: Option<&str>,
        _channel: Option<&ChannelName>,
        now: u64,
    ) -> Result<Claims, AuthFailure> {
        let invalid = AuthFailure { code: ErrorCode::AuthInvalid, message: "not a token of this world" };
        let mut parts = token.unwrap_or_default().split('|');
        let (Some(user), Some(issued), Some(expires)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(invalid);
        };
        let user = UserName::new(user).map_err(|_| invalid.clone())?;
        let expires = expires.parse::<u64>().ok().filter(|expires| *expires > 0);
        if expires.is_some_and(|expires| expires + 5_000 <= now) {
            return Err(AuthFailure { code: ErrorCode::AuthExpired, message: "expired" });
        }
        let grants = vec![Grant { pattern: "*".into(), can: Permissions::ALL }];
        Ok(Claims { user: Some(user), expires, issued: issued.parse().ok(), id: None, grants })
    }

    fn has_app(&self, _app: &AppName) -> bool {
        true
    }
}

impl SimServer {
    pub(crate) fn new(scenario: &Scenario, dice: &mut Dice, bugs: Bugs) -> Self {
        let rule =
            RetentionRule { prefix: String::new(), max_age_ms: None, max_bytes: None, max_count: scenario.max_count };
        let retention = RetentionRules::new(vec![rule]);
        let mut server = Self {
            life: 0,
            node: None,
            timer: None,
            inbox: Vec::new(),
            busy: false,
            unreleased: Vec::new(),
            pressures: BTreeMap::new(),
            clock_skew_ms: 0,
            readonly_until: 0,
            draining: false,
            down_ms: 0,
            byte_weight: if dice.chance(20) { 400 } else { 1 },
            heads: BTreeMap::new(),
            core: EngineCore::new(CoreConfig::new("-"), MemoryStore::default()),
            durable: Vec::new(),
            syncing: Vec::new(),
            engine: scenario.engine,
            retention,
            bugs,
            stores: 0,
            lost_power: false,
            revoked: BTreeMap::new(),
            noted: 0,
            names: BTreeMap::new(),
        };
        server.new_store();
        server
    }

    fn new_store(&mut self) {
        self.stores += 1;
        let mut config = CoreConfig::new(format!("store{:03}", self.stores));
        config.retention = self.retention.clone();
        config.bugs = self.bugs.server();
        self.core = EngineCore::new(config, MemoryStore::default());
    }

    /// What the server's clocks say at a moment of the world.
    pub(crate) fn clock(&self, now_us: u64) -> Now {
        let unix = (EPOCH_US + now_us) as i64 / 1000 + self.clock_skew_ms;
        Now { mono: Timestamp::new(std::time::Duration::from_micros(now_us)), unix: unix.max(0) as u64 }
    }

    pub(crate) fn start(&mut self, seed: [u8; 32], now: Now) {
        self.life += 1;
        self.draining = false;
        let volatile = self.engine == Engine::Memory;
        if volatile {
            self.durable.clear();
            self.noted = 0;
            self.names.clear();
        }
        let restarted = self.life > 1;
        if volatile || !restarted || (self.engine == Engine::Process && self.lost_power) {
            self.new_store();
        } else {
            let config_store = self.stores;
            self.stores -= 1;
            self.new_store();
            debug_assert_eq!(config_store, self.stores);
        }
        for record in self.durable.clone() {
            let applied = self.core.apply(record, false);
            debug_assert!(applied.is_ok(), "{applied:?}");
        }
        self.core.begin(restarted && self.engine == Engine::Process && self.lost_power, now.unix);
        let records = self.core.take_records(now.unix);
        self.durable.extend(records);
        self.lost_power = false;
        let durability = match self.engine {
            Engine::Memory => Durability::Memory,
            Engine::Process => Durability::Process,
            Engine::Disk => Durability::Disk,
        };
        let config = NodeConfig {
            shard: SHARD,
            ping_ms: 25_000,
            max_message: 65_536,
            max_channels: 256,
            max_connections: 20,
            publish_rate: Some(50),
            publish_burst: 100,
            spread_ms: 1_000,
            name_anonymous: false,
            engine: EngineInfo { durability },
            bugs: self.bugs.server(),
        };
        self.node = Some(Node::new(config, Arc::new(Tokens), seed));
    }

    fn forget_process(&mut self) {
        self.node = None;
        self.life += 1;
        self.timer = None;
        self.inbox.clear();
        self.busy = false;
        self.unreleased.clear();
        self.pressures.clear();
        self.heads.clear();
    }

    /// The process dies; of the batch that was being synced, `kept` percent of the records survive a kill as well as
    /// a power cut. With `power`, an engine that never syncs loses more.
    pub(crate) fn crash(&mut self, power: bool, kept: u64) {
        let survives = self.syncing.len() * kept as usize / 100;
        self.durable.extend(self.syncing.drain(..).take(survives));
        if power && self.engine == Engine::Process {
            let keep = self.durable.len() * kept as usize / 100;
            self.durable.truncate(keep);
            self.noted = self.noted.min(keep);
            self.lost_power = true;
        }
        self.forget_process();
    }

    /// The process ends in good order.
    pub(crate) fn stop(&mut self, now_us: u64) {
        let now = self.clock(now_us).unix;
        let records = std::mem::take(&mut self.syncing);
        self.durable.extend(records);
        self.core.flush_cursors(now);
        let records = self.core.take_records(now);
        self.durable.extend(records);
        self.forget_process();
    }

    pub(crate) fn begin_batch(&mut self, now_us: u64) {
        let now = self.clock(now_us).unix;
        for (ticket, command) in std::mem::take(&mut self.inbox) {
            if self.readonly_until > now_us {
                self.core.refuse(SHARD, ticket, command, EngineError::Unavailable, now);
            } else {
                self.core.handle(SHARD, ticket, command, now);
            }
        }
        self.core.expire(now);
        let records = self.core.take_records(now);
        self.syncing.extend(records);
        let replies = self.core.take_replies();
        self.unreleased.extend(replies.into_iter().filter(|(shard, _)| *shard == SHARD).map(|(_, reply)| reply));
    }

    pub(crate) fn sync(&mut self) {
        let records = std::mem::take(&mut self.syncing);
        self.durable.extend(records);
    }

    /// Takes the messages that became durable since the last call: channel, epoch, encoded message.
    pub(crate) fn take_appended(&mut self) -> Vec<(ChannelName, Epoch, Bytes)> {
        let mut appended = Vec::new();
        for record in self.durable.iter().skip(self.noted) {
            match record {
                Record::Channel { id, key, epoch, .. } => {
                    self.names.insert(*id, (key.name.clone(), *epoch));
                }
                Record::NewEpoch { channel, epoch } => {
                    if let Some((_, known)) = self.names.get_mut(channel) {
                        *known = *epoch;
                    }
                }
                Record::Append { channel, bytes, .. } => {
                    let known = self.names.get(channel);
                    appended.extend(known.map(|(name, epoch)| (name.clone(), *epoch, bytes.clone())));
                }
                _ => {}
            }
        }
        self.noted = self.durable.len();
        appended
    }

    pub(crate) fn answers_early(&self) -> bool {
        self.bugs.server().has(Bug::AnswerBeforeSync)
    }

    pub(crate) fn flush_cursors(&mut self, now_us: u64) -> bool {
        let now = self.clock(now_us).unix;
        if self.readonly_until > now_us || self.core.waiting_acks() == 0 {
            return false;
        }
        self.core.flush_cursors(now);
        true
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.busy && self.inbox.is_empty() && self.unreleased.is_empty() && self.core.waiting_acks() == 0
    }

    /// Asks the core from outside, between batches.
    pub(crate) fn ask(&mut self, command: Command, now_us: u64) -> Option<Completion> {
        let now = self.clock(now_us).unix;
        let before = self.core.take_replies();
        self.unreleased.extend(before.into_iter().filter(|(shard, _)| *shard == SHARD).map(|(_, reply)| reply));
        self.core.handle(OBSERVER, OUTSIDE, command, now);
        self.core.take_replies().into_iter().find_map(|(_, reply)| match reply {
            Reply::Completed(_, Ok(completion)) => Some(completion),
            Reply::Completed(_, Err(_)) | Reply::Event(_) => None,
        })
    }

    pub(crate) fn head(&self, channel: &ChannelName) -> Option<Position> {
        self.heads.get(channel).copied()
    }

    pub(crate) fn issue_token(&self, user: &str, ttl_s: Option<u64>, now_us: u64) -> String {
        let now = self.clock(now_us).unix;
        let expires = ttl_s.map_or(0, |ttl| now + ttl * 1000);
        format!("{user}|{}|{expires}", now / 1000)
    }

    /// Returns the command that revokes all of a user's tokens for ever: whoever is revoked in this world stays so.
    pub(crate) fn revocation(&mut self, user: &str, now_us: u64) -> Option<Command> {
        self.node.as_ref()?;
        let never = u64::MAX >> 12;
        self.revoked.insert(user.to_owned(), (now_us, never));
        let (app, user) = (AppName::default_app(), UserName::new(user).ok()?);
        Some(Command::Revoke(Revocation::User { app, user, issued_before: never }))
    }

    pub(crate) fn is_revoked(&self, user: &str) -> bool {
        self.revoked.contains_key(user)
    }

    /// Whether a user was revoked so long ago that nothing can be on its way any more.
    pub(crate) fn is_revoked_since(&self, user: &str, now_us: u64) -> bool {
        self.revoked.get(user).is_some_and(|(at, _)| at + 120_000_000 < now_us)
    }
}
