//! One publisher, many subscribers: what a delivery costs the server, and how long it takes.

mod generator;

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Result;
use crate::machine::Pinned;
use crate::peer::Peer;
use crate::table::{self, Column};

use generator::{Generator, Load, Sample};

/// One publisher, many subscribers of one channel.
#[derive(Debug, clap::Args)]
pub(crate) struct Fanout {
    /// The server's binary; without it only the peer is measured.
    #[arg(long)]
    server: Option<PathBuf>,
    /// The peer's binary; without it only Moorline is measured.
    #[arg(long)]
    centrifuge: Option<PathBuf>,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Subscribers when paced.
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Deliveries per second when paced.
    #[arg(long, default_value_t = 60_000)]
    deliveries: u32,
    /// Subscribers when saturated.
    #[arg(long, default_value_t = 200)]
    saturated_subscribers: usize,
    /// Messages on their way at once when saturated.
    #[arg(long, default_value_t = 64)]
    window: u64,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Seconds that are measured, after one second of warming up.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// The level Moorline's messages are published and subscribed at: 0 is not stored, 1 is synced to disk first.
    #[arg(long, default_value_t = 1)]
    qos: u8,
}

const COLUMNS: &[Column] = &[
    ("deliveries/s", 0),
    ("server µs/delivery", 2),
    ("p50 µs", 0),
    ("p99 µs", 0),
    ("server CPU %", 0),
    ("generator CPU %", 0),
    ("bytes/delivery", 0),
    ("delivered %", 2),
];

impl Fanout {
    pub(crate) fn run(&self) -> Result {
        let level = self.qos;
        let peers = Peer::all(self.server.as_deref(), level, self.centrifuge.as_deref());
        let (mut paced, mut saturated) = (vec![Vec::new(); peers.len()], vec![Vec::new(); peers.len()]);
        for _ in 0..self.rounds {
            for ((peer, paced), saturated) in peers.iter().zip(&mut paced).zip(&mut saturated) {
                paced.push(self.paced(peer)?.row());
                saturated.push(self.saturated(peer)?.row());
            }
        }
        let rows = |samples: Vec<Vec<Vec<f64>>>| peers.iter().map(Peer::name).zip(samples).collect::<Vec<_>>();
        let Self { subscribers, deliveries, size, window, .. } = self;
        let title =
            format!("Fan-out, paced: {subscribers} subscribers, {deliveries} deliveries/s, {size} B, QoS {level}");
        table::print(&title, COLUMNS, &rows(paced));
        let subscribers = self.saturated_subscribers;
        let title = format!(
            "Fan-out, saturated: {subscribers} subscribers, window {window}, {size} B, QoS {level}; server and \
             generator on one core each"
        );
        table::print(&title, COLUMNS, &rows(saturated));
        println!("\nA saturated row is only valid while the generator's core is at most 85 % busy.");
        Ok(())
    }

    fn paced(&self, peer: &Peer) -> Result<Sample> {
        let per_second = f64::from(self.deliveries) / self.subscribers as f64;
        let server = peer.start()?;
        let load = Load::Paced { interval: Duration::from_secs_f64(1.0 / per_second) };
        Generator::connect(peer, &server, self.subscribers, self.size)?.run(load, Duration::from_secs(self.seconds))
    }

    fn saturated(&self, peer: &Peer) -> Result<Sample> {
        let server = {
            let _core = Pinned::to(0)?;
            peer.start()?
        };
        let _core = Pinned::to(1)?;
        let generator = Generator::connect(peer, &server, self.saturated_subscribers, self.size)?;
        generator.run(Load::Window(self.window), Duration::from_secs(self.seconds))
    }
}
