use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use moorline_core::protocol::{ChannelName, MembersView, PresenceChange, PresenceChangeKind, PresenceVersion};
use moorline_server::engine::{
    Command, Completion, Event, Gone, Owner, Presence as Act, PresenceAct, PresenceEntry, Reply, SessionId, ShardId,
};

use super::{Asked, Rules};
use crate::model::{First, Violation};

/// So much of a step of the clock counts, and nothing of one backwards.
const STEP_MS: u64 = 10_000;
/// A return within this time after a timeout is told as one.
const RETURN_MS: u64 = 15_000;
/// A connection that closed counts for so long at most.
const GRACE_MS: u64 = 15_000;

/// Who is there, and with which state.
pub(crate) type Members = BTreeMap<String, Option<Bytes>>;

/// The members of all channels as the rules want them.
#[derive(Default)]
pub(super) struct Presence {
    seen: u64,
    time: u64,
    order: u64,
    rooms: BTreeMap<ChannelName, Room>,
    /// What each version was; over all starts.
    shown: BTreeMap<(ChannelName, u64, u64), Members>,
}

#[derive(Default)]
struct Room {
    members: BTreeMap<String, Vec<Connection>>,
    /// Until when the return of those that timed out is told as one.
    returns: BTreeMap<String, u64>,
    came: BTreeMap<String, PresenceChangeKind>,
    went: BTreeMap<String, PresenceChangeKind>,
    /// What watchers know.
    told: Option<(PresenceVersion, Members)>,
}

struct Connection {
    session: SessionId,
    owner: Option<Owner>,
    state: Option<Bytes>,
    order: u64,
    until: Option<u64>,
}

impl Presence {
    /// The next start: nobody is there, and what was shown was shown.
    pub(super) fn restart(self) -> Self {
        Self { shown: self.shown, ..Self::default() }
    }

    fn advance(&mut self, now: u64) {
        self.time += now.saturating_sub(self.seen).min(STEP_MS);
        self.seen = now;
    }

    fn enter(&mut self, name: &ChannelName, session: SessionId, owner: Option<Owner>, state: Option<Bytes>) {
        self.order += 1;
        let (order, time) = (self.order, self.time);
        let room = self.rooms.entry(name.clone()).or_default();
        let Some(user) = owner.as_ref().map(|owner| owner.user.as_str().to_owned()) else { return };
        let connections = room.members.entry(user.clone()).or_default();
        if connections.is_empty() {
            let is_back = room.returns.get(&user).is_some_and(|until| *until > time);
            room.came.insert(user.clone(), if is_back { PresenceChangeKind::Back } else { PresenceChangeKind::Join });
        }
        room.returns.remove(&user);
        let known = connections.iter().position(|other| other.session == session || other.owner == owner);
        let known = known.map(|at| connections.remove(at));
        // Who only comes back has changed nothing.
        let kept = known.filter(|known| known.session != session && known.state == state).map(|known| known.order);
        let order = kept.unwrap_or(order);
        connections.push(Connection { session, owner, state, order, until: None });
    }

    fn part(&mut self, name: Option<&ChannelName>, session: SessionId, gone: Gone) {
        let time = self.time;
        for (_, room) in self.rooms.iter_mut().filter(|(room, _)| name.is_none_or(|name| name == *room)) {
            let is_of =
                |(_, connections): &(&String, &Vec<Connection>)| connections.iter().any(|c| c.session == session);
            let Some(user) = room.members.iter().find(is_of).map(|(user, _)| user.clone()) else { continue };
            let Some(connections) = room.members.get_mut(&user) else { continue };
            match gone {
                Gone::Closed { grace_ms } => {
                    let of_session = connections.iter_mut().filter(|c| c.session == session && c.until.is_none());
                    of_session.for_each(|c| c.until = Some(time + grace_ms));
                }
                Gone::Left | Gone::Silent => {
                    connections.retain(|c| c.session != session);
                    let kind = if gone == Gone::Left { PresenceChangeKind::Leave } else { PresenceChangeKind::Timeout };
                    if connections.is_empty() && gone == Gone::Silent {
                        room.returns.insert(user.clone(), time + RETURN_MS);
                    }
                    room.went.insert(user, kind);
                }
            }
            room.members.retain(|_, connections| !connections.is_empty());
        }
    }

    fn sweep(&mut self) {
        let time = self.time;
        for room in self.rooms.values_mut() {
            for (user, connections) in &mut room.members {
                let before = connections.len();
                connections.retain(|connection| connection.until.is_none_or(|until| until > time));
                if connections.len() < before {
                    room.went.insert(user.clone(), PresenceChangeKind::Leave);
                }
            }
            room.members.retain(|_, connections| !connections.is_empty());
        }
    }

    /// Takes a view of the members: it must be what its version was.
    fn view(&mut self, name: &ChannelName, view: &MembersView) -> Option<Violation> {
        let members: Members =
            view.members.iter().map(|member| (member.user.as_str().to_owned(), member.state.clone())).collect();
        let key = (name.clone(), view.version.run, view.version.n);
        if let Some(shown) = self.shown.get(&key) {
            let what = || format!("{name}: {:?} is shown as {members:?}, and was {shown:?}", view.version);
            return (*shown != members).then(|| Violation::new(13, what()));
        }
        // While nobody watches, nobody is told.
        self.rooms.entry(name.clone()).or_default().told = Some((view.version, members.clone()));
        self.shown.insert(key, members);
        None
    }

