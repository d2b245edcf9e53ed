//! Who is present in a channel, and which users are online.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use moorline_core::RequestId;
use moorline_core::protocol::{self, MembersView, PresenceChangeKind, PresenceMode, UserName, UserStatus, Utf8Bytes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::client::{Client, State, channel_name};
use crate::error::Error;

/// Whether a channel's members are watched while it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// They are not.
    #[default]
    None,
    /// They are, without being seen.
    Watch,
    /// They are, and this user is one of them.
    Join,
}

impl From<Presence> for PresenceMode {
    fn from(presence: Presence) -> Self {
        match presence {
            Presence::None => Self::None,
            Presence::Watch => Self::Watch,
            Presence::Join => Self::Join,
        }
    }
}

/// What a member says about itself: JSON of at most 4,096 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceState(Bytes);

impl PresenceState {
    /// Reads it.
    ///
    /// # Errors
    /// The parser's.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    /// Returns the JSON text.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

/// A member of a channel: a user, whatever the number of its devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: String,
    /// What it says about itself.
    pub state: Option<PresenceState>,
    /// Since when, ms since 1970; by this device's clock if it came while this client watched.
    pub since: u64,
}

impl From<protocol::Member> for Member {
    fn from(member: protocol::Member) -> Self {
        let state = member.state.map(PresenceState);
        Self { user: member.user.as_str().to_owned(), state, since: member.since }
    }
}

/// What can happen to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemberEvent {
    /// It is new.
    Join,
    /// It left, or its connection closed and it did not come back within 15 s.
    Leave,
    /// Nothing was heard of it any more.
    Timeout,
    /// It is there again, soon after a timeout.
    Back,
    /// What it says about itself changed.
    Update,
    /// Something that this version does not know.
    Other,
}

impl MemberEvent {
    /// Returns the name, such as `join`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Timeout => "timeout",
            Self::Back => "back",
            Self::Update => "update",
            Self::Other => "other",
        }
    }
}

impl From<PresenceChangeKind> for MemberEvent {
    fn from(kind: PresenceChangeKind) -> Self {
        match kind {
            PresenceChangeKind::Join => Self::Join,
            PresenceChangeKind::Leave => Self::Leave,
            PresenceChangeKind::Timeout => Self::Timeout,
            PresenceChangeKind::Back => Self::Back,
            PresenceChangeKind::Update => Self::Update,
            PresenceChangeKind::Other(_) | _ => Self::Other,
        }
    }
}

/// What happened to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChange {
    /// What.
    pub event: MemberEvent,
    /// To whom.
    pub user: String,
    /// What it says about itself now.
    pub state: Option<PresenceState>,
}

impl MemberChange {
    /// Tells whether the user is no member any more.
    pub fn is_gone(&self) -> bool {
        matches!(self.event, MemberEvent::Leave | MemberEvent::Timeout)
    }
}

impl From<protocol::PresenceChange> for MemberChange {
    fn from(change: protocol::PresenceChange) -> Self {
        let (event, user) = (change.event.into(), change.user.as_str().to_owned());
        Self { event, user, state: change.state.map(PresenceState) }
    }
}

/// Some members of a channel, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembersPage {
    /// How many there are in all.
    pub count: u64,
    /// These.
    pub members: Vec<Member>,
    /// Where the next ones begin, if there are more.
    pub cursor: Option<String>,
}

/// Whether a user is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether it has a connection.
    pub online: bool,
    /// If so, since when, ms since 1970.
    pub since: Option<u64>,
}

/// A channel's members; see [`Channel::members`](crate::Channel::members).
#[derive(Clone)]
pub struct Members {
    client: Client,
    channel: String,
}

impl Members {
    pub(crate) fn new(client: Client, channel: String) -> Self {
        Self { client, channel }
    }

    /// Returns how many members there are; `None` until that is known, and where the channel is not read with
    /// presence.
    pub fn count(&self) -> Option<u64> {
        Some(self.present()?.count)
    }

    /// Returns all members, in the order of their names; `None` until they are known, and where they are more than
    /// 200: then [`page`](Self::page) reads them.
    pub fn list(&self) -> Option<Vec<Member>> {
        Some(self.present()?.members?.into_iter().map(Into::into).collect())
    }

    fn present(&self) -> Option<moorline_core::Present> {
        let name = channel_name(&self.channel).ok()?;
        self.client.shared.run(|state, _| state.core.present(&name))
    }

    /// Asks the server for members, whether the channel is read or not: the first 200, or those from a cursor on.
    ///
    /// # Errors
    /// What the server answers, such as `channel.denied`.
    pub async fn page(&self, cursor: Option<&str>) -> Result<MembersPage, Error> {
        let cursor = cursor.map(Utf8Bytes::from);
        let view = self.ask(|core, name, now| core.members(name, cursor, now)).await?;
        Ok(MembersPage {
            count: view.count,
            members: view.members.into_iter().map(Into::into).collect(),
            cursor: view.cursor.map(|cursor| cursor.as_str().to_owned()),
        })
    }

    /// Becomes a member of a channel that is read with presence. After a reconnect that happens again by itself.
    ///
    /// # Errors
    /// `channel.not_subscribed` for a channel that is not read with presence, or what the server answers.
    pub async fn enter<T: Serialize + ?Sized>(&self, state: &T) -> Result<(), Error> {
        let state = Some(json(state)?);
        self.ask(|core, name, now| core.enter(name, state, now)).await.map(drop)
    }

    /// Changes what this member says about itself.
    ///
    /// # Errors
    /// As [`enter`](Self::enter); `request.order` for who is no member.
    pub async fn update<T: Serialize + ?Sized>(&self, state: &T) -> Result<(), Error> {
        let state = Some(json(state)?);
        self.ask(|core, name, now| core.update(name, state, now)).await.map(drop)
    }

