//! What a fuzzer feeds: one function per target, which panics when a promise is broken.
//!
//! libFuzzer drives the targets (`cargo xtask fuzz`, wrappers in `fuzz/`); the tests replay every target's seeds and
//! its committed corpus.

#![forbid(unsafe_code)]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a target that cannot go on has to stop at once")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a target looks at what it checks, and lets the rest pass")]

mod choices;
mod client;
mod codec;
pub mod corpus;
mod frames;
mod inflate;
mod jwt;
mod log;
mod memory;
mod node;
mod proxy;
mod upgrade;
mod websocket;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

pub use crate::client::{client, store};
pub use crate::codec::{binary, json};
pub use crate::inflate::inflate;
pub use crate::jwt::jwt;
pub use crate::log::log;
pub use crate::node::node;
pub use crate::proxy::proxy;
pub use crate::upgrade::upgrade;
pub use crate::websocket::websocket;

/// Something that is fed with bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also that of its wrapper and its corpus.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub about: &'static str,
    /// Feeds it. Panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Returns inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "binary", about: "frames in the binary codec", run: binary, seeds: codec::binary_seeds },
    Target { name: "json", about: "frames in JSON", run: json, seeds: codec::json_seeds },
    Target { name: "jwt", about: "verification of tokens", run: jwt, seeds: jwt::seeds },
    Target { name: "log", about: "damaged data directories", run: log, seeds: log::seeds },
    Target { name: "upgrade", about: "requests that become a WebSocket", run: upgrade, seeds: upgrade::seeds },
    Target { name: "websocket", about: "WebSocket frames", run: websocket, seeds: websocket::seeds },
    Target { name: "client", about: "the client core and a server that lies", run: client, seeds: client::seeds },
    Target { name: "node", about: "the server's node and hostile clients", run: node, seeds: node::seeds },
    Target { name: "inflate", about: "compressed deliveries", run: inflate, seeds: inflate::seeds },
    Target { name: "store", about: "what a client finds in its store", run: store, seeds: client::store_seeds },
    Target { name: "proxy", about: "headers of the PROXY protocol", run: proxy, seeds: proxy::seeds },
];

/// Returns the target with this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Returns bytes that are the same each time.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}