    /// Takes what watchers are told: it must be what became of the members since they were told last.
    fn event(
        &mut self,
        name: &ChannelName,
        version: PresenceVersion,
        count: u64,
        changes: &[PresenceChange],
    ) -> Option<Violation> {
        let room = self.rooms.entry(name.clone()).or_default();
        let current = room.current();
        let told = room.told.replace((version, current.clone()));
        self.shown.insert((name.clone(), version.run, version.n), current.clone());
        let (before, members) = told?;
        if before == version {
            // Another shard is told the same.
            return None;
        }
        let mut expected = BTreeMap::new();
        let users: BTreeSet<&String> = members.keys().chain(current.keys()).collect();
        for user in users {
            let kind = match (members.get(user), current.get(user)) {
                (None, Some(_)) => room.came.get(user).cloned(),
                (Some(_), None) => room.went.get(user).cloned(),
                (Some(before), Some(after)) if before != after => Some(PresenceChangeKind::Update),
                _ => continue,
            };
            expected.insert(user.clone(), (kind, current.get(user).cloned().flatten()));
        }
        let told = changes
            .iter()
            .map(|change| (change.user.as_str().to_owned(), (Some(change.event.clone()), change.state.clone())));
        let told: BTreeMap<_, _> = told.collect();
        let is_next = version.run == before.run && version.n == before.n + 1;
        let is_right = told == expected && told.len() == changes.len() && count == current.len() as u64 && is_next;
        (!is_right).then(|| {
            let what =
                format!("{name}: {version:?} after {before:?}, {count}: {changes:?}; the rules say {expected:?}");
            Violation::new(13, what)
        })
    }
}

impl Room {
    fn current(&self) -> Members {
        let state = |connections: &Vec<Connection>| {
            connections.iter().max_by_key(|connection| connection.order).and_then(|newest| newest.state.clone())
        };
        self.members.iter().map(|(user, connections)| (user.clone(), state(connections))).collect()
    }
}

impl Rules {
    /// Returns who must be there.
    pub(crate) fn members(&self, name: &ChannelName) -> Members {
        self.presence.rooms.get(name).map(Room::current).unwrap_or_default()
    }

    /// Returns what a version of a channel's members was, if anybody was told.
    pub(crate) fn shown(&self, name: &ChannelName, version: PresenceVersion) -> Option<&Members> {
        self.presence.shown.get(&(name.clone(), version.run, version.n))
    }

    pub(super) fn begin_presence(&mut self, now: u64) {
        self.presence.advance(now);
    }

    pub(super) fn enter(&mut self, name: &ChannelName, entry: Option<&PresenceEntry>) {
        if let Some(PresenceEntry::Join { session, state }) = entry {
            self.enter_with(name, *session, state.clone());
        }
    }

    fn enter_with(&mut self, name: &ChannelName, session: SessionId, state: Option<Bytes>) {
        if let Some(known) = self.sessions.get(&session) {
            let owner = known.owner().cloned();
            self.presence.enter(name, session, owner, state);
        }
    }

    pub(super) fn act(&mut self, act: &Act) {
        let name = &act.channel.name;
        match &act.act {
            PresenceAct::Read { .. } => {}
            PresenceAct::Enter { session, state } => self.enter_with(name, *session, state.clone()),
            PresenceAct::Leave { session } => self.presence.part(Some(name), *session, Gone::Left),
        }
    }

    /// A connection is gone; how long it counts may not be longer than the rules allow.
    pub(super) fn part(&mut self, session: SessionId, gone: Gone) -> Option<Violation> {
        self.presence.part(None, session, gone);
        let is_long = matches!(gone, Gone::Closed { grace_ms } if grace_ms > GRACE_MS);
        is_long.then(|| Violation::new(13, format!("{session:?} counts for too long: {gone:?}")))
    }

    /// Compares what the engine shows and tells of members with the rules, at the end of a batch.
    pub(super) fn check_presence(&mut self, asked: &[Asked], replies: &[(ShardId, Reply)]) -> Option<Violation> {
        self.presence.sweep();
        let mut broken = First::default();
        for (shard, reply) in replies {
            match reply {
                Reply::Event(Event::Presence { channel, version, count, changes }) => {
                    broken.note(self.presence.event(&channel.name, *version, *count, changes));
                }
                Reply::Completed(ticket, Ok(Completion::Opened(opened))) => {
                    let asked = asked.iter().find(|asked| asked.shard == *shard && asked.ticket == *ticket);
                    if let (Some(Command::Open(open)), Some(view)) = (asked.map(|a| &a.command), &opened.members) {
                        broken.note(self.presence.view(&open.channel.name, view));
                    }
                }
                Reply::Completed(ticket, Ok(Completion::Members(view))) => {
                    let asked = asked.iter().find(|asked| asked.shard == *shard && asked.ticket == *ticket);
                    if let Some(Command::Presence(Act { channel, act: PresenceAct::Read { .. } })) =
                        asked.map(|asked| &asked.command)
                    {
                        broken.note(self.presence.view(&channel.name, view));
                    }
                }
                _ => {}
            }
        }
        broken.into_violation()
    }
}
