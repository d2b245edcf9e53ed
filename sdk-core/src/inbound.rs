//! What arrives from the socket and the store, handed to the room it concerns.

use std::time::Duration;

use moorline_protocol::time::Now;
use moorline_protocol::{Bytes, Codec, Decoded, ErrorCode, ErrorFrame, Pong, ServerFrame, Statuses};

use crate::client::Client;
use crate::closing::Phase;
use crate::connection::{Fencing, State};
use crate::error::StoreError;
use crate::event::{Failure, Origin, StateReason};
use crate::io::{Ticket, TransportId};
use crate::outbox::Verdict;
use crate::planted::Bug;

impl Client {
    pub(crate) fn on_activity(&mut self, id: TransportId, now: Now) {
        if self.is_current(id)
            && let Some(online) = self.connection.online()
        {
            online.heartbeat.on_bytes(now.mono);
        }
    }

    pub(crate) fn on_message(&mut self, id: TransportId, bytes: Bytes, now: Now) {
        self.on_activity(id, now);
        let mut rest = bytes;
        // A frame can end the connection: what follows it is void then.
        while self.is_current(id) && !matches!(self.connection.state, State::Opening { .. }) {
            match Codec::Binary.decode_server(&mut rest) {
                Ok(Some(Decoded::Frame(mut frame))) => {
                    self.unpack(&mut frame);
                    self.recorder.frame(&frame);
                    if let Err(violation) = self.on_frame(frame, now) {
                        return self.violate(violation, now);
                    }
                }
                Ok(Some(Decoded::Ignored | Decoded::Unsupported { .. })) => {
                    if self.config.bugs.has(Bug::LaterFramesEnd) {
                        return self.violate("a frame of a later version", now);
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    self.recorder.broken_frame();
                    return self.violate("a frame that cannot be read", now);
                }
            }
        }
    }

    /// Inflates a compressed delivery, if that can be done.
    fn unpack(&mut self, frame: &mut ServerFrame) {
        if let ServerFrame::Packed(packed) = frame
            && let Some(deliver) = self.subscriptions.unpack(packed)
        {
            *frame = ServerFrame::Deliver(deliver);
        }
    }

    fn on_frame(&mut self, frame: ServerFrame, now: Now) -> Result<(), &'static str> {
        self.connection.refusal = None;
        match frame {
            ServerFrame::Deliver(deliver) if self.phase.is_open() => {
                return self.subscriptions.on_deliver(deliver, now.mono, &mut self.out);
            }
            ServerFrame::Packed(packed) if self.phase.is_open() => {
                return self.subscriptions.on_packed(&packed, &mut self.out);
            }
            ServerFrame::Deliver(_) | ServerFrame::Packed(_) => {}
            ServerFrame::Welcome(welcome) => return self.on_welcome(welcome, now),
            ServerFrame::Authed(authed) => self.connection.auth.on_authed(authed, now.mono),
            ServerFrame::Subscribed(subscribed) => {
                return self.subscriptions.on_subscribed(subscribed, &mut self.out);
            }
            ServerFrame::Unsubscribed(unsubscribed) => self.subscriptions.on_unsubscribed(unsubscribed, &mut self.out),
            ServerFrame::Published(published) => {
                if self.outbox.on_published(published, now.mono, &mut self.out) {
                    self.connection.fencing = Fencing::Free;
                }
                self.leave_full_producer(now);
            }
            ServerFrame::Acked(acked) => self.subscriptions.on_acked(&acked, &mut self.out),
            ServerFrame::Reset(reset) => self.subscriptions.on_reset(reset, &mut self.out),
            ServerFrame::Dropped(dropped) => self.subscriptions.on_dropped(&dropped, &mut self.out),
            ServerFrame::Result(result) => {
                self.calls.finish(result.req, Ok(result.payload), &mut self.out);
            }
            ServerFrame::Page(page) => self.history.on_page(page, &mut self.out),
            ServerFrame::Goaway(goaway) => self.on_goaway(&goaway, now.mono),
            ServerFrame::Ping(_) if self.config.bugs.has(Bug::PingsUnanswered) => {}
            ServerFrame::Ping(ping) => self.on_ping(ping),
            ServerFrame::Pong(pong) => self.on_pong(pong),
            ServerFrame::Error(error) => self.on_error(error, now),
            ServerFrame::Presence(events) => self.subscriptions.on_presence(events, now, &mut self.out),
            ServerFrame::Members(members) => self.subscriptions.on_members(members, &mut self.out),
            ServerFrame::Statuses(statuses) => self.on_statuses(statuses, now),
        }
        Ok(())
    }

