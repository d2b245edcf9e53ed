use bytes::Bytes;
use moorline_protocol::{ChannelName, DeviceId, Epoch, Offset, Payload, Position, ProducerId, Qos, Utf8Bytes};

use super::record::{self, StoredPublish};
use super::{Bugs, Store, StoreError};

fn device() -> DeviceId {
    DeviceId::new("abcdefghijklmnop").unwrap()
}

fn publish() -> StoredPublish {
    StoredPublish {
        channel: ChannelName::new("room").unwrap(),
        qos: Qos::ExactlyOnce,
        id: Utf8Bytes::from("id"),
        seq: Some((ProducerId(7), 300)),
        expires: Some(1_700_000_000_000),
        headers: vec![(Utf8Bytes::from("a"), Utf8Bytes::from("b"))],
        payload: Payload::Binary(Bytes::from_static(b"\0\x01")),
    }
}

#[test]
fn what_is_written_is_read_again() {
    let (mut store, _) = Store::load(Vec::new(), device(), Bugs::default()).unwrap();
    let channel = ChannelName::new("room").unwrap();
    let position = Position { epoch: Epoch::new("e1").unwrap(), offset: Offset(5) };
    store.set_producer(Some(ProducerId(7)));
    let (a, b, c) = (store.key(), store.key(), store.key());
    store.put_publish(a, &publish());
    store.put_sequence(b, &channel, ProducerId(7), 301);
    store.put_cursor(c, &channel, position);
    let (_, batch) = store.take_batch().unwrap();
    let (again, loaded) = Store::load(batch.puts, DeviceId::new("ponmlkjihgfedcba").unwrap(), Bugs::default()).unwrap();
    assert_eq!((again.device(), again.boot(), again.producer()), (&device(), 2, Some(ProducerId(7))));
    assert_eq!(loaded.publishes, vec![(a, publish())]);
    assert_eq!(loaded.sequences, vec![(b, channel.clone(), ProducerId(7), 301)]);
    assert_eq!(loaded.cursors, vec![(c, channel, position)]);
}

#[test]
fn a_newer_schema_and_damage_are_told_apart() {
    let newer = Store::load(vec![(b"m".to_vec(), vec![9])], device(), Bugs::default());
    assert_eq!(newer.err(), Some(StoreError::NewerSchema { found: 9, known: 1 }));
    let strange = Store::load(vec![(b"zzz".to_vec(), vec![])], device(), Bugs::default());
    assert!(matches!(strange.err(), Some(StoreError::Corrupt(_))));
    let mut cut = record::encode_publish(&publish());
    cut.truncate(9);
    assert!(matches!(
        Store::load(vec![(record::publish_key(1), cut)], device(), Bugs::default()).err(),
        Some(StoreError::Corrupt(_))
    ));
}

#[test]
fn removals_of_a_failed_batch_are_tried_again() {
    let (mut store, _) = Store::load(Vec::new(), device(), Bugs::default()).unwrap();
    store.delete_publish(4);
    let (ticket, first) = store.take_batch().unwrap();
    assert!(store.on_persisted(ticket, false).is_some());
    assert!(store.on_persisted(ticket, false).is_none());
    let (_, second) = store.take_batch().unwrap();
    assert_eq!(first.deletes, second.deletes);
    assert!(second.puts.iter().any(|(key, _)| key == b"m"), "the boot counter is written again, too");
}
