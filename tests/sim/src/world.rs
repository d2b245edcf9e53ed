//! The world: virtual time, and everything that happens in it, in one thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use moorline_core::TransportId;
use moorline_core::protocol::time::{Now, Timestamp};
use moorline_core::protocol::{ChannelName, Qos};

use crate::bugs::Bugs;
use crate::client::{Disk, SimClient};
use crate::dice::Dice;
use crate::history::{History, Violation};
use crate::network::{Item, Link};
use crate::scenario::{Fault, Scenario};
use crate::server::SimServer;
use crate::trace::Trace;

/// µs since 1970 when a run begins: any moment will do, but always the same.
pub(crate) const EPOCH_US: u64 = 1_800_000_000_000_000;
/// How long after the last fault everything must be well again: the longest park or backoff, and then some.
const HEALING_US: u64 = 240_000_000;
/// Inputs a run may have; more means that something spins.
const MAX_STEPS: u64 = 2_000_000;

/// What is going to happen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Happening {
    Fault(usize),
    Publish(usize),
    ClientStart { client: usize },
    ClientTimer { client: usize, life: u32 },
    ClientThaw { client: usize, life: u32 },
    StoreCommit { client: usize, life: u32 },
    Token { client: usize, life: u32 },
    AppWork { client: usize, life: u32, reader: usize },
    LinkOpen { link: usize },
    LinkUp { link: usize },
    LinkDown { link: usize },
    ServerStart,
    ServerTimer { life: u32 },
    EngineBatch { life: u32 },
    EngineSynced { life: u32 },
    CursorFlush { life: u32 },
    Quiet,
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) dice: Dice,
    pub(crate) scenario: Scenario,
    pub(crate) clients: Vec<SimClient>,
    pub(crate) server: SimServer,
    pub(crate) links: Vec<Link>,
    pub(crate) history: History,
    pub(crate) trace: Trace,
    pub(crate) bugs: Bugs,
    pub(crate) quiet: bool,
    queue: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    queued: u64,
    steps: u64,
}

impl World {
    pub(crate) fn new(mut dice: Dice, bugs: Bugs, verbose: bool) -> Self {
        let scenario = Scenario::draw(&mut dice);
        let server = SimServer::new(&scenario, &mut dice, bugs);
        let clients = (0..scenario.clients)
            .map(|index| SimClient {
                name: format!("user{}", index % 3),
                life: 0,
                disk: Disk::default(),
                process: None,
                clock_skew_ms: 0,
                slept_us: 0,
                dark_until: 0,
                work_ms: scenario.work_ms[index],
                next_order: 0,
                store_fails: false,
                plan: scenario.readings[index].iter().map(|(c, reading)| (channel(*c), *reading)).collect(),
                token_ttl_s: scenario.token_ttl_s,
            })
            .collect();
        let mut world = Self {
            now: 0,
            dice,
            scenario,
            clients,
            server,
            links: Vec::new(),
            history: History::default(),
            trace: Trace::new(verbose),
            bugs,
            quiet: false,
            queue: BinaryHeap::new(),
            queued: 0,
            steps: 0,
        };
        world.plan();
        world
    }

    fn plan(&mut self) {
        self.at(0, Happening::ServerStart);
        for client in 0..self.clients.len() {
            let at = self.dice.range(0, 2_000_000);
            self.at(at, Happening::ClientStart { client });
        }
        for (index, at) in self.scenario.publishes.iter().map(|p| p.0).enumerate().collect::<Vec<_>>() {
            self.at(at, Happening::Publish(index));
        }
        for (index, at) in self.scenario.faults.iter().map(|f| f.0).enumerate().collect::<Vec<_>>() {
            self.at(at, Happening::Fault(index));
        }
        self.at(self.scenario.quiet_at, Happening::Quiet);
    }

