use bytes::Bytes;

use crate::code::ErrorCode;
use crate::message::{Headers, Message, Payload};
use crate::types::{
    ChannelName, ChannelNumber, DeviceId, Epoch, Generation, Offset, Position, ProducerId, Qos, Sequence, UserName,
    Utf8Bytes,
};

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
    /// Subscriptions to resume or begin; their answers follow `welcome` in this order.
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

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// From now (absent in JSON).
    #[default]
    Now,
    /// After this position.
    Position(Position),
    /// With the newest so many messages.
    Last(u32),
    /// With everything kept.
    First,
    /// With everything stored at or after this time, in ms since 1970 by the server's clock.
    Time(u64),
    /// After this device's durable cursor; the client's own last acknowledged position, if it had one, replaces a
    /// cursor that the server no longer has.
    Cursor(Option<Position>),
}

/// Where deliveries go on after a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetMode {
    /// With the oldest message kept.
    #[default]
    First,
    /// From now.
    Live,
}

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

/// `subscribe`, alone or in `hello` (there `req` may be 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Echoed in the answer.
    pub req: u64,
    /// The channel.
    pub channel: ChannelName,
    /// Where to begin.
    pub since: Since,
    /// Where to go on when `since` cannot be honoured.
    pub reset: ResetMode,
    /// The highest level wanted.
    pub qos: Qos,
    /// Whether the server keeps a cursor for (user, device, channel).
    pub durable: bool,
    /// Presence.
    pub presence: PresenceMode,
    /// Presence data of this member, as JSON text.
    pub state: Option<Bytes>,
    /// A token that adds grants for this channel.
    pub token: Option<Utf8Bytes>,
}

impl Subscribe {
    /// Returns a subscription from now at QoS 1, without cursor and presence.
    pub fn new(req: u64, channel: ChannelName) -> Self {
        Self {
            req,
            channel,
            since: Since::Now,
            reset: ResetMode::First,
            qos: Qos::AtLeastOnce,
            durable: false,
            presence: PresenceMode::None,
            state: None,
            token: None,
        }
    }
}

/// `unsubscribe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Echoed in the answer.
    pub req: u64,
    /// The channel.
    pub channel: ChannelRef,
    /// Whether the durable cursor goes too.
    pub forget: bool,
}

/// `publish`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The channel.
    pub channel: ChannelRef,
    /// The level.
    pub qos: Qos,
    /// Echoed in the answer; needed at QoS 1 and 2.
    pub req: Option<u64>,
    /// The message's id; needed at QoS 1 and 2, made by the server at QoS 0.
    pub id: Option<Utf8Bytes>,
    /// The sequence; QoS 2 only.
    pub seq: Option<Sequence>,
    /// The generation from `welcome`; QoS 2 only.
    pub generation: Option<Generation>,
    /// Seconds until the message may be forgotten; what remains of it when sent.
    pub ttl: Option<u32>,
    /// Headers.
    pub headers: Headers,
    /// The content.
    pub payload: Payload,
}

/// `ack`: everything up to `offset` is done with (cumulative).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The channel.
    pub channel: ChannelRef,
    /// The epoch of `offset`; an acknowledgement for another epoch is ignored.
    pub epoch: Epoch,
    /// The offset.
    pub offset: Offset,
}

/// `more`: confirms a replay page, ends a pause, or (with `rewind`) restarts the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct More {
    /// The channel.
    pub channel: ChannelRef,
    /// The epoch of `after`; a `more` for another epoch is ignored. Absent = the current one (for people).
    pub epoch: Option<Epoch>,
    /// Confirmed up to here, or restart after here.
    pub after: Offset,
    /// Whether the reader restarts after `after`; older confirmations are void then.
    pub rewind: bool,
}

/// `pause`: no deliveries until `more`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The channel.
    pub channel: ChannelRef,
}

/// Which part of a channel's log a `history` query returns, always in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryRange {
    /// The newest messages (absent in JSON).
    #[default]
    Newest,
    /// The oldest messages after this offset.
    After(Offset),
    /// The oldest messages stored at or after this time (ms since 1970).
    AfterTime(u64),
    /// The newest messages before this offset.
    Before(Offset),
    /// The newest messages stored before this time (ms since 1970).
    BeforeTime(u64),
}

/// `history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Echoed in the answer.
    pub req: u64,
    /// The channel.
    pub channel: ChannelRef,
    /// Which part.
    pub range: HistoryRange,
    /// At most so many messages: 1–256; `None` = 50.
    pub limit: Option<u32>,
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

/// `park`: the app goes to the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Park {
    /// The ping interval the client wishes for, in ms; the server answers with `ping{next}`.
    pub ping: Option<u32>,
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

/// What an answer `published` is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Dies with the process.
    Memory,
    /// Survives a killed process, not a power cut.
    Process,
    /// After fdatasync.
    Disk,
    /// On a majority of nodes.
    Quorum,
    /// A value of a later version.
    Other(Box<str>),
}

/// Whether the producer asked for is the one that was attached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProducerState {
    /// A new one, as asked.
    New,
    /// The one asked for.
    Resumed,
    /// The one asked for is forgotten; this is a new one.
    Expired,
    /// A value of a later version.
    Other(Box<str>),
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

