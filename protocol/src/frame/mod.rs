//! Every frame of the protocol as a plain struct, by topic, as in `docs/protocol.md`.

mod connection;
mod history;
mod presence;
mod publish;
mod subscription;

pub use self::connection::{
    Auth, Authed, Durability, ErrorFrame, Goaway, GoawayReason, Hello, Limits, Park, ProducerGrant, ProducerRequest,
    ProducerState, ReusedBy, Run, Welcome,
};
pub use self::history::{History, HistoryRange, Page};
pub use self::presence::{
    Member, Members, MembersView, PresenceChange, PresenceChangeKind, PresenceEvents, PresenceMode, PresenceOp,
    PresenceRequest, PresenceVersion, StatusRequest, Statuses, UserStatus,
};
pub use self::publish::{Publish, Published};
pub use self::subscription::{
    Ack, Acked, Deliver, Dropped, More, Packed, PackedDictionary, Pause, Reset, ResetMode, ResetReason, Since, Start,
    Subscribe, Subscribed, Unsubscribe, Unsubscribed,
};
use crate::types::{ChannelName, ChannelNumber};

/// How a frame names a channel: by name (always in JSON), or, in binary, by the number that `subscribed` announced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChannelRef {
    /// By name.
    Name(ChannelName),
    /// By the node's number; only while this connection is subscribed.
    Number(ChannelNumber),
}

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is documented at its struct")]
pub enum ClientFrame {
    Hello(Hello),
    Auth(Auth),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Publish(Publish),
    Ack(Ack),
    More(More),
    Pause(Pause),
    History(History),
    Presence(PresenceRequest),
    Status(StatusRequest),
    Park(Park),
    /// The app is in the foreground again.
    Unpark,
    Ping(Ping),
    Pong(Pong),
}

/// What a server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is documented at its struct")]
pub enum ServerFrame {
    Welcome(Welcome),
    Authed(Authed),
    Subscribed(Subscribed),
    Unsubscribed(Unsubscribed),
    Published(Published),
    Acked(Acked),
    Deliver(Deliver),
    Packed(Packed),
    Reset(Reset),
    Dropped(Dropped),
    Page(Page),
    Members(Members),
    Presence(PresenceEvents),
    Statuses(Statuses),
    Goaway(Goaway),
    Ping(Ping),
    Pong(Pong),
    Error(ErrorFrame),
}

/// `ping`, from either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Echoed in `pong`.
    pub n: u64,
    /// The new interval in ms (server only).
    pub next: Option<u32>,
}

/// `pong`, from either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// From the `ping`.
    pub n: u64,
}
