//! What a client finds in its store.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use moorline_core::protocol::{ChannelName, Payload, Qos};
use moorline_core::{Client, Now, PublishOptions, StoreEntry, SubscribeOptions, Timestamp, TokenSource};

use super::host::Host;
use super::{World, config};
use crate::choices::Choices;
use crate::memory;

/// Any content of the store: a typed error and an untouched store, or a client that lives with what it found.
pub fn store(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let disk: BTreeMap<_, _> = entries(&mut choices).into_iter().collect();
    let entries: Vec<StoreEntry> = disk.clone().into_iter().collect();
    let size: usize = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
    let now = Now { mono: Timestamp::from_millis(1_000), unix: 1_700_000_000_000 };
    let config = config(TokenSource::Anonymous);
    let mut client = None;
    let used = memory::peak(|| client = Client::new(config.clone(), entries, [7; 32], now).ok());
    assert!(used <= memory::fair(size), "{used} bytes for {size} in the store");
    if let Some(client) = client {
        let host = Host::with(client, disk);
        let mut world = World { choices, config, host, app: Default::default(), server: Default::default() };
        world.live();
        world.host.settle_time();
    }
}

/// Inputs of [`store`].
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..16).map(|n| crate::noise(n, 60)).collect()
}

impl World<'_> {
    /// All goes well for a while.
    fn live(&mut self) {
        for _ in 0..24 {
            self.answer();
            self.host.persisted(Ok(()));
            for frame in self.host.take_frames() {
                self.server.hear(frame);
            }
        }
    }
}

/// Entries that a client has written, with some of them damaged, and some that none has written.
fn entries(choices: &mut Choices<'_>) -> Vec<StoreEntry> {
    let mut entries = TEMPLATE.clone();
    for _ in 0..choices.below(6) {
        let len = entries.len();
        match choices.below(6) {
            0 if len > 0 => drop(entries.remove(choices.below(len))),
            1 if len > 0 => {
                let (_, value) = &mut entries[choices.below(len)];
                value.truncate(usize::from(choices.byte()));
            }
            2 | 3 if len > 0 => {
                let (_, value) = &mut entries[choices.below(len)];
                let (at, bits) = (choices.below(value.len().max(1)), choices.byte());
                value.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
            }
            4 if len > 0 => {
                let (key, value) = entries[choices.below(len)].clone();
                entries.push((renumbered(&key, choices), value));
            }
            _ => {
                let key = choices.pick(&[&b"m"[..], b"e0", b"q0", b"p0", b""]);
                entries.push((renumbered(key, choices), choices.bytes().to_vec()));
            }
        }
    }
    entries
}

/// Gives a key another number.
fn renumbered(key: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    match key.first() {
        Some(kind) if key.len() > 1 => format!("{}{:016x}", char::from(*kind), choices.number()).into_bytes(),
        _ => key.to_vec(),
    }
}

/// The store of a client with messages under way and a cursor.
static TEMPLATE: LazyLock<Vec<StoreEntry>> = LazyLock::new(|| {
    let mut world = World {
        choices: Choices::new(&[]),
        config: config(TokenSource::Anonymous),
        host: Host::new(config(TokenSource::Anonymous), BTreeMap::new(), 1),
        app: Default::default(),
        server: Default::default(),
    };
    let room = ChannelName::new("room").expect("a channel's name");
    let now = world.host.now();
    let durable = SubscribeOptions { durable: Some(true), auto_ack: Some(true), ..SubscribeOptions::default() };
    let _ = world.host.call(|client| client.subscribe(&room, durable, now));
    world.live();
    for qos in [Qos::ExactlyOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let options = PublishOptions { qos: Some(qos), ttl: Some(60), ..PublishOptions::default() };
        world.host.publish(|client| client.publish(&room, Payload::Text("hi".into()), options, now));
        world.host.persisted(Ok(()));
    }
    world.host.disk.into_iter().collect()
});
