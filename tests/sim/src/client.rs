//! A client's host in the simulator: the core, a store that loses what it has not committed, and an app.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use moorline_core::protocol::{ChannelName, Offset, Position, PresenceMode, Qos, UserName, UserStatus};
use moorline_core::{
    Client, ClientConfig, Input, PublishId, Received, RequestId, StartAt, StoreBatch, SubscribeOptions, SubscriptionId,
    Ticket,
};

use crate::reader::Continuity;
use crate::scenario::{Profile, Scenario};

/// How an app reads a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// QoS 0.
    Lossy,
    /// From now on; nothing is remembered over a restart of the process.
    Plain,
    /// As `Plain`, but beginning with the newest messages.
    Recent,
    /// With a cursor at the server.
    Durable,
    /// With a position that the app itself keeps with its own effects.
    Owned,
}

/// One reader of an app.
pub(crate) struct Reader {
    pub(crate) reading: Reading,
    pub(crate) id: SubscriptionId,
    pub(crate) continuity: Continuity,
    /// Handed out, not yet worked on.
    pub(crate) queue: VecDeque<Received>,
    /// Whether it got a message on this connection.
    pub(crate) fed: bool,
    /// Whether its work on the queue is planned.
    pub(crate) working: bool,
    /// The last position the app has worked off and acknowledged.
    pub(crate) done: Option<Position>,
}

/// What survives the app's process.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) store: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What each durable or owning reader had worked off, or where its cursor began.
    pub(crate) done: BTreeMap<ChannelName, Position>,
}

/// A process of the app.
pub(crate) struct Process {
    pub(crate) core: Client,
    pub(crate) readers: Vec<Reader>,
    pub(crate) uncommitted: VecDeque<(Ticket, StoreBatch)>,
    /// Which message each publish is.
    pub(crate) publishes: BTreeMap<PublishId, String>,
    /// Which call of the backend each request is.
    pub(crate) calls: BTreeMap<RequestId, String>,
    /// What it is told while it stands still.
    pub(crate) waiting: VecDeque<Input>,
    /// When a timer event for it is already queued.
    pub(crate) timer: Option<u64>,
    /// Until when the process stands still.
    pub(crate) frozen_until: u64,
    /// Holes that the server was asked to fill, until a `pong` says that it has heard so.
    pub(crate) repairs: BTreeMap<ChannelName, Offset>,
    /// Opened transports, for the rate of reconnects: times in µs.
    pub(crate) attempts: VecDeque<u64>,
    /// Channels for which the server was asked to pause on this connection.
    pub(crate) paused: BTreeSet<ChannelName>,
    /// When the server wants the client back, in µs: at least and at most.
    pub(crate) invited: Option<(u64, u64)>,
    /// Until when it believes that there is no network.
    pub(crate) offline_until: u64,
    /// Where its app is a member, and with which state.
    pub(crate) entered: BTreeMap<ChannelName, Option<Bytes>>,
    /// Until when by the server's clock its newest token lives, and whether it denies a channel; `None` = for ever.
    pub(crate) token: (Option<u64>, bool),
    /// Whom its app follows, and what it was told of them.
    pub(crate) followed: Option<BTreeMap<UserName, UserStatus>>,
    /// Since when it is connected.
    pub(crate) online_since: Option<u64>,
    /// Since when the core only waits for its next attempt.
    pub(crate) waiting_since: Option<u64>,
}

/// A client of the world: a device with a store, and at most one running process.
pub(crate) struct SimClient {
    pub(crate) name: String,
    pub(crate) life: u32,
    pub(crate) disk: Disk,
    /// The disk as it was at some earlier moment.
    pub(crate) backup: Disk,
    pub(crate) process: Option<Process>,
    /// Whether it is no client of ours: a script says what it sends.
    pub(crate) is_peer: bool,
    /// ms the device's wall clock is off.
    pub(crate) clock_skew_ms: i64,
    /// µs added to the monotonic clock by sleeping.
    pub(crate) slept_us: u64,
    /// Whether the network in front of it swallows everything until then.
    pub(crate) dark_until: u64,
    /// ms from arrival until the app has worked a message off.
    pub(crate) work_ms: u64,
    /// Whether its core may inflate.
    pub(crate) packs: bool,
    /// How often it became another device.
    pub(crate) device: u32,
    pub(crate) next_order: u64,
    /// Until when the store refuses commits.
    pub(crate) store_fails_until: u64,
    /// Until when no token can be fetched.
    pub(crate) tokens_fail_until: u64,
    pub(crate) plan: Vec<(ChannelName, Reading)>,
    /// What the app wants of the members of its channels.
    pub(crate) presence: BTreeMap<ChannelName, PresenceMode>,
    /// Whose status the app follows.
    pub(crate) follows: Vec<UserName>,
    pub(crate) token_ttl_s: Option<u64>,
    /// The furthest cursor that the server confirmed to this device.
    pub(crate) confirmed: BTreeMap<ChannelName, Position>,
    pub(crate) excuses: Excuses,
}

