use std::sync::Arc;
use std::time::Duration;

use moorline_protocol::time::{Now, Timestamp, UnixMillis};
use moorline_protocol::{
    Bytes, ChannelRef, ClientFrame, ErrorFrame, MembersView, PresenceEvents, PresenceMode, PresenceOp, PresenceRequest,
};

use super::view::{Step, View};
use crate::event::Event;
use crate::ids::SubscriptionId;
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};

/// A new snapshot is awaited for so long, then asked for again.
const PATIENCE: Duration = Duration::from_secs(30);
/// The server could not say when it can give one.
const RETRY_MS: u32 = 1_000;

/// A channel's members, and whether this client is one.
pub(crate) struct Room {
    watches: bool,
    /// While this client is a member: its last state, which it enters with again.
    own: Option<Own>,
    view: View,
    repair: Option<Repair>,
    bugs: Bugs,
}

struct Own {
    state: Option<Bytes>,
}

/// How a hole is filled.
enum Repair {
    /// `presence` is sent.
    Asked { req: u64, deadline: Timestamp },
    /// The server could not answer: it is sent then.
    Later(Timestamp),
}

impl Room {
    pub(crate) fn new(mode: PresenceMode, state: Option<Bytes>, bugs: Bugs) -> Self {
        let own = (mode == PresenceMode::Join).then_some(Own { state });
        Self { watches: mode != PresenceMode::None, own, view: View::default(), repair: None, bugs }
    }

    pub(crate) fn is_watching(&self) -> bool {
        self.watches
    }

    pub(crate) fn is_member(&self) -> bool {
        self.own.is_some()
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Returns what a `subscribe` says: a member enters again, with its last state.
    pub(crate) fn mode(&self) -> (PresenceMode, Option<Bytes>) {
        let is_again = self.view.is_known();
        match &self.own {
            Some(_) if is_again && self.bugs.has(Bug::ReentryForgotten) => (PresenceMode::Watch, None),
            Some(_) if is_again && self.bugs.has(Bug::ReentryWithoutState) => (PresenceMode::Join, None),
            Some(own) => (PresenceMode::Join, own.state.clone()),
            None if self.watches => (PresenceMode::Watch, None),
            None => (PresenceMode::None, None),
        }
    }

    /// Returns what makes the server's idea of this client the client's own.
    pub(crate) fn act(&self) -> (PresenceOp, Option<Bytes>) {
        match &self.own {
            Some(own) => (PresenceOp::Enter, own.state.clone()),
            None => (PresenceOp::Leave, None),
        }
    }

    /// Tells whether a further reader's wishes are those that stand.
    pub(crate) fn accepts(&self, mode: PresenceMode, state: Option<&Bytes>) -> bool {
        let stands = match (self.watches, &self.own) {
            (_, Some(_)) => PresenceMode::Join,
            (true, None) => PresenceMode::Watch,
            (false, None) => PresenceMode::None,
        };
        mode == stands
            && state.is_none_or(|state| self.own.as_ref().is_some_and(|own| own.state.as_ref() == Some(state)))
    }

    /// This client becomes a member, changes its state, or stops being one.
    pub(crate) fn set_own(&mut self, op: PresenceOp, state: Option<Bytes>) {
        match op {
            PresenceOp::Enter | PresenceOp::Update => self.own = Some(Own { state }),
            PresenceOp::Leave => self.own = None,
            PresenceOp::Get => {}
        }
    }

    /// The subscription stands; the members came with it.
    pub(crate) fn on_view(&mut self, view: MembersView, readers: &Arc<[SubscriptionId]>, out: &mut Outgoing) {
        let changes = self.view.adopt(view);
        self.tell(readers, true, changes, out);
    }

    /// Members changed.
    pub(crate) fn on_events(
        &mut self,
        frame: PresenceEvents,
        channel: ChannelRef,
        readers: &Arc<[SubscriptionId]>,
        now: (Timestamp, UnixMillis),
        out: &mut Outgoing,
    ) {
        if !self.watches {
            return;
        }
        match self.view.take(frame, now.1, self.bugs) {
            Step::Taken(changes) => self.tell(readers, false, changes, out),
            // A snapshot that is on its way knows of this.
            Step::Hole if self.repair.is_some() => {}
            Step::Hole => self.fetch(channel, now.0, out),
        }
    }

    fn fetch(&mut self, channel: ChannelRef, now: Timestamp, out: &mut Outgoing) {
        let req = out.req();
        self.repair = Some(Repair::Asked { req, deadline: now + PATIENCE });
        out.send(&ClientFrame::Presence(PresenceRequest {
            req,
            channel,
            op: PresenceOp::Get,
            state: None,
            cursor: None,
        }));
    }

    /// Tells whether this is the answer to the room's own question.
    pub(crate) fn is_repairing(&self, answered: u64) -> bool {
        matches!(self.repair, Some(Repair::Asked { req, .. }) if req == answered)
    }

    pub(crate) fn on_repair(&mut self, view: MembersView, readers: &Arc<[SubscriptionId]>, out: &mut Outgoing) {
        self.repair = None;
        self.on_view(view, readers, out);
    }

    /// There is no snapshot now; without a chance of one, the next change shows the hole again.
    pub(crate) fn on_error(&mut self, error: &ErrorFrame, now: Timestamp) {
        let pause = Duration::from_millis(u64::from(error.after.unwrap_or(RETRY_MS).max(1)));
        self.repair = error.retry.then_some(Repair::Later(now + pause));
    }

    pub(crate) fn on_lost(&mut self) {
        self.repair = None;
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        match self.repair {
            Some(Repair::Asked { deadline, .. }) => Some(deadline),
            Some(Repair::Later(at)) => Some(at),
            None => None,
        }
    }

    pub(crate) fn on_timeout(&mut self, channel: Option<ChannelRef>, now: Timestamp, out: &mut Outgoing) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match channel {
            Some(channel) => self.fetch(channel, now, out),
            None => self.repair = None,
        }
    }

    fn tell(
        &self,
        readers: &Arc<[SubscriptionId]>,
        is_snapshot: bool,
        changes: Vec<moorline_protocol::PresenceChange>,
        out: &mut Outgoing,
    ) {
        out.event(Event::PresenceChanged {
            readers: Arc::clone(readers),
            count: self.view.count(),
            is_listed: self.view.list().is_some(),
            is_snapshot,
            changes: changes.into(),
        });
    }
}

/// Both clocks, as far as a room needs them.
pub(crate) fn clocks(now: Now) -> (Timestamp, UnixMillis) {
    (now.mono, now.unix)
}
