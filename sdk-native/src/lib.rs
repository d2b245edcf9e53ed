//! Real-time messages that arrive once, in order, after any interruption: the native client.
//!
//! ```no_run
//! use moorline::{Client, Payload, Qos, Stored};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("ws://127.0.0.1:8000/ws").token("dev:alice").build()?;
//! let room = client.channel("room:42").durable(true).qos(Qos::ExactlyOnce);
//!
//! let mut messages = room.subscribe().await?;
//! let receipt = room.publish(Payload::json(&"hello")?).send()?; // returns at once
//! let Stored { epoch, offset, duplicate } = receipt.stored().await?;
//!
//! while let Some(message) = messages.next().await {
//!     println!("{}: {}", message.id, message.json::<String>()?);
//!     messages.ack(&message);
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod builder;
mod call;
mod channel;
mod client;
mod connection;
mod driver;
mod error;
mod log;
mod message;
mod messages;
mod presence;
mod queue;
mod reader;
mod readers;
mod receipt;
mod shared;
mod sink;
mod socket;
mod states;
mod status;
mod store;
mod tcp;
mod tls;

pub use builder::Builder;
pub use call::Call;
pub use channel::{Channel, History, Page, Publish, Since};
pub use client::{Client, Lifecycle};
pub use connection::Connection;
pub use error::{Error, Kind, Origin};
pub use log::{LogLevel, LogLine};
pub use message::{Message, Payload};
pub use messages::{Event, Messages};
#[cfg(feature = "planted-bugs")]
pub use moorline_core::planted;
pub use moorline_core::protocol::Qos;
pub use moorline_core::{ClientConfig, ConnectionState, OutboxStats, StateReason, TokenReason};
pub use presence::{Member, MemberChange, MemberEvent, Members, MembersChange, MembersPage, Presence, PresenceState};
pub use reader::Reader;
pub use readers::Readers;
pub use receipt::{Receipt, ReceiptState, Restored, Stored};
pub use states::ReceiptStates;
pub use status::{Status, StatusFeed, Statuses};
pub use store::{FileStore, MemoryStore, Store, StoreBatch, StoreEntry, StoreError};