    fn on_statuses(&mut self, statuses: Statuses, now: Now) {
        match statuses.req {
            Some(req) if !self.feed.is_asking(req) => self.subscriptions.asks.on_statuses(req, statuses, &mut self.out),
            Some(_) | None => self.feed.on_statuses(statuses, now.mono, &mut self.out),
        }
    }

    fn on_pong(&mut self, pong: Pong) {
        if let Some(online) = self.connection.online() {
            online.heartbeat.on_pong(pong.n);
        }
        self.subscriptions.on_pong(pong.n);
    }

    fn on_error(&mut self, error: ErrorFrame, now: Now) {
        let Some(req) = error.req else {
            match &error.channel {
                None => self.connection.refusal = Some(failure(&error)),
                Some(inbox) if error.code == ErrorCode::ChannelDenied => {
                    self.feed.on_denied(inbox, now.mono, &mut self.out);
                }
                Some(_) => {}
            }
            return;
        };
        if self.connection.auth.on_error(req, now.mono)
            || self.subscriptions.on_error(req, &error, now.mono, &mut self.out)
            || self.history.on_error(req, &error, &mut self.out)
            || self.calls.finish(req, Err(&error), &mut self.out)
            || self.subscriptions.on_presence_error(req, &error, now.mono, &mut self.out)
            || self.feed.is_asking(req)
        {
            if self.feed.is_asking(req) {
                self.feed.on_error(&error, now.mono, &mut self.out);
            }
            return;
        }
        match self.outbox.on_error(req, &error, now.mono, &mut self.out) {
            Verdict::Handled => self.leave_full_producer(now),
            Verdict::Reattach => self.reconnect(StateReason::Reattach(failure(&error)), now),
            Verdict::Fenced if self.may_be_fenced(now) => {
                self.connection.fencing = Fencing::Once;
                self.reconnect(StateReason::Reattach(failure(&error)), now);
            }
            Verdict::Fenced => self.stop(failure(&error)),
        }
    }

    /// Tells whether a reconnect may cure that another connection uses this producer: it did not cure the last time
    /// if that was just now.
    fn may_be_fenced(&mut self, now: Now) -> bool {
        let stable = Duration::from_millis(self.config.stable_ms);
        let is_free = self.connection.fencing == Fencing::Free;
        is_free || self.connection.online().is_some_and(|online| online.has_lasted(stable, now.mono))
    }

    /// Takes the next producer once the last answer of a full one has come.
    fn leave_full_producer(&mut self, now: Now) {
        if self.outbox.leave_full_producer(&mut self.out) {
            let text = "the producer writes to as many channels as it may; the next one takes over";
            let failure = Failure::new(ErrorCode::LimitChannels, text, Origin::Client);
            self.reconnect(StateReason::Reattach(failure), now);
        }
    }

    pub(crate) fn on_persisted(&mut self, ticket: Ticket, result: Result<(), StoreError>, now: Now) {
        if self.out.store.on_persisted(ticket, result.is_ok(), now.mono).is_none() {
            return;
        }
        self.outbox.on_persisted(ticket, result.as_ref().err(), now.mono, &mut self.out);
        let failure = result.err();
        match &mut self.phase {
            Phase::Closing(closing) => closing.on_persisted(failure),
            Phase::Open | Phase::Done => self.on_store_answer(failure, now),
        }
    }
}

/// Turns the server's error into what the app sees.
pub(crate) fn failure(error: &ErrorFrame) -> Failure {
    Failure { after: error.after, ..Failure::new(error.code.clone(), error.message.as_str(), Origin::Server) }
}
