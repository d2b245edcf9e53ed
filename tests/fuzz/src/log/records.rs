use bytes::Bytes;
use moorline_protocol::{AppName, Epoch, Offset, ProducerId, UserName};
use moorline_server::engine::core::{CoreConfig, EngineCore, MemoryStore};
use moorline_server::engine::record::{ChannelId, IdEntry, Outcome, Record, Verdict};
use moorline_server::engine::{Command, Read, ReadRange, Revocation, ShardId, Ticket};

use super::engine::{append, key};

const SHARD: ShardId = ShardId(0);

/// Records that the checksums of a log would vouch for: whatever they say, a core lives with it.
pub(super) fn apply(bytes: &[u8]) {
    let mut core = EngineCore::new(CoreConfig::new("fuzz"), MemoryStore::default());
    let mut rest = Bytes::copy_from_slice(bytes);
    while let Ok(record) = Record::decode(&mut rest) {
        let mut out = Vec::new();
        record.encode(&mut out);
        assert_eq!(Record::decode(&mut Bytes::from(out)).as_ref(), Ok(&record), "as it is written");
        if core.apply(record, false).is_err() {
            // A log that holds it is not opened.
            return;
        }
    }
    core.settle_store();
    core.begin(false, 1_700_000_000_000);
    let now = core.newest_time().max(1_700_000_000_000);
    for (ticket, command) in commands().into_iter().enumerate() {
        core.handle(SHARD, Ticket(ticket as u64), command, now);
    }
    core.expire(now);
    core.flush_cursors(now);
    core.take_records(now);
    core.take_replies();
    core.snapshot(drop);
}

/// Inputs of [`apply`]: records of several kinds, together and alone.
pub(super) fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let encoded = |record: &Record| {
        let mut out = Vec::new();
        record.encode(&mut out);
        out
    };
    let all: Vec<Vec<u8>> = records().iter().map(encoded).collect();
    let together = all.concat();
    all.into_iter().chain([together])
}

fn commands() -> Vec<Command> {
    let read = |range| Command::Read(Read { channel: key("room"), range, max_messages: 10, max_bytes: 1_000 });
    vec![
        read(ReadRange::After(Offset::ZERO)),
        read(ReadRange::Newest),
        append("room", "one".into()),
        append("room:2", "two".into()),
        read(ReadRange::BeforeTime(u64::MAX)),
    ]
}

fn records() -> Vec<Record> {
    let (channel, producer) = (ChannelId(1), ProducerId(7));
    let owner = moorline_server::engine::Owner {
        app: AppName::default_app(),
        user: UserName::new("alice").expect("a user's name"),
        device: moorline_protocol::DeviceId::new("0123456789abcdef").expect("a device"),
    };
    let epoch = Epoch::new("fuzz.0").expect("an epoch");
    let id = IdEntry { key: 1, hash: 2, offset: Offset(1), time: 3 };
    let verdict = Verdict { seq: 1, hash: 2, outcome: Outcome::Stored(Offset(1)) };
    let position = moorline_protocol::Position { epoch, offset: Offset(1) };
    vec![
        Record::Start { counter: 3 },
        Record::SharedEpoch { n: 1, next_channel: 2 },
        Record::Channel { id: channel, key: key("room"), epoch, first: Offset(1), head: Offset::ZERO, time: 5 },
        Record::Producer { id: producer, owner: owner.clone(), generation: 9, used: 5 },
        Record::Append {
            channel,
            id,
            expires: Some(9),
            producer: None,
            bytes: Bytes::from_static(b"\x06\x05\x01\x03\x01ahi"),
        },
        Record::Verdict { channel, producer, verdict: verdict.clone() },
        Record::ProducerChannel { producer, channel, last: 1, verdicts: vec![verdict] },
        Record::Ids { channel, entries: vec![id] },
        Record::Cursor { owner: owner.clone(), channel, position, used: 5 },
        Record::Clock { time: 5 },
        Record::Trim { channel, first: Offset(2) },
        Record::NewEpoch { channel, epoch },
        Record::Revoke {
            revocation: Revocation::User { app: AppName::default_app(), user: owner.user.clone(), issued_before: 1 },
            time: 5,
        },
        Record::ForgetCursor { owner, channel },
        Record::ForgetProducer { id: producer },
        Record::ForgetChannel { id: channel },
    ]
}
