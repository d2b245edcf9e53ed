//! The engine at work: batches, syncs, and what is handed to the shards.

use moorline_server::engine::{EngineError, Event, Reply, Revocation, ShardId};

use crate::world::{Happening, World};

impl World {
    pub(crate) fn plan_batch(&mut self) {
        if !self.server.engine.busy && !self.server.engine.inbox.is_empty() {
            self.server.engine.busy = true;
            let life = self.server.life;
            let delay = self.dice.range(20, 2_000);
            self.at((self.now + delay).max(self.engine_hangs_until), Happening::EngineBatch { life });
        }
    }

    pub(crate) fn engine_batch(&mut self, life: u32) {
        if self.server.life != life {
            return;
        }
        let (until, full) = self.server.readonly;
        let refuse = (until > self.now).then_some(if full { EngineError::Full } else { EngineError::Unavailable });
        let now = self.server.clock(self.now).unix;
        let (early, broken) = self.server.engine.begin_batch(refuse, now);
        self.violations.extend(broken);
        self.violations.extend(self.server.engine.leave(&early));
        self.hand_out(early);
        let delay = if self.server.engine.is_writing() { self.dice.range(100, 8_000) } else { 1 };
        self.after(delay, Happening::EngineSynced { life });
    }

    pub(crate) fn engine_synced(&mut self, life: u32) {
        if self.server.life != life {
            return;
        }
        let fails = self.server.sync_fails.filter(|_| self.server.engine.is_writing());
        if let Some(down_ms) = fails {
            self.server.sync_fails = None;
            if !self.bugs.server().has(moorline_server::planted::Bug::SyncRetried) {
                // Nothing of the batch may be acknowledged: the server ends.
                return self.kill_server(down_ms, false);
            }
        }
        let broken = self.server.engine.sync(fails.is_some());
        self.violations.extend(broken);
        self.server.engine.busy = false;
        let replies = self.server.engine.release();
        self.violations.extend(self.server.engine.leave(&replies));
        self.hand_out(replies);
        let reads_fail = self.server.reads_fail_until > self.now;
        for cold in self.server.engine.cold_reads(reads_fail) {
            let delay = self.dice.range(100, self.scenario.disk_us);
            self.reply_after(usize::from(cold.shard.0), vec![cold.reply], delay, true);
        }
        if self.dice.chance(1) {
            self.server.engine.take_checkpoint();
        }
        self.plan_batch();
    }

    /// Sends replies to their shards, each in order.
    fn hand_out(&mut self, replies: Vec<(ShardId, Reply)>) {
        let mut by_shard: Vec<Vec<Reply>> = vec![Vec::new(); self.server.shards.len()];
        for (shard, reply) in replies {
            if let Some(queue) = by_shard.get_mut(usize::from(shard.0)) {
                queue.push(reply);
            }
        }
        for (shard, replies) in by_shard.into_iter().enumerate() {
            if !replies.is_empty() {
                let delay = if self.server.shards.len() > 1 { self.dice.range(0, 3_000) } else { 0 };
                self.reply_after(shard, replies, delay, false);
            }
        }
    }

    /// Replies of the engine's thread keep their order, and so do those of the thread that reads; not the two together.
    fn reply_after(&mut self, shard: usize, replies: Vec<Reply>, delay: u64, cold: bool) {
        let life = self.server.life;
        let at = self.now + delay;
        let queue = self.server.shards.get_mut(shard);
        let queue = queue.map(|shard| if cold { &mut shard.cold_replies } else { &mut shard.replies });
        let Some(queue) = queue else { return };
        let at = queue.back().map_or(at, |(last, _)| at.max(*last));
        queue.push_back((at, replies));
        self.at(at, if cold { Happening::ColdReplies { life, shard } } else { Happening::Replies { life, shard } });
    }

    /// Replies reach their shard.
    pub(crate) fn replies(&mut self, life: u32, index: usize, cold: bool) {
        if self.server.life != life {
            return;
        }
        let now = self.server.clock(self.now);
        let Some(shard) = self.server.shards.get_mut(index) else { return };
        let queue = if cold { &mut shard.cold_replies } else { &mut shard.replies };
        let Some((_, replies)) = queue.pop_front() else { return };
        let mut revoked = Vec::new();
        for reply in &replies {
            self.trace.add(self.now, "reply", index as u64, &[], || format!("{reply:?}"));
            if let Reply::Event(Event::Revoked(Revocation::User { user, .. })) = reply {
                revoked.push(user.as_str().to_owned());
            }
        }
        shard.node.handle_replies(replies, now);
        self.drive_server(index);
        if let Some(shard) = self.server.shards.get_mut(index) {
            shard.revoked.extend(revoked);
        }
    }

    /// Every second: cursors are written, old things forgotten.
    pub(crate) fn engine_tick(&mut self, life: u32) {
        if self.server.life != life || !self.server.is_running() {
            return;
        }
        if !self.server.engine.busy && self.server.engine.is_due() {
            let now = self.server.clock(self.now).unix;
            if self.server.readonly.0 <= self.now {
                self.server.engine.flush_cursors(now);
            }
            self.server.engine.busy = true;
            self.after(100, Happening::EngineBatch { life });
        }
        self.after(1_000_000, Happening::EngineTick { life });
    }
}
