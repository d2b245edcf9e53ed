use std::time::Duration;

use moorline_protocol::time::Timestamp;
use moorline_protocol::{
    ChannelName, ChannelRef, ClientFrame, ErrorCode, ErrorFrame, Members, MembersView, PresenceOp, PresenceRequest,
    StatusRequest, Statuses, UserName, Utf8Bytes,
};

use crate::event::{Event, Failure, Origin};
use crate::ids::RequestId;
use crate::inbound::failure;
use crate::outgoing::Outgoing;
use crate::timer::is_due;

/// While online, an answer is awaited for so long.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The server could not say when it can do it.
const RETRY_MS: u32 = 1_000;

/// What the app asked about presence and has no answer to yet, oldest first.
#[derive(Default)]
pub(crate) struct Asks {
    waiting: Vec<Ask>,
}

struct Ask {
    id: RequestId,
    what: What,
    asked: Option<Asked>,
    /// The server could not do it: it is tried again then.
    again: Option<Timestamp>,
}

/// A question on the current connection.
struct Asked {
    req: u64,
    deadline: Timestamp,
}

enum What {
    /// Members of any channel: asked again with each connection.
    Members { channel: ChannelName, cursor: Option<Utf8Bytes> },
    /// Likewise.
    Status { users: Vec<UserName> },
    /// An entry, update or leave. The next `subscribe` of the channel says it as well, so that answers it, too.
    Own { channel: ChannelName },
}

impl Asks {
    pub(crate) fn members(&mut self, id: RequestId, channel: ChannelName, cursor: Option<Utf8Bytes>) {
        self.waiting.push(Ask { id, what: What::Members { channel, cursor }, asked: None, again: None });
    }

    pub(crate) fn status(&mut self, id: RequestId, users: Vec<UserName>) {
        self.waiting.push(Ask { id, what: What::Status { users }, asked: None, again: None });
    }

    /// Notes what this client does itself; `req` if it was sent.
    pub(crate) fn own(&mut self, id: RequestId, channel: ChannelName, req: Option<u64>, now: Timestamp) {
        let asked = req.map(|req| Asked { req, deadline: now + TIMEOUT });
        self.waiting.push(Ask { id, what: What::Own { channel }, asked, again: None });
    }

    /// Sends what can be sent and was not.
    pub(crate) fn send(&mut self, now: Timestamp, out: &mut Outgoing) {
        for ask in self.waiting.iter_mut().filter(|ask| ask.asked.is_none()) {
            let frame = |req| match &ask.what {
                What::Members { channel, cursor } => Some(ClientFrame::Presence(PresenceRequest {
                    req,
                    channel: ChannelRef::Name(channel.clone()),
                    op: PresenceOp::Get,
                    state: None,
                    cursor: cursor.clone(),
                })),
                What::Status { users } => {
                    Some(ClientFrame::Status(StatusRequest { req, users: users.clone(), watch: false }))
                }
                What::Own { .. } => None,
            };
            let req = out.req();
            if let Some(frame) = frame(req) {
                ask.asked = Some(Asked { req, deadline: now + TIMEOUT });
                out.send(&frame);
            }
        }
    }

    pub(crate) fn on_lost(&mut self) {
        for ask in &mut self.waiting {
            (ask.asked, ask.again) = (None, None);
        }
    }

    /// Returns the channels in which this client is to say again whether it is a member: each with a new `req`. Where it
    /// cannot (`is_open`), the next `subscribe` says it.
    pub(crate) fn due_again(
        &mut self,
        is_open: impl Fn(&ChannelName) -> bool,
        now: Timestamp,
        out: &mut Outgoing,
    ) -> Vec<(ChannelName, u64)> {
        let mut due = Vec::new();
        for ask in self.waiting.iter_mut().filter(|ask| is_due(ask.again, now)) {
            ask.again = None;
            if let What::Own { channel } = &ask.what
                && is_open(channel)
            {
                let req = out.req();
                due.push((channel.clone(), req));
                ask.asked = Some(Asked { req, deadline: now + TIMEOUT });
            }
        }
        due
    }

