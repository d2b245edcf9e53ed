use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::{AppName, CloseCode, Codec, DeviceId, ErrorCode, Payload, UserName, Utf8Bytes};

use super::callout::{CalloutId, CalloutKind, QuestionId};
use super::packing::PackedStats;
use crate::engine::{Command, Owner, Ticket};

/// A connection of this shard, chosen by the shell; may be used again after [`Node::handle_closed`](super::Node::handle_closed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u32);

/// How full a connection's out-queue is, in bytes not yet taken by the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Pressure {
    /// Below 256 KiB: pages may be read for it.
    #[default]
    Low,
    /// 256 KiB and more: no further pages.
    Elevated,
    /// 512 KiB and more: live subscriptions fall behind, QoS 0 is dropped.
    High,
    /// 1 MiB and more: the shell stops reading the socket.
    Full,
}

impl Pressure {
    /// Returns the level of a queue of so many bytes.
    pub fn of(queued: usize) -> Self {
        match queued {
            0..0x4_0000 => Self::Low,
            0x4_0000..0x8_0000 => Self::Elevated,
            0x8_0000..0x10_0000 => Self::High,
            _ => Self::Full,
        }
    }
}

/// What the node wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send one WebSocket message to one connection.
    Send {
        /// To whom.
        conn: ConnId,
        /// The message: one or more frames of the connection's codec.
        message: Bytes,
    },
    /// Send the same WebSocket message to many connections of the same codec.
    Fanout {
        /// To whom; a snapshot.
        conns: Arc<Vec<ConnId>>,
        /// Of what codec they all are.
        codec: Codec,
        /// The message.
        message: Bytes,
    },
    /// Send what is queued, then close. The node has forgotten the connection; [`Node::handle_closed`](super::Node::handle_closed) may follow.
    Close {
        /// Whom.
        conn: ConnId,
        /// Why.
        code: CloseCode,
    },
    /// Ask the engine; the answer comes through [`Node::handle_replies`](super::Node::handle_replies) under this ticket.
    Engine(Ticket, Command),
    /// Ask an app's backend; the answer comes through [`Node::handle_answer`](super::Node::handle_answer).
    Ask {
        /// Names the question.
        question: QuestionId,
        /// Who is asked.
        callout: CalloutId,
        /// What about.
        kind: CalloutKind,
        /// The question, as JSON.
        body: Bytes,
    },
    /// Hand a call to the app's backend; the answer comes through [`Node::handle_called`](super::Node::handle_called),
    /// within [`Calling::timeout_ms`], whatever becomes of it.
    Call(CallId, Calling),
    /// Nobody waits for the answer any more: it may be given up, and need not be told.
    Uncall(CallId),
    /// Write a warning into the server's own log.
    Warn(Warning),
    /// Every connection is closed and every publish answered: the drain is complete.
    Drained,
}

/// A call that the app's backend has to answer; never used again while the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// What is asked of an app's backend, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calling {
    /// Whose backend.
    pub app: AppName,
    /// Who asks; `None` when anonymous.
    pub user: Option<UserName>,
    /// From which device.
    pub device: DeviceId,
    /// The call's name, the client's: 1–128 bytes, not to be trusted to be unique between users.
    pub id: Utf8Bytes,
    /// What.
    pub method: Utf8Bytes,
    /// With what.
    pub payload: Payload,
    /// ms for which the client waits, 1–30,000.
    pub timeout_ms: u32,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailure {
    /// `call.refused`, with or without the app's own word behind it, or why the backend gave no answer.
    pub code: ErrorCode,
    /// The app's sentence, or what to do.
    pub message: Utf8Bytes,
}

/// What whoever runs the server should know. Without payloads and tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Different runs under one device's name displace each other again and again: probably a store was copied.
    DeviceConflict(Owner),
    /// An app's backend answered something that is no answer to this kind of question.
    SenselessAnswer(AppName, CalloutKind),
}

/// What a node holds, for tests and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeStats {
    /// Open connections.
    pub connections: usize,
    /// Connections that have said `hello`.
    pub sessions: usize,
    /// Channels that somebody reads.
    pub channels: usize,
    /// Questions that the engine or an app's backend has not answered.
    pub questions: usize,
    /// Deadlines.
    pub deadlines: usize,
    /// Calls that have no answer.
    pub calls: usize,
    /// What it has compressed since it began.
    pub packed: PackedStats,
}

/// Why the node wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TimerKind {
    /// A connection has sent no `hello`.
    Hello,
    /// A connection is due a ping, or silent for too long.
    Heartbeat,
    /// A token, or what an app has allowed for a while, expires.
    Token,
    /// An app's backend has not answered.
    Question,
    /// The drain moves on.
    Drain,
}