    /// Stops being a member; the channel is read on.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub async fn leave(&self) -> Result<(), Error> {
        self.ask(moorline_core::Client::leave).await.map(drop)
    }

    async fn ask(
        &self,
        act: impl FnOnce(&mut moorline_core::Client, &protocol::ChannelName, moorline_core::Now) -> RequestId,
    ) -> Result<MembersView, Error> {
        let name = channel_name(&self.channel)?;
        self.client.start()?;
        let (sender, receiver) = oneshot::channel();
        self.client.shared.run(|state, now| {
            let id = act(&mut state.core, &name, now);
            state.presence.members.insert(id, sender);
        });
        receiver.await.map_err(|_| Error::closed())?
    }
}

/// Makes a state of anything that can be JSON.
pub(crate) fn json<T: Serialize + ?Sized>(state: &T) -> Result<Bytes, Error> {
    let text = serde_json::to_vec(state).map_err(|error| Error::client("request.malformed", error.to_string()))?;
    Ok(text.into())
}

/// Who waits for answers about presence.
#[derive(Default)]
pub(crate) struct Waiting {
    members: BTreeMap<RequestId, oneshot::Sender<Result<MembersView, Error>>>,
    statuses: BTreeMap<RequestId, oneshot::Sender<Result<Vec<UserStatus>, Error>>>,
    feed: Option<mpsc::UnboundedSender<Result<Vec<UserStatus>, Error>>>,
}

impl Waiting {
    /// Hands an event of the core to who waits for it; whoever asked may have gone. Returns an event that is not of
    /// this room.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not named here is treated alike, also in later versions"
    )]
    pub(crate) fn hand_out(&mut self, event: moorline_core::Event) -> Option<moorline_core::Event> {
        use moorline_core::Event as Core;
        match event {
            Core::PresenceFinished { id, result } => {
                self.members.remove(&id).map(|asked| asked.send(result.map_err(Into::into)).ok());
            }
            Core::StatusFinished { id, result } => {
                self.statuses.remove(&id).map(|asked| asked.send(result.map_err(Into::into)).ok());
            }
            Core::StatusChanged { users } => {
                self.feed.as_ref().map(|feed| feed.send(Ok(users)).ok());
            }
            Core::StatusEnded { failure } => {
                self.feed.take().map(|feed| feed.send(Err(failure.into())).ok());
            }
            other => return Some(other),
        }
        None
    }

    /// Nobody answers any more.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }
}

/// What changes of the status of users, over reconnects; dropping it ends that.
pub struct StatusFeed {
    client: Client,
    changes: mpsc::UnboundedReceiver<Result<Vec<UserStatus>, Error>>,
    ready: std::vec::IntoIter<UserStatus>,
}

impl StatusFeed {
    /// Waits for the next user that came or went; at first, each one's status. `None` when the client is closed, or
    /// another feed has taken over.
    pub async fn next(&mut self) -> Option<Result<(String, Status), Error>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<(String, Status), Error>>> {
        loop {
            if let Some(status) = self.ready.next() {
                return Poll::Ready(Some(Ok(named(status))));
            }
            match std::task::ready!(self.changes.poll_recv(context)) {
                Some(Ok(users)) => self.ready = users.into_iter(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for StatusFeed {
    type Item = Result<(String, Status), Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

impl Drop for StatusFeed {
    fn drop(&mut self) {
        self.client.shared.run(|state, now| {
            // Once another feed has taken over, nobody sends to this one.
            if self.changes.sender_strong_count() > 0 {
                state.presence.feed = None;
                // An empty list is short enough.
                let _ = state.core.watch_status(Vec::new(), now);
            }
        });
    }
}

fn named(status: UserStatus) -> (String, Status) {
    (status.user.as_str().to_owned(), Status { online: status.online, since: status.since })
}

fn names<I, S>(users: I) -> Result<Vec<UserName>, Error>
where
    I: IntoIterator<Item = S>,
    S: AsRef<str>,
{
    let name = |user: S| UserName::new(user.as_ref()).map_err(|e| Error::client("request.malformed", e.to_string()));
    users.into_iter().map(name).collect()
}

impl Client {
    /// Asks which of at most 500 users are online. That needs the grant `presence` for each one's inbox (`@alice`).
    ///
    /// # Errors
    /// `request.malformed` for what is no list of users, or what the server answers, such as `channel.denied`.
    pub async fn status<I, S>(&self, users: I) -> Result<BTreeMap<String, Status>, Error>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let users = names(users)?;
        self.start()?;
        let (sender, receiver) = oneshot::channel();
        self.shared.run(|state, now| {
            let id = state.core.status(users, now);
            state.presence.statuses.insert(id, sender);
        });
        let statuses = receiver.await.map_err(|_| Error::closed())??;
        Ok(statuses.into_iter().map(named).collect())
    }

    /// Follows whether at most 500 users are online. A later feed of this client replaces this one.
    ///
    /// # Errors
    /// `request.malformed` for what is no list of users. What the server refuses comes in the feed.
    pub fn watch_status<I, S>(&self, users: I) -> Result<StatusFeed, Error>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let users = names(users)?;
        self.start()?;
        let (sender, changes) = mpsc::unbounded_channel();
        self.shared.run(|state: &mut State, now| {
            state.core.watch_status(Vec::new(), now)?;
            state.core.watch_status(users, now)?;
            state.presence.feed = Some(sender);
            Ok::<_, moorline_core::Failure>(())
        })?;
        Ok(StatusFeed { client: self.clone(), changes, ready: Vec::new().into_iter() })
    }
}