    /// Runs to the end and checks everything.
    pub(crate) fn run(mut self) -> Outcome {
        while let Some(Reverse((at, _, happening))) = self.queue.pop() {
            self.now = self.now.max(at);
            if self.now > self.scenario.quiet_at + HEALING_US {
                break;
            }
            self.steps += 1;
            if self.steps > MAX_STEPS {
                self.history.violate(15, format!("more than {MAX_STEPS} steps: something spins ({happening:?})"));
                break;
            }
            self.happen(happening);
            if !self.history.violations.is_empty() || self.is_settled() {
                break;
            }
        }
        if self.history.violations.is_empty() {
            self.check_end();
        }
        Outcome {
            trace: self.trace.hash(),
            steps: self.steps,
            delivered: self.history.delivered,
            resets: self.history.resets,
            published: self.history.publishes().count() as u64,
            virtual_us: self.now,
            violation: self.history.violations.first().cloned(),
            scenario: format!("{:#?}", self.scenario),
            lines: self.trace.into_lines(),
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Fault(index) => self.strike(self.scenario.faults[index].1),
            Happening::Publish(index) => self.publish(index),
            Happening::ClientStart { client } => self.start_client(client),
            Happening::ClientTimer { client, life } => self.client_timer(client, life),
            Happening::ClientThaw { client, life } => self.thaw(client, life),
            Happening::StoreCommit { client, life } => self.store_commit(client, life),
            Happening::Token { client, life } => self.token(client, life),
            Happening::AppWork { client, life, reader } => self.app_work(client, life, reader),
            Happening::LinkOpen { link } => self.link_open(link),
            Happening::LinkUp { link } => self.link_up(link),
            Happening::LinkDown { link } => self.link_down(link),
            Happening::ServerStart => self.start_server(),
            Happening::ServerTimer { life } => self.server_timer(life),
            Happening::EngineBatch { life } => self.engine_batch(life),
            Happening::EngineSynced { life } => self.engine_synced(life),
            Happening::CursorFlush { life } => self.cursor_flush(life),
            Happening::Quiet => self.quieten(),
        }
    }

    /// Plans something for `at` µs.
    pub(crate) fn at(&mut self, at: u64, happening: Happening) {
        self.queued += 1;
        self.queue.push(Reverse((at.max(self.now), self.queued, happening)));
    }

    /// Plans something in so many µs.
    pub(crate) fn after(&mut self, us: u64, happening: Happening) {
        self.at(self.now + us, happening);
    }

    /// Returns what the clocks of a client say.
    pub(crate) fn client_now(&self, client: usize) -> Now {
        let host = &self.clients[client];
        let unix = (EPOCH_US + self.now) as i64 / 1000 + host.clock_skew_ms;
        Now { mono: Timestamp::new(Duration::from_micros(self.now + host.slept_us)), unix: unix.max(0) as u64 }
    }

    /// Draws one way's delay in µs.
    pub(crate) fn latency(&mut self) -> u64 {
        let (low, high) = self.scenario.latency;
        self.dice.range(low * 1000, high * 1000)
    }

    fn quieten(&mut self) {
        self.quiet = true;
        self.trace.add(self.now, "quiet", 0, &[], String::new);
        for client in 0..self.clients.len() {
            self.clients[client].dark_until = self.now;
            self.clients[client].work_ms = 0;
        }
        self.server.readonly_until = self.now;
        // A half-open link heals by the timers of both ends alone: nothing is done to it here.
    }

    /// Tells whether nothing is left to be done after the faults have ended.
    fn is_settled(&self) -> bool {
        self.quiet
            && self.server.node.is_some()
            && self
                .clients
                .iter()
                .all(|client| client.process.as_ref().is_some_and(|p| self.is_client_settled(client, p)))
            && self.links.iter().all(|link| link.up.next_arrival().is_none() && link.down.next_arrival().is_none())
            && self.server.is_idle()
    }

    fn is_client_settled(&self, client: &SimClient, process: &crate::client::Process) -> bool {
        use moorline_core::ConnectionState::{Closed, Online};
        let closed = process.core.state() == Closed && self.server.is_revoked(&client.name);
        closed
            || (process.core.state() == Online
                && process.core.outbox().messages == 0
                && process.uncommitted.is_empty()
                && process.frozen_until <= self.now
                && process.readers.iter().all(|reader| {
                    reader.queue.is_empty()
                        && self.server.head(&reader.continuity.channel).is_none_or(|head| {
                            reader.continuity.qos == Qos::AtMostOnce
                                || reader.continuity.position == Some(head)
                                || self.scenario.ttl_percent > 0
                        })
                }))
    }

