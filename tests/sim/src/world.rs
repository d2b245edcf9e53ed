//! The world: virtual time, and everything that happens in it, in one thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use moorline_core::protocol::ChannelName;
use moorline_core::protocol::time::{Now, Timestamp};
use moorline_core::{SubscriptionId, TransportId};

use moorline_server::node::{CallId, QuestionId};

use crate::bugs::Bugs;
use crate::calls::Backend;
use crate::client::SimClient;
use crate::dice::Dice;
use crate::history::History;
use crate::model::Violation;
use crate::network::{Item, Link, Pipe};
use crate::notes::Notes;
use crate::scenario::{Fault, Scenario};
use crate::server::SimServer;
use crate::trace::Trace;
use crate::wire::Wire;

/// µs since 1970 when a run begins: any moment will do, but always the same.
pub(crate) const EPOCH_US: u64 = 1_800_000_000_000_000;
/// Inputs a run may have; more means that something spins.
const MAX_STEPS: u64 = 500_000;

/// What is going to happen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Happening {
    Fault(usize),
    Publish(usize),
    Presence(usize),
    Call(usize),
    BackendAnswers { life: u32, shard: usize, call: CallId },
    BackendDecides { life: u32, shard: usize, question: QuestionId },
    Status(usize),
    ClientStart { client: usize },
    ClientGone { client: usize, life: u32 },
    ClientTimer { client: usize, life: u32 },
    ClientThaw { client: usize, life: u32 },
    Reconnect { client: usize, life: u32 },
    StoreCommit { client: usize, life: u32 },
    Token { client: usize, life: u32 },
    AppWork { client: usize, life: u32, reader: SubscriptionId },
    LinkOpen { link: usize },
    LinkUp { link: usize },
    LinkDown { link: usize },
    ServerStart,
    ServerStop { life: u32 },
    ServerTimer { life: u32, shard: usize },
    EngineBatch { life: u32 },
    EngineSynced { life: u32 },
    EngineTick { life: u32 },
    Replies { life: u32, shard: usize },
    ColdReplies { life: u32, shard: usize },
    Quiet,
    Online,
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) dice: Dice,
    pub(crate) scenario: Scenario,
    pub(crate) clients: Vec<SimClient>,
    pub(crate) server: SimServer,
    pub(crate) backend: Backend,
    pub(crate) links: Vec<Link>,
    pub(crate) history: History,
    pub(crate) violations: Vec<Violation>,
    pub(crate) trace: Trace,
    pub(crate) bugs: Bugs,
    pub(crate) quiet: bool,
    /// Whether everybody must have come to a token that grants everything.
    pub(crate) healed: bool,
    queue: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    queued: u64,
    /// Commands that came from outside.
    pub(crate) operations: u64,
    pub(crate) steps: u64,
    /// Until when the engine takes nothing up.
    pub(crate) engine_hangs_until: u64,
    /// What a script looks at; nothing is written down for a seed.
    pub(crate) notes: Option<Notes>,
}

impl World {
    pub(crate) fn new(scenario: Scenario, dice: Dice, bugs: Bugs, verbose: bool) -> Self {
        let server = SimServer::new(&scenario, bugs);
        let host = |profile: &crate::scenario::Profile| {
            let plan = profile.readings.iter().map(|(index, reading)| (channel(*index), *reading)).collect();
            let mut client = SimClient::new(profile, plan, &scenario);
            client.presence = profile.presence.iter().map(|(index, mode)| (channel(*index), *mode)).collect();
            client
        };
        let clients = scenario.clients.iter().map(host).collect();
        let history = History::new(scenario.decides);
        let mut world = Self {
            now: 0,
            dice,
            scenario,
            clients,
            server,
            backend: Backend::default(),
            links: Vec::new(),
            history,
            violations: Vec::new(),
            trace: Trace::new(verbose),
            bugs,
            quiet: false,
            healed: false,
            queue: BinaryHeap::new(),
            queued: 0,
            operations: 0,
            steps: 0,
            engine_hangs_until: 0,
            notes: None,
        };
        world.at(0, Happening::ServerStart);
        world
    }