/// What happened to a client that makes an ending acceptable which is a fault otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Excuses {
    /// Its store was rolled back, or its producer has expired: a publish may end as uncertain.
    pub(crate) doubt: bool,
    /// A script gave it another user's tokens.
    pub(crate) other_user: bool,
    /// It is logging out.
    pub(crate) left: bool,
    /// Its store refused commits.
    pub(crate) store: bool,
    /// Its store was rolled back: an old process number may lose against a connection that still stands.
    pub(crate) displaced: bool,
}

impl Disk {
    pub(crate) fn commit(&mut self, batch: StoreBatch) {
        if batch.clear {
            self.store.clear();
        }
        for key in batch.deletes {
            self.store.remove(&key);
        }
        self.store.extend(batch.puts);
    }

    pub(crate) fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.store.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl SimClient {
    pub(crate) fn new(profile: &Profile, plan: Vec<(ChannelName, Reading)>, scenario: &Scenario) -> Self {
        Self {
            name: format!("user{}", profile.user),
            life: 0,
            disk: Disk::default(),
            backup: Disk::default(),
            process: None,
            is_peer: false,
            clock_skew_ms: 0,
            slept_us: 0,
            dark_until: 0,
            work_ms: profile.work_ms,
            packs: profile.packs,
            device: 0,
            next_order: 0,
            store_fails_until: 0,
            tokens_fail_until: 0,
            plan,
            presence: BTreeMap::new(),
            follows: Vec::new(),
            token_ttl_s: scenario.token_ttl_s,
            confirmed: BTreeMap::new(),
            excuses: Excuses::default(),
        }
    }

    pub(crate) fn config(&self, scenario: &Scenario, bugs: moorline_core::planted::Bugs) -> ClientConfig {
        ClientConfig {
            token: moorline_core::TokenSource::Provider,
            queue_messages: scenario.queue,
            outbox_messages: scenario.outbox,
            compression: self.packs,
            bugs,
            ..ClientConfig::new("ws://sim/ws")
        }
    }

    /// Returns the name under which a channel is kept: that of an inbox is its user's.
    pub(crate) fn canonical(&self, channel: &ChannelName) -> ChannelName {
        if channel.as_str() != "@me" {
            return channel.clone();
        }
        ChannelName::new(&format!("@{}", self.name)).unwrap_or_else(|_| channel.clone())
    }

    /// Tells whether the app is a member of a channel whenever it reads it.
    pub(crate) fn joins(&self, channel: &ChannelName) -> bool {
        self.presence.get(channel) == Some(&PresenceMode::Join)
    }

    /// Returns the state that a process joins with.
    pub(crate) fn first_state(&self) -> Bytes {
        Bytes::from(format!("\"{}.{}\"", self.device, self.life))
    }

    /// Returns how a reader of this kind subscribes, and how far back the server must at least go.
    pub(crate) fn subscribe_options(
        &self,
        channel: &ChannelName,
        reading: Reading,
    ) -> (SubscribeOptions, Option<Position>) {
        let done = self.disk.done.get(channel).copied();
        let options = SubscribeOptions {
            qos: Some(if reading == Reading::Lossy { Qos::AtMostOnce } else { Qos::ExactlyOnce }),
            durable: Some(reading == Reading::Durable),
            since: match (reading, done) {
                (Reading::Owned, Some(position)) => Some(StartAt::Position(position)),
                (Reading::Owned, None) => Some(StartAt::First),
                (Reading::Recent, _) => Some(StartAt::Last(5)),
                (Reading::Lossy | Reading::Plain | Reading::Durable, _) => None,
            },
            presence: self.presence.get(channel).copied(),
            state: self.joins(channel).then(|| self.first_state()),
            ..SubscribeOptions::default()
        };
        let at_most = if matches!(reading, Reading::Durable | Reading::Owned) { done } else { None };
        (options, at_most)
    }
}
