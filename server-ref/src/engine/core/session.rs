use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{
    AppName, CloseCode, DeviceId, Generation, ProducerGrant, ProducerId, ProducerRequest, ProducerState, Run, UserName,
};

use super::producer::Producer;
use super::store::MessageStore;
use super::{ChannelId, EngineCore, NOTE_EVERY_MS, Revoked, completed};
use crate::engine::record::Record;
use crate::engine::{
    Attach, Attached, Completion, Conflict, EngineError, Event, Gone, Owner, Reply, Revocation, SessionId, ShardId,
    Ticket,
};
use crate::planted::{Bug, Bugs};

/// A connection that another one of its device replaces counts as present for so long, if that one does not enter.
const GRACE_MS: u64 = 15_000;

/// The connections of all shards.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_id: BTreeMap<SessionId, Session>,
    by_owner: BTreeMap<Owner, SessionId>,
    per_user: BTreeMap<(AppName, UserName), u32>,
    per_app: BTreeMap<AppName, u32>,
}

#[derive(Clone, Debug)]
struct Session {
    app: AppName,
    shard: ShardId,
    run: Run,
    owner: Option<Owner>,
    user: Option<(AppName, UserName)>,
    producer: Option<ProducerId>,
    /// Whether its app is in the background.
    parked: bool,
    /// The channels whose cursors it uses.
    reading: BTreeSet<ChannelId>,
}

/// Two connections of a device: who goes.
struct Displacement {
    /// The code the standing one is closed with; `None` if the newcomer is the older one.
    code: Option<CloseCode>,
    /// Whether they are of different processes, or of copies of one store.
    is_between_runs: bool,
}

impl Sessions {
    /// A connection opened a durable subscription: its cursor is in use until the connection ends.
    pub(super) fn reads(&mut self, owner: &Owner, channel: ChannelId) {
        if let Some(session) = self.by_owner.get(owner).and_then(|id| self.by_id.get_mut(id)) {
            session.reading.insert(channel);
        }
    }

    /// Tells whether a connection uses a cursor.
    pub(super) fn is_reading(&self, owner: &Owner, channel: ChannelId) -> bool {
        let session = self.by_owner.get(owner).and_then(|id| self.by_id.get(id));
        session.is_some_and(|session| session.reading.contains(&channel))
    }

    fn remove(&mut self, id: SessionId, bugs: Bugs) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        if let Some(owner) = &session.owner
            && (self.by_owner.get(owner) == Some(&id) || bugs.has(Bug::DetachRemovesNewer))
        {
            self.by_owner.remove(owner);
        }
        if let Some(count) = self.per_app.get_mut(&session.app) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_app.remove(&session.app);
            }
        }
        if let Some(user) = &session.user
            && let Some(count) = self.per_user.get_mut(user)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_user.remove(user);
            }
        }
        Some(session)
    }

    /// Returns the name under which a connection is a member, and its device. An anonymous one stands for itself.
    pub(super) fn member(&self, id: SessionId) -> Option<(UserName, Option<DeviceId>)> {
        let session = self.by_id.get(&id)?;
        let name = match &session.user {
            Some((_, user)) => user.clone(),
            None => UserName::new(&format!("anonymous:{:x}", id.0)).ok()?,
        };
        Some((name, session.owner.as_ref().map(|owner| owner.device.clone())))
    }

    /// A connection goes to the background, or comes back. Returns its user if that changes something.
    pub(super) fn park(&mut self, id: SessionId, parked: bool) -> Option<(AppName, UserName)> {
        let session = self.by_id.get_mut(&id).filter(|session| session.parked != parked)?;
        session.parked = parked;
        session.user.clone()
    }

    /// Returns the users of connections in the foreground, once for each.
    pub(super) fn in_foreground(&self) -> Vec<(AppName, UserName)> {
        let there = self.by_id.values().filter(|session| !session.parked);
        there.filter_map(|session| session.user.clone()).collect()
    }

    /// Returns the connections of a user.
    pub(super) fn of_user(&self, user: &(AppName, UserName)) -> Vec<SessionId> {
        let theirs = self.by_id.iter().filter(|(_, session)| session.user.as_ref() == Some(user));
        if self.has(user) { theirs.map(|(id, _)| *id).collect() } else { Vec::new() }
    }

    pub(super) fn has(&self, user: &(AppName, UserName)) -> bool {
        self.per_user.contains_key(user)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}

impl<S: MessageStore> EngineCore<S> {
    pub(super) fn attach(&mut self, shard: ShardId, ticket: Ticket, attach: Attach, now: UnixMillis) {
        let attached = self.try_attach(shard, attach, now).map(Completion::Attached);
        self.reply(shard, Reply::Completed(ticket, attached));
    }

