//! Presence in the channels that are read.

use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{
    Bytes, ChannelName, ClientFrame, ErrorCode, ErrorFrame, Members, PresenceEvents, PresenceOp, PresenceRequest,
};

use super::Subscriptions;
use super::channel::Channel;
use crate::ids::RequestId;
use crate::outgoing::Outgoing;
use crate::presence::{Room, clocks};

impl Subscriptions {
    pub(crate) fn room(&self, name: &ChannelName) -> Option<&Room> {
        Some(&self.channels.get(self.find(name).ok()?)?.room)
    }

    /// This client becomes a member, changes its state, or stops being one.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub(crate) fn act(
        &mut self,
        id: RequestId,
        name: &ChannelName,
        op: PresenceOp,
        state: Option<Bytes>,
        now: Timestamp,
        out: &mut Outgoing,
    ) -> Result<(), (ErrorCode, &'static str)> {
        let index = self.find(name).ok();
        let channel = index.and_then(|index| self.channels.get_mut(index)).filter(|channel| channel.room.is_watching());
        let Some(channel) = channel else {
            return Err((ErrorCode::ChannelNotSubscribed, "read the channel with presence first"));
        };
        if op == PresenceOp::Update && !channel.room.is_member() {
            return Err((ErrorCode::RequestOrder, "only a member has a state; enter first"));
        }
        channel.room.set_own(op, state.clone());
        let req = channel.reference().map(|reference| {
            let req = out.req();
            out.send(&ClientFrame::Presence(PresenceRequest { req, channel: reference, op, state, cursor: None }));
            req
        });
        self.asks.own(id, name.clone(), req, now);
        Ok(())
    }

    /// Says goodbye wherever this client is a member: it leaves at once, not after a grace.
    pub(crate) fn leave_all(&self, out: &mut Outgoing) {
        for channel in self.channels.iter().filter(|channel| channel.room.is_member()) {
            if let Some(reference) = channel.reference() {
                let (req, op) = (out.req(), PresenceOp::Leave);
                let leave = PresenceRequest { req, channel: reference, op, state: None, cursor: None };
                out.send(&ClientFrame::Presence(leave));
            }
        }
    }

    /// Says again whether this client is a member, where the server could not take it.
    pub(crate) fn act_again(&mut self, now: Timestamp, out: &mut Outgoing) {
        let channels = &self.channels;
        let is_open =
            |name: &ChannelName| channels.iter().any(|channel| channel.name == *name && channel.reference().is_some());
        for (name, req) in self.asks.due_again(is_open, now, out) {
            let Some(channel) = self.find(&name).ok().and_then(|index| self.channels.get(index)) else { continue };
            if let Some(reference) = channel.reference() {
                let (op, state) = channel.room.act();
                out.send(&ClientFrame::Presence(PresenceRequest { req, channel: reference, op, state, cursor: None }));
            }
        }
    }

    pub(crate) fn on_presence(&mut self, events: PresenceEvents, now: Now, out: &mut Outgoing) {
        let Some(channel) = self.joined(&events.channel) else { return };
        let Some(reference) = channel.reference() else { return };
        channel.room.on_events(events, reference, &channel.reader_ids, clocks(now), out);
    }

    pub(crate) fn on_members(&mut self, members: Members, out: &mut Outgoing) {
        match self.repairing(members.req) {
            Some(channel) => channel.room.on_repair(members.view, &channel.reader_ids, out),
            None => self.asks.on_members(members, out),
        }
    }

    /// Takes an error; tells whether it answers a question about presence.
    pub(crate) fn on_presence_error(
        &mut self,
        req: u64,
        error: &ErrorFrame,
        now: Timestamp,
        out: &mut Outgoing,
    ) -> bool {
        match self.repairing(req) {
            Some(channel) => channel.room.on_error(error, now),
            None => return self.asks.on_error(req, error, now, out),
        }
        true
    }

    fn repairing(&mut self, req: u64) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.room.is_repairing(req))
    }
}
