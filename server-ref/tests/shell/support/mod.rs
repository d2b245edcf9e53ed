//! What the tests share: clients made of bytes, and one client that behaves well throughout.

mod healthy;
pub(crate) mod program;
mod wire;

use std::net::SocketAddr;

use moorline_server::server::{Options, Server};

pub(crate) use self::healthy::Healthy;
pub(crate) use self::wire::{BINARY, CLOSE, CONTINUATION, Heard, PING, TEXT, Wire, frame, head, upgrade};

/// A server in this process and a client that goes on publishing and receiving, whatever else happens.
pub(crate) struct World {
    healthy: Healthy,
    server: Server,
}

impl World {
    /// A server as `--dev` starts it.
    pub(crate) fn dev() -> Self {
        Self::start(Options::dev(), "dev:healthy")
    }

    /// A server with these options; the healthy client uses this token.
    pub(crate) fn start(options: Options, token: &str) -> Self {
        let server = Server::start(options).unwrap();
        Self { healthy: Healthy::connect(server.address(), token), server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The client that goes on.
    pub(crate) fn healthy(&mut self) -> &mut Healthy {
        &mut self.healthy
    }

    /// Everybody else is served as ever: to be called while the bad client is at it, and after.
    pub(crate) fn is_well(&mut self) {
        self.healthy.beat();
        drop(Wire::hello(self.address(), "dev:newcomer"));
    }
}
