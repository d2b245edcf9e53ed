//! Requests that this server makes itself: of hooks, and of call-outs.
//!
//! A [`Target`] says where to and as whom; [`send`] makes one signed `POST` on a connection of its own, [`Pool::send`] on one
//! that it keeps for the next, to an address that was checked when it was connected to. Both return the answer of a receiver that is not trusted: its head is bounded, its body is read as far as
//! the caller says, redirects are answers like others.

mod get;
mod guard;
mod pool;
mod post;
mod retry;
mod sign;

pub use self::get::{Document, get};
pub use self::guard::is_public;
pub use self::pool::{Pool, Repeat};
pub use self::post::{Refusal, Reply, Request, Target, send};
pub use self::retry::RetryAfter;
pub use self::sign::{BadSecret, Secret, sign};
