//! The client core for a host that has WebAssembly: one crossing per batch of calls, bytes in, bytes out.
//!
//! The host writes a batch into [`input`](exports::input), [`run`](exports::run)s it at a moment of its clocks, and reads
//! one buffer: when to come back, what waits in the outbox, and all outputs in order. What the bytes mean is written down
//! in `docs/adr/0009-wasm-seam.md`; `bindings/js/src/core` is the other side.

mod calls;
mod codes;
mod events;
pub mod exports;
mod instance;
#[cfg(any(test, target_arch = "wasm32"))]
mod memory;
mod outputs;
mod reader;
mod writer;

pub use instance::{HEAD, Instance};
