//! What a run does: everything is drawn before it starts, or written down by a script.

mod draw;
mod presence;
mod status;

use moorline_core::protocol::Qos;

pub(crate) use self::presence::{PresenceOp, PresencePlan};
pub(crate) use self::status::{StatusOp, StatusPlan};
use crate::client::Reading;

/// How hard the server's engine keeps what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// `memory`: dies with the process.
    Memory,
    /// `process`: survives a kill; a power cut loses what was not synced and begins new epochs.
    Process,
    /// `disk`: survives anything.
    Disk,
}

/// What goes wrong or is done, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A client's link breaks and both ends notice.
    Cut { client: usize },
    /// A client's link breaks and only one end notices.
    HalfOpen { client: usize, server_notices: bool },
    /// A client's network swallows everything for a while; then all arrives, or the link breaks.
    BlackHole { client: usize, ms: u64, flush: bool },
    /// A delivery to a client is lost although its connection stands: what the hole rule is for.
    LoseDelivery { client: usize },
    /// A delivery reaches a client twice.
    RepeatDelivery { client: usize },
    /// The next compressed delivery to a client is not what the server has made.
    GarbleDelivery { client: usize },
    /// A client's link breaks for the client at once; what it has sent arrives all the same, much later.
    Linger { client: usize, ms: u64 },
    /// A client's process stands still.
    Freeze { client: usize, ms: u64 },
    /// A client's device sleeps: its clock jumps, its network is gone meanwhile.
    Sleep { client: usize, ms: u64 },
    /// A client's process is killed and started again.
    KillClient { client: usize, down_ms: u64 },
    /// The same, with the store and the app's own data as they were at some earlier moment.
    RollBack { client: usize, down_ms: u64 },
    /// A client's wall clock jumps.
    ClientClock { client: usize, ms: i64 },
    /// The host tells the core something about the network or the app.
    Signal { client: usize, which: u8 },
    /// A client's store refuses commits for a while.
    StoreFails { client: usize, ms: u64 },
    /// The app leaves a channel and reads it again at once.
    Resubscribe { client: usize, reader: usize, forget: bool },
    /// The app disconnects for a while.
    Disconnect { client: usize, ms: u64 },
    /// All apps disconnect for a while, without waiting for what is on its way to them.
    Desert { ms: u64 },
    /// The app logs out: its store is cleared, and its next process is another device.
    LogOut { client: usize, down_ms: u64 },
    /// A message is published through the server's own API, twice at the same moment.
    Operator { channel: usize },
    /// The app asks for a part of a channel's log.
    History { client: usize, channel: usize },
    /// A client of another make sends something that this one never would.
    Forge { client: usize, what: Forged },
    /// The server is killed and started again; with `power` the un-synced writes are lost.
    KillServer { down_ms: u64, power: bool },
    /// The next sync of the server's log fails.
    SyncFails { down_ms: u64 },
    /// The server drains and restarts.
    Drain { down_ms: u64 },
    /// The server's wall clock jumps.
    ServerClock { ms: i64 },
    /// The engine takes no writes for a while.
    Readonly { ms: u64, full: bool },
    /// The engine's reads from disk fail for a while.
    ReadsFail { ms: u64 },
    /// A user's tokens are revoked.
    Revoke { client: usize },
    /// From now on a user's tokens do not grant a channel, or grant it again.
    Grant { client: usize, channel: usize, allowed: bool },
    /// A client fetches no tokens for a while.
    TokensFail { client: usize, ms: u64 },
}

/// What no client of ours sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forged {
    /// An acknowledgement beyond what was delivered.
    Ack,
    /// A rewind in a life of the log that the channel never had.
    Rewind,
    /// A frame of a later version that may be ignored, and one that may not.
    Future,
}

/// One client.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Whose device it is.
    pub(crate) user: usize,
    /// Which channels it reads, and how.
    pub(crate) readings: Vec<(usize, Reading)>,
    /// ms its app works on a message.
    pub(crate) work_ms: u64,
    /// What it wants of the members of which channels.
    pub(crate) presence: Vec<(usize, moorline_core::protocol::PresenceMode)>,
    /// Whether it can inflate.
    pub(crate) packs: bool,
}

/// One publish of an app.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishPlan {
    pub(crate) at: u64,
    pub(crate) client: usize,
    pub(crate) channel: usize,
    pub(crate) qos: Qos,
    pub(crate) content: Content,
    /// s until it may be forgotten.
    pub(crate) ttl: Option<u32>,
}

/// What a publish carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Something new.
    Fresh,
    /// Bytes that are not the JSON they are said to be: refused for ever.
    Poison,
}

/// How long the server keeps what; `None` = as long as the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    /// Messages of a channel.
    pub count: Option<u64>,
    /// ms of a message.
    pub age_ms: Option<u64>,
    /// ms of an id.
    pub ids_ms: Option<u64>,
    /// ms of an unused producer.
    pub producers_ms: Option<u64>,
    /// ms of an unused cursor or channel.
    pub cursors_ms: Option<u64>,
    /// Cursors of a user.
    pub cursors: Option<usize>,
}

/// The plan of a run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) engine: Engine,
    /// The server's shards.
    pub(crate) shards: u16,
    pub(crate) clients: Vec<Profile>,
    pub(crate) channels: usize,
    /// Messages that each channel holds from the start.
    pub(crate) backlog: u64,
    pub(crate) publishes: Vec<PublishPlan>,
    /// Faults: at µs.
    pub(crate) faults: Vec<(u64, Fault)>,
    /// ms of one way, at least and at most.
    pub(crate) latency: (u64, u64),
    pub(crate) keeps: Keeps,
    /// s until a token expires.
    pub(crate) token_ttl_s: Option<u64>,
    /// µs after which no more fault and no more publish happens.
    pub(crate) quiet_at: u64,
    /// Bytes that a payload has at least.
    pub(crate) payload: usize,
    /// Publishes per second and connection, and in a burst.
    pub(crate) rate: (u32, u32),
    /// Messages of a channel that are read from memory; older ones come from a slow disk.
    pub(crate) hot: usize,
    /// Messages a client's app holds before the core asks for a pause.
    pub(crate) queue: usize,
    /// Messages of a client's outbox.
    pub(crate) outbox: usize,
    /// Percent of messages that travel merged with the one before, or split at a frame.
    pub(crate) regroup: u64,
    /// Whether both sides now and then meet frames of a later version.
    pub(crate) rolling: bool,
    /// What members do, by time.
    pub(crate) presence: Vec<PresencePlan>,
    /// Whom apps follow, by time.
    pub(crate) statuses: Vec<StatusPlan>,
    /// Calls of the backend: at µs, and by whom.
    pub(crate) calls: Vec<(u64, usize)>,
    /// Whether the backend decides who connects, who reads and what is published.
    pub(crate) decides: bool,
    /// µs that a read from disk takes at most.
    pub(crate) disk_us: u64,
}

impl Keeps {
    /// Whether cursors may expire within the run.
    pub(crate) fn forgets_cursors(&self) -> bool {
        self.cursors_ms.is_some()
    }
}
