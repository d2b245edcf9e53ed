//! The engine of the world: the real engine core over a disk that forgets what was not synced.

use std::collections::BTreeMap;

use moorline_core::protocol::{AppName, ChannelName};
use moorline_server::engine::core::{
    CoreConfig, CoreStats, EngineCore, Kept, MessageStore, RetentionRule, RetentionRules, page,
};
use moorline_server::engine::hooks::{HookKind, HookRule, HookRules};
use moorline_server::engine::record::Record;
use moorline_server::engine::{Appended, Command, Completion, EngineError, Reply, ShardId, Ticket};
use moorline_server::planted::Bug;

use super::store::SimStore;
use crate::bugs::Bugs;
use crate::model::{Asked, First, Log, Rules, Violation};
use crate::scenario::{Engine, Keeps, Scenario};

/// See the module's documentation.
pub(crate) struct SimEngine {
    pub(crate) kind: Engine,
    pub(crate) inbox: Vec<(ShardId, Ticket, Command)>,
    /// Whether a batch is planned or being synced.
    pub(crate) busy: bool,
    pub(crate) log: Log,
    pub(crate) rules: Rules,
    core: EngineCore<SimStore>,
    durable: Vec<Record>,
    /// How many durable records survive a power cut as well.
    synced: usize,
    /// How many durable records the log has seen.
    noted: usize,
    /// Of the batch that is being synced.
    syncing: Vec<Record>,
    unreleased: Vec<(ShardId, Reply)>,
    /// What the replies under way promise.
    asked: BTreeMap<(ShardId, Ticket), Command>,
    /// Where the publishes under way go.
    appends: BTreeMap<(ShardId, Ticket), ChannelName>,
    /// Everything but the messages as it was after so many durable records, from which the next start goes on.
    checkpoint: Option<(Vec<Record>, usize)>,
    keeps: Keeps,
    hot: usize,
    bugs: Bugs,
    starts: u32,
    stores: u32,
    /// Whether the machine lost power since the server last ran.
    lost_power: bool,
    /// Whether acknowledged messages were ever lost.
    pub(crate) lost: bool,
}

/// An answer that a slow disk gives later.
pub(crate) struct ColdRead {
    pub(crate) shard: ShardId,
    pub(crate) reply: Reply,
}

impl SimEngine {
    pub(crate) fn new(scenario: &Scenario, bugs: Bugs) -> Self {
        Self {
            kind: scenario.engine,
            inbox: Vec::new(),
            busy: false,
            log: Log::default(),
            rules: Rules::new(scenario.keeps),
            core: EngineCore::new(CoreConfig::new("-"), SimStore::default()),
            durable: Vec::new(),
            synced: 0,
            noted: 0,
            syncing: Vec::new(),
            unreleased: Vec::new(),
            asked: BTreeMap::new(),
            appends: BTreeMap::new(),
            checkpoint: None,
            keeps: scenario.keeps,
            hot: scenario.hot,
            bugs,
            starts: 0,
            stores: 0,
            lost_power: false,
            lost: false,
        }
    }

    /// Whether an engine of this kind keeps everything over whatever happened since the last start.
    fn loses_nothing(&self) -> bool {
        match self.kind {
            Engine::Memory => false,
            Engine::Process => !self.lost_power,
            Engine::Disk => true,
        }
    }

    pub(crate) fn start(&mut self, now: u64) -> Option<Violation> {
        self.starts += 1;
        let is_again = self.starts > 1;
        let loses_nothing = !is_again || self.loses_nothing();
        self.lost |= !loses_nothing;
        if self.kind == Engine::Memory {
            self.durable.clear();
            self.checkpoint = None;
        }
        let is_renamed = match self.kind {
            Engine::Memory => !self.bugs.server().has(Bug::MemoryKeepsEpoch),
            Engine::Process => self.lost_power && !self.bugs.server().has(Bug::PowerCutKeepsName),
            Engine::Disk => false,
        };
        if !is_again || is_renamed {
            self.stores += 1;
        }
        let rules = self.rules.restart(&self.durable, loses_nothing);
        let log = self.log.reread(&self.durable, loses_nothing);
        self.noted = self.durable.len();
        self.core = EngineCore::new(self.config(), SimStore::new(self.hot));
        self.recover();
        self.core.begin(is_again && self.kind == Engine::Process && self.lost_power, now);
        let records = self.core.take_records(now);
        records.iter().for_each(|record| self.rules.restore(record));
        self.durable.extend(records);
        if self.kind == Engine::Disk {
            self.synced = self.durable.len();
        }
        self.lost_power = false;
        let begun = self.note();
        rules.or(log).or(begun)
    }

