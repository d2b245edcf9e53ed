use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use moorline_protocol::limits::{PRESENCE_LISTED, PRESENCE_LISTED_AGAIN};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{
    DeviceId, Member, MembersView, PresenceChange, PresenceChangeKind, PresenceVersion, UserName, Utf8Bytes,
};

use super::BATCH_MS;
use crate::engine::{Gone, SessionId, ShardId};
use crate::planted::{Bug, Bugs};

/// After a timeout a member's return is told as one for so long.
const RETURN_MS: u64 = 15_000;

/// Changes in one batch. More of them than this come only where a crowd left at once, of which nobody has a list that they
/// could be applied to: those that are told say that there is one again.
const MOST_CHANGES: usize = 2 * PRESENCE_LISTED;

/// The members of one channel. Times are those of the timeline, but for `since`.
#[derive(Debug)]
pub(super) struct Room {
    members: BTreeMap<UserName, Present>,
    pub(super) watchers: Vec<ShardId>,
    /// The state that was told last.
    n: u64,
    count: u64,
    /// Whether members are listed, or only counted.
    is_listed: bool,
    told_at: Option<u64>,
    /// The first members as they were told, once somebody has looked: the same for all who come in one batch.
    first: Option<MembersView>,
    /// What is to be told.
    changes: BTreeMap<UserName, Change>,
    /// Connections that closed, and until when they count.
    closed: BTreeSet<(u64, UserName, SessionId)>,
    /// Until when the return of members that timed out is told as one.
    returns: BTreeMap<UserName, u64>,
    ends: BTreeSet<(u64, UserName)>,
}

/// A member, and the connections that make it one: at least one.
#[derive(Debug)]
struct Present {
    since: UnixMillis,
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    session: SessionId,
    device: Option<DeviceId>,
    state: Option<Bytes>,
    /// Grows with each entry and update in the room: the highest has the state.
    order: u64,
    /// Once it has closed: until when it counts.
    until: Option<u64>,
}

/// A member as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    state: Option<Bytes>,
    since: UnixMillis,
}

#[derive(Debug)]
struct Change {
    /// What was told last.
    before: Option<Shown>,
    /// How it came, and how it went, if it did.
    came: PresenceChangeKind,
    went: PresenceChangeKind,
}

/// A connection that enters.
pub(super) struct Entrant {
    pub(super) user: UserName,
    pub(super) session: SessionId,
    pub(super) device: Option<DeviceId>,
    pub(super) state: Option<Bytes>,
    pub(super) order: u64,
}

/// What watchers are told.
pub(super) struct Batch {
    pub(super) n: u64,
    pub(super) count: u64,
    pub(super) changes: Vec<PresenceChange>,
}

impl Present {
    fn shown(&self) -> Shown {
        let newest = self.connections.iter().max_by_key(|connection| connection.order);
        Shown { state: newest.and_then(|connection| connection.state.clone()), since: self.since }
    }
}

