//! How a subscription begins, begins again, and ends.

use moorline_protocol::time::Timestamp;
use moorline_protocol::{
    ErrorCode, ErrorFrame, Offset, Position, Qos, Reset, ResetReason, Since, Start, Subscribed, Unsubscribed,
};

use super::Subscriptions;
use super::channel::{Channel, Continuity, Joined, State};
use super::delivery::Flow;
use crate::config::StartAt;
use crate::event::{Event, Failure, Origin};
use crate::inbound::failure;
use crate::outgoing::Outgoing;
use crate::planted::Bug;

impl Subscriptions {
    pub(crate) fn on_subscribed(&mut self, subscribed: Subscribed, out: &mut Outgoing) -> Result<(), &'static str> {
        let Some(channel) = self.channels.iter_mut().find(|channel| channel.is_joining(subscribed.req)) else {
            return Ok(());
        };
        channel.on_subscribed(subscribed, out)?;
        self.reindex();
        Ok(())
    }

    /// Takes an error; tells whether it answers a `subscribe`.
    pub(crate) fn on_error(&mut self, req: u64, error: &ErrorFrame, now: Timestamp, out: &mut Outgoing) -> bool {
        let Some(index) = self.channels.iter().position(|channel| channel.is_joining(req)) else { return false };
        if error.retry {
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
        if unsubscribed.req.is_some() {
            return;
        }
        let ended = |channel: &Channel| channel.is_joined() && channel.canonical == unsubscribed.channel;
        let Some(index) = self.channels.iter().position(ended) else { return };
        let code = unsubscribed.code.unwrap_or(ErrorCode::ChannelDenied);
        let message = code.meaning().to_owned();
        self.end(index, Failure { code, message, origin: Origin::Server }, out);
    }

    pub(crate) fn on_reset(&mut self, reset: Reset, out: &mut Outgoing) {
        let Some(channel) = self.joined(&reset.channel) else { return };
        channel.restart(Position { epoch: reset.epoch, offset: reset.from });
        if let State::Joined(joined) = &mut channel.state {
            joined.repair = None;
            joined.flow.restart();
        }
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

    fn on_subscribed(&mut self, subscribed: Subscribed, out: &mut Outgoing) -> Result<(), &'static str> {
        let Subscribed { number, epoch, head, from, start, .. } = subscribed;
        let resumed = match self.since() {
            Since::Position(position) => Some(position),
            Since::Now | Since::Last(_) | Since::First | Since::Time(_) | Since::Cursor(_) => None,
        };
        if let (Some(resumed), Start::Live | Start::Replay) = (resumed, &start)
            && (resumed.epoch != epoch || resumed.offset < from)
        {
            return Err("a subscription that goes on elsewhere and does not say so");
        }
        self.canonical = subscribed.channel;
        self.state = State::Joined(Joined { number, head, flow: Flow::default(), repair: None });
        let begins = Position { epoch, offset: from };
        out.event(Event::Subscribed {
            readers: self.reader_ids.clone(),
            head: Position { epoch, offset: head },
            from,
            start: start.clone(),
        });
        if start == Start::Reset {
            self.restart(begins);
            self.continuity = Continuity::Known;
            out.event(Event::Reset {
                readers: self.reader_ids.clone(),
                reason: subscribed.reason.unwrap_or(ResetReason::Epoch),
                epoch,
                first: subscribed.first.unwrap_or_else(|| from.next()),
                head,
                from,
            });
        } else {
            self.begin(begins, head, start == Start::Replay);
        }
        self.retell_cursor(out);
        Ok(())
    }

    fn begin(&mut self, begins: Position, head: Offset, replays: bool) {
        if self.continuity == Continuity::Fresh {
            let from_cursor =
                self.options.is_durable && matches!(self.options.since, StartAt::Resume | StartAt::Cursor);
            self.continuity = if replays && from_cursor && self.position.is_none() {
                Continuity::RedeliveredTo(Position { epoch: begins.epoch, offset: head })
            } else {
                Continuity::Known
            };
        }
        match &mut self.position {
            Some(position) if position.epoch == begins.epoch && self.options.qos > Qos::AtMostOnce => {}
            Some(_) | None => {
                self.position = Some(begins);
                self.acks.begin(begins);
            }
        }
        for reader in &mut self.readers {
            reader.acked = reader.acked.or(Some(begins.offset));
        }
    }

    /// Continuity is broken: everything goes on after `begins`.
    fn restart(&mut self, begins: Position) {
        let mut position = begins;
        if self.bugs.has(Bug::EpochWithoutOffset)
            && let Some(before) = self.position
        {
            position.offset = before.offset;
        }
        self.position = Some(position);
        self.restart_acks(begins.epoch, begins.offset);
    }
}
