//! What a script can look at.

use moorline_core::protocol::{ClientFrame, CloseCode, Position, ServerFrame};
use moorline_core::{Client, ConnectionState, Event, PublishOutcome, Received, Stored};

use super::{Play, Who, named};
use crate::notes::Notes;

impl Play {
    fn notes(&self) -> &Notes {
        self.world.notes.as_ref().unwrap_or_else(|| unreachable!("a script takes notes"))
    }

    /// ms since the script began.
    pub fn now(&self) -> u64 {
        self.world.now / 1_000
    }

    /// ms since 1970 by the server's clock.
    pub fn server_time(&self) -> u64 {
        self.world.server.clock(self.world.now).unix
    }

    /// Frames that have left a client.
    pub fn sent(&self, who: Who) -> Vec<ClientFrame> {
        of(who, &self.notes().sent)
    }

    /// Frames of a client that have reached the server.
    pub fn arrived(&self, who: Who) -> Vec<ClientFrame> {
        of(who, &self.notes().arrived)
    }

    /// Frames that the server has sent to a client.
    pub fn said(&self, who: Who) -> Vec<ServerFrame> {
        of(who, &self.notes().said)
    }

    /// Frames that have reached a client.
    pub fn heard(&self, who: Who) -> Vec<ServerFrame> {
        of(who, &self.notes().heard)
    }

    /// How connections ended that a client saw ending.
    pub fn closed(&self, who: Who) -> Vec<Option<CloseCode>> {
        of(who, &self.notes().closed)
    }

    /// What an app was told.
    pub fn events(&self, who: Who) -> Vec<Event> {
        of(who, &self.notes().events)
    }

    /// The messages that an app got in a channel, over all its processes.
    pub fn received(&self, who: Who, channel: &str) -> Vec<Received> {
        let name = self.world.clients[who.0].canonical(&named(channel));
        let message = |event| match event {
            Event::Message { message, .. } if message.channel == name => Some(message),
            _ => None,
        };
        self.events(who).into_iter().filter_map(message).collect()
    }

    /// The ids of [`received`](Self::received).
    pub fn got(&self, who: Who, channel: &str) -> Vec<String> {
        self.received(who, channel).iter().map(|received| received.message.id.as_str().to_owned()).collect()
    }

    /// How a publish ended, if it has.
    pub fn outcome(&self, id: &str) -> Option<PublishOutcome> {
        self.world.history.outcome(id).cloned()
    }

    /// Where a publish is, if it ended so.
    pub fn stored(&self, id: &str) -> Option<Stored> {
        match self.outcome(id) {
            Some(PublishOutcome::Stored(stored)) => Some(stored),
            _ => None,
        }
    }

    /// The ids that a channel's log holds in its present life, in order.
    pub fn log(&self, channel: &str) -> Vec<String> {
        let name = named(channel);
        let entries = self.world.server.engine.log.entries().filter(|(channel, ..)| **channel == name);
        entries.map(|(.., entry)| entry.id.clone()).collect()
    }

    /// Whether the backend was handed a call.
    pub fn handed_over(&self, name: &str) -> bool {
        self.world.backend.has_seen(name)
    }

    /// The newest durable position of a channel.
    ///
    /// # Panics
    /// There is no such channel yet.
    pub fn head(&self, channel: &str) -> Position {
        self.world.server.engine.log.head(&named(channel)).unwrap_or_else(|| panic!("{channel} is unknown"))
    }

    /// Whether the server writes a batch that is not durable yet.
    pub fn is_writing(&self) -> bool {
        self.world.server.engine.is_writing()
    }

    /// A client's state; `None` while no process runs.
    pub fn state(&self, who: Who) -> Option<ConnectionState> {
        self.core(who).map(Client::state)
    }

    /// A client's core, while its process runs.
    pub fn core(&self, who: Who) -> Option<&Client> {
        self.world.clients[who.0].process.as_ref().map(|process| &process.core)
    }
}

fn of<T: Clone>(who: Who, notes: &[(usize, T)]) -> Vec<T> {
    notes.iter().filter(|(client, _)| *client == who.0).map(|(_, note)| note.clone()).collect()
}