    fn check_end(&mut self) {
        self.note_log();
        let mut found = Vec::new();
        for (index, client) in self.clients.iter().enumerate() {
            let Some(process) = &client.process else {
                found.push((15, format!("client {index} never came back")));
                continue;
            };
            let revoked = self.server.is_revoked(&client.name);
            let state = process.core.state();
            if state != moorline_core::ConnectionState::Online && !revoked {
                found.push((
                    15,
                    format!("client {index} is {state:?} {} s after the last fault", HEALING_US / 1_000_000),
                ));
                continue;
            }
            if revoked {
                continue;
            }
            for reader in &process.readers {
                let Some(position) = reader.continuity.position else {
                    found.push((6, format!("client {index} was never subscribed to {}", reader.continuity.channel)));
                    continue;
                };
                let missing = self.history.logged_after(&reader.continuity.channel, position.epoch, position.offset);
                if reader.continuity.qos > Qos::AtMostOnce && missing > 0 && self.scenario.ttl_percent == 0 {
                    found.push((
                        6,
                        format!("client {index} misses {missing} of {} after {position:?}", reader.continuity.channel),
                    ));
                }
            }
        }
        for (invariant, what) in found {
            self.history.violate(invariant, what);
        }
        let (volatile, doubt) = (self.scenario.is_volatile(), self.scenario.allows_doubt());
        self.excuse_revoked();
        self.history.check_end(volatile, doubt);
    }

    /// Sends an item up or down a link.
    pub(crate) fn transmit(&mut self, link: usize, up: bool, item: Item) {
        let delay = self.latency();
        let dark = self.clients[self.links[link].client].dark_until;
        let arrival = (self.now + delay).max(dark);
        let pipe = if up { &mut self.links[link].up } else { &mut self.links[link].down };
        if let Some(at) = pipe.push(arrival, item) {
            self.at(at, if up { Happening::LinkUp { link } } else { Happening::LinkDown { link } });
        }
    }

    /// Opens a link for a client; it will be known to the server after a round trip, if there is one.
    pub(crate) fn open_link(&mut self, client: usize, transport: TransportId) {
        let link = self.links.len();
        self.links.push(Link {
            client,
            client_life: self.clients[client].life,
            transport,
            server: None,
            up: crate::network::Pipe::default(),
            down: crate::network::Pipe::default(),
            client_done: false,
            server_done: false,
        });
        let at = (self.now + self.scenario.latency.1 * 2000).max(self.clients[client].dark_until);
        self.at(at, Happening::LinkOpen { link });
    }

    pub(crate) fn strike(&mut self, fault: Fault) {
        self.trace.add(self.now, "fault", 0, &[], || format!("{fault:?}"));
        match fault {
            Fault::Cut { client } => self.cut_links(client, true, true),
            Fault::HalfOpen { client, server_notices } => self.cut_links(client, !server_notices, server_notices),
            Fault::BlackHole { client, ms, flush } => self.black_hole(client, ms, flush),
            Fault::Freeze { client, ms } => self.freeze(client, ms),
            Fault::Sleep { client, ms } => self.sleep(client, ms),
            Fault::KillClient { client, down_ms } => self.kill_client(client, down_ms),
            Fault::ClientClock { client, ms } => self.clients[client].clock_skew_ms += ms,
            Fault::Signal { client, which } => self.signal(client, which),
            Fault::StoreFails { client } => self.fail_store(client),
            Fault::KillServer { down_ms, power } => self.kill_server(down_ms, power),
            Fault::Drain { down_ms } => self.drain_server(down_ms),
            Fault::ServerClock { ms } => self.server.clock_skew_ms += ms,
            Fault::Readonly { ms } => self.server.readonly_until = self.now + ms * 1000,
            Fault::Revoke { client } => self.revoke(client),
        }
    }
}

/// Returns the name of a channel by its number.
pub(crate) fn channel(index: usize) -> ChannelName {
    ChannelName::new(&format!("room:{index}")).unwrap_or_else(|_| unreachable!("a constant name"))
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The hash of everything that happened.
    pub trace: u64,
    /// Inputs.
    pub steps: u64,
    /// Messages handed to apps.
    pub delivered: u64,
    /// Resets told to apps.
    pub resets: u64,
    /// Messages published.
    pub published: u64,
    /// How long it took in the world.
    pub virtual_us: u64,
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// What was planned.
    pub scenario: String,
    /// What happened, line by line, if asked for.
    pub lines: Vec<String>,
}
