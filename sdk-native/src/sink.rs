use std::sync::Arc;

use tokio::sync::mpsc;

use crate::error::Error;
use crate::messages::Event;
use crate::presence::MembersChange;
use crate::queue::{Item, Queue, Room};

/// Where the events of a subscription go.
pub(crate) struct Outlet {
    /// The channel.
    pub(crate) channel: String,
    pub(crate) sink: Sink,
}

/// Who gets them.
pub(crate) enum Sink {
    /// To a stream.
    Stream(mpsc::UnboundedSender<Event>),
    /// To a reader, which has a feed of its own for presence.
    Reader(Arc<Queue<Event>>),
    /// To who follows the members; messages go nowhere.
    Members(Arc<Queue<MembersChange>>),
}

impl Sink {
    /// Hands an event on. Tells whether the app is done with it already.
    pub(crate) fn push(&self, event: &Event) -> bool {
        match (self, event) {
            // A reader that is being dropped wants nothing more.
            (Self::Stream(stream), event) => drop(stream.send(event.clone())),
            (Self::Reader(_), Event::Presence { .. }) => {}
            (Self::Reader(queue), event) => drop(queue.push(event.clone())),
            (Self::Members(queue), Event::Presence { count, changes, snapshot }) => {
                let change = MembersChange { count: *count, changes: changes.clone(), snapshot: *snapshot };
                queue.push(change);
            }
            (Self::Members(_), _) => return true,
        }
        false
    }

    /// Tells whether the app takes what comes: others do not go on before it does.
    pub(crate) fn is_taken(&self) -> bool {
        match self {
            Self::Stream(_) => true,
            Self::Reader(queue) => queue.is_taken(),
            Self::Members(_) => false,
        }
    }

    /// See [`Queue::make_way`].
    pub(crate) fn make_way(&self, room: Room) -> usize {
        if let Self::Reader(queue) = self { queue.make_way(room) } else { 0 }
    }

    /// The subscription ended, for this reason.
    pub(crate) fn fail(&self, error: Error) {
        match self {
            // As above.
            Self::Stream(stream) => drop(stream.send(Event::Ended(error))),
            Self::Reader(queue) => queue.end(Some(error)),
            Self::Members(queue) => queue.end(Some(error)),
        }
    }
}

impl Drop for Sink {
    /// A stream ends with its sender; the others are told.
    fn drop(&mut self) {
        match self {
            Self::Stream(_) => {}
            Self::Reader(queue) => queue.end(None),
            Self::Members(queue) => queue.end(None),
        }
    }
}

impl Item for Event {
    fn bytes(&self) -> usize {
        if let Self::Message(message) = self { message.bytes().len() } else { 0 }
    }

    fn is_message(&self) -> bool {
        matches!(self, Self::Message(_))
    }

    fn absorb(&mut self, later: &Self) -> bool {
        match (self, later) {
            (Self::Dropped(count), Self::Dropped(more)) => *count = count.saturating_add(*more),
            (now @ Self::Acked(_), Self::Acked(_)) | (now @ Self::Subscribed { .. }, Self::Subscribed { .. }) => {
                now.clone_from(later);
            }
            _ => return false,
        }
        true
    }
}
