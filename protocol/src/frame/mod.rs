//! Every frame of the protocol as a plain struct, by topic, as in `docs/protocol.md`.

mod call;
mod connection;
mod history;
mod open;
mod presence;
mod publish;
mod subscription;

pub use self::call::{Call, CallResult, is_method};
pub use self::connection::{
    Auth, Authed, Durability, ErrorFrame, Goaway, GoawayReason, Hello, Limits, Park, ProducerGrant, ProducerRequest,
    ProducerState, Push, ReusedBy, Run, Welcome,
};
pub use self::history::{History, HistoryRange, Page};
pub(crate) use self::open::OpenEnum;
pub(crate) use self::presence::each_user_once;
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
    Call(Call),
    Presence(PresenceRequest),
    Status(StatusRequest),
    Park(Park),
    /// The app is in the foreground again.
    Unpark,
    Push(Push),
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
    Result(CallResult),
    Goaway(Goaway),
    Ping(Ping),
    Pong(Pong),
    Error(ErrorFrame),
}

macro_rules! kinds {
    ($frame:ident $numbers:ident { $($constant:ident $number:literal $variant:ident $name:literal)* }) => {
        impl $frame {
            /// Every type: its number in the binary form and its name in JSON. Part of the wire: never change one, only add.
            pub const KINDS: &'static [(u8, &'static str)] = &[$(($number, $name),)*];

            /// Returns the frame's type as in [`KINDS`](Self::KINDS).
            pub fn kind(&self) -> (u8, &'static str) {
                match self { $(Self::$variant { .. } => ($number, $name),)* }
            }
        }

        /// The numbers of the types.
        pub(crate) mod $numbers {
            $(pub(crate) const $constant: u8 = $number;)*
        }
    };
}

kinds!(ClientFrame client_kind {
    HELLO 1 Hello "hello"
    AUTH 2 Auth "auth"
    SUBSCRIBE 3 Subscribe "subscribe"
    UNSUBSCRIBE 4 Unsubscribe "unsubscribe"
    PUBLISH 5 Publish "publish"
    ACK 6 Ack "ack"
    MORE 7 More "more"
    PAUSE 8 Pause "pause"
    HISTORY 9 History "history"
    PRESENCE 10 Presence "presence"
    STATUS 11 Status "status"
    PARK 12 Park "park"
    UNPARK 13 Unpark "unpark"
    PING 14 Ping "ping"
    PONG 15 Pong "pong"
    PUSH 16 Push "push"
    CALL 17 Call "call"
});

kinds!(ServerFrame server_kind {
    PING 14 Ping "ping"
    PONG 15 Pong "pong"
    WELCOME 65 Welcome "welcome"
    AUTHED 66 Authed "authed"
    SUBSCRIBED 67 Subscribed "subscribed"
    UNSUBSCRIBED 68 Unsubscribed "unsubscribed"
    PUBLISHED 69 Published "published"
    ACKED 70 Acked "acked"
    DELIVER 71 Deliver "deliver"
    PACKED 72 Packed "packed"
    RESET 73 Reset "reset"
    DROPPED 74 Dropped "dropped"
    PAGE 75 Page "page"
    MEMBERS 76 Members "members"
    PRESENCE 77 Presence "presence"
    STATUSES 78 Statuses "statuses"
    GOAWAY 79 Goaway "goaway"
    ERROR 80 Error "error"
    RESULT 81 Result "result"
});

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
