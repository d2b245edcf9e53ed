//! Events, as the host reads them.

use moorline_core::protocol::{
    ErrorCode, Member, Message, Payload, Position, PresenceChange, PresenceChangeKind, ResetReason, Start, UserStatus,
};
use moorline_core::{
    Event, Failure, HistoryPage, Origin, PublishOutcome, Received, StateReason, StoreError, SubscriptionId,
};

use crate::outputs;
use crate::writer::Writer;

const STATE: u8 = 32;
const WELCOME: u8 = 33;
const SUBSCRIBED: u8 = 34;
const MESSAGE: u8 = 35;
const RESET: u8 = 36;
const DROPPED: u8 = 37;
const ENDED: u8 = 38;
const ACKED: u8 = 39;
const QUEUED: u8 = 40;
const SENT: u8 = 41;
const SETTLED: u8 = 42;
const HISTORY: u8 = 43;
const PRESENCE_CHANGED: u8 = 44;
const PRESENCE: u8 = 45;
const STATUS: u8 = 46;
const STATUS_CHANGED: u8 = 47;
const STATUS_ENDED: u8 = 48;
const CLOSED: u8 = 49;
const CALL: u8 = 50;

#[expect(clippy::too_many_lines, reason = "one arm per event")]
pub(crate) fn event(event: &Event, out: &mut Writer) {
    match event {
        Event::StateChanged { state, reason } => {
            out.byte(STATE);
            out.byte(outputs::state(*state));
            state_reason(reason, out);
        }
        Event::Welcome { user } => {
            out.byte(WELCOME);
            out.maybe(user.as_ref(), |out, user| out.text(user.as_str()));
        }
        Event::Subscribed { readers: to, head, from, start } => {
            readers(SUBSCRIBED, to, out);
            position(out, *head);
            out.number(from.0);
            out.flag(*start == Start::Replay);
        }
        Event::Message { readers: to, message } => {
            readers(MESSAGE, to, out);
            received(message, out);
        }
        Event::Reset { readers: to, reason, epoch, first, head, from } => {
            readers(RESET, to, out);
            out.flag(*reason == ResetReason::Epoch);
            out.text(epoch.as_str());
            for offset in [first, head, from] {
                out.number(offset.0);
            }
        }
        Event::Dropped { readers: to, count } => {
            readers(DROPPED, to, out);
            out.number(*count);
        }
        Event::SubscriptionEnded { readers: to, failure } => {
            readers(ENDED, to, out);
            out.failure(failure);
        }
        Event::Acked { readers: to, position: at } => {
            readers(ACKED, to, out);
            position(out, *at);
        }
        Event::PublishQueued { id } => {
            out.byte(QUEUED);
            out.number(id.0);
        }
        Event::PublishSent { id } => {
            out.byte(SENT);
            out.number(id.0);
        }
        Event::PublishSettled { id, outcome, .. } => {
            out.byte(SETTLED);
            out.number(id.0);
            settled(outcome, out);
        }
        Event::HistoryFinished { id, result } => {
            out.byte(HISTORY);
            out.number(id.0);
            out.result(result, |out, page| history(page, out));
        }
        Event::CallFinished { id, result } => {
            out.byte(CALL);
            out.number(id.0);
            out.result(result, |out, answer| payload(answer, out));
        }
        Event::PresenceChanged { readers: to, count, is_listed, is_snapshot, changes } => {
            readers(PRESENCE_CHANGED, to, out);
            out.number(*count);
            out.flag(*is_listed);
            out.flag(*is_snapshot);
            out.size(changes.len());
            for change in changes.iter() {
                presence_change(change, out);
            }
        }
        Event::PresenceFinished { id, result } => {
            out.byte(PRESENCE);
            out.number(id.0);
            out.result(result, |out, view| {
                out.number(view.count);
                members(&view.members, out);
                out.maybe(view.cursor.as_ref(), |out, cursor| out.text(cursor));
            });
        }
        Event::StatusFinished { id, result } => {
            out.byte(STATUS);
            out.number(id.0);
            out.result(result, |out, users| statuses(users, out));
        }
        Event::StatusChanged { users } => {
            out.byte(STATUS_CHANGED);
            statuses(users, out);
        }
        Event::StatusEnded { failure } => {
            out.byte(STATUS_ENDED);
            out.failure(failure);
        }
        Event::Closed { result } => {
            out.byte(CLOSED);
            out.flag(result.is_err());
            if let Err(error) = result {
                out.failure(&store_failure(error));
            }
        }
        // Every event of this version is above.
        _ => {}
    }
}

