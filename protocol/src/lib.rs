//! Wire types and codecs of the Moorline protocol, shared by client and server.
//!
//! `docs/protocol.md` is the normative text; `tests/vectors/` holds the golden frames that prove it.
//! This crate does no IO and knows no clock. Nothing in it panics on input from the network.

#![forbid(unsafe_code)]

pub mod binary;
mod code;
mod codec;
mod decimal;
mod frame;
#[cfg(feature = "json")]
pub mod json;
pub mod limits;
mod message;
#[cfg(any(test, not(feature = "fast-bytes")))]
#[cfg_attr(feature = "fast-bytes", expect(unnameable_types, reason = "only its tests name it"))]
mod shared;
pub mod time;
mod types;

#[cfg(feature = "fast-bytes")]
pub use bytes::Bytes;
pub use code::{CloseCode, CloseVerdict, ErrorCode};
pub use codec::{Codec, DecodeError, Decoded};
pub use decimal::{decimal, joined};
pub use frame::{
    Ack, Acked, Auth, Authed, Call, CallResult, ChannelRef, ClientFrame, Deliver, Dropped, Durability, ErrorFrame,
    Goaway, GoawayReason, Hello, History, HistoryRange, Limits, Member, Members, MembersView, More, Packed,
    PackedDictionary, Page, Park, Pause, Ping, Pong, PresenceChange, PresenceChangeKind, PresenceEvents, PresenceMode,
    PresenceOp, PresenceRequest, PresenceVersion, ProducerGrant, ProducerRequest, ProducerState, Publish, Published,
    Push, Reset, ResetMode, ResetReason, ReusedBy, Run, ServerFrame, Since, Start, StatusRequest, Statuses, Subscribe,
    Subscribed, Unsubscribe, Unsubscribed, UserStatus, Welcome, is_method,
};
pub use message::{Headers, Message, Payload, headers_are_valid};
#[cfg(not(feature = "fast-bytes"))]
pub use shared::Bytes;
pub use types::{
    AppName, ChannelName, ChannelNumber, DeviceId, Epoch, Generation, NameError, Offset, Position, ProducerId, Qos,
    Sequence, UserName, Utf8Bytes,
};
