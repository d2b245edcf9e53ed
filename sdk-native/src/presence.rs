//! Who is present in a channel.

use std::collections::BTreeMap;

use bytes::Bytes;
use moorline_core::RequestId;
use moorline_core::protocol::{self, MembersView, PresenceChangeKind, PresenceMode, UserStatus, Utf8Bytes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::client::{Client, channel_name};
use crate::error::Error;
use crate::queue::Item;
use crate::status::Feed;

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
    /// Takes JSON text.
    ///
    /// # Errors
    /// `request.malformed` if it is no JSON.
    pub fn json_text(text: &str) -> Result<Self, Error> {
        serde_json::from_str::<serde::de::IgnoredAny>(text)
            .map_err(|error| Error::client("request.malformed", format!("the presence state is no JSON: {error}")))?;
        Ok(Self(Bytes::copy_from_slice(text.as_bytes())))
    }

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

impl Serialize for PresenceState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = std::str::from_utf8(&self.0).map_err(serde::ser::Error::custom)?;
        let value: &serde_json::value::RawValue = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
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

/// What happened to the members of a channel since the reader looked last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MembersChange {
    /// How many there are.
    pub count: u64,
    /// What is different, in order; nothing while there are more than 200, and after a burst that was not read.
    pub changes: Vec<MemberChange>,
    /// Whether this comes of a new look at all members: at the beginning, after a reconnect, after such a burst.
    pub snapshot: bool,
}

/// Changes that are told one by one.
const CHANGES: usize = 256;

impl Item for MembersChange {
    fn absorb(&mut self, later: &Self) -> bool {
        self.count = later.count;
        self.snapshot |= later.snapshot;
        if self.changes.len() + later.changes.len() > CHANGES {
            (self.changes, self.snapshot) = (Vec::new(), true);
        } else {
            self.changes.extend_from_slice(&later.changes);
        }
        true
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
    pub(crate) statuses: BTreeMap<RequestId, oneshot::Sender<Result<Vec<UserStatus>, Error>>>,
    pub(crate) feed: Option<Feed>,
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
                if let Some(feed) = &self.feed {
                    feed.push(users);
                }
            }
            Core::StatusEnded { failure } => {
                if let Some(feed) = self.feed.take() {
                    feed.fail(failure.into());
                }
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
