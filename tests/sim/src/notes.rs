//! What a script looks at: which frames went over the wire, and what the apps were told.

use bytes::Bytes;
use moorline_core::Event;
use moorline_core::protocol::{ClientFrame, CloseCode, ServerFrame};

use crate::frames;
use crate::network::Item;

/// Everything that was seen, in order, each with the client it was seen at.
#[derive(Default)]
pub(crate) struct Notes {
    /// Frames that left a client.
    pub(crate) sent: Vec<(usize, ClientFrame)>,
    /// Frames that reached the server.
    pub(crate) arrived: Vec<(usize, ClientFrame)>,
    /// Frames that left the server.
    pub(crate) said: Vec<(usize, ServerFrame)>,
    /// Frames that reached a client.
    pub(crate) heard: Vec<(usize, ServerFrame)>,
    /// Ends of connections that a client saw.
    pub(crate) closed: Vec<(usize, Option<CloseCode>)>,
    /// What apps were told.
    pub(crate) events: Vec<(usize, Event)>,
}

impl Notes {
    pub(crate) fn sent(&mut self, client: usize, up: bool, item: &Item) {
        let Item::Message(bytes) = item else { return };
        if up {
            self.sent.extend(frames::up(bytes).into_iter().map(|frame| (client, frame)));
        } else {
            self.said.extend(frames::down(bytes).into_iter().map(|frame| (client, frame)));
        }
    }

    pub(crate) fn arrived(&mut self, client: usize, bytes: &Bytes) {
        self.arrived.extend(frames::up(bytes).into_iter().map(|frame| (client, frame)));
    }

    pub(crate) fn heard(&mut self, client: usize, item: &Item) {
        match item {
            Item::Message(bytes) => self.heard.extend(frames::down(bytes).into_iter().map(|frame| (client, frame))),
            Item::Close(code) => self.closed.push((client, *code)),
        }
    }

    pub(crate) fn told(&mut self, client: usize, event: &Event) {
        self.events.push((client, event.clone()));
    }
}
