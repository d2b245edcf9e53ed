//! Scenarios drawn from the dice.

use moorline_core::protocol::Qos;

use super::{Content, Engine, Fault, Forged, Keeps, Profile, PublishPlan, Scenario};
use crate::client::Reading;
use crate::dice::Dice;

impl Scenario {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let engine = match dice.range(0, 9) {
            0 => Engine::Memory,
            1..=2 => Engine::Process,
            _ => Engine::Disk,
        };
        let channels = dice.range(1, 3) as usize;
        let quiet_at = dice.range(5, 90) * 1_000_000;
        let users = dice.range(1, 3) as usize;
        let mut clients = profiles(dice, users, channels);
        let count = clients.len();
        // One run in 20 begins with a long log: whoever reads it all needs many pages.
        let backlog = if dice.chance(5) { dice.range(300, 1_500) } else { 0 };
        if backlog > 0 {
            clients[0].readings = vec![(0, Reading::Owned)];
        }
        let keeps = keeps(dice);
        let token_ttl_s = dice.chance(30).then(|| dice.range(20, 60));
        let publishes = publishes(dice, count, channels, quiet_at);
        let mut faults: Vec<_> =
            (0..dice.range(0, 12)).map(|_| (dice.range(0, quiet_at - 1), fault(dice, count, channels))).collect();
        if backlog > 0 {
            faults.extend(faults_of_a_long_replay(dice));
        }
        if keeps.ids_ms.is_some() && dice.chance(30) {
            // In the middle of something, so that answers are lost.
            let at = publishes[dice.index(publishes.len())].at + dice.range(0, 400_000);
            faults.push((at.min(quiet_at - 1), Fault::Desert { ms: dice.range(20_000, 80_000) }));
        }
        if token_ttl_s.is_some() && dice.chance(60) {
            let fault = fault_of_tokens(dice, count, channels);
            faults.push((dice.range(0, quiet_at - 1), fault));
        }
        let mut scenario = Self {
            engine,
            shards: if dice.chance(40) { 2 } else { 1 },
            channels,
            backlog,
            publishes,
            faults,
            latency: (dice.range(0, 20), dice.range(20, 300)),
            keeps,
            token_ttl_s,
            quiet_at,
            payload: if dice.chance(6) { dice.range(1_000, 50_000) as usize } else { 0 },
            rate: if dice.chance(15) { (dice.range(2, 10) as u32, dice.range(2, 10) as u32) } else { (50, 100) },
            hot: if backlog > 0 || dice.chance(40) { dice.range(0, 20) as usize } else { usize::MAX },
            queue: if dice.chance(20) { dice.range(2, 8) as usize } else { 32 },
            outbox: if dice.chance(15) { dice.range(3, 20) as usize } else { 1_000 },
            regroup: if dice.chance(20) { 20 } else { 0 },
            rolling: dice.chance(10),
            presence: Vec::new(),
            statuses: Vec::new(),
            calls: Vec::new(),
            decides: false,
            disk_us: 20_000,
            clients,
        };
        scenario.compress();
        scenario.pace_disk();
        scenario
    }

    /// Draws how fast the disk is, from dice of its own: a slow one answers when its reader has moved on, a fast one
    /// overtakes what the shards are told.
    fn pace_disk(&mut self) {
        let mut dice = Dice::from_seed(self.quiet_at ^ self.hot as u64);
        self.disk_us = match dice.range(0, 3) {
            0 => 300_000,
            1 => 500,
            _ => 20_000,
        };
    }

    /// Draws what compression meets, from dice of its own, so that everything else is as it would be without it.
    fn compress(&mut self) {
        let mut dice = Dice::from_seed(self.quiet_at ^ self.publishes.len() as u64);
        for client in &mut self.clients {
            client.packs = dice.chance(75);
        }
        if self.payload == 0 && dice.chance(70) {
            self.payload = dice.range(40, 300) as usize;
        }
        if dice.chance(25) {
            let client = dice.index(self.clients.len());
            let times = dice.range(1, 3);
            let at = |dice: &mut Dice| dice.range(0, self.quiet_at - 1);
            self.faults.extend((0..times).map(|_| (at(&mut dice), Fault::GarbleDelivery { client })));
        }
    }
}

fn profiles(dice: &mut Dice, users: usize, channels: usize) -> Vec<Profile> {
    let count = dice.range(1, 4) as usize;
    let one = |dice: &mut Dice| Profile {
        user: dice.index(users),
        readings: readings(dice, channels),
        work_ms: if dice.chance(25) { dice.range(1, 400) } else { 0 },
        presence: Vec::new(),
        packs: false,
    };
    (0..count).map(|_| one(dice)).collect()
}

fn readings(dice: &mut Dice, channels: usize) -> Vec<(usize, Reading)> {
    const KINDS: [Reading; 7] = [
        Reading::Lossy,
        Reading::Plain,
        Reading::Plain,
        Reading::Durable,
        Reading::Durable,
        Reading::Owned,
        Reading::Recent,
    ];
    let mut readings = Vec::new();
    for channel in 0..channels {
        if dice.chance(80) {
            readings.push((channel, KINDS[dice.index(KINDS.len())]));
        }
    }
    readings
}