    fn try_attach(&mut self, shard: ShardId, attach: Attach, now: UnixMillis) -> Result<Attached, EngineError> {
        if self.is_revoked(&attach) {
            return Ok(Attached::Revoked);
        }
        if let Some(ProducerRequest::Resume(id)) = attach.producer {
            self.recall_producer(id, now)?;
        }
        let user = attach.user.clone().map(|user| (attach.app.clone(), user));
        let owner = match (&user, &attach.device) {
            (Some((app, user)), Some(device)) => {
                Some(Owner { app: app.clone(), user: user.clone(), device: device.clone() })
            }
            _ => None,
        };
        let live = owner.as_ref().and_then(|owner| self.sessions.by_owner.get(owner)).copied();
        if let Some((live, owner)) = live.zip(owner.as_ref())
            && let Some(displacement) = self.displacement(live, attach.run)
        {
            let conflict = displacement.is_between_runs.then(|| self.takeovers.count(owner, now)).flatten();
            match displacement.code {
                None => return Ok(Attached::Superseded { conflict }),
                Some(code) => self.displace(live, code, conflict, now),
            }
        }
        let count = user.as_ref().and_then(|user| self.sessions.per_user.get(user)).copied().unwrap_or(0);
        if count >= attach.max_connections {
            return Ok(Attached::TooManyConnections);
        }
        let of_app = self.sessions.per_app.get(&attach.app).copied().unwrap_or(0);
        let most = self.config.apps.of(&attach.app).and_then(|limits| limits.connections);
        if most.is_some_and(|most| of_app >= most) {
            return Ok(Attached::AppIsFull);
        }
        *self.sessions.per_app.entry(attach.app.clone()).or_default() += 1;
        if let Some(user) = &user {
            if count == 0 {
                self.presence.come(user.clone(), now);
                self.hook_user(user, true, now);
            }
            self.come_forward(user.clone(), now);
            *self.sessions.per_user.entry(user.clone()).or_default() += 1;
        }
        if let Some(owner) = &owner {
            self.sessions.by_owner.insert(owner.clone(), attach.session);
        }
        let producer = attach.producer.zip(owner.clone());
        let producer = producer.map(|(request, owner)| self.attach_producer(attach.session, request, owner, now));
        let id = producer.as_ref().map(|producer| producer.id);
        let (app, run, parked, reading) = (attach.app, attach.run, false, BTreeSet::new());
        let session = Session { app, shard, run, owner, user, producer: id, parked, reading };
        self.sessions.by_id.insert(attach.session, session);
        Ok(Attached::Accepted { producer })
    }

    /// Compares a newcomer with the connection that stands.
    fn displacement(&self, live: SessionId, newcomer: Run) -> Option<Displacement> {
        let run = self.sessions.by_id.get(&live)?.run;
        if self.config.bugs.has(Bug::DisplaceByArrival) {
            return Some(Displacement { code: Some(CloseCode::DISPLACED), is_between_runs: true });
        }
        let is_between_runs = newcomer.boot != run.boot || newcomer == run;
        let is_older = newcomer < run || newcomer == run && self.config.bugs.has(Bug::EqualRunLoses);
        let code = match (is_older, is_between_runs) {
            (true, _) => None,
            (false, false) => Some(CloseCode::GOING_AWAY),
            (false, true) => Some(CloseCode::DISPLACED),
        };
        Some(Displacement { code, is_between_runs })
    }

    pub(super) fn displace(
        &mut self,
        session: SessionId,
        code: CloseCode,
        conflict: Option<Conflict>,
        now: UnixMillis,
    ) {
        let shard = self.sessions.by_id.get(&session).map(|session| session.shard);
        if !self.config.bugs.has(Bug::DetachRemovesNewer) {
            self.detach(session, Gone::Closed { grace_ms: GRACE_MS }, now);
        }
        if let Some(shard) = shard {
            self.reply(shard, Reply::Event(Event::Displaced { session, code, conflict }));
        }
    }

    fn attach_producer(
        &mut self,
        session: SessionId,
        request: ProducerRequest,
        owner: Owner,
        now: UnixMillis,
    ) -> ProducerGrant {
        let generation = self.next_generation();
        let known = match request {
            ProducerRequest::Resume(id) => {
                let any = self.config.bugs.has(Bug::ProducerOfAnyDevice);
                self.producers.get_mut(&id).filter(|p| p.owner == owner || any).map(|p| (id, p))
            }
            ProducerRequest::New => None,
        };
        if let Some((id, producer)) = known {
            producer.generation = generation;
            producer.session = Some(session);
            self.use_producer(id, now);
            return ProducerGrant { id, generation, state: ProducerState::Resumed };
        }
        let state = match request {
            ProducerRequest::New => ProducerState::New,
            ProducerRequest::Resume(_) => ProducerState::Expired,
        };
        let id = self.new_producer_id(&owner, generation);
        self.records.push(Record::Producer { id, owner: owner.clone(), generation, used: now });
        let mut producer = Producer::new(owner, generation, now);
        self.residency.change_producer(&mut producer.mark);
        producer.session = Some(session);
        self.producers.insert(id, producer);
        ProducerGrant { id, generation, state }
    }

