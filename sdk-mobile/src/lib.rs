//! The native client for Kotlin, Swift and Python: what UniFFI makes bindings of.
//!
//! Nothing here is what an app sees: each language has a package of its own around it (`bindings/`). Nothing here decides
//! anything either: a call converts, delegates, converts.
//!
//! - Whatever comes again and again is pulled from an [`FfiReader`]: a wait that is broken off loses nothing.
//! - Waits that end by themselves take an [`FfiCancel`], for languages that cannot drop them.
//! - A client runs on a thread of its own, from its first use until it is closed or released.

mod cancel;
mod channel;
mod client;
mod convert;
mod error;
mod live;
mod options;
#[cfg(feature = "planted-bugs")]
mod planted;
mod presence;
mod reader;
mod receipt;
mod records;
mod token;

pub use cancel::FfiCancel;
pub use channel::FfiChannel;
pub use client::FfiClient;
pub use error::{FfiError, FfiFailure, FfiKind, FfiOrigin, error_codes};
pub use live::{FfiLive, live};
pub use options::{
    FfiChannelOptions, FfiClientOptions, FfiHistoryRange, FfiPresenceMode, FfiPublishOptions, FfiQos, FfiSince,
};
pub use presence::FfiPresence;
pub use reader::FfiReader;
pub use receipt::FfiReceipt;
pub use records::{
    FfiBatch, FfiConnection, FfiConnectionState, FfiEvent, FfiHistoryPage, FfiItem, FfiLogLevel, FfiMember,
    FfiMemberChange, FfiMemberEvent, FfiMembers, FfiMembersPage, FfiMessage, FfiOutbox, FfiPayload, FfiReceiptState,
    FfiSignal, FfiStored, FfiUserStatus,
};
pub use token::{FfiTokenAnswer, FfiTokenProvider, FfiTokenReason};

uniffi::setup_scaffolding!();

/// Returns the version of the core.
#[uniffi::export]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