    /// Plans what the scenario says.
    pub(crate) fn plan(&mut self) {
        for client in 0..self.clients.len() {
            let at = self.dice.range(0, 2_000_000);
            self.at(at, Happening::ClientStart { client });
        }
        for index in 0..self.scenario.publishes.len() {
            self.at(self.scenario.publishes[index].at, Happening::Publish(index));
        }
        for index in 0..self.scenario.calls.len() {
            self.at(self.scenario.calls[index].0, Happening::Call(index));
        }
        for index in 0..self.scenario.presence.len() {
            self.at(self.scenario.presence[index].at, Happening::Presence(index));
        }
        for index in 0..self.scenario.statuses.len() {
            self.at(self.scenario.statuses[index].at, Happening::Status(index));
        }
        for index in 0..self.scenario.faults.len() {
            self.at(self.scenario.faults[index].0, Happening::Fault(index));
        }
        self.at(self.scenario.quiet_at, Happening::Quiet);
    }

    /// Runs to the end and checks everything.
    pub(crate) fn run(mut self) -> Outcome {
        while self.violations.is_empty() && !self.is_settled() && self.step() {}
        if self.violations.is_empty() {
            self.check_end();
            self.check_settled();
            (0..self.clients.len()).for_each(|index| self.check_blackbox(index));
        }
        self.into_outcome()
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        Outcome {
            trace: self.trace.hash(),
            steps: self.steps,
            delivered: self.history.delivered,
            resets: self.history.resets,
            published: self.history.count() as u64,
            virtual_us: self.now,
            unsettled: self.unsettled(),
            violation: self.violations.into_iter().next(),
            scenario: if self.trace.is_verbose() { format!("{:#?}", self.scenario) } else { String::new() },
            lines: self.trace.into_lines(),
        }
    }

    /// Lets the next thing happen; tells whether anything can still happen.
    pub(crate) fn step(&mut self) -> bool {
        let Some(Reverse((at, _, happening))) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        if self.is_over() {
            return false;
        }
        self.steps += 1;
        if self.steps > MAX_STEPS {
            self.violate(15, format!("more than {MAX_STEPS} steps: something spins ({happening:?})"));
            return false;
        }
        self.happen(happening);
        true
    }

    /// Returns when the next thing happens.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Fault(index) => self.strike(self.scenario.faults[index].1),
            Happening::Publish(index) => drop(self.publish(self.scenario.publishes[index])),
            Happening::Call(index) => drop(self.make_call(self.scenario.calls[index].1)),
            Happening::BackendAnswers { life, shard, call } => self.backend_answers(life, shard, call),
            Happening::BackendDecides { life, shard, question } => self.backend_decides(life, shard, question),
            Happening::Presence(index) => self.act_present(index),
            Happening::Status(index) => self.act_status(index),
            Happening::ClientStart { client } => self.start_client(client),
            Happening::ClientGone { client, life } => self.client_gone(client, life),
            Happening::ClientTimer { client, life } => self.client_timer(client, life),
            Happening::ClientThaw { client, life } => self.thaw(client, life),
            Happening::Reconnect { client, life } => self.reconnect(client, life),
            Happening::StoreCommit { client, life } => self.store_commit(client, life),
            Happening::Token { client, life } => self.token(client, life),
            Happening::AppWork { client, life, reader } => self.app_work(client, life, reader),
            Happening::LinkOpen { link } => self.link_open(link),
            Happening::LinkUp { link } => self.link_up(link),
            Happening::LinkDown { link } => self.link_down(link),
            Happening::ServerStart => self.start_server(),
            Happening::ServerStop { life } => self.stop_server(life),
            Happening::ServerTimer { life, shard } => self.server_timer(life, shard),
            Happening::EngineBatch { life } => self.engine_batch(life),
            Happening::EngineSynced { life } => self.engine_synced(life),
            Happening::EngineTick { life } => self.engine_tick(life),
            Happening::Replies { life, shard } => self.replies(life, shard, false),
            Happening::ColdReplies { life, shard } => self.replies(life, shard, true),
            Happening::Quiet => self.quieten(),
            Happening::Online => self.check_online(),
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

