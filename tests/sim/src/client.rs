//! A client's host in the simulator: the core, a store that loses what it has not committed, and an app.

use std::collections::{BTreeMap, VecDeque};

use moorline_core::protocol::{ChannelName, Position, Qos};
use moorline_core::{
    Client, ClientConfig, PublishId, Received, StartAt, StoreBatch, SubscribeOptions, SubscriptionId, Ticket,
};

use crate::history::Continuity;

/// How an app reads a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// QoS 0.
    Lossy,
    /// From now on; nothing is remembered over a restart of the process.
    Plain,
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
    /// The last position the app has worked off and acknowledged.
    pub(crate) done: Option<Position>,
}

/// What survives the app's process.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) store: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What each durable or owning reader had worked off.
    pub(crate) done: BTreeMap<ChannelName, Position>,
}

/// A process of the app.
pub(crate) struct Process {
    pub(crate) core: Client,
    pub(crate) readers: Vec<Reader>,
    pub(crate) uncommitted: VecDeque<(Ticket, StoreBatch)>,
    /// Which message each publish is.
    pub(crate) publishes: BTreeMap<PublishId, String>,
    /// When a timer event for it is already queued.
    pub(crate) timer: Option<u64>,
    /// Until when the process stands still.
    pub(crate) frozen_until: u64,
    /// Opened transports, for the rate of reconnects: times in µs.
    pub(crate) attempts: VecDeque<u64>,
}

/// A client of the world: a device with a store, and at most one running process.
pub(crate) struct SimClient {
    pub(crate) name: String,
    pub(crate) life: u32,
    pub(crate) disk: Disk,
    pub(crate) process: Option<Process>,
    /// ms the device's wall clock is off.
    pub(crate) clock_skew_ms: i64,
    /// µs added to the monotonic clock by sleeping.
    pub(crate) slept_us: u64,
    /// Whether the network in front of it swallows everything until then.
    pub(crate) dark_until: u64,
    /// ms from arrival until the app has worked a message off.
    pub(crate) work_ms: u64,
    pub(crate) next_order: u64,
    pub(crate) store_fails: bool,
    pub(crate) plan: Vec<(ChannelName, Reading)>,
    pub(crate) token_ttl_s: Option<u64>,
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
    pub(crate) fn config(&self, bugs: moorline_core::planted::Bugs) -> ClientConfig {
        ClientConfig {
            token: moorline_core::TokenSource::Provider,
            queue_messages: 32,
            bugs,
            ..ClientConfig::new("ws://sim/ws")
        }
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
                _ => None,
            },
            ..SubscribeOptions::default()
        };
        let at_most = if matches!(reading, Reading::Durable | Reading::Owned) { done } else { None };
        (options, at_most)
    }
}
