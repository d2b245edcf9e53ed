use std::collections::BTreeMap;

use moorline_core::protocol::{CloseCode, ProducerGrant, ProducerId, ProducerRequest, ProducerState, Run};
use moorline_server::engine::{Attach, Attached, Event, Gone, Owner, Reply, SessionId, ShardId};

use super::{Producer, Rules};
use crate::model::Violation;

/// A connection that stands.
pub(super) struct Session {
    owner: Option<Owner>,
    run: Run,
    producer: Option<ProducerId>,
}

impl Session {
    pub(super) fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }
}

/// Who is told to be displaced in a batch, and with what.
pub(super) type Displaced = BTreeMap<SessionId, CloseCode>;

/// Returns who is displaced in a batch.
pub(super) fn displaced(replies: &[(ShardId, Reply)]) -> Displaced {
    let told = replies.iter().filter_map(|(_, reply)| match reply {
        Reply::Event(Event::Displaced { session, code, .. }) => Some((*session, *code)),
        Reply::Event(_) | Reply::Completed(..) => None,
    });
    told.collect()
}

impl Rules {
    pub(super) fn attach(
        &mut self,
        attach: &Attach,
        attached: &Attached,
        displaced: &mut Displaced,
    ) -> Option<Violation> {
        let session = attach.session;
        if attach.user.as_ref().is_some_and(|user| self.revoked.contains(user)) {
            let what = || Violation::new(14, format!("{session:?} of a revoked user is answered {attached:?}"));
            return (*attached != Attached::Revoked).then(what);
        }
        let owner = attach.user.clone().zip(attach.device.clone());
        let owner = owner.map(|(user, device)| Owner { app: attach.app.clone(), user, device });
        let standing = self.sessions.iter().find(|(_, standing)| owner.is_some() && standing.owner == owner);
        let standing = standing.map(|(id, standing)| (*id, standing.run));
        let is_older = standing.is_some_and(|(_, run)| attach.run < run);
        let producer = match attached {
            Attached::Superseded { .. } if is_older => return None,
            Attached::Accepted { producer } if !is_older => producer,
            Attached::Accepted { .. }
            | Attached::Superseded { .. }
            | Attached::TooManyConnections
            | Attached::AppIsFull
            | Attached::Revoked => {
                let what = format!("{session:?} with {:?} is answered {attached:?}; {standing:?} stands", attach.run);
                return Some(Violation::new(10, what));
            }
        };
        let mut broken = None;
        if let Some((standing, run)) = standing {
            let again = attach.run > run && attach.run.boot == run.boot;
            let code = if again { CloseCode::GOING_AWAY } else { CloseCode::DISPLACED };
            let told = displaced.remove(&standing);
            if told != Some(code) {
                broken = Some(Violation::new(10, format!("{standing:?} must go with {code:?} and is told {told:?}")));
            }
            self.detach(standing);
            let found = self.part(standing, Gone::Closed { grace_ms: 15_000 });
            broken = broken.or(found);
        }
        let id = producer.as_ref().map(|producer| producer.id);
        self.sessions.insert(session, Session { owner: owner.clone(), run: attach.run, producer: id });
        if let (Some(owner), Some(request), Some(grant)) = (owner, attach.producer, producer) {
            let found = self.attach_producer(session, owner, request, grant);
            broken = broken.or(found);
        }
        broken
    }

    fn attach_producer(
        &mut self,
        session: SessionId,
        owner: Owner,
        request: ProducerRequest,
        grant: &ProducerGrant,
    ) -> Option<Violation> {
        let known = match request {
            ProducerRequest::Resume(id) => self.producers.get(&id).filter(|known| known.owner == owner).map(|_| id),
            ProducerRequest::New => None,
        };
        let state = match (request, known) {
            (_, Some(_)) => ProducerState::Resumed,
            (ProducerRequest::New, None) => ProducerState::New,
            (ProducerRequest::Resume(_), None) => ProducerState::Expired,
        };
        if grant.state != state || known.is_some_and(|known| known != grant.id) {
            return Some(Violation::new(11, format!("{request:?} of {session:?}: {grant:?}; the rules say {state:?}")));
        }
        let fresh = known.is_none();
        let producer = self.producers.entry(grant.id).or_insert_with(|| Producer::new(owner, 0));
        producer.attached = Some(session);
        let before = std::mem::replace(&mut producer.generation, grant.generation);
        let grows = fresh || grant.generation > before;
        (!grows).then(|| Violation::new(10, format!("{grant:?}: its generation was {before} before")))
    }

    pub(super) fn detach(&mut self, session: SessionId) {
        let Some(gone) = self.sessions.remove(&session) else { return };
        if let Some(producer) = gone.producer.and_then(|id| self.producers.get_mut(&id)) {
            producer.attached = producer.attached.filter(|attached| *attached != session);
        }
    }
}
