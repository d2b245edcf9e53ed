//! Publishing.

use super::ChannelRef;
use crate::message::{Headers, Payload};
use crate::types::{Epoch, Generation, Offset, Qos, Sequence, Utf8Bytes};

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
