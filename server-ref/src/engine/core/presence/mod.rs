//! Who is present in channels, and which users are online: of all shards, in memory alone.

mod room;
mod status;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use moorline_protocol::limits::MAX_SAFE_INTEGER;
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, DeviceId, MembersView, PresenceVersion, UserName};

use self::room::{Entrant, Room};
use self::status::Status;
use self::timeline::Timeline;
use super::store::MessageStore;
use super::{EngineCore, completed};
use crate::engine::{
    ChannelKey, Completion, Event, Gone, Presence, PresenceAct, PresenceEntry, Reply, SessionId, ShardId, StatusQuery,
    Ticket,
};
use crate::planted::{Bug, Bugs};

/// What happens to a channel's members within so many ms is one batch.
const BATCH_MS: u64 = 100;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// Names this life of all versions; never 0.
    run: u64,
    /// The versions of a room that is made begin after this one, as those of none before it did.
    least: u64,
    /// Entries and updates, over all rooms.
    order: u64,
    timeline: Timeline,
    rooms: BTreeMap<ChannelKey, Room>,
    /// Where each connection is a member, and under which name.
    entered: BTreeMap<SessionId, (UserName, BTreeSet<ChannelKey>)>,
    /// When there is something to do in which room; each room once.
    due: BTreeSet<(u64, ChannelKey)>,
    status: Status,
}

impl Registry {
    /// Begins a life that is told from all others.
    fn begin(&mut self, run: u64, now: UnixMillis) {
        self.run = (run & MAX_SAFE_INTEGER).max(1);
        self.timeline.advance(now);
    }

    /// Changes a room, which is made if there is none, and goes if it is over.
    fn with<R>(&mut self, key: &ChannelKey, act: impl FnOnce(&mut Room, u64) -> R) -> R {
        let least = self.least;
        let room = self.rooms.entry(key.clone()).or_insert_with(|| Room::new(least));
        let was_due = room.due();
        let result = act(room, self.run);
        let due = room.due();
        if room.is_over() {
            self.least = self.least.max(room.version());
            self.rooms.remove(key);
        }
        if was_due != due {
            if let Some(at) = was_due {
                self.due.remove(&(at, key.clone()));
            }
            self.due.extend(due.map(|at| (at, key.clone())));
        }
        result
    }

    fn enter(
        &mut self,
        key: &ChannelKey,
        who: (SessionId, UserName, Option<DeviceId>),
        state: Option<Bytes>,
        now: UnixMillis,
        bugs: Bugs,
    ) {
        let (session, user, device) = who;
        let time = self.timeline.advance(now);
        self.order += 1;
        let order = if bugs.has(Bug::FirstStateStays) { u64::MAX - self.order } else { self.order };
        self.entered.entry(session).or_insert_with(|| (user.clone(), BTreeSet::new())).1.insert(key.clone());
        let entrant = Entrant { user, session, device, state, order };
        self.with(key, |room, _| room.enter(entrant, now, time, bugs));
    }

    fn leave(&mut self, key: &ChannelKey, session: SessionId, now: UnixMillis, bugs: Bugs) {
        let time = self.timeline.advance(now);
        let Some((user, channels)) = self.entered.get_mut(&session) else { return };
        if !channels.remove(key) {
            return;
        }
        let user = user.clone();
        if channels.is_empty() {
            self.entered.remove(&session);
        }
        self.with(key, |room, _| room.part(&user, session, Gone::Left, time, bugs));
    }

    /// A user's first connection stands.
    pub(super) fn come(&mut self, user: (AppName, UserName), now: UnixMillis) {
        self.timeline.advance(now);
        self.status.come(user, now);
    }

    /// A user's last connection is gone.
    pub(super) fn go(&mut self, user: &(AppName, UserName)) {
        self.status.go(user);
    }

    /// A connection is gone from everywhere.
    pub(super) fn part(&mut self, session: SessionId, gone: Gone, now: UnixMillis, bugs: Bugs) {
        let time = self.timeline.advance(now);
        let Some((user, channels)) = self.entered.remove(&session) else { return };
        for key in channels {
            self.with(&key, |room, _| room.part(&user, session, gone, time, bugs));
        }
    }

    fn watch(&mut self, key: &ChannelKey, shard: ShardId) -> MembersView {
        self.with(key, |room, run| {
            if !room.watchers.contains(&shard) {
                room.watchers.push(shard);
            }
            room.view(run)
        })
    }

    /// Returns in how many ms there is something to do; never so many that the timeline would lose some.
    pub(super) fn idle_ms(&self, now: UnixMillis) -> Option<u64> {
        let room = self.due.first().map(|(at, _)| *at);
        let due = room.into_iter().chain(self.status.due()).min()?;
        Some(due.saturating_sub(self.timeline.at(now)).min(timeline::MOST_MS / 2))
    }

