//! Requests that this server makes itself: of hooks, and of call-outs.
//!
//! A [`Target`] says where to and as whom; [`send`] makes one signed `POST` on a connection of its own, to an address that
//! was checked, and returns the answer of a receiver that is not trusted: its head is bounded, its body is read as far as
//! the caller says, redirects are answers like others.

mod forward;
mod get;
mod guard;
mod post;
mod sign;

pub(crate) use self::forward::forward;
pub use self::get::{Document, get};
pub use self::guard::is_public;
pub use self::post::{Refusal, Reply, Request, Target, send};
pub use self::sign::{BadSecret, Secret, sign};