impl Room {
    /// Makes an empty room whose versions begin after `n`.
    pub(super) fn new(n: u64) -> Self {
        Self {
            members: BTreeMap::new(),
            watchers: Vec::new(),
            n,
            count: 0,
            is_listed: true,
            told_at: None,
            first: None,
            changes: BTreeMap::new(),
            closed: BTreeSet::new(),
            returns: BTreeMap::new(),
            ends: BTreeSet::new(),
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.n
    }

    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    /// Tells whether nobody is here, nobody looks, and nothing is to be told.
    pub(super) fn is_over(&self) -> bool {
        self.members.is_empty() && self.watchers.is_empty() && self.changes.is_empty() && self.returns.is_empty()
    }

    /// Returns when there is something to do.
    pub(super) fn due(&self) -> Option<u64> {
        let told = (!self.changes.is_empty()).then(|| self.told_at.map_or(0, |at| at + BATCH_MS));
        let closed = self.closed.first().map(|(at, ..)| *at);
        let ends = self.ends.first().map(|(at, _)| *at);
        told.into_iter().chain(closed).chain(ends).min()
    }

    /// A connection becomes a member, or changes its state.
    pub(super) fn enter(&mut self, entrant: Entrant, now: UnixMillis, time: u64, bugs: Bugs) {
        let Entrant { user, session, device, state, order } = entrant;
        let before = self.shown(&user);
        let returns = self.returns.remove(&user);
        if let Some(at) = returns {
            self.ends.remove(&(at, user.clone()));
        }
        let is_back = returns.is_some_and(|at| at > time) && !bugs.has(Bug::BackIsJoin);
        let came = if is_back { PresenceChangeKind::Back } else { PresenceChangeKind::Join };
        let present =
            self.members.entry(user.clone()).or_insert_with(|| Present { since: now, connections: Vec::new() });
        // A device has one connection: its older one is gone, whether that was noticed or not.
        let of_device = |other: &Connection| device.is_some() && other.device == device;
        let same = present.connections.iter_mut().find(|other| other.session == session || of_device(other));
        match same {
            Some(connection) => {
                if let Some(until) = connection.until.take() {
                    self.closed.remove(&(until, user.clone(), connection.session));
                }
                // Who only comes back has changed nothing.
                let comes_back = connection.session != session && connection.state == state;
                if !comes_back {
                    connection.order = order;
                }
                (connection.session, connection.state) = (session, state);
            }
            None => present.connections.push(Connection { session, device, state, order, until: None }),
        }
        let came = before.is_none().then_some(came);
        self.note(user, before, came, None);
    }

    /// A connection is gone from the room, or will be.
    pub(super) fn part(&mut self, user: &UserName, session: SessionId, gone: Gone, time: u64, bugs: Bugs) {
        let before = self.shown(user);
        let Some(present) = self.members.get_mut(user) else { return };
        let Some(connection) = present.connections.iter_mut().find(|other| other.session == session) else { return };
        match gone {
            Gone::Closed { .. } if connection.until.is_some() || bugs.has(Bug::GhostStays) => {}
            Gone::Closed { grace_ms } if !bugs.has(Bug::PresenceGraceIgnored) => {
                let until = time + grace_ms;
                connection.until = Some(until);
                self.closed.insert((until, user.clone(), session));
            }
            _ if bugs.has(Bug::PartRemovesMember) => {
                present.connections.retain(|other| other.session == session);
                self.remove(user, session, before, PresenceChangeKind::Leave);
            }
            Gone::Closed { .. } | Gone::Left => self.remove(user, session, before, PresenceChangeKind::Leave),
            Gone::Silent => {
                self.remove(user, session, before, PresenceChangeKind::Timeout);
                if !self.members.contains_key(user) {
                    let until = time + RETURN_MS;
                    self.returns.insert(user.clone(), until);
                    self.ends.insert((until, user.clone()));
                }
            }
        }
    }

    fn remove(&mut self, user: &UserName, session: SessionId, before: Option<Shown>, went: PresenceChangeKind) {
        let Some(present) = self.members.get_mut(user) else { return };
        let until = present.connections.iter().find(|other| other.session == session).and_then(|other| other.until);
        if let Some(until) = until {
            self.closed.remove(&(until, user.clone(), session));
        }
        present.connections.retain(|other| other.session != session);
        if present.connections.is_empty() {
            self.members.remove(user);
        }
        self.note(user.clone(), before, None, Some(went));
    }

    /// Removes whose time is up.
    pub(super) fn sweep(&mut self, time: u64) {
        while let Some((_, user, session)) = self.closed.first().filter(|(at, ..)| *at <= time).cloned() {
            self.closed.pop_first();
            let before = self.shown(&user);
            self.remove(&user, session, before, PresenceChangeKind::Leave);
        }
        while let Some((_, user)) = self.ends.first().filter(|(at, _)| *at <= time).cloned() {
            self.ends.pop_first();
            self.returns.remove(&user);
        }
    }

    fn shown(&self, user: &UserName) -> Option<Shown> {
        self.members.get(user).map(Present::shown)
    }

    /// Notes what became of a member, for the next batch; what came to nothing is not told.
    fn note(
        &mut self,
        user: UserName,
        before: Option<Shown>,
        came: Option<PresenceChangeKind>,
        went: Option<PresenceChangeKind>,
    ) {
        let after = self.shown(&user);
        let fresh = || Change { before, came: PresenceChangeKind::Join, went: PresenceChangeKind::Leave };
        let change = self.changes.entry(user.clone()).or_insert_with(fresh);
        if let Some(came) = came {
            change.came = came;
        }
        if let Some(went) = went {
            change.went = went;
        }
        let is_same = match (&change.before, &after) {
            (Some(before), Some(after)) => before.state == after.state,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if is_same {
            self.changes.remove(&user);
        }
    }

    /// Makes a batch of what is to be told, if it is time.
    pub(super) fn tell(&mut self, time: u64) -> Option<Batch> {
        if self.changes.is_empty() || self.told_at.is_some_and(|at| at + BATCH_MS > time) {
            return None;
        }
        (self.told_at, self.first) = (Some(time), None);
        self.n += 1;
        self.count = self.members.len() as u64;
        let most = if self.is_listed { PRESENCE_LISTED } else { PRESENCE_LISTED_AGAIN };
        self.is_listed = self.members.len() <= most;
        let changes = std::mem::take(&mut self.changes);
        let listed = changes.into_iter().filter(|_| self.is_listed).take(MOST_CHANGES);
        let changes = listed.map(|(user, change)| {
            let after = self.shown(&user);
            let event = match (change.before, &after) {
                (None, _) => change.came,
                (Some(_), Some(_)) => PresenceChangeKind::Update,
                (Some(_), None) => change.went,
            };
            PresenceChange { event, user, state: after.and_then(|shown| shown.state) }
        });
        Some(Batch { n: self.n, count: self.count, changes: changes.collect() })
    }

    /// Returns the members as they were told last: all of them, or above the limit the number alone.
    pub(super) fn view(&mut self, run: u64) -> MembersView {
        if self.is_listed {
            return self.page(run, None);
        }
        MembersView { cursor: Some(Utf8Bytes::from_static("")), ..self.head(run) }
    }

    /// Returns the version and the number that were told last.
    pub(super) fn head(&self, run: u64) -> MembersView {
        let version = PresenceVersion { run, n: self.n };
        MembersView { version, count: self.count, members: Vec::new(), cursor: None }
    }

    /// Returns the members that come after this one, as they were told last; with a cursor if there are more.
    pub(super) fn page(&mut self, run: u64, after: Option<&UserName>) -> MembersView {
        if after.is_some() {
            return self.page_as_told(run, after);
        }
        if self.first.is_none() {
            self.first = Some(self.page_as_told(run, None));
        }
        self.first.clone().unwrap_or_else(|| self.head(run))
    }

    fn page_as_told(&self, run: u64, after: Option<&UserName>) -> MembersView {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (from, Bound::Unbounded);
        let most = PRESENCE_LISTED + 1;
        let member =
            |user: &UserName, shown: Shown| Member { user: user.clone(), state: shown.state, since: shown.since };
        let as_told = self.members.range::<UserName, _>(range).filter(|(user, _)| !self.changes.contains_key(*user));
        let mut members: Vec<Member> =
            as_told.take(most).map(|(user, present)| member(user, present.shown())).collect();
        let changed = self.changes.range::<UserName, _>(range);
        let before = changed.filter_map(|(user, change)| Some(member(user, change.before.clone()?)));
        members.extend(before.take(most));
        members.sort_unstable_by(|a, b| a.user.cmp(&b.user));
        let is_more = members.len() > PRESENCE_LISTED;
        members.truncate(PRESENCE_LISTED);
        let last = members.last().filter(|_| is_more);
        let cursor = last.map(|member| Utf8Bytes::from(member.user.as_str()));
        MembersView { members, cursor, ..self.head(run) }
    }
}
