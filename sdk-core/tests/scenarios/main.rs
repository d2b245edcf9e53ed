//! One client core against a scripted server: frames in, frames out, both clocks by hand.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod connecting;
mod host;
mod properties;
mod publishing;
mod receiving;
mod storing;
