//! A TCP proxy that misbehaves on command: what stands between a client and a server when networks fail.
//!
//! ```no_run
//! # use moorline_crash::proxy::{Cut, Heal, Proxy, Weather};
//! # async fn story() -> std::io::Result<()> {
//! let proxy = Proxy::start("127.0.0.1:8000".parse().unwrap()).await?;
//! println!("clients connect to {}", proxy.address());
//! proxy.cut(Cut::Reset); // every connection dies at once
//! proxy.set(Weather::BlackHole); // bytes are taken and go nowhere
//! proxy.heal(Heal::Flush); // … until they all arrive at last
//! # Ok(())
//! # }
//! ```

mod connection;
mod pipe;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::{JoinHandle, JoinSet};

/// What happens to bytes and to new connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    #[default]
    Fair,
    /// Bytes, and the ends of connections, arrive so much later, in order.
    Latency(Duration),
    /// At most so many bytes per second pass in each direction of each connection.
    Slow(u32),
    /// Bytes, closes and new connections are taken and go nowhere; nobody is told.
    BlackHole,
    /// As a black hole, but only one way: what goes the other way arrives. New connections are taken.
    Deaf(Direction),
    /// New connections are reset at once. Open ones go on.
    Refuse,
}

/// How open connections end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// With RST, as when a host vanishes or a NAT forgets.
    Reset,
    /// With FIN, as when a middlebox closes politely.
    Finish,
    /// With FIN, which the client hears of only so much later; nothing passes meanwhile.
    Linger(Duration),
}

/// What becomes of what a black hole took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heal {
    /// It arrives, late.
    Flush,
    /// It is lost, and the connections with it.
    Drop,
}

/// What went through a proxy since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections that clients opened, refused ones included.
    pub connections: u64,
    /// Bytes handed to the server.
    pub upstream: u64,
    /// Bytes handed to clients.
    pub downstream: u64,
}

/// A running proxy. It ends, and cuts its connections, when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

/// What the handle and the connections share.
#[derive(Debug)]
struct Shared {
    weather: watch::Sender<Weather>,
    upstream: watch::Sender<SocketAddr>,
    cuts: broadcast::Sender<Cut>,
    connections: AtomicU64,
    bytes: [AtomicU64; 2],
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Upstream,
    /// From the server to the client.
    Downstream,
}

impl Shared {
    fn count(&self, direction: Direction, bytes: usize) {
        let [upstream, downstream] = &self.bytes;
        let counter = match direction {
            Direction::Upstream => upstream,
            Direction::Downstream => downstream,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Proxy {
    /// Starts a proxy on a free port of loopback, in fair weather, in front of `upstream`.
    ///
    /// # Errors
    /// As the operating system's, if it cannot listen.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            weather: watch::Sender::new(Weather::Fair),
            upstream: watch::Sender::new(upstream),
            cuts: broadcast::Sender::new(16),
            connections: AtomicU64::new(0),
            bytes: [AtomicU64::new(0), AtomicU64::new(0)],
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, acceptor })
    }

    /// Returns where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather. Connections stay; what a black hole holds stays held until [`heal`](Self::heal), or
    /// arrives if the new weather lets it.
    pub fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Ends every open connection. New ones are taken as the weather says.
    pub fn cut(&self, cut: Cut) {
        // An error says that there is no connection to cut.
        let _ = self.shared.cuts.send(cut);
    }

    /// Makes the weather fair.
    pub fn heal(&self, heal: Heal) {
        if heal == Heal::Drop {
            self.cut(Cut::Reset);
        }
        self.set(Weather::Fair);
    }

    /// Sends new connections to another server.
    pub fn retarget(&self, upstream: SocketAddr) {
        self.shared.upstream.send_replace(upstream);
    }

    /// Returns what went through so far.
    pub fn traffic(&self) -> Traffic {
        let [upstream, downstream] = &self.shared.bytes;
        Traffic {
            connections: self.shared.connections.load(Ordering::Relaxed),
            upstream: upstream.load(Ordering::Relaxed),
            downstream: downstream.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error concerns one connection that is gone already.
                let Ok((client, _)) = accepted else { continue };
                shared.connections.fetch_add(1, Ordering::Relaxed);
                // Subscribed here and not in the task, so that no cut is missed.
                let cuts = shared.cuts.subscribe();
                connections.spawn(connection::run(client, cuts, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
