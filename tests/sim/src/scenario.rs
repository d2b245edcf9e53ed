//! What a run does: drawn from the dice before it starts.

use moorline_core::protocol::Qos;

use crate::client::Reading;
use crate::dice::Dice;

/// How hard the server's engine keeps what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// `memory`: dies with the process.
    Memory,
    /// `process`: survives a kill; a power cut loses what was not synced and begins new epochs.
    Process,
    /// `disk`: survives anything.
    Disk,
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A client's link breaks and both ends notice.
    Cut { client: usize },
    /// A client's link breaks and only one end notices.
    HalfOpen { client: usize, server_notices: bool },
    /// A client's network swallows everything for a while; then all arrives, or the link breaks.
    BlackHole { client: usize, ms: u64, flush: bool },
    /// A client's process stands still.
    Freeze { client: usize, ms: u64 },
    /// A client's device sleeps: its clock jumps, its network is gone meanwhile.
    Sleep { client: usize, ms: u64 },
    /// A client's process is killed and started again.
    KillClient { client: usize, down_ms: u64 },
    /// A client's wall clock jumps.
    ClientClock { client: usize, ms: i64 },
    /// The host tells the core something about the network or the app.
    Signal { client: usize, which: u8 },
    /// A client's store refuses the next commit.
    StoreFails { client: usize },
    /// The server is killed and started again; with `power` the un-synced writes are lost.
    KillServer { down_ms: u64, power: bool },
    /// The server drains and restarts.
    Drain { down_ms: u64 },
    /// The server's wall clock jumps.
    ServerClock { ms: i64 },
    /// The engine takes no writes for a while.
    Readonly { ms: u64 },
    /// A user's tokens are revoked.
    Revoke { client: usize },
}

/// The plan of a run.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) engine: Engine,
    pub(crate) clients: usize,
    pub(crate) channels: usize,
    /// Which channels each client reads, and how.
    pub(crate) readings: Vec<Vec<(usize, Reading)>>,
    /// Publishes: at µs, by whom, where, at which level.
    pub(crate) publishes: Vec<(u64, usize, usize, Qos)>,
    /// Faults: at µs.
    pub(crate) faults: Vec<(u64, Fault)>,
    /// ms of one way.
    pub(crate) latency: (u64, u64),
    /// Messages a channel keeps, if limited.
    pub(crate) max_count: Option<u64>,
    /// s until a token expires.
    pub(crate) token_ttl_s: Option<u64>,
    /// ms an app works on a message.
    pub(crate) work_ms: Vec<u64>,
    /// µs after which no more fault and no more publish happens.
    pub(crate) quiet_at: u64,
    /// Percent of messages that carry a ttl.
    pub(crate) ttl_percent: u64,
}

impl Scenario {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let engine = match dice.range(0, 9) {
            0 => Engine::Memory,
            1..=2 => Engine::Process,
            _ => Engine::Disk,
        };
        let clients = dice.range(1, 4) as usize;
        let channels = dice.range(1, 3) as usize;
        let quiet_at = dice.range(5, 90) * 1_000_000;
        let readings = (0..clients).map(|_| readings(dice, channels)).collect();
        let count = dice.range(5, 160);
        let bursts = dice.chance(40);
        let mut publishes: Vec<_> = (0..count)
            .map(|_| {
                let step = if bursts { 5_000_000 } else { 1 };
                let at = dice.range(0, quiet_at - 1) / step * step + dice.range(0, 50_000);
                let qos = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce, Qos::ExactlyOnce][dice.index(4)];
                (at.min(quiet_at - 1), dice.index(clients), dice.index(channels), qos)
            })
            .collect();
        publishes.sort_by_key(|publish| publish.0);
        let faults = (0..dice.range(0, 12)).map(|_| (dice.range(0, quiet_at - 1), fault(dice, clients))).collect();
        Self {
            engine,
            clients,
            channels,
            readings,
            publishes,
            faults,
            latency: (dice.range(0, 20), dice.range(20, 300)),
            max_count: dice.chance(20).then(|| dice.range(3, 60)),
            token_ttl_s: dice.chance(30).then(|| dice.range(20, 60)),
            work_ms: (0..clients).map(|_| if dice.chance(25) { dice.range(1, 400) } else { 0 }).collect(),
            quiet_at,
            ttl_percent: if dice.chance(15) { 30 } else { 0 },
        }
    }

    /// Whether the log may lose acknowledged messages in this run.
    pub(crate) fn is_volatile(&self) -> bool {
        let killed = |power_only: bool| {
            self.faults.iter().any(|(_, fault)| match fault {
                Fault::KillServer { power, .. } => *power || !power_only,
                Fault::Drain { .. } => !power_only,
                _ => false,
            })
        };
        match self.engine {
            Engine::Memory => killed(false),
            Engine::Process => killed(true),
            Engine::Disk => false,
        }
    }

    /// Whether a publish may end as uncertain in this run.
    pub(crate) fn allows_doubt(&self) -> bool {
        self.is_volatile() || self.faults.iter().any(|(_, fault)| matches!(fault, Fault::StoreFails { .. }))
    }
}

fn readings(dice: &mut Dice, channels: usize) -> Vec<(usize, Reading)> {
    let mut readings = Vec::new();
    for channel in 0..channels {
        if dice.chance(80) {
            let reading =
                [Reading::Lossy, Reading::Plain, Reading::Plain, Reading::Durable, Reading::Durable, Reading::Owned];
            readings.push((channel, reading[dice.index(6)]));
        }
    }
    readings
}

fn fault(dice: &mut Dice, clients: usize) -> Fault {
    let client = dice.index(clients);
    match dice.range(0, 19) {
        0..=2 => Fault::Cut { client },
        3 => Fault::HalfOpen { client, server_notices: dice.chance(50) },
        4..=5 => Fault::BlackHole { client, ms: dice.range(100, 50_000), flush: dice.chance(60) },
        6 => Fault::Freeze { client, ms: dice.range(100, 60_000) },
        7 => Fault::Sleep { client, ms: dice.range(1_000, 200_000) },
        8..=10 => Fault::KillClient { client, down_ms: dice.range(1, 20_000) },
        11 => Fault::ClientClock { client, ms: dice.range(0, 7_200_000) as i64 - 3_600_000 },
        12 => Fault::Signal { client, which: dice.range(0, 4) as u8 },
        13 => Fault::StoreFails { client },
        14..=16 => Fault::KillServer { down_ms: dice.range(1, 15_000), power: dice.chance(50) },
        17 => Fault::Drain { down_ms: dice.range(1, 5_000) },
        18 if dice.chance(50) => Fault::ServerClock { ms: dice.range(0, 7_200_000) as i64 - 3_600_000 },
        18 => Fault::Readonly { ms: dice.range(100, 8_000) },
        _ if dice.chance(20) => Fault::Revoke { client },
        _ => Fault::Cut { client },
    }
}
