//! Cursors that the app has dropped, until the server has, too.

use moorline_protocol::{ChannelName, ChannelRef, ClientFrame, Unsubscribe};

use super::Subscriptions;
use crate::outgoing::Outgoing;
use crate::store::Key;

/// A channel whose cursor the server is to drop.
pub(super) struct Forgotten {
    name: ChannelName,
    /// Where the store keeps this.
    key: Key,
    /// As what it was asked for on this connection.
    req: Option<u64>,
}

impl Forgotten {
    pub(super) fn new(key: Key, name: ChannelName) -> Self {
        Self { name, key, req: None }
    }

    /// The connection is gone, and perhaps what was said with it.
    pub(super) fn detach(&mut self) {
        self.req = None;
    }

    fn say(&mut self, out: &mut Outgoing) {
        let req = out.req();
        self.req = Some(req);
        let channel = ChannelRef::Name(self.name.clone());
        out.send(&ClientFrame::Unsubscribe(Unsubscribe { req, channel, forget: true }));
    }
}

impl Subscriptions {
    /// Has the server drop a cursor, now or with the next connection, of this process or a later one.
    pub(super) fn forget(&mut self, name: &ChannelName, may_ask: bool, out: &mut Outgoing) {
        let known = self.forgotten.iter().position(|forgotten| forgotten.name == *name);
        let mut forgotten = match known {
            Some(index) => self.forgotten.remove(index),
            None => {
                let key = out.store.key();
                out.store.put_forgotten(key, name);
                Forgotten::new(key, name.clone())
            }
        };
        if may_ask {
            forgotten.say(out);
        }
        self.forgotten.push(forgotten);
    }

    /// Tells whether the server has a cursor that is to be dropped before the channel is read again.
    pub(crate) fn is_forgotten(&self, name: &ChannelName) -> bool {
        self.forgotten.iter().any(|forgotten| forgotten.name == *name)
    }

    /// Says on a new connection what is to be forgotten.
    pub(crate) fn forget_all(&mut self, out: &mut Outgoing) {
        for forgotten in &mut self.forgotten {
            forgotten.say(out);
        }
    }

    /// The server has dropped a cursor, or never had it; tells whether this answers such a request.
    pub(super) fn on_forgotten(&mut self, req: u64, out: &mut Outgoing) -> bool {
        let answered = |forgotten: &Forgotten| forgotten.req == Some(req);
        let Some(index) = self.forgotten.iter().position(answered) else { return false };
        out.store.delete_forgotten(self.forgotten.remove(index).key);
        true
    }
}
