//! Who is present: the members of channels, and which users are online.

mod asks;
mod feed;
mod room;
mod view;

use moorline_protocol::limits::{PRESENCE_STATE_BYTES, STATUS_USERS};
use moorline_protocol::time::Now;
use moorline_protocol::{Bytes, ChannelName, ErrorCode, Member, PresenceOp, PresenceVersion, UserName, Utf8Bytes};

pub(crate) use self::asks::Asks;
pub(crate) use self::feed::Feed;
pub(crate) use self::room::{Room, clocks};
use crate::blackbox::Call;
use crate::client::Client;
use crate::closing::closed_failure;
use crate::event::{Event, Failure, Origin};
use crate::ids::RequestId;

/// The members of a channel as this client knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// How many there are.
    pub count: u64,
    /// All of them, in the order of their names; `None` where they are too many to be listed.
    pub members: Option<Vec<Member>>,
    /// With them: which state of the channel this is.
    pub version: Option<PresenceVersion>,
}

impl Client {
    /// Becomes a member of a channel that is read with presence, with this state (JSON of at most 4,096 bytes). After
    /// a reconnect this client enters again by itself, with its last state.
    ///
    /// Ends with one [`Event::PresenceFinished`].
    pub fn enter(&mut self, channel: &ChannelName, state: Option<Bytes>, now: Now) -> RequestId {
        self.act(channel, PresenceOp::Enter, state, now)
    }

    /// Changes this member's state. Ends with one [`Event::PresenceFinished`].
    pub fn update(&mut self, channel: &ChannelName, state: Option<Bytes>, now: Now) -> RequestId {
        self.act(channel, PresenceOp::Update, state, now)
    }

    /// Stops being a member; the channel is read on. Ends with one [`Event::PresenceFinished`].
    pub fn leave(&mut self, channel: &ChannelName, now: Now) -> RequestId {
        self.act(channel, PresenceOp::Leave, None, now)
    }

    fn act(&mut self, channel: &ChannelName, op: PresenceOp, state: Option<Bytes>, now: Now) -> RequestId {
        self.recorder.begin(now, || Call::Presence { channel: channel.clone(), op, state: state.clone() });
        let id = self.history.next();
        let refused = if state.as_ref().is_some_and(|state| state.len() > PRESENCE_STATE_BYTES) {
            Some((ErrorCode::RequestMalformed, "a presence state has at most 4,096 bytes"))
        } else {
            self.subscriptions.act(id, channel, op, state, now.mono, &mut self.out).err()
        };
        if let Some((code, text)) = refused {
            let result = Err(Failure::new(code, text, Origin::Client));
            self.out.event(Event::PresenceFinished { id, result });
        }
        self.fail_if_closed();
        self.end_call(now);
        id
    }

    /// Asks for the members of a channel, whether it is read or not: at most 200, and a cursor if there are more.
    /// Ends with one [`Event::PresenceFinished`]; asked again after a reconnect.
    pub fn members(&mut self, channel: &ChannelName, cursor: Option<Utf8Bytes>, now: Now) -> RequestId {
        self.recorder.begin(now, || Call::Members { channel: channel.clone(), cursor: cursor.clone() });
        let id = self.history.next();
        self.subscriptions.asks.members(id, channel.clone(), cursor);
        self.send_asks(now);
        id
    }

    /// Returns the members of a channel that is read with presence, once they are known.
    pub fn present(&self, channel: &ChannelName) -> Option<Present> {
        let view = self.subscriptions.room(channel)?.view();
        let members = view.list().map(|members| members.cloned().collect());
        view.is_known().then(|| Present { count: view.count(), members, version: view.version() })
    }

    /// Asks which of at most 500 users are online. Ends with one [`Event::StatusFinished`]; asked again after a
    /// reconnect.
    pub fn status(&mut self, users: Vec<UserName>, now: Now) -> RequestId {
        self.recorder.begin(now, || Call::Status { users: users.clone() });
        let id = self.history.next();
        if users.len() > STATUS_USERS {
            let failure = Failure::new(ErrorCode::RequestMalformed, "at most 500 users at once", Origin::Client);
            self.out.event(Event::StatusFinished { id, result: Err(failure) });
        } else {
            self.subscriptions.asks.status(id, users);
        }
        self.send_asks(now);
        id
    }

    /// Follows whether at most 500 users are online, over all connections: [`Event::StatusChanged`] tells what is not
    /// known yet. A later list replaces this one; an empty one ends it.
    ///
    /// # Errors
    /// A list that is too long; nothing changed.
    pub fn watch_status(&mut self, mut users: Vec<UserName>, now: Now) -> Result<(), Failure> {
        self.recorder.begin(now, || Call::WatchStatus { users: users.clone() });
        users.sort_unstable();
        users.dedup();
        if users.len() > STATUS_USERS {
            return Err(Failure::new(ErrorCode::RequestMalformed, "at most 500 users at once", Origin::Client));
        }
        if !self.phase.is_open() || self.connection.is_closed() {
            return Err(closed_failure());
        }
        let is_online = self.connection.is_online();
        self.feed.watch(users, is_online, now.mono, &mut self.out);
        self.end_call(now);
        Ok(())
    }

    fn send_asks(&mut self, now: Now) {
        if self.connection.is_online() {
            self.subscriptions.asks.send(now.mono, &mut self.out);
        }
        self.fail_if_closed();
        self.end_call(now);
    }

    fn fail_if_closed(&mut self) {
        if !self.phase.is_open() || self.connection.is_closed() {
            self.subscriptions.asks.fail_all(&closed_failure(), &mut self.out);
        }
    }
}
