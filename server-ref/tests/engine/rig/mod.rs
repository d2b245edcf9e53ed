//! Runs a scenario on every engine, with and without a restart in its middle.

mod devices;
mod messages;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use moorline_protocol::{Position, Since};
use moorline_server::engine::core::{CoreConfig, EngineCore, MemoryStore, RetentionRule, RetentionRules};
use moorline_server::engine::hooks::HookRules;
use moorline_server::engine::host::{EngineHandle, EngineThread};
use moorline_server::engine::log::{self, Directory, LogConfig};
use moorline_server::engine::record::Record;
use moorline_server::engine::turn::Persist;
use moorline_server::engine::{
    Appended, Command, Completion, CursorAck, EngineError, Event, Open, Opened, Owner, ReadPage, ReadRange, Reply,
    ShardId, Ticket,
};

pub(crate) use self::devices::Device;
pub(crate) use self::messages::{
    Message, at, channel, duplicate, ids, message, offsets, open, owner, read_command, stored,
};
use crate::disk::{Disk, Loss};

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// When scenarios begin: any moment will do.
const BEGIN: u64 = 1_800_000_000_000;
/// Whatever takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Segments are small, so that there are several.
const SEGMENT: u64 = 64 * 1024;
const BOOT: &str = "boot-1";

/// The shard that asks, and another one.
pub(crate) const HERE: ShardId = ShardId(0);
pub(crate) const THERE: ShardId = ShardId(1);

/// An engine and what it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The core over records in memory, as the simulator has it.
    Model,
    /// `memory`.
    Memory,
    /// `log`, in a directory; whether it syncs.
    Log { sync: bool },
    /// `log`, on a disk that crashes.
    Crashing { sync: bool, loss: Loss },
}

/// Every engine, and whether it restarts in the middle.
const RUNS: &[(Kind, bool)] = &[
    (Kind::Model, false),
    (Kind::Model, true),
    (Kind::Memory, false),
    (Kind::Log { sync: true }, true),
    (Kind::Log { sync: false }, true),
    (Kind::Crashing { sync: true, loss: Loss::Nothing }, false),
    (Kind::Crashing { sync: true, loss: Loss::Nothing }, true),
    (Kind::Crashing { sync: true, loss: Loss::Unsynced }, true),
    (Kind::Crashing { sync: true, loss: Loss::Some(7) }, true),
    (Kind::Crashing { sync: false, loss: Loss::Nothing }, true),
];

/// Runs a scenario on every engine.
pub(crate) fn each(scenario: impl Fn(&mut Rig)) {
    each_with(Setup::default(), scenario);
}

/// Runs a scenario on every engine, set up in a certain way.
pub(crate) fn each_with(setup: Setup, scenario: impl Fn(&mut Rig)) {
    for (kind, restarts) in RUNS {
        println!("{kind:?}{}", if *restarts { ", restarted" } else { "" });
        scenario(&mut Rig::new(*kind, *restarts, setup.clone()));
    }
}

/// How an engine is set up.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) rules: Vec<RetentionRule>,
    pub(crate) ids_per_channel: usize,
    pub(crate) cursors_per_user: usize,
    pub(crate) hooks: HookRules,
}

impl Default for Setup {
    fn default() -> Self {
        Self { rules: Vec::new(), ids_per_channel: 100_000, cursors_per_user: 1_000, hooks: HookRules::default() }
    }
}

/// Where the engine runs.
enum Engine {
    Model { core: Box<EngineCore<MemoryStore>>, records: Vec<Record> },
    Thread { thread: EngineThread, handle: EngineHandle, replies: BTreeMap<ShardId, Receiver<Vec<Reply>>> },
}

/// See the module's documentation.
pub(crate) struct Rig {
    kind: Kind,
    restarts: bool,
    setup: Setup,
    engine: Option<Engine>,
    dir: tempfile::TempDir,
    pub(crate) disk: Disk,
    clock: Arc<AtomicU64>,
    tickets: u64,
    sessions: u64,
    /// What came back and was not looked at.
    answers: BTreeMap<Ticket, Result<Completion, EngineError>>,
    events: BTreeMap<ShardId, Vec<Event>>,
    devices: BTreeMap<&'static str, Device>,
}