    fn config(&self) -> CoreConfig {
        let mut config = CoreConfig::new(format!("store{:03}", self.stores));
        let Keeps { count, age_ms, ids_ms, producers_ms, cursors_ms, cursors } = self.keeps;
        let rule = RetentionRule { prefix: String::new(), max_age_ms: age_ms, max_bytes: None, max_count: count };
        config.retention = RetentionRules::new(vec![rule]);
        config.ids_ms = ids_ms.unwrap_or(config.ids_ms);
        config.producers_ms = producers_ms.unwrap_or(config.producers_ms);
        config.cursors_ms = cursors_ms.unwrap_or(config.cursors_ms);
        config.cursors_per_user = cursors.unwrap_or(config.cursors_per_user);
        config.bugs = self.bugs.server();
        let rule =
            HookRule { app: AppName::default_app(), kinds: vec![HookKind::MessageOffline], channels: Vec::new() };
        // Where little is kept, cursors go and channels begin anew: who is owed what is another question there.
        if self.keeps == Keeps::default() {
            config.hooks = HookRules::new(vec![rule]);
        }
        config
    }

    /// Rebuilds the core: from the checkpoint and the records after it, or from all records.
    fn recover(&mut self) {
        let (snapshot, covered) = self.checkpoint.clone().unwrap_or_default();
        for record in self.durable.get(..covered).unwrap_or_default() {
            if let Record::Append { channel, id, expires, bytes, .. } = record {
                let kept = Kept { offset: id.offset, time: id.time, expires: *expires, bytes: bytes.clone() };
                self.core.store_mut().append(*channel, kept);
            }
        }
        for record in snapshot {
            self.recovered(record, true);
        }
        for record in self.durable.get(covered..).unwrap_or_default().to_vec() {
            self.recovered(record, false);
        }
        self.core.settle_store();
    }

    /// A record of an earlier start must be one that the core can place, unless a planted bug left one out.
    fn recovered(&mut self, record: Record, stored: bool) {
        let applied = self.core.apply(record, stored);
        debug_assert!(applied.is_ok() || self.bugs != Bugs::default(), "{applied:?}");
    }

    fn forget_process(&mut self) {
        self.inbox.clear();
        self.busy = false;
        self.unreleased.clear();
        self.asked.clear();
        self.appends.clear();
        self.syncing.clear();
    }

    /// The process dies; of the batch that was being synced, `kept` percent of the records survive a kill as well as
    /// a power cut. With `power`, an engine that never syncs loses more.
    pub(crate) fn crash(&mut self, power: bool, kept: u64) {
        let survives = self.syncing.len() * kept as usize / 100;
        self.durable.extend(self.syncing.drain(..).take(survives));
        if power && self.kind == Engine::Process {
            let keep = (self.durable.len() * kept as usize / 100).max(self.synced);
            self.durable.truncate(keep);
            self.checkpoint = self.checkpoint.take().filter(|(_, covered)| *covered <= keep);
            self.lost_power = true;
        }
        self.forget_process();
    }

    /// The process ends in good order.
    pub(crate) fn stop(&mut self, now: u64) -> Option<Violation> {
        let records = std::mem::take(&mut self.syncing);
        self.durable.extend(records);
        self.core.flush_cursors(now);
        let records = self.core.take_records(now);
        // The last turn may tell hooks what is due by now.
        let broken = self.rules.batch(&[], &[], &records, (now, true));
        self.durable.extend(records);
        self.synced = self.durable.len();
        self.checkpoint = Some((self.snapshot(), self.durable.len()));
        let noted = self.note();
        self.forget_process();
        broken.or(noted)
    }

    /// Takes what waits as one batch. Returns what is answered before it is synced, by a planted bug.
    pub(crate) fn begin_batch(
        &mut self,
        refuse: Option<EngineError>,
        now: u64,
    ) -> (Vec<(ShardId, Reply)>, Option<Violation>) {
        let mut asked = Vec::with_capacity(self.inbox.len());
        for (shard, ticket, command) in std::mem::take(&mut self.inbox) {
            match &command {
                Command::Open(_) | Command::Ack(_) | Command::Revoke(_) => {
                    self.asked.insert((shard, ticket), command.clone());
                }
                Command::Append(append) => {
                    self.appends.insert((shard, ticket), append.channel.name.clone());
                }
                _ => {}
            }
            asked.push(Asked { shard, ticket, command: command.clone(), refused: refuse });
            match refuse {
                Some(error) => self.core.refuse(shard, ticket, command, error, now),
                None => self.core.handle(shard, ticket, command, now),
            }
        }
        self.core.expire(now);
        self.core.hold_hooks(refuse.is_some());
        let records = self.core.take_records(now);
        let replies = self.core.take_replies();
        let broken = self.rules.batch(&asked, &replies, &records, (now, refuse.is_some()));
        self.log.latest = self.log.latest.max(now);
        self.syncing.extend(records);
        let (early, late) = replies.into_iter().partition(|(_, reply)| self.is_early(reply));
        self.unreleased.extend::<Vec<_>>(late);
        (early, broken)
    }