    /// A `subscribe` that said what was done meanwhile is answered.
    pub(crate) fn on_subscribed(&mut self, name: &ChannelName, view: &MembersView, out: &mut Outgoing) {
        // What was refused for the moment on this connection was done after that `subscribe`, which does not say it.
        let is_open = |ask: &Ask| ask.asked.is_none() && ask.again.is_none();
        let is_said = |ask: &Ask| is_open(ask) && matches!(&ask.what, What::Own { channel } if channel == name);
        let said = |ask: &Ask| {
            let view = || MembersView { members: Vec::new(), cursor: None, ..*view };
            is_said(ask).then(|| Event::PresenceFinished { id: ask.id, result: Ok(view()) })
        };
        self.finish(&said, out);
    }

    pub(crate) fn on_members(&mut self, members: Members, out: &mut Outgoing) {
        if let Some(ask) = self.answered(members.req) {
            out.event(Event::PresenceFinished { id: ask.id, result: Ok(members.view) });
        }
    }

    pub(crate) fn on_statuses(&mut self, req: u64, statuses: Statuses, out: &mut Outgoing) {
        if let Some(ask) = self.answered(req) {
            out.event(Event::StatusFinished { id: ask.id, result: Ok(statuses.users) });
        }
    }

    /// Takes an error; tells whether it answers a question of this room. What this client does itself is tried again
    /// if that can help: what it says and what the server has must not differ.
    pub(crate) fn on_error(&mut self, req: u64, error: &ErrorFrame, now: Timestamp, out: &mut Outgoing) -> bool {
        let Some(mut ask) = self.answered(req) else { return false };
        if error.retry && matches!(ask.what, What::Own { .. }) {
            let pause = Duration::from_millis(u64::from(error.after.unwrap_or(RETRY_MS).max(1)));
            (ask.asked, ask.again) = (None, Some(now + pause));
            self.waiting.push(ask);
        } else {
            out.event(ask.failed(failure(error)));
        }
        true
    }

    /// The channel is not read any more: what was to be done in it is not.
    pub(crate) fn end(&mut self, name: &ChannelName, failure: &Failure, out: &mut Outgoing) {
        let is_of = |ask: &Ask| matches!(&ask.what, What::Own { channel } if channel == name);
        self.finish(&|ask| is_of(ask).then(|| ask.failed(failure.clone())), out);
    }

    pub(crate) fn fail_all(&mut self, failure: &Failure, out: &mut Outgoing) {
        self.finish(&|ask| Some(ask.failed(failure.clone())), out);
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.waiting.iter().filter_map(|ask| ask.again.or_else(|| ask.asked.as_ref().map(|asked| asked.deadline))).min()
    }

    pub(crate) fn on_timeout(&mut self, now: Timestamp, out: &mut Outgoing) {
        let late = |ask: &Ask| {
            let text = "the server did not answer within 30 s";
            let is_late = is_due(ask.asked.as_ref().map(|asked| asked.deadline), now);
            is_late.then(|| ask.failed(Failure::new(ErrorCode::RequestTimeout, text, Origin::Transport)))
        };
        self.finish(&late, out);
    }

    /// Ends those for which there is an event.
    fn finish(&mut self, how: &dyn Fn(&Ask) -> Option<Event>, out: &mut Outgoing) {
        self.waiting.retain(|ask| {
            let event = how(ask);
            let is_kept = event.is_none();
            if let Some(event) = event {
                out.event(event);
            }
            is_kept
        });
    }

    fn answered(&mut self, req: u64) -> Option<Ask> {
        let is_answered = |ask: &Ask| ask.asked.as_ref().is_some_and(|asked| asked.req == req);
        Some(self.waiting.remove(self.waiting.iter().position(is_answered)?))
    }
}

impl Ask {
    fn failed(&self, failure: Failure) -> Event {
        let id = self.id;
        match self.what {
            What::Status { .. } => Event::StatusFinished { id, result: Err(failure) },
            What::Members { .. } | What::Own { .. } => Event::PresenceFinished { id, result: Err(failure) },
        }
    }
}
