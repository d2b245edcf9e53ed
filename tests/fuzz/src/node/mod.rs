//! The server's node over the real engine core, between hostile connections and one that behaves.

mod peer;
mod tokens;
mod witness;
mod world;

use moorline_server::node::ConnId;

use self::world::World;
use crate::choices::Choices;

/// Frames of several hostile connections, in any order with answers of the engine, time and pressure: limits hold,
/// nobody hears what is not meant for it, and the connection that behaves misses nothing.
pub fn node(bytes: &[u8]) {
    let mut world = World::new(Choices::new(bytes));
    while !world.choices.is_over() {
        world.step();
    }
    world.end();
}

/// Inputs of [`node`].
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..32).map(|n| crate::noise(n, 400)).collect()
}

/// Hostile connections.
const PEERS: u32 = 4;
/// The connection that behaves.
const WITNESS: ConnId = ConnId(100);

/// Limits of the node, low enough to be reached.
const MAX_CHANNELS: u32 = 3;
const MAX_CONNECTIONS: u32 = 3;
const MAX_MESSAGE: u32 = 65_536;
const RATE: u32 = 20;
const BURST: u32 = 40;
