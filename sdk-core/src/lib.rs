//! The Moorline client as a state machine: no sockets, no clock, no threads, no randomness of its own.
//!
//! A host owns a socket, a timer and a store. It calls commands and `handle_*`, then drains
//! [`Client::poll_output`] until `None`, then arms one timer at [`Client::poll_timeout`].
//!
//! ```
//! use moorline_core::{Client, ClientConfig, Input, Now, Output, SubscribeOptions, Timestamp};
//! use moorline_core::protocol::ChannelName;
//!
//! // The host's clocks, both as arguments.
//! let now = |ms| Now { mono: Timestamp::from_millis(ms), unix: 1_700_000_000_000 + ms };
//! let config = ClientConfig::new("ws://127.0.0.1:8000/ws");
//! let mut client = Client::new(config, Vec::new(), [7; 32], now(0))?;
//! client.subscribe(&ChannelName::new("room:42")?, SubscribeOptions::default(), now(0))?;
//! client.connect(now(0));
//!
//! let mut opened = Vec::new();
//! while let Some(output) = client.poll_output() {
//!     match output {
//!         Output::OpenTransport { id, url } => opened.push((id, url)),
//!         Output::Send { .. } => { /* one WebSocket message */ }
//!         Output::CloseTransport { .. } => { /* close the socket, await nothing */ }
//!         Output::NeedToken { .. } => { /* fetch one, then `Input::Token` */ }
//!         // A host with a disk answers later, from its own thread.
//!         Output::Persist { ticket, .. } => client.handle_input(Input::Persisted { ticket, result: Ok(()) }, now(1)),
//!         Output::Event(event) => println!("{event:?}"),
//!     }
//! }
//! assert_eq!(opened.len(), 1);
//! // Nothing heard from the socket: at this moment, `handle_timeout` is due.
//! assert_eq!(client.poll_timeout(), Some(Timestamp::from_millis(10_001)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod blackbox;
mod call;
mod client;
mod closing;
mod config;
mod connection;
#[cfg(any(test, not(feature = "fast-inflate")))]
mod deflate;
mod dice;
mod error;
mod event;
mod history;
mod ids;
mod inbound;
pub mod inflate;
mod io;
mod outbox;
mod outgoing;
pub mod planted;
mod presence;
mod push;
mod redacted;
mod sorted;
mod store;
mod subscription;
mod timer;

pub use client::Client;
pub use config::{CallOptions, ClientConfig, HistoryQuery, PublishOptions, StartAt, SubscribeOptions, TokenSource};
pub use error::{PublishError, StoreError, SubscribeError};
pub use event::{
    ClientStats, ConnectionState, Event, Failure, HistoryPage, Origin, OutboxStats, PublishOutcome, Received,
    StateReason, Stored,
};
pub use ids::{PublishId, RequestId, SubscriptionId};
pub use io::{HostSignal, Input, Output, StoreBatch, StoreEntry, Ticket, TokenReason, TransportId};
pub use moorline_protocol as protocol;
pub use moorline_protocol::time::{Now, Timestamp};
pub use presence::Present;
pub use timer::TimerKind;
