//! The server's side of RFC 6455, without IO: the upgrade, and frames.

mod frame;
mod upgrade;

pub use frame::{Incoming, Reader, Violation, close_frame, frame, header, pong_frame};
pub use upgrade::{MAX_HEAD, Plain, Refusal, Upgrade, header_lines, path, upgrade};