impl Rig {
    pub(crate) fn new(kind: Kind, restarts: bool, setup: Setup) -> Self {
        let mut rig = Self {
            kind,
            restarts,
            setup,
            engine: None,
            dir: tempfile::tempdir().unwrap(),
            disk: Disk::default(),
            clock: Arc::new(AtomicU64::new(BEGIN)),
            tickets: 0,
            sessions: 0,
            answers: BTreeMap::new(),
            events: BTreeMap::new(),
            devices: BTreeMap::new(),
        };
        rig.start(Vec::new());
        rig
    }

    /// The data directory, if it has one.
    pub(crate) fn directory(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn start(&mut self, records: Vec<Record>) {
        let now = self.now();
        let core_config = CoreConfig {
            retention: RetentionRules::new(self.setup.rules.clone()),
            ids_per_channel: self.setup.ids_per_channel,
            cursors_per_user: self.setup.cursors_per_user,
            hooks: self.setup.hooks.clone(),
            ..CoreConfig::new("model-00")
        };
        let log_config = |sync| {
            let core = core_config.clone();
            LogConfig { sync, core, segment_bytes: SEGMENT, ..LogConfig::new(self.dir.path()) }
        };
        self.engine = Some(match self.kind {
            Kind::Model => {
                let mut core = EngineCore::new(core_config, MemoryStore::default());
                records.iter().for_each(|record| core.apply(record.clone(), false).unwrap());
                core.begin(false, now);
                let mut engine = Engine::Model { core: Box::new(core), records };
                engine.commit(now);
                engine
            }
            Kind::Memory => {
                let mut core = EngineCore::new(core_config, MemoryStore::default());
                core.begin(false, now);
                self.spawn(core)
            }
            Kind::Log { sync } => {
                let files = Arc::new(Directory::new(self.dir.path()));
                self.spawn(log::open_with(&log_config(sync), files, BOOT, now).unwrap())
            }
            Kind::Crashing { sync, .. } => {
                let files = Arc::new(self.disk.clone());
                self.spawn(log::open_with(&log_config(sync), files, BOOT, now).unwrap())
            }
        });
    }

    fn spawn<S: Persist>(&self, core: EngineCore<S>) -> Engine {
        let clock = Arc::clone(&self.clock);
        let thread = EngineThread::spawn(core, move || clock.load(Ordering::Relaxed), |_| {}).unwrap();
        let handle = thread.handle();
        let mut replies = BTreeMap::new();
        for shard in [HERE, THERE] {
            let (sender, receiver) = mpsc::channel();
            // The receiver goes when the scenario ends.
            handle.register(shard, Box::new(move |batch| drop(sender.send(batch))));
            replies.insert(shard, receiver);
        }
        Engine::Thread { thread, handle, replies }
    }

    /// The middle of the scenario, where the engine restarts if this run says so; the devices come back.
    pub(crate) fn middle(&mut self) {
        self.middle_after(0);
    }

    /// The same, and so much time goes by while the engine is down.
    pub(crate) fn middle_after(&mut self, ms: u64) {
        if self.restarts {
            self.restart_after(ms);
        } else {
            self.skip(ms);
        }
    }

    fn restart_after(&mut self, ms: u64) {
        let loss = if let Kind::Crashing { loss, .. } = self.kind { Some(loss) } else { None };
        let mut records = Vec::new();
        match (self.engine.take().unwrap(), loss) {
            (Engine::Model { records: kept, .. }, _) => records = kept,
            (Engine::Thread { thread, .. }, None) => thread.close(),
            (Engine::Thread { thread, .. }, Some(loss)) => {
                let rest = self.disk.after(loss);
                self.disk.die();
                thread.close();
                self.disk = rest;
            }
        }
        self.events.clear();
        self.skip(ms);
        self.start(records);
        for (name, device) in std::mem::take(&mut self.devices) {
            self.reconnect(name, device);
        }
    }

    pub(crate) fn restarts(&self) -> bool {
        self.restarts
    }

    /// Time goes by, and the engine notices with the next batch.
    pub(crate) fn skip(&self, ms: u64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    /// The clock is set back.
    pub(crate) fn set_back(&self, ms: u64) {
        self.clock.fetch_sub(ms, Ordering::Relaxed);
    }

    /// Time goes by, and the engine notices.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.skip(ms);
        self.read("nowhere", ReadRange::Newest);
    }

    /// Submits commands of one shard as one batch, and returns their answers, in order; `None` for those that have none.
    pub(crate) fn batch(
        &mut self,
        shard: ShardId,
        commands: impl IntoIterator<Item = Command>,
    ) -> Vec<Option<Result<Completion, EngineError>>> {
        let commands = commands.into_iter().collect::<Vec<_>>();
        let answers: Vec<bool> = commands.iter().map(has_answer).collect();
        let tickets = self.submit(shard, commands);
        let wait = |(ticket, answered)| if answered { Some(self.answer(shard, ticket)) } else { None };
        tickets.into_iter().zip(answers).map(wait).collect()
    }

    /// Submits commands as one batch, and returns their tickets.
    pub(crate) fn submit(&mut self, shard: ShardId, commands: Vec<Command>) -> Vec<Ticket> {
        let batch: Vec<_> = (self.tickets + 1..).map(Ticket).zip(commands).collect();
        let tickets: Vec<Ticket> = batch.iter().map(|(ticket, _)| *ticket).collect();
        self.tickets += tickets.len() as u64;
        let now = self.now();
        for (shard, reply) in self.engine.as_mut().unwrap().submit(shard, batch, now) {
            self.sort(shard, reply);
        }
        tickets
    }

    /// Waits for an answer.
    pub(crate) fn answer(&mut self, shard: ShardId, ticket: Ticket) -> Result<Completion, EngineError> {
        loop {
            if let Some(answer) = self.answers.remove(&ticket) {
                return answer;
            }
            for (shard, reply) in self.receive(shard) {
                self.sort(shard, reply);
            }
        }
    }

    fn sort(&mut self, shard: ShardId, reply: Reply) {
        match reply {
            Reply::Completed(ticket, result) => drop(self.answers.insert(ticket, result)),
            Reply::Event(event) => self.events.entry(shard).or_default().push(event),
        }
    }

    fn receive(&mut self, shard: ShardId) -> Vec<(ShardId, Reply)> {
        match self.engine.as_mut().unwrap() {
            Engine::Model { .. } => panic!("the model answers at once"),
            Engine::Thread { replies, .. } => {
                let batch = replies[&shard].recv_timeout(PATIENCE).expect("the engine does not answer");
                batch.into_iter().map(|reply| (shard, reply)).collect()
            }
        }
    }

    /// Submits commands and returns what comes back to the shard, in its order, up to the last answer.
    pub(crate) fn stream(&mut self, shard: ShardId, commands: Vec<Command>) -> Vec<Reply> {
        assert!(self.events(shard).is_empty(), "look at earlier events first");
        let expected = commands.iter().filter(|command| has_answer(command)).count();
        let batch: Vec<_> = (self.tickets + 1..).map(Ticket).zip(commands).collect();
        self.tickets += batch.len() as u64;
        let now = self.now();
        let mut replies = self.engine.as_mut().unwrap().submit(shard, batch, now);
        let is_answer = |(to, reply): &&(ShardId, Reply)| *to == shard && matches!(reply, Reply::Completed(..));
        while replies.iter().filter(is_answer).count() < expected {
            replies.extend(self.receive(shard));
        }
        let (mine, others): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(to, _)| *to == shard);
        others.into_iter().for_each(|(shard, reply)| self.sort(shard, reply));
        mine.into_iter().map(|(_, reply)| reply).collect()
    }

