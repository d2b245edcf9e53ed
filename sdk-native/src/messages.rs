use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use moorline_core::SubscriptionId;
use moorline_core::protocol::{Position, Start};
use tokio::sync::mpsc;

use crate::client::Client;
use crate::error::Error;
use crate::log::LogLevel;
use crate::message::Message;
use crate::presence::MemberChange;

/// What happens on a channel that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message.
    Message(Message),
    /// The channel is (again) being read; everything after `from` follows.
    Subscribed {
        /// The life of the log.
        epoch: String,
        /// Exclusive.
        from: u64,
        /// The newest offset at this moment.
        head: u64,
        /// Whether messages come from the log first.
        replay: bool,
    },
    /// Continuity is broken: what lies before `from` is lost to this reader.
    Reset {
        /// `trimmed` or `epoch`.
        reason: String,
        /// The life of the log from now on.
        epoch: String,
        /// The oldest offset kept.
        first: u64,
        /// The newest offset.
        head: u64,
        /// Messages go on after here.
        from: u64,
    },
    /// So many messages were dropped: at QoS 0, or because nobody took them while another reader of the channel went on
    /// (see [`Readers`](crate::Readers)).
    Dropped(u64),
    /// The server's cursor stands here.
    Acked(u64),
    /// The channel's members are known, or changed; [`Members::list`](crate::Members::list) has them all.
    Presence {
        /// How many members there are.
        count: u64,
        /// What is different: against what was known before if `snapshot`, otherwise it is happening now. Nothing
        /// while there are more than 200.
        changes: Vec<MemberChange>,
        /// Whether this comes of a new look at all members: at the beginning, after a reconnect.
        snapshot: bool,
    },
    /// The subscription ended.
    Ended(Error),
}

impl Event {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not named here is treated alike, also in later versions"
    )]
    /// Makes one of an event of the core, and says for whom.
    pub(crate) fn of(event: moorline_core::Event) -> Option<(Arc<[SubscriptionId]>, Self)> {
        use moorline_core::Event as Core;
        Some(match event {
            Core::Message { readers, message } => (readers, Self::Message(message.into())),
            Core::Subscribed { readers, head, from, start } => {
                let (epoch, replay) = (head.epoch.as_str().to_owned(), start == Start::Replay);
                (readers, Self::Subscribed { epoch, from: from.0, head: head.offset.0, replay })
            }
            Core::Reset { readers, reason, epoch, first, head, from } => {
                let (reason, epoch) = (format!("{reason:?}").to_lowercase(), epoch.as_str().to_owned());
                (readers, Self::Reset { reason, epoch, first: first.0, head: head.0, from: from.0 })
            }
            Core::Dropped { readers, count } => (readers, Self::Dropped(count)),
            Core::PresenceChanged { readers, count, is_snapshot, changes, .. } => {
                let changes = changes.iter().cloned().map(MemberChange::from).collect();
                (readers, Self::Presence { count, changes, snapshot: is_snapshot })
            }
            Core::Acked { readers, position } => (readers, Self::Acked(position.offset.0)),
            _ => return None,
        })
    }
}

/// The messages of a channel: a stream with back-pressure. Dropping it ends the subscription; a durable cursor stays.
pub struct Messages {
    client: Client,
    channel: String,
    id: SubscriptionId,
    events: mpsc::UnboundedReceiver<Event>,
    auto_ack: bool,
    /// The last message handed out, acknowledged with the next.
    last: Option<Position>,
}

impl Messages {
    pub(crate) fn new(
        client: Client,
        channel: String,
        id: SubscriptionId,
        events: mpsc::UnboundedReceiver<Event>,
        auto_ack: bool,
    ) -> Self {
        Self { client, channel, id, events, auto_ack, last: None }
    }

    /// Waits for the next event, messages included; `None` when the subscription has ended.
    pub async fn next_event(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    /// Returns the events as a stream, messages included.
    pub fn events(&mut self) -> impl Stream<Item = Event> {
        futures_util::stream::poll_fn(|context| self.poll_event(context))
    }

    /// Waits for the next message; `None` when the subscription has ended.
    pub async fn next(&mut self) -> Option<Message> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Acknowledges everything up to this message: it does not come again. One of another channel is not acknowledged, and the
    /// log says so.
    pub fn ack(&self, message: &Message) {
        // An inbox is `@me`, and the name of its user.
        if message.channel != self.channel && self.channel != "@me" {
            let text = format!("{}: a message of {} is not acknowledged here", self.channel, message.channel);
            self.client.shared.say(LogLevel::Warn, text);
            return;
        }
        if let Some(position) = message.position {
            self.client.shared.run(|state, now| state.core.ack(self.id, position, now));
        }
    }

    /// Stops reading and drops the durable cursor, too.
    pub fn forget(self) {
        self.client.shared.run(|state, now| state.core.unsubscribe(self.id, true, now));
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.auto_ack
            && let Some(position) = self.last.take()
        {
            self.client.shared.run(|state, now| state.core.ack(self.id, position, now));
        }
        let event = ready!(self.events.poll_recv(context));
        if let Some(Event::Message(message)) = &event {
            self.last = message.position;
            self.client.shared.run(|state, now| state.core.consumed(self.id, 1, now));
        }
        Poll::Ready(event)
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            match ready!(self.poll_event(context)) {
                Some(Event::Message(message)) => return Poll::Ready(Some(message)),
                Some(Event::Ended(_)) | None => return Poll::Ready(None),
                Some(_) => {}
            }
        }
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.client.shared.run(|state, now| {
            state.readers.remove(&self.id);
            state.core.unsubscribe(self.id, false, now);
        });
    }
}