    /// A producer is in use, and so are its channels; from time to time that is written down.
    pub(super) fn use_producer(&mut self, id: ProducerId, now: UnixMillis) {
        self.use_channels_of(id, now);
        let Some(producer) = self.producers.get_mut(&id) else { return };
        producer.used = now;
        self.residency.change_producer(&mut producer.mark);
        if now.saturating_sub(producer.noted) >= NOTE_EVERY_MS {
            producer.noted = now;
            let (owner, generation) = (producer.owner.clone(), producer.generation);
            self.records.push(Record::Producer { id, owner, generation, used: now });
        }
    }

    /// No channel is forgotten before a producer that writes to it.
    pub(super) fn use_channels_of(&mut self, id: ProducerId, now: UnixMillis) {
        let producer = self.producers.get(&id);
        let channels: Vec<ChannelId> = producer.into_iter().flat_map(Producer::tracks).map(|(id, _)| id).collect();
        for channel in channels {
            self.refer(channel, now);
            self.use_channel(channel, now);
        }
    }

    /// Generations grow over all starts: (start counter << 20) + attachments of this start.
    fn next_generation(&mut self) -> Generation {
        self.attaches += 1;
        if self.attaches >= 1 << 20 {
            self.attaches = 1;
            self.starts += 1;
            self.records.push(Record::Start { counter: self.starts });
        }
        (self.starts << 20) + self.attaches
    }

    /// Makes an id that this store has never given: a hash of store, owner and generation.
    fn new_producer_id(&self, owner: &Owner, generation: Generation) -> ProducerId {
        let mut hash = xxhash_rust::xxh3::Xxh3::with_seed(self.config.salt);
        hash.update(&generation.to_le_bytes());
        for part in [self.config.store_id.as_str(), owner.app.as_str(), owner.user.as_str(), owner.device.as_str()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let mut id = ProducerId(hash.digest128());
        while self.producers.contains_key(&id) {
            id = ProducerId(id.0.wrapping_add(1));
        }
        id
    }

    pub(super) fn detach(&mut self, session: SessionId, how: Gone, now: UnixMillis) {
        let Some(gone) = self.sessions.remove(session, self.config.bugs) else { return };
        self.presence.part(session, how, now, self.config.bugs);
        if let Some(user) = gone.user.as_ref().filter(|_| !gone.parked) {
            self.go_back(user, now);
        }
        if let Some(user) = gone.user.filter(|user| !self.sessions.has(user)) {
            self.presence.go(&user);
            self.hook_user(&user, false, now);
        }
        if let Some(id) = gone.producer
            && let Some(producer) = self.producers.get_mut(&id)
            && producer.session == Some(session)
        {
            producer.session = None;
            self.use_producer(id, now);
        }
        if let Some(owner) = gone.owner {
            let reading: Vec<ChannelId> = gone.reading.into_iter().collect();
            self.hook_unread(&owner, &reading, how, now);
            for channel in reading {
                self.touch_cursor(&owner, channel, now);
            }
        }
    }

    fn is_revoked(&self, attach: &Attach) -> bool {
        let find = |is_user, name: &Arc<str>| self.revoked.get(&(attach.app.clone(), is_user, Arc::clone(name)));
        let token = attach.token_id.as_ref().is_some_and(|jti| find(false, jti).is_some());
        let user = attach.user.as_ref().and_then(|user| find(true, &Arc::from(user.as_str())));
        token || user.is_some_and(|revoked| attach.token_issued.unwrap_or(0) < revoked.issued_before)
    }

    pub(super) fn revoke(&mut self, shard: ShardId, ticket: Ticket, revocation: Revocation, now: UnixMillis) {
        self.apply_revocation(&revocation, now);
        let revoked = revocation.clone();
        for shard in self.shards.clone() {
            self.reply(shard, Reply::Event(Event::Revoked(revocation.clone())));
        }
        if !self.config.bugs.has(Bug::RevocationUnwritten) {
            self.records.push(Record::Revoke { revocation, time: now });
        }
        if let Revocation::User { app, user, .. } = &revoked {
            self.forget_push(app, user);
        }
        self.reply(shard, completed(ticket, Completion::Revoked));
    }

    /// A shard hears of everything that is revoked before anything else.
    pub(super) fn tell_revocations(&mut self, shard: ShardId) {
        let known = self.revoked.iter().filter_map(|((app, is_user, name), revoked)| {
            let (app, issued_before) = (app.clone(), revoked.issued_before);
            Some(if *is_user {
                Revocation::User { app, user: UserName::new(name).ok()?, issued_before }
            } else {
                Revocation::Token { app, jti: Arc::clone(name) }
            })
        });
        for revocation in known.collect::<Vec<_>>() {
            self.reply(shard, Reply::Event(Event::Revoked(revocation)));
        }
    }

    pub(super) fn apply_revocation(&mut self, revocation: &Revocation, time: UnixMillis) {
        let (key, moment) = match revocation {
            Revocation::Token { app, jti } => ((app.clone(), false, Arc::clone(jti)), 0),
            Revocation::User { app, user, issued_before } => {
                ((app.clone(), true, Arc::from(user.as_str())), *issued_before)
            }
        };
        let revoked = self.revoked.entry(key).or_insert(Revoked { issued_before: moment, time });
        revoked.issued_before = revoked.issued_before.max(moment);
        revoked.time = revoked.time.max(time);
    }
}
