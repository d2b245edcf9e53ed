//! Who is there: the members of channels, and whether users are online.

use super::ChannelRef;
use super::open::open_enum;
use crate::Bytes;
use crate::types::{ChannelName, UserName, Utf8Bytes};

/// Whether a subscription watches presence or takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PresenceMode {
    /// Neither.
    #[default]
    None,
    /// Sees members without being one.
    Watch,
    /// Is a member.
    Join,
}

/// What a `presence` frame asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceOp {
    /// The members.
    Get,
    /// To become a member.
    Enter,
    /// To change this member's state.
    Update,
    /// To stop being a member.
    Leave,
}

/// `presence` from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceRequest {
    /// Echoed in the answer.
    pub req: u64,
    /// The channel.
    pub channel: ChannelRef,
    /// What is asked.
    pub op: PresenceOp,
    /// This member's state, as JSON text.
    pub state: Option<Bytes>,
    /// Where the list goes on.
    pub cursor: Option<Utf8Bytes>,
}

/// `status` from the client: who of these is online?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRequest {
    /// Echoed in the answer.
    pub req: u64,
    /// At most 500 users.
    pub users: Vec<UserName>,
    /// Whether changes follow; a later list replaces this one.
    pub watch: bool,
}

/// A state of the members of a channel: comparable within one `run`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PresenceVersion {
    /// The life of the counter; another one means: fetch a snapshot.
    pub run: u64,
    /// Grows by one with each `presence` frame.
    pub n: u64,
}

/// One member of a channel: a user, whatever the number of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserName,
    /// Its state, as JSON text.
    pub state: Option<Bytes>,
    /// Since when, ms since 1970.
    pub since: u64,
}

/// The members of a channel, or the first page of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembersView {
    /// The state this is.
    pub version: PresenceVersion,
    /// How many there are in all.
    pub count: u64,
    /// The members, or the first of them.
    pub members: Vec<Member>,
    /// Where the list goes on.
    pub cursor: Option<Utf8Bytes>,
}

/// `members`: the answer to a `presence` frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// From the `presence` frame.
    pub req: u64,
    /// The channel.
    pub channel: ChannelName,
    /// The members.
    pub view: MembersView,
}

open_enum! {
    /// What happened to a member.
    PresenceChangeKind {
        /// A new member.
        1 Join "join",
        /// It left.
        2 Leave "leave",
        /// It was not heard of any more.
        3 Timeout "timeout",
        /// It is heard of again.
        4 Back "back",
        /// Its state changed.
        5 Update "update",
    }
}

/// One change of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceChange {
    /// What happened.
    pub event: PresenceChangeKind,
    /// To whom.
    pub user: UserName,
    /// Its state, as JSON text.
    pub state: Option<Bytes>,
}

/// `presence` from the server: a batch of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceEvents {
    /// The channel.
    pub channel: ChannelRef,
    /// The state after the changes.
    pub version: PresenceVersion,
    /// How many members there are now.
    pub count: u64,
    /// The changes; empty where only the count is told.
    pub events: Vec<PresenceChange>,
}

/// Whether a user is online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserStatus {
    /// Who.
    pub user: UserName,
    /// Whether.
    pub online: bool,
    /// Since when, ms since 1970.
    pub since: Option<u64>,
}

/// Tells whether each user is there once.
pub(crate) fn each_user_once(users: &[UserStatus]) -> bool {
    let mut names: Vec<&str> = users.iter().map(|status| status.user.as_str()).collect();
    names.sort_unstable();
    names.windows(2).all(|pair| matches!(pair, [a, b] if a != b))
}

/// `statuses`: the answer to `status`, or (without `req`) a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// From the `status` frame.
    pub req: Option<u64>,
    /// The users asked for, or those that changed; each once.
    pub users: Vec<UserStatus>,
}
