//! One publisher, many subscribers: what a delivery costs the server, and how long it takes.

mod generator;

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Result;
use crate::machine::{Pinned, Role};
use crate::peer::{self, Peer};
use crate::progress;
use crate::table::{self, Column, Goal, Line, Table};

use generator::{Generator, Load, Sample};

/// One publisher, many subscribers of one channel.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("programs").required(true).multiple(true).args(["server", "centrifuge"])))]
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
    #[arg(long, default_value_t = 1_000)]
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

const PER_DELIVERY: &str = "server µs/delivery";
const GENERATOR: &str = "generator CPU %";
const COLUMNS: &[Column] = &[
    ("deliveries/s", 0),
    (PER_DELIVERY, 2),
    ("p50 µs", 0),
    ("p99 µs", 0),
    ("server CPU %", 0),
    (GENERATOR, 0),
    ("bytes/delivery", 0),
    ("delivered %", 2),
];

/// The load generator's core may be so busy that its figure is the server's and not its own, in %.
const BUSY: f64 = 85.0;

impl Fanout {
    pub(crate) fn run(&self) -> Result {
        let peers = Peer::all(self.server.as_deref(), self.qos, self.centrifuge.as_deref());
        println!("Versions: {}", peer::versions(&peers)?);
        let (mut paced, mut saturated) = (vec![Vec::new(); peers.len()], vec![Vec::new(); peers.len()]);
        for round in 1..=self.rounds {
            for ((peer, paced), saturated) in peers.iter().zip(&mut paced).zip(&mut saturated) {
                progress::say(&format!("fan-out, round {round} of {}, {}: paced, saturated", self.rounds, peer.name()));
                paced.push(self.measure(peer, self.subscribers, self.pace())?.row());
                saturated.push(self.measure(peer, self.saturated_subscribers, Load::Window(self.window))?.row());
            }
        }
        let table = |samples| Table::new(COLUMNS, peers.iter().map(Peer::name).zip(samples));
        let (paced, saturated) = (table(paced), table(saturated));
        self.print(&paced, &saturated);
        if let [Peer::Moorline { .. }, peer] = peers.as_slice() {
            table::compare(peer.name(), &Self::lines(&paced, &saturated));
        }
        Ok(())
    }

    fn print(&self, paced: &Table<'_>, saturated: &Table<'_>) {
        let Self { subscribers, deliveries, size, window, qos, .. } = self;
        paced.print(&format!("Paced: {subscribers} subscribers, {deliveries} deliveries/s, {size} B, QoS {qos}"));
        let subscribers = self.saturated_subscribers;
        saturated.print(&format!("Saturated: {subscribers} subscribers, window {window}, {size} B, QoS {qos}"));
    }

    fn lines(paced: &Table<'_>, saturated: &Table<'_>) -> Vec<Line> {
        let busy = saturated.cell(0, GENERATOR).max(saturated.cell(1, GENERATOR));
        let invalid = (busy > BUSY).then(|| format!("invalid: generator {busy:.0} % busy"));
        // While the generator is the limit, what the server pays per delivery says how far it could go.
        let per_core = if invalid.is_some() { Goal::AtMostTimes(0.25) } else { Goal::None };
        vec![
            paced.line("Server CPU per delivery, paced, µs", PER_DELIVERY, Goal::AtMostTimes(0.60)),
            paced.line("Latency p50, paced, µs", "p50 µs", Goal::None),
            paced.line("Latency p99, paced, µs", "p99 µs", Goal::AtMostTimes(0.70)),
            saturated.line("Deliveries/s, saturated", "deliveries/s", Goal::AtLeastTimes(4.0)).but(invalid),
            saturated.line("Server CPU per delivery, saturated, µs", PER_DELIVERY, per_core),
        ]
    }

    fn pace(&self) -> Load {
        let per_second = f64::from(self.deliveries) / self.subscribers as f64;
        Load::Paced { interval: Duration::from_secs_f64(1.0 / per_second) }
    }

    fn measure(&self, peer: &Peer, subscribers: usize, load: Load) -> Result<Sample> {
        let server = {
            let _core = Pinned::to(Role::Server)?;
            peer.start()?
        };
        let _core = Pinned::to(Role::Generator)?;
        let generator = Generator::connect(peer, &server, subscribers, self.size)?;
        generator.run(load, Duration::from_secs(self.seconds))
    }
}