    /// Draws whether a message is one of a later version.
    pub(crate) fn is_rolling(&mut self) -> bool {
        self.scenario.rolling && self.dice.chance(10)
    }

    /// Sends an item up or down a link.
    pub(crate) fn transmit(&mut self, link: usize, up: bool, item: Item) {
        let delay = self.latency();
        let dark = self.clients[self.links[link].client].dark_until;
        let arrival = (self.now + delay).max(dark);
        if let Some(notes) = &mut self.notes {
            notes.sent(self.links[link].client, up, &item);
        }
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
            up: Pipe::default(),
            down: Pipe::default(),
            client_done: false,
            server_done: false,
            backlog: (0, 0),
            lingers: false,
            greeted: false,
            to_lose: 0,
            to_repeat: 0,
            to_garble: 0,
            wire: Wire::default(),
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
            Fault::LoseDelivery { client } => self.lose_delivery(client),
            Fault::RepeatDelivery { client } => self.repeat_delivery(client),
            Fault::GarbleDelivery { client } => self.garble_delivery(client),
            Fault::Linger { client, ms } => self.linger(client, ms),
            Fault::Freeze { client, ms } => self.freeze(client, ms),
            Fault::Sleep { client, ms } => self.sleep(client, ms),
            Fault::KillClient { client, down_ms } => self.kill_client(client, down_ms),
            Fault::RollBack { client, down_ms } => self.roll_back(client, down_ms),
            Fault::ClientClock { client, ms } => self.clients[client].clock_skew_ms += ms,
            Fault::Signal { client, which } => self.signal(client, which),
            Fault::StoreFails { client, ms } => self.clients[client].store_fails_until = self.now + ms * 1000,
            Fault::Resubscribe { client, reader, forget } => self.resubscribe(client, reader, forget),
            Fault::Disconnect { client, ms } => self.disconnect(client, ms),
            Fault::Desert { ms } => {
                for client in 0..self.clients.len() {
                    self.linger(client, 1);
                    self.disconnect(client, ms);
                }
            }
            Fault::LogOut { client, down_ms } => self.log_out(client, down_ms),
            Fault::Operator { channel } => self.operator_publishes(channel),
            Fault::History { client, channel } => self.ask_history(client, channel),
            Fault::Forge { client, what } => self.forge(client, what),
            Fault::KillServer { down_ms, power } => self.kill_server(down_ms, power),
            Fault::SyncFails { down_ms } => self.server.sync_fails = Some(down_ms),
            Fault::Drain { down_ms } => self.drain_server(down_ms),
            Fault::ServerClock { ms } => self.server.clock_skew_ms += ms,
            Fault::Readonly { ms, full } => self.server.readonly = (self.now + ms * 1000, full),
            Fault::ReadsFail { ms } => self.server.reads_fail_until = self.now + ms * 1000,
            Fault::Revoke { client } => self.revoke(client),
            Fault::Grant { client, channel, allowed } => {
                let name = self.clients[client].name.clone();
                self.server.desk.grant(&name, channel, allowed);
            }
            Fault::TokensFail { client, ms } => self.clients[client].tokens_fail_until = self.now + ms * 1000,
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
    /// What was still to be done at the end, if anything.
    pub unsettled: Option<&'static str>,
    /// What was planned, if asked for.
    pub scenario: String,
    /// What happened, line by line, if asked for.
    pub lines: Vec<String>,
}