    /// Does what is due, and hands out what is to be told.
    fn turn(&mut self, now: UnixMillis, mut tell: impl FnMut(ShardId, Event)) {
        let time = self.timeline.advance(now);
        while let Some((_, key)) = self.due.first().filter(|(at, _)| *at <= time).cloned() {
            let told = self.with(&key, |room, run| {
                room.sweep(time);
                let batch = room.tell(time)?;
                Some((PresenceVersion { run, n: batch.n }, batch, room.watchers.clone()))
            });
            let Some((version, batch, watchers)) = told else { continue };
            for shard in watchers {
                let (channel, changes) = (key.clone(), batch.changes.clone());
                tell(shard, Event::Presence { channel, version, count: batch.count, changes });
            }
        }
        self.status.turn(time, tell);
    }

    /// Returns how many members a channel has.
    pub(super) fn count(&self, key: &ChannelKey) -> usize {
        self.rooms.get(key).map_or(0, Room::members)
    }

    /// Returns how many members the channels of each app have.
    pub(super) fn members_per_app(&self) -> BTreeMap<AppName, u64> {
        let mut apps = BTreeMap::new();
        for (key, room) in &self.rooms {
            *apps.entry(key.app.clone()).or_default() += room.members() as u64;
        }
        apps
    }

    /// Returns how many users of each app have a connection.
    pub(super) fn online_per_app(&self) -> BTreeMap<AppName, u64> {
        self.status.per_app()
    }

    /// Returns how many members there are in all channels.
    pub(super) fn members(&self) -> usize {
        self.rooms.values().map(Room::members).sum()
    }
}

impl<S: MessageStore> EngineCore<S> {
    /// Begins a life of the versions that no other start has.
    pub(super) fn begin_presence(&mut self, now: UnixMillis) {
        let mut hash = xxhash_rust::xxh3::Xxh3::with_seed(self.config.salt);
        hash.update(self.config.store_id.as_bytes());
        hash.update(&self.starts.to_le_bytes());
        hash.update(&now.to_le_bytes());
        self.presence.begin(hash.digest(), now);
    }

    /// What a subscription wants of a channel's presence; returns the members as they were before.
    pub(super) fn enter_presence(
        &mut self,
        shard: ShardId,
        key: &ChannelKey,
        entry: PresenceEntry,
        now: UnixMillis,
    ) -> MembersView {
        let view = self.presence.watch(key, shard);
        if let PresenceEntry::Join { session, state } = entry {
            self.enter(key, session, state, now);
        }
        view
    }

    fn enter(&mut self, key: &ChannelKey, session: SessionId, state: Option<Bytes>, now: UnixMillis) {
        if let Some((user, device)) = self.sessions.member(session) {
            self.presence.enter(key, (session, user, device), state, now, self.config.bugs);
        }
    }

    pub(super) fn presence(&mut self, shard: ShardId, ticket: Ticket, presence: Presence, now: UnixMillis) {
        let Presence { channel, act } = presence;
        let view = match act {
            PresenceAct::Read { after } => self.presence.with(&channel, |room, run| room.page(run, after.as_ref())),
            PresenceAct::Enter { session, state } => {
                self.enter(&channel, session, state, now);
                self.presence.with(&channel, |room, run| room.head(run))
            }
            PresenceAct::Leave { session } => {
                self.presence.leave(&channel, session, now, self.config.bugs);
                self.presence.with(&channel, |room, run| room.head(run))
            }
        };
        self.reply(shard, completed(ticket, Completion::Members(view)));
    }

    pub(super) fn unwatch_presence(&mut self, shard: ShardId, key: &ChannelKey) {
        self.presence.with(key, |room, _| room.watchers.retain(|watcher| *watcher != shard));
    }

    pub(super) fn status(&mut self, shard: ShardId, ticket: Ticket, query: StatusQuery) {
        if query.watch {
            self.presence.status.watch(shard, &query.app, &query.users);
        }
        let users = query.users.into_iter().map(|user| self.presence.status.of(&query.app, user)).collect();
        self.reply(shard, completed(ticket, Completion::Statuses(users)));
    }

    pub(super) fn unwatch_status(&mut self, shard: ShardId, app: &AppName, users: &[UserName]) {
        self.presence.status.unwatch(shard, app, users);
    }

    /// Tells watchers what is to be told by now.
    pub(super) fn tell_presence(&mut self, now: UnixMillis) {
        let (registry, behind) = (&mut self.presence, &mut self.behind_events);
        registry.turn(now, |shard, event| behind.push((shard, Reply::Event(event))));
    }

    /// Returns in how many ms there is something to do for presence, if there is.
    pub fn presence_idle_ms(&self, now: UnixMillis) -> Option<u64> {
        self.presence.idle_ms(now)
    }
}