fn publishes(dice: &mut Dice, clients: usize, channels: usize, quiet_at: u64) -> Vec<PublishPlan> {
    const LEVELS: [Qos; 4] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce, Qos::ExactlyOnce];
    let count = dice.range(5, 160);
    let bursts = dice.chance(40);
    let expiring = if dice.chance(15) { 30 } else { 0 };
    let refused = if dice.chance(15) { 10 } else { 0 };
    let one = |dice: &mut Dice| {
        let step = if bursts { 5_000_000 } else { 1 };
        let at = dice.range(0, quiet_at - 1) / step * step + dice.range(0, 50_000);
        let (at, client, channel) = (at.min(quiet_at - 1), dice.index(clients), dice.index(channels));
        let qos = LEVELS[dice.index(4)];
        let content = if dice.chance(refused) { Content::Poison } else { Content::Fresh };
        let ttl = dice.chance(expiring).then(|| dice.range(1, 30) as u32);
        PublishPlan { at, client, channel, qos, content, ttl }
    };
    let mut publishes: Vec<_> = (0..count).map(|_| one(dice)).collect();
    publishes.sort_by_key(|publish| publish.at);
    publishes
}

/// Most servers keep everything for the whole run; some forget so soon that every window is felt.
fn keeps(dice: &mut Dice) -> Keeps {
    let forgetful = dice.chance(15);
    let mut span = |low, high| forgetful.then(|| dice.range(low, high) * 1_000);
    let (ids_ms, producers_ms, cursors_ms) = (span(5, 60), span(5, 60), span(20, 120));
    Keeps {
        count: dice.chance(20).then(|| dice.range(3, 60)),
        age_ms: dice.chance(if forgetful { 60 } else { 8 }).then(|| dice.range(2, 40) * 1_000),
        ids_ms,
        producers_ms,
        cursors_ms,
        cursors: None,
    }
}

/// What befalls the first client while it reads many pages.
fn faults_of_a_long_replay(dice: &mut Dice) -> Vec<(u64, Fault)> {
    let one = |dice: &mut Dice| {
        let fault = match dice.chance(60) {
            true => Fault::LoseDelivery { client: 0 },
            false => Fault::Resubscribe { client: 0, reader: 0, forget: false },
        };
        (dice.range(300_000, 4_000_000), fault)
    };
    (0..4).map(|_| one(dice)).collect()
}

fn fault_of_tokens(dice: &mut Dice, clients: usize, channels: usize) -> Fault {
    let client = dice.index(clients);
    match dice.chance(50) {
        true => Fault::Grant { client, channel: dice.index(channels), allowed: false },
        false => Fault::TokensFail { client, ms: dice.range(20_000, 120_000) },
    }
}

fn fault(dice: &mut Dice, clients: usize, channels: usize) -> Fault {
    let client = dice.index(clients);
    match dice.range(0, 33) {
        0..=2 => Fault::Cut { client },
        3 => Fault::HalfOpen { client, server_notices: dice.chance(50) },
        4..=5 => Fault::BlackHole { client, ms: dice.range(100, 50_000), flush: dice.chance(60) },
        6 => Fault::Freeze { client, ms: dice.range(100, 60_000) },
        7 => Fault::Sleep { client, ms: dice.range(1_000, 200_000) },
        8..=10 => Fault::KillClient { client, down_ms: dice.range(1, 20_000) },
        11 => Fault::ClientClock { client, ms: dice.range(0, 7_200_000) as i64 - 3_600_000 },
        12 => Fault::Signal { client, which: dice.range(0, 4) as u8 },
        13 => Fault::StoreFails { client, ms: dice.range(1, 3_000) },
        14..=16 => Fault::KillServer { down_ms: dice.range(1, 15_000), power: dice.chance(50) },
        17 => Fault::Drain { down_ms: dice.range(1, 5_000) },
        18 => Fault::ServerClock { ms: dice.range(0, 7_200_000) as i64 - 3_600_000 },
        19 => Fault::Readonly { ms: dice.range(100, 8_000), full: dice.chance(30) },
        20 => Fault::RollBack { client, down_ms: dice.range(1, 5_000) },
        21..=22 => Fault::LoseDelivery { client },
        23 => {
            let (reader, forget) = (dice.index(channels), dice.chance(20));
            Fault::Resubscribe { client, reader, forget }
        }
        24 => Fault::Disconnect { client, ms: dice.range(1, 30_000) },
        25 => Fault::History { client, channel: dice.index(channels) },
        26 => {
            let what = [Forged::Ack, Forged::Rewind, Forged::Future][dice.index(3)];
            Fault::Forge { client, what }
        }
        27 if dice.chance(50) => Fault::SyncFails { down_ms: dice.range(1, 5_000) },
        27 => Fault::ReadsFail { ms: dice.range(100, 5_000) },
        28 if dice.chance(60) => {
            let (channel, allowed) = (dice.index(channels), dice.chance(30));
            Fault::Grant { client, channel, allowed }
        }
        28 => Fault::TokensFail { client, ms: dice.range(20_000, 120_000) },
        29 => Fault::RepeatDelivery { client },
        30 => Fault::Linger { client, ms: dice.range(10, 8_000) },
        31 => Fault::Operator { channel: dice.index(channels) },
        32 if dice.chance(50) => Fault::LogOut { client, down_ms: dice.range(1, 5_000) },
        _ if dice.chance(25) => Fault::Revoke { client },
        _ => Fault::Cut { client },
    }
}