    /// Submits one command and returns its answer.
    pub(crate) fn ask(&mut self, command: Command) -> Result<Completion, EngineError> {
        self.ask_from(HERE, command)
    }

    pub(crate) fn ask_from(&mut self, shard: ShardId, command: Command) -> Result<Completion, EngineError> {
        self.batch(shard, [command]).remove(0).unwrap()
    }

    /// Submits a command that has no answer, and waits until it has taken effect.
    pub(crate) fn tell(&mut self, shard: ShardId, command: Command) {
        self.batch(shard, [command, read_command("nowhere", ReadRange::Newest, 1, 1)]);
    }

    /// Returns the events that have come to a shard.
    pub(crate) fn events(&mut self, shard: ShardId) -> Vec<Event> {
        // Whatever was on its way has come when this is answered.
        self.ask_from(shard, read_command("nowhere", ReadRange::Newest, 1, 1)).unwrap();
        self.events.remove(&shard).unwrap_or_default()
    }

    pub(crate) fn publish(&mut self, message: Message) -> Appended {
        match self.ask(message.command()) {
            Ok(Completion::Appended(appended)) => appended,
            other => panic!("not an answer to an append: {other:?}"),
        }
    }

    /// Publishes and returns the offset; panics unless it is stored.
    pub(crate) fn store(&mut self, message: Message) -> u64 {
        stored(&self.publish(message))
    }

