//! The Moorline client as a state machine: no sockets, no clock, no threads, no randomness of its own.
//!
//! A host owns a socket, a timer and a store. It calls commands and `handle_*`, then drains
//! [`Client::poll_output`] until `None`, then arms one timer at [`Client::poll_timeout`].

#![forbid(unsafe_code)]

mod client;
mod config;
mod connection;
mod dice;
mod error;
mod event;
mod history;
mod ids;
mod inbound;
mod io;
mod outbox;
mod outgoing;
pub mod planted;
mod store;
mod subscription;
mod timer;

pub use client::Client;
pub use config::{ClientConfig, HistoryQuery, PublishOptions, StartAt, SubscribeOptions, TokenSource};
pub use error::{PublishError, StoreError, SubscribeError};
pub use event::{
    ConnectionState, Event, Failure, HistoryPage, Origin, OutboxStats, PublishOutcome, Received, StateReason, Stored,
};
pub use ids::{PublishId, RequestId, SubscriptionId};
pub use io::{HostSignal, Input, Output, StoreBatch, StoreEntry, Ticket, TokenReason, TransportId};
pub use moorline_protocol as protocol;
pub use moorline_protocol::time::{Now, Timestamp};