fn readers(tag: u8, readers: &[SubscriptionId], out: &mut Writer) {
    out.byte(tag);
    out.size(readers.len());
    for reader in readers {
        out.number(reader.0);
    }
}

pub(crate) fn position(out: &mut Writer, position: Position) {
    out.text(position.epoch.as_str());
    out.number(position.offset.0);
}

fn received(received: &Received, out: &mut Writer) {
    out.text(received.channel.as_str());
    out.text(received.epoch.as_str());
    out.byte(u8::from(received.replayed) | u8::from(received.redelivered) << 1);
    message(&received.message, out);
}

fn message(message: &Message, out: &mut Writer) {
    out.above_zero(message.offset.map(|offset| offset.0));
    out.text(&message.id);
    out.maybe(message.user.as_ref(), |out, user| out.text(user));
    out.number(message.time);
    out.size(message.headers.len());
    for (name, value) in &message.headers {
        out.text(name);
        out.text(value);
    }
    payload(&message.payload, out);
}

fn payload(payload: &Payload, out: &mut Writer) {
    out.byte(match payload {
        Payload::Json(_) => 0,
        Payload::Text(_) => 1,
        Payload::Binary(_) => 2,
    });
    out.bytes(payload.bytes());
}

fn history(page: &HistoryPage, out: &mut Writer) {
    out.text(page.epoch.as_str());
    out.number(page.first.0);
    out.number(page.head.0);
    out.flag(page.more);
    out.size(page.messages.len());
    for entry in &page.messages {
        message(entry, out);
    }
}

fn settled(outcome: &PublishOutcome, out: &mut Writer) {
    match outcome {
        PublishOutcome::Sent => out.byte(0),
        PublishOutcome::Stored(stored) => {
            out.byte(1);
            out.text(stored.epoch.as_str());
            out.above_zero(stored.offset.map(|offset| offset.0));
            out.flag(stored.duplicate);
        }
        PublishOutcome::Failed(failure) => {
            out.byte(2);
            out.failure(failure);
        }
        PublishOutcome::Kept(failure) => {
            out.byte(3);
            out.failure(failure);
        }
        PublishOutcome::Uncertain => out.byte(4),
    }
}

pub(crate) fn members(members: &[Member], out: &mut Writer) {
    out.size(members.len());
    for member in members {
        out.text(member.user.as_str());
        out.maybe(member.state.as_ref(), |out, state| out.bytes(state));
        out.number(member.since);
    }
}

fn presence_change(change: &PresenceChange, out: &mut Writer) {
    out.byte(match change.event {
        PresenceChangeKind::Join => 1,
        PresenceChangeKind::Leave => 2,
        PresenceChangeKind::Timeout => 3,
        PresenceChangeKind::Back => 4,
        // What a later version tells of a member is a change of it.
        PresenceChangeKind::Update | PresenceChangeKind::Other(_) | _ => 5,
    });
    out.text(change.user.as_str());
    out.maybe(change.state.as_ref(), |out, state| out.bytes(state));
}

fn statuses(users: &[UserStatus], out: &mut Writer) {
    out.size(users.len());
    for status in users {
        out.text(status.user.as_str());
        out.flag(status.online);
        out.above_zero(status.since);
    }
}

fn store_failure(error: &StoreError) -> Failure {
    Failure::new(error.code(), error.sentence(), Origin::Client)
}

/// Writes a reason's number; behind it a close code, or a failure, where the reason has one.
fn state_reason(reason: &StateReason, out: &mut Writer) {
    let made;
    let (number, failure) = match reason {
        StateReason::Requested => (0, None),
        StateReason::Welcome => (1, None),
        StateReason::TransportClosed(code) => {
            out.byte(2);
            out.close_code(*code);
            return;
        }
        StateReason::TransportFailed(failure) => (3, Some(failure)),
        StateReason::Silent => (4, None),
        StateReason::ConnectTimeout => (5, None),
        StateReason::Unanswered => (6, None),
        StateReason::Goaway => (7, None),
        StateReason::Reattach(failure) => (8, Some(failure)),
        StateReason::Offline => (9, None),
        StateReason::Token(failure) => (10, Some(failure)),
        StateReason::Refused(failure) => (11, Some(failure)),
        StateReason::ProtocolViolation(what) => {
            made = Failure::new(ErrorCode::RequestMalformed, *what, Origin::Server);
            (12, Some(&made))
        }
        StateReason::Store(error) => {
            made = store_failure(error);
            (13, Some(&made))
        }
        _ => (0, None),
    };
    out.byte(number);
    out.maybe(failure, Writer::failure);
}