    /// Stores so many messages with ids `<prefix>1` and on.
    pub(crate) fn fill(&mut self, channel_name: &str, prefix: &str, count: usize) {
        let commands = (1..=count).map(|n| message(channel_name, &format!("{prefix}{n}")).command());
        for answer in self.batch(HERE, commands) {
            assert!(matches!(answer, Some(Ok(Completion::Appended(Appended::Stored(_))))), "{answer:?}");
        }
    }

    pub(crate) fn open(&mut self, channel_name: &str, since: Since) -> Opened {
        self.open_with(open(channel_name, since))
    }

    pub(crate) fn open_with(&mut self, open: Open) -> Opened {
        match self.ask(Command::Open(open)) {
            Ok(Completion::Opened(opened)) => opened,
            other => panic!("not an answer to an open: {other:?}"),
        }
    }

    pub(crate) fn read(&mut self, channel_name: &str, range: ReadRange) -> ReadPage {
        self.read_some(channel_name, range, 1_000_000, usize::MAX)
    }

    pub(crate) fn read_some(
        &mut self,
        channel_name: &str,
        range: ReadRange,
        messages: usize,
        bytes: usize,
    ) -> ReadPage {
        match self.ask(read_command(channel_name, range, messages, bytes)) {
            Ok(Completion::Read(page)) => page,
            other => panic!("not an answer to a read: {other:?}"),
        }
    }

    /// Moves a cursor, and lets the time pass that it may take to be written.
    pub(crate) fn ack(&mut self, owner: &Owner, channel_name: &str, position: Position) -> Position {
        let ack = CursorAck { owner: owner.clone(), channel: channel(channel_name), position };
        let commands = [Command::Ack(ack), message("elsewhere", &format!("ack-{}", self.tickets)).command()];
        match self.batch(HERE, commands).remove(0) {
            Some(Ok(Completion::Acked(position))) => position,
            other => panic!("not an answer to an ack: {other:?}"),
        }
    }
}

impl Engine {
    /// Returns what comes back at once.
    fn submit(&mut self, shard: ShardId, batch: Vec<(Ticket, Command)>, now: u64) -> Vec<(ShardId, Reply)> {
        match self {
            Self::Thread { handle, .. } => {
                handle.submit(shard, batch);
                Vec::new()
            }
            Self::Model { core, .. } => {
                core.expire(now);
                batch.into_iter().for_each(|(ticket, command)| core.handle(shard, ticket, command, now));
                core.flush_cursors(now);
                self.commit(now)
            }
        }
    }

    fn commit(&mut self, now: u64) -> Vec<(ShardId, Reply)> {
        let Self::Model { core, records } = self else { return Vec::new() };
        records.extend(core.take_records(now));
        core.take_replies()
    }
}

fn has_answer(command: &Command) -> bool {
    !matches!(
        command,
        Command::Detach(..)
            | Command::Unwatch(_)
            | Command::Broadcast(_)
            | Command::UnwatchPresence(_)
            | Command::Park(..)
            | Command::Push(..)
            | Command::UnwatchStatus(..)
    )
}
