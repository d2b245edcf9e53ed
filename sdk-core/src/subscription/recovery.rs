//! How a subscription begins, begins again, and ends.

use moorline_protocol::time::Timestamp;
use moorline_protocol::{
    ErrorCode, ErrorFrame, Position, Qos, Reset, ResetReason, Since, Start, Subscribed, Unsubscribed,
};

use super::Subscriptions;
use super::channel::{Channel, Continuity, Joined, State};
use super::delivery::Flow;
use crate::event::{Event, Failure, Origin};
use crate::inbound::failure;
use crate::inflate::Recent;
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};

impl Subscriptions {
    pub(crate) fn on_subscribed(&mut self, subscribed: Subscribed, out: &mut Outgoing) -> Result<(), &'static str> {
        let bugs = self.bugs;
        let Some(channel) = self.channels.iter_mut().find(|channel| channel.is_joining(subscribed.req)) else {
            return Ok(());
        };
        let members = subscribed.members.clone();
        let recent = self.packing.recent(channel.options.qos);
        channel.on_subscribed(subscribed, recent, bugs, out)?;
        if let Some(view) = members.filter(|_| channel.room.is_watching()) {
            self.asks.on_subscribed(&channel.name, &view, out);
            channel.room.on_view(view, &channel.reader_ids, out);
        }
        self.reindex();
        Ok(())
    }

    /// Takes an error; tells whether it answers a request of this room.
    pub(crate) fn on_error(&mut self, req: u64, error: &ErrorFrame, now: Timestamp, out: &mut Outgoing) -> bool {
        let Some(index) = self.channels.iter().position(|channel| channel.is_joining(req)) else {
            // A refusal for the moment is asked again with the next connection.
            return !error.retry && self.on_forgotten(req, out);
        };
        if error.retry && !self.bugs.has(Bug::RefusedSubscribeEnds) {
            if let Some(channel) = self.channels.get_mut(index)
                && let State::Joining { tries, .. } = channel.state
            {
                channel.on_refused(tries, error.after, now);
            }
        } else {
            self.end(index, failure(error), out);
        }
        true
    }

    pub(crate) fn on_unsubscribed(&mut self, unsubscribed: Unsubscribed, out: &mut Outgoing) {
        if let Some(req) = unsubscribed.req {
            self.on_forgotten(req, out);
            return;
        }
        let ended = |channel: &Channel| channel.is_joined() && channel.canonical == unsubscribed.channel;
        let Some(index) = self.channels.iter().position(ended) else { return };
        let code = unsubscribed.code.unwrap_or(ErrorCode::ChannelDenied);
        let message = code.meaning();
        self.end(index, Failure::new(code, message, Origin::Server), out);
    }

    pub(crate) fn on_reset(&mut self, reset: Reset, out: &mut Outgoing) {
        let bugs = self.bugs;
        let Some(channel) = self.joined(&reset.channel) else { return };
        channel.restart(Position { epoch: reset.epoch, offset: reset.from }, bugs);
        channel.restart_flow(out);
        out.event(Event::Reset {
            readers: channel.reader_ids.clone(),
            reason: reset.reason,
            epoch: reset.epoch,
            first: reset.first,
            head: reset.head,
            from: reset.from,
        });
    }
}

impl Channel {
    pub(super) fn is_joining(&self, answered: u64) -> bool {
        matches!(self.state, State::Joining { req, .. } if req == answered)
    }

    fn on_subscribed(
        &mut self,
        subscribed: Subscribed,
        recent: Option<Recent>,
        bugs: Bugs,
        out: &mut Outgoing,
    ) -> Result<(), &'static str> {
        self.check(&subscribed)?;
        let Subscribed { number, epoch, head, from, start, .. } = subscribed;
        self.canonical = subscribed.channel;
        self.state = State::Joined(Joined { number, head, flow: Flow::default(), repair: None, recent });
        let begins = Position { epoch, offset: from };
        out.event(Event::Subscribed {
            readers: self.reader_ids.clone(),
            head: Position { epoch, offset: head },
            from,
            start: start.clone(),
        });
        self.note_repeats(Position { epoch, offset: head });
        if start == Start::Reset {
            self.restart(begins, bugs);
            out.event(Event::Reset {
                readers: self.reader_ids.clone(),
                reason: subscribed.reason.unwrap_or(ResetReason::Epoch),
                epoch,
                first: subscribed.first.unwrap_or_else(|| from.next()),
                head,
                from,
            });
        } else {
            self.begin(begins);
        }
        self.keep_cursor(out);
        self.retell_cursor(out);
        Ok(())
    }

    /// Checks that a subscription begins where it was asked to, or says that it does not.
    fn check(&self, subscribed: &Subscribed) -> Result<(), &'static str> {
        let Subscribed { epoch, head, from, .. } = subscribed;
        if subscribed.start == Start::Reset {
            return Ok(());
        }
        match self.since() {
            Since::Position(position) if position.epoch != *epoch || position.offset < *from => {
                Err("a subscription that goes on elsewhere and does not say so")
            }
            Since::Cursor(Some(own)) if own.epoch == *epoch && own.offset > *head => {
                Err("a head before what was acknowledged, and no reset")
            }
            Since::Position(_) | Since::Cursor(_) | Since::Now | Since::Last(_) | Since::First | Since::Time(_) => {
                Ok(())
            }
        }
    }

    /// When a process begins with a durable cursor, an earlier one may have handed out everything there was.
    fn note_repeats(&mut self, head: Position) {
        if self.continuity == Continuity::Fresh {
            self.continuity = match self.since() {
                Since::Cursor(_) => Continuity::RedeliveredTo(head),
                Since::Position(_) | Since::Now | Since::Last(_) | Since::First | Since::Time(_) => Continuity::Known,
            };
        }
    }

    fn begin(&mut self, begins: Position) {
        let mut begins = begins;
        match (self.position, self.since()) {
            (Some(position), _) if position.epoch == begins.epoch && self.options.qos > Qos::AtMostOnce => {}
            (_, since) => {
                if let Since::Cursor(own) = since {
                    self.resume_cursor(begins);
                    // A server that goes by its own cursor alone repeats what was acknowledged.
                    let further = own.filter(|own| own.epoch == begins.epoch && own.offset > begins.offset);
                    begins = further.unwrap_or(begins);
                }
                self.position = Some(begins);
                self.acks.begin(begins);
            }
        }
        for reader in &mut self.readers {
            reader.acked = reader.acked.or(Some(begins.offset));
        }
    }

    /// Continuity is broken: everything goes on after `begins`.
    fn restart(&mut self, begins: Position, bugs: Bugs) {
        let mut position = begins;
        if bugs.has(Bug::EpochWithoutOffset)
            && let Some(before) = self.position
        {
            position.offset = before.offset;
        }
        self.position = Some(position);
        self.restart_acks(begins);
    }
}