    /// Whether a planted bug releases this reply before it is durable.
    fn is_early(&self, reply: &Reply) -> bool {
        let bugs = self.bugs.server();
        match reply {
            _ if bugs.has(Bug::AnswerBeforeSync) => true,
            Reply::Completed(_, Ok(Completion::Appended(Appended::Duplicate(_)))) => bugs.has(Bug::DuplicateBeforeSync),
            Reply::Completed(_, Ok(Completion::Opened(_) | Completion::Read(_))) => bugs.has(Bug::ReadBeforeSync),
            Reply::Completed(..) | Reply::Event(_) => false,
        }
    }

    /// Whether the batch under way writes anything.
    pub(crate) fn is_writing(&self) -> bool {
        !self.syncing.is_empty()
    }

    /// The batch under way is durable, or (if the sync failed and is not heeded) only said to be.
    pub(crate) fn sync(&mut self, fails: bool) -> Option<Violation> {
        let records = std::mem::take(&mut self.syncing);
        if !fails {
            self.durable.extend(records);
        }
        if self.kind == Engine::Disk {
            self.synced = self.durable.len();
        }
        self.note()
    }

    /// Shows the log what has become durable.
    fn note(&mut self) -> Option<Violation> {
        let mut broken = First::default();
        for record in self.durable.get(self.noted..).unwrap_or_default() {
            broken.note(self.log.record(record));
        }
        self.noted = self.durable.len();
        broken.into_violation()
    }

    /// Takes the replies of the batch, and notes what they promise.
    pub(crate) fn release(&mut self) -> Vec<(ShardId, Reply)> {
        let replies = std::mem::take(&mut self.unreleased);
        for (shard, reply) in &replies {
            let Reply::Completed(ticket, result) = reply else { continue };
            let key = (*shard, *ticket);
            if let (Some(command), Ok(completion)) = (self.asked.remove(&key), result) {
                self.rules.promise(key, &command, completion);
            }
        }
        replies
    }

    /// Invariant 1: a publish is answered only when the log holds it.
    pub(crate) fn leave(&mut self, replies: &[(ShardId, Reply)]) -> Option<Violation> {
        replies.iter().find_map(|(shard, reply)| {
            let Reply::Completed(ticket, result) = reply else { return None };
            let channel = self.appends.remove(&(*shard, *ticket))?;
            let Ok(Completion::Appended(Appended::Stored(at) | Appended::Duplicate(at))) = result else { return None };
            let what = || Violation::new(1, format!("{channel} {at:?} is answered before it is durable"));
            self.log.entry(&channel, at.epoch, at.offset).is_none().then(what)
        })
    }

    /// Answers the reads that need the disk; with `fails` it gives nothing.
    pub(crate) fn cold_reads(&mut self, fails: bool) -> Vec<ColdRead> {
        let mut answers = Vec::new();
        for read in self.core.take_pending_reads() {
            let kept = self.core.store_mut().inner.read(&read.bounds.query).unwrap_or_default();
            let result =
                if fails { Err(EngineError::Unavailable) } else { Ok(Completion::Read(page(&read.bounds, kept))) };
            answers.push(ColdRead { shard: read.shard, reply: Reply::Completed(read.ticket, result) });
        }
        answers
    }

    /// Whether time alone gives the engine something to do.
    pub(crate) fn is_due(&self) -> bool {
        self.core.waiting_acks() > 0
            || self.keeps != Keeps::default()
            || self.core.presence_idle_ms(0).is_some()
            || self.core.hooks_idle_ms(0).is_some()
    }

    /// Cursors that wait are written with the next batch.
    pub(crate) fn flush_cursors(&mut self, now: u64) {
        self.core.flush_cursors(now);
    }

    /// Notes everything but the messages, between two batches: the next start goes on from here.
    pub(crate) fn take_checkpoint(&mut self) {
        if self.kind == Engine::Memory || !self.syncing.is_empty() {
            return;
        }
        let snapshot = self.snapshot();
        // Cursors that have moved and wait to be written are durable with the checkpoint.
        self.durable.extend(snapshot.iter().filter(|record| matches!(record, Record::Cursor { .. })).cloned());
        self.checkpoint = Some((snapshot, self.durable.len()));
    }

    /// Returns the records of a checkpoint.
    fn snapshot(&self) -> Vec<Record> {
        let mut records = Vec::new();
        self.core.snapshot(|record| records.push(record));
        records
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.busy && self.inbox.is_empty() && self.unreleased.is_empty() && self.core.waiting_acks() == 0
    }

    pub(crate) fn stats(&self) -> CoreStats {
        self.core.stats()
    }
}
