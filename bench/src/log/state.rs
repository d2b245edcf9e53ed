//! What is remembered beside messages: its memory, the checkpoint that hands it over to the store, and how long that
//! keeps the log thread.

use std::hint::black_box;

use bytes::Bytes;
use moorline_protocol::{AppName, DeviceId, Epoch, Offset, ProducerId, UserName};
use moorline_server::engine::core::{CoreConfig, EngineCore, MemoryStore};
use moorline_server::engine::record::{ChannelId, IdEntry, Outcome, Record, Verdict};
use moorline_server::engine::{Owner, ShardId, Ticket};

use super::turns::{append, channel};
use crate::machine;
use crate::table::{self, Column};

const COLUMNS: &[Column] = &[
    ("bytes of memory each", 0),
    ("bytes of checkpoint each", 0),
    ("CPU ms to make", 1),
    ("to let go", 1),
    ("the next", 1),
];
const PRODUCERS: u64 = 100_000;
/// When everything is used.
const NOW: u64 = 1_800_000_000_000;

/// Prints what ids and producers cost. Comes first: memory that was used before would be used again, and not count.
pub(super) fn print(channels: u64, messages: u64) {
    let each = messages / channels.max(1);
    let ids = || (0..channels).flat_map(|number| ids_of(number, each));
    let producers = |verdicts| (0..PRODUCERS).flat_map(move |number| producer(number, verdicts));
    let mut cores = [
        (format!("message ids, {channels} channels of {each}"), channels * each, build(channels, ids())),
        (format!("{PRODUCERS} producers, 1 verdict"), PRODUCERS, build(0, producers(1))),
        (format!("{PRODUCERS} producers, 32 verdicts"), PRODUCERS, build(0, producers(32))),
    ];
    let rows = cores.iter_mut().map(|(name, count, core)| (name.as_str(), vec![measure(*count, core)]));
    table::print("State: memory, and a checkpoint of it", COLUMNS, &rows.collect::<Vec<_>>());
}

/// A core, and how many bytes of memory it takes.
type Built = (EngineCore<MemoryStore>, f64);

fn build(channels: u64, records: impl Iterator<Item = Record>) -> Built {
    let before = resident();
    let mut core = empty();
    for record in records {
        // They are made to fit.
        let _ = core.apply(record, true);
    }
    // What is looked for is found by a table, which is made when it is first needed.
    (0..channels).for_each(|number| core.handle(ShardId(0), Ticket(0), append(number, 0, 1), NOW));
    core.take_records(NOW);
    core.take_replies();
    let memory = resident() - before;
    (core, memory)
}

fn empty() -> EngineCore<MemoryStore> {
    EngineCore::new(CoreConfig::new("bench"), MemoryStore::default())
}

fn measure(count: u64, (core, memory): &mut Built) -> Vec<f64> {
    let begin = machine::thread_time();
    let snapshot = core.checkpoint(NOW);
    let made = machine::thread_time() - begin;
    let state: usize = snapshot.state.iter().map(|(_, value)| 17 + value.len()).sum();
    let size = (snapshot.records.len() + state) as f64;
    drop(snapshot);
    let mut timed = |work: fn(&mut EngineCore<MemoryStore>)| {
        let begin = machine::thread_time();
        work(core);
        (machine::thread_time() - begin).as_secs_f64() * 1e3
    };
    // The allocator tidies up what was let go when it is next asked for something.
    let let_go = timed(|core| {
        core.checkpointed();
        black_box(core.checkpoint(NOW));
    });
    let next = timed(|core| drop(black_box(core.checkpoint(NOW))));
    let count = count.max(1) as f64;
    vec![*memory / count, size / count, made.as_secs_f64() * 1e3, let_go, next]
}

fn resident() -> f64 {
    machine::resident_bytes(std::process::id()).unwrap_or(0) as f64
}

/// A channel and its ids, as a log has them that was stored message by message.
fn ids_of(number: u64, count: u64) -> impl Iterator<Item = Record> {
    let id = ChannelId(number as u32);
    let append = move |n: u64| {
        let key = (number << 32 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let entry = IdEntry { key, hash: !key, offset: Offset(n + 1), time: NOW };
        Record::Append { channel: id, id: entry, expires: None, producer: None, bytes: Bytes::from_static(b"x") }
    };
    std::iter::once(known(number)).chain((0..count).map(append))
}

fn known(number: u64) -> Record {
    let (first, head) = (Offset(1), Offset::ZERO);
    let (id, key) = (ChannelId(number as u32), channel(number));
    Record::Channel { id, key, epoch: Epoch::default(), first, head, time: NOW }
}

fn producer(number: u64, verdicts: u64) -> impl Iterator<Item = Record> {
    let id = ProducerId(u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | 1);
    let owner = UserName::new(&format!("user-{number}")).and_then(|user| {
        let device = DeviceId::new(&format!("device-{number:022}"))?;
        Ok(Owner { app: AppName::default_app(), user, device })
    });
    let owner = owner.unwrap_or_else(|_| unreachable!());
    let channel = ChannelId((number % 1_000) as u32);
    let verdict = |seq| Verdict { seq, hash: seq ^ number, outcome: Outcome::Stored(Offset(seq * 7)) };
    let settled = (1..=verdicts).map(move |seq| Record::Verdict { channel, producer: id, verdict: verdict(seq) });
    let channel = (number < 1_000).then(|| known(number));
    let producer = Record::Producer { id, owner, generation: 1 << 20, used: NOW };
    channel.into_iter().chain(std::iter::once(producer)).chain(settled.collect::<Vec<_>>())
}
