//! The connection: its begin, its token, its end, and what can go wrong on it.

use super::open::open_enum;
use super::subscription::Subscribe;
use crate::code::ErrorCode;
use crate::types::{ChannelName, DeviceId, Generation, ProducerId, Sequence, UserName, Utf8Bytes};

/// Orders the connections of one device, so that a late `hello` cannot displace a newer connection.
///
/// `boot` grows each time the client's store is opened, `transport` with each connection of that process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// How often the store was opened.
    pub boot: u64,
    /// The connection's number since then.
    pub transport: u64,
}

/// Which producer a `hello` attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerRequest {
    /// A new one (`"new"`).
    New,
    /// This one, if the server still knows it.
    Resume(ProducerId),
}

/// `hello`: the first frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Hello {
    /// The protocol version; 1.
    pub v: u32,
    /// The token; absent for an anonymous connection.
    pub token: Option<Utf8Bytes>,
    /// The device; absent = the server makes one and nothing durable hangs on it.
    pub device: Option<DeviceId>,
    /// Orders the connections of the device.
    pub run: Option<Run>,
    /// The client's software, such as `moorline-rust/0.1.0`; ≤ 64 bytes; informative.
    pub sdk: Option<Utf8Bytes>,
    /// The producer to attach; absent = no publishing at QoS 2.
    pub producer: Option<ProducerRequest>,
    /// Optional features the client can do, such as `dict`.
    pub caps: Vec<Utf8Bytes>,
    /// Subscriptions to resume or begin, each answered after `welcome`; answers are told apart by `req`.
    pub subscribe: Vec<Subscribe>,
}

/// `auth`: a new token, in band.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Echoed in the answer.
    pub req: u64,
    /// The token.
    pub token: Utf8Bytes,
    /// The channel whose own token this is; absent = the connection's.
    pub channel: Option<ChannelName>,
}

/// `park`: the app goes to the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Park {
    /// The ping interval the client wishes for, in ms; the server answers with `ping{next}`.
    pub ping: Option<u32>,
}

/// `push`: where the app's own backend reaches this device when its user is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    /// Such as a push service's token; 1 to 512 bytes. Absent: the one that was registered is forgotten.
    pub handle: Option<Utf8Bytes>,
}

impl Push {
    /// The name of the feature in `caps`.
    pub const CAP: &'static str = "push";
}

open_enum! {
    /// What an answer `published` is worth.
    Durability {
        /// Dies with the process.
        1 Memory "memory",
        /// Survives a killed process, not a power cut.
        2 Process "process",
        /// After fdatasync.
        3 Disk "disk",
        /// On a majority of nodes.
        4 Quorum "quorum",
    }
}

open_enum! {
    /// Whether the producer asked for is the one that was attached.
    ProducerState {
        /// A new one, as asked.
        1 New "new",
        /// The one asked for.
        2 Resumed "resumed",
        /// The one asked for is forgotten; this is a new one.
        3 Expired "expired",
    }
}

/// The producer of this connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerGrant {
    /// Its identity.
    pub id: ProducerId,
    /// Its generation on this connection.
    pub generation: Generation,
    /// How it relates to the one asked for.
    pub state: ProducerState,
}

/// What the server allows on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a payload.
    pub message: u32,
    /// Channels per connection.
    pub channels: u32,
    /// Unanswered publishes per channel.
    pub window: u32,
    /// ms over which the first retry is spread after a close without `goaway`.
    pub spread: u32,
}

/// `welcome`: the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol version; 1.
    pub v: u32,
    /// The connection's name, for logs.
    pub session: Utf8Bytes,
    /// Who the token says this is; absent when anonymous.
    pub user: Option<UserName>,
    /// The device: the client's or a made one.
    pub device: DeviceId,
    /// The server's clock, ms since 1970; informative.
    pub time: u64,
    /// The ping interval in ms.
    pub ping: u32,
    /// What `published` is worth.
    pub durability: Durability,
    /// The producer, if one was asked for.
    pub producer: Option<ProducerGrant>,
    /// When the token expires, ms since 1970.
    pub expires: Option<u64>,
    /// Optional features both sides can do.
    pub caps: Vec<Utf8Bytes>,
    /// Limits.
    pub limits: Limits,
}

/// `authed`: the new token holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authed {
    /// From the `auth`.
    pub req: u64,
    /// When it expires, ms since 1970.
    pub expires: Option<u64>,
}

open_enum! {
    /// Why a server sends its clients away.
    GoawayReason {
        /// Other nodes serve: stay until your moment.
        1 Move "move",
        /// This node restarts: it closes soon, come back at your moment.
        2 Restart "restart",
    }
}

/// `goaway`: reconnect at a random moment of `[after, after + window]` ms from receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goaway {
    /// ms.
    pub after: u32,
    /// ms.
    pub window: u32,
    /// Why.
    pub reason: GoawayReason,
}

/// What a `publish.reused` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReusedBy {
    /// The id was used for another message: this message is refused.
    Id,
    /// The sequence was used: the client's store is older than the server's; take a new producer.
    Seq,
}

/// `error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFrame {
    /// The request it answers.
    pub req: Option<u64>,
    /// The channel it is about.
    pub channel: Option<ChannelName>,
    /// What went wrong.
    pub code: ErrorCode,
    /// One sentence that says what to do.
    pub message: Utf8Bytes,
    /// Whether the same request can succeed later.
    pub retry: bool,
    /// When, in ms.
    pub after: Option<u32>,
    /// With `publish.gap`: the sequence the server waits for.
    pub expected: Option<Sequence>,
    /// With `publish.reused`: by what.
    pub by: Option<ReusedBy>,
}

impl ErrorFrame {
    /// Returns an error without its optional fields; `retry` as the code says.
    pub fn new(code: ErrorCode, message: impl Into<Utf8Bytes>) -> Self {
        let retry = code.is_retryable();
        Self { req: None, channel: None, code, message: message.into(), retry, after: None, expected: None, by: None }
    }
}
