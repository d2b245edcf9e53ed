use moorline_protocol::{Bytes, ChannelName, DeviceId, Epoch, Offset, Payload, Position, ProducerId, Qos, Utf8Bytes};

use super::record::{self, StoredPublish};
use super::{Store, StoreError, StoredNetwork, Timestamp};

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
        payload: Payload::Binary(Bytes::copy_from_slice(b"\0\x01")),
    }
}

#[test]
fn what_is_written_is_read_again() {
    let (mut store, _) = Store::load(Vec::new(), device()).unwrap();
    let channel = ChannelName::new("room").unwrap();
    let position = Position { epoch: Epoch::new("e1").unwrap(), offset: Offset(5) };
    store.set_producer(Some(ProducerId(7)));
    let (a, b, c) = (store.key(), store.key(), store.key());
    store.put_publish(a, &publish());
    store.put_sequence(b, &channel, ProducerId(7), 301);
    store.put_cursor(c, &channel, position);
    let (_, batch) = store.take_batch().unwrap();
    let (again, loaded) = Store::load(batch.puts, DeviceId::new("ponmlkjihgfedcba").unwrap()).unwrap();
    assert_eq!((again.device(), again.boot(), again.producer()), (&device(), 2, Some(ProducerId(7))));
    assert_eq!(loaded.publishes, vec![(a, publish())]);
    assert_eq!(loaded.sequences, vec![(b, channel.clone(), ProducerId(7), 301)]);
    assert_eq!(loaded.cursors, vec![(c, channel, position)]);
}

#[test]
fn a_newer_schema_and_damage_are_told_apart() {
    let newer = Store::load(vec![(b"m".to_vec(), vec![9])], device());
    assert_eq!(newer.err(), Some(StoreError::NewerSchema { found: 9, known: 1 }));
    let strange = Store::load(vec![(b"zzz".to_vec(), vec![])], device());
    assert!(matches!(strange.err(), Some(StoreError::Corrupt(_))));
    let endless = Store::load(vec![(record::publish_key(u64::MAX), record::encode_publish(&publish()))], device());
    assert!(matches!(endless.err(), Some(StoreError::Corrupt(_))));
    let mut cut = record::encode_publish(&publish());
    cut.truncate(9);
    assert!(matches!(Store::load(vec![(record::publish_key(1), cut)], device()).err(), Some(StoreError::Corrupt(_))));
}

#[test]
fn removals_of_a_failed_batch_are_tried_again() {
    let (mut store, _) = Store::load(Vec::new(), device()).unwrap();
    let at = Timestamp::from_millis;
    store.delete_publish(4);
    let (ticket, first) = store.take_batch().unwrap();
    assert!(store.on_persisted(ticket, false, at(0)).is_some());
    assert!(store.on_persisted(ticket, false, at(0)).is_none());
    assert_eq!((store.take_batch(), store.deadline()), (None, Some(at(1_000))));
    store.on_timeout(at(1_000));
    let (ticket, second) = store.take_batch().unwrap();
    assert_eq!(first.deletes, second.deletes);
    store.on_persisted(ticket, false, at(1_000));
    store.delete_publish(5);
    let (_, third) = store.take_batch().unwrap();
    assert_eq!(third.deletes.len(), 2, "the next batch takes it along");
    assert!(second.puts.iter().any(|(key, _)| key == b"m"), "the boot counter is written again, too");
}

#[test]
fn networks_are_written_and_read_again() {
    let (mut store, _) = Store::load(Vec::new(), device()).unwrap();
    let network = |id, good, bad| StoredNetwork { id, good, bad, most: 300_000 };
    let networks = [network(Some(u64::MAX), None, Some(60_000)), network(None, Some(90_000), None)];
    store.put_networks(&networks);
    let (_, batch) = store.take_batch().unwrap();
    assert_eq!(Store::load(batch.puts, device()).unwrap().1.networks, networks);
    for spoilt in [&[1_u8, 2][..], &[0], &[0, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
        let entry = (b"N0000000000000000".to_vec(), spoilt.to_vec());
        assert!(matches!(Store::load(vec![entry], device()), Err(StoreError::Corrupt(_))), "{spoilt:?}");
    }
}

#[test]
fn a_later_version_may_keep_what_this_one_can_do_without() {
    let later = |key: &[u8]| Store::load(vec![(key.to_vec(), vec![0xff])], device()).map(drop);
    assert_eq!(later(b"Z0000000000000001"), Ok(()));
    assert_eq!(later(b"N0000000000000001"), Ok(()));
    assert!(matches!(later(b"z0000000000000001"), Err(StoreError::Corrupt(_))));
}