/// How a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// Nothing to replay.
    Live,
    /// Everything after `from` follows, complete.
    Replay,
    /// The position cannot be honoured; deliveries begin after `from`.
    Reset,
    /// A value of a later version.
    Other(Box<str>),
}

/// Why a position cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetReason {
    /// Messages after it were removed by retention.
    Trimmed,
    /// It belongs to another life of the log.
    Epoch,
    /// A value of a later version.
    Other(Box<str>),
}

/// `subscribed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// From the `subscribe`.
    pub req: u64,
    /// The canonical name.
    pub channel: ChannelName,
    /// The channel's number in binary frames.
    pub number: ChannelNumber,
    /// The life of the log.
    pub epoch: Epoch,
    /// The newest offset.
    pub head: Offset,
    /// Exclusive: the first delivery has a higher offset.
    pub from: Offset,
    /// How it begins.
    pub start: Start,
    /// With [`Start::Reset`]: why.
    pub reason: Option<ResetReason>,
    /// With [`Start::Reset`]: the oldest offset kept.
    pub first: Option<Offset>,
    /// When the channel's own token expires, ms since 1970.
    pub expires: Option<u64>,
    /// Presence, if watched or joined.
    pub members: Option<MembersView>,
}

/// `unsubscribed`: the answer, or (without `req`) the server ended the subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribed {
    /// From the `unsubscribe`.
    pub req: Option<u64>,
    /// The channel.
    pub channel: ChannelName,
    /// Why the server ended it.
    pub code: Option<ErrorCode>,
}

/// `published`: the message is in the log, as durable as `welcome` promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// From the `publish`.
    pub req: u64,
    /// The life of the log.
    pub epoch: Epoch,
    /// Its offset; absent for an old duplicate of which only the fact is known.
    pub offset: Option<Offset>,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// `acked`: the cursor is durable up to here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acked {
    /// The channel.
    pub channel: ChannelRef,
    /// The life of the log.
    pub epoch: Epoch,
    /// The cursor.
    pub offset: Offset,
}

/// `deliver`: messages of a channel, in order. The same bytes for every receiver of a cohort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// The channel.
    pub channel: ChannelRef,
    /// Whether this is a replay page.
    pub replay: bool,
    /// Replay pages only: whether another page follows; after `false` the subscription is live.
    pub more: bool,
    /// Replay pages only: the offset reached, if that is beyond the last message (the tail has expired).
    pub at: Option<Offset>,
    /// The messages.
    pub messages: Vec<Message>,
}

/// What a packed live message was deflated against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedDictionary {
    /// How many preceding messages.
    pub count: u8,
    /// The oldest of them.
    pub oldest: Offset,
}

/// `packed`: a deflated `deliver` (binary only). `data` is one raw deflate stream; inflated it is the body of the
/// `deliver` frame without its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The channel.
    pub channel: ChannelRef,
    /// The dictionary of a live message; `None` for a page, which is deflated alone.
    pub dictionary: Option<PackedDictionary>,
    /// Bytes after inflating.
    pub length: u32,
    /// CRC-32C of the inflated bytes.
    pub crc: u32,
    /// The deflate stream.
    pub data: Bytes,
}

/// `reset` in mid-stream: the reader's position can no longer be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The channel.
    pub channel: ChannelRef,
    /// The life of the log from now on.
    pub epoch: Epoch,
    /// The oldest offset kept; `head + 1` when empty.
    pub first: Offset,
    /// The newest offset.
    pub head: Offset,
    /// Deliveries go on after here.
    pub from: Offset,
    /// Why.
    pub reason: ResetReason,
}

/// `dropped`: so many QoS 0 messages were not sent to this subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The channel.
    pub channel: ChannelRef,
    /// How many since the last such frame.
    pub count: u64,
}

/// `page`: the answer to `history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// From the `history`.
    pub req: u64,
    /// The canonical name.
    pub channel: ChannelName,
    /// The life of the log.
    pub epoch: Epoch,
    /// The oldest offset kept; `head + 1` when empty.
    pub first: Offset,
    /// The newest offset.
    pub head: Offset,
    /// Whether there is more in the direction of the query.
    pub more: bool,
    /// The messages, ascending.
    pub messages: Vec<Message>,
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

/// What happened to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceChangeKind {
    /// A new member.
    Join,
    /// It left.
    Leave,
    /// It was not heard of any more.
    Timeout,
    /// It is heard of again.
    Back,
    /// Its state changed.
    Update,
    /// A value of a later version.
    Other(Box<str>),
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

/// `statuses`: the answer to `status`, or (without `req`) a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// From the `status` frame.
    pub req: Option<u64>,
    /// The users asked for, or those that changed.
    pub users: Vec<UserStatus>,
}

/// Why a server sends its clients away.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoawayReason {
    /// Other nodes serve: stay until your moment.
    Move,
    /// This node restarts: it closes soon, come back at your moment.
    Restart,
    /// A value of a later version.
    Other(Box<str>),
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
