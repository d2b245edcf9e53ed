//! A store file of each version, as a client of that time left it: it opens for ever.

use std::path::{Path, PathBuf};

use moorline::{Client, Event, FileStore, Lifecycle, Payload, Qos, Restored};
use moorline_server::server::{Options, Server};

use super::{NOWHERE, online, phone};

/// Where they are, named by version.
fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/stores/v{version}.moor"))
}

/// Makes a store with one record of each kind. Files of earlier versions can be made by nobody any more.
async fn make(path: &Path) {
    // After one message the server refuses for the moment: what it refuses has a sequence then.
    let server = Server::start(Options { publish_rate: Some(1), publish_burst: 1, ..Options::dev() }).unwrap();
    let client = Client::builder(server.url()).token("dev:alice").store(FileStore::open(path).unwrap());
    let client = client.build().unwrap();
    let mut cursor = client.channel("read").durable(true).subscribe().await.unwrap();
    let forgotten = client.channel("forgotten").durable(true).subscribe().await.unwrap();
    client.channel("read").publish(Payload::text("first")).send().unwrap().stored().await.unwrap();
    let message = cursor.next().await.unwrap();
    cursor.ack(&message);
    while cursor.next_event().await != Some(Event::Acked(1)) {}
    let numbered = client.channel("numbered").qos(Qos::ExactlyOnce).publish(Payload::text("numbered")).send().unwrap();
    numbered.queued().await.unwrap();
    client.channel("elsewhere").history(moorline::History::Newest, 1).await.unwrap();
    client.lifecycle(Lifecycle::Offline);
    forgotten.forget();
    let room = client.channel("room");
    let json = room.publish(Payload::json(&[1, 2]).unwrap()).id("order-7").header("lang", "fr");
    let bytes = room.publish(Payload::bytes(vec![0, 255])).qos(Qos::ExactlyOnce);
    let late = room.publish(Payload::text("late")).qos(Qos::ExactlyOnce).ttl(1);
    for message in [json, bytes, late] {
        message.send().unwrap().queued().await.unwrap();
    }
    client.close().await;
}

#[tokio::test]
async fn a_store_of_version_1_opens_for_ever() {
    let path = golden(1);
    if std::env::var_os("MOORLINE_BLESS").is_some() && !path.exists() {
        make(&path).await;
        std::fs::remove_file(path.with_extension("moor.lock")).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("alice.moor");
    std::fs::copy(&path, &store).unwrap();
    // Whatever it becomes, it is written again by this version and read once more.
    phone(NOWHERE, &store).close().await;
    let server = Server::start(Options::dev()).unwrap();
    let client = online(&server.url(), &store).await;
    let restored = client.restored();
    let channels: Vec<&str> = restored.iter().map(|Restored { channel, .. }| channel.as_str()).collect();
    assert_eq!(channels, ["numbered", "room", "room", "room"]);
    let mut ends = Vec::new();
    for Restored { receipt, .. } in restored {
        ends.push(super::end(receipt).await);
    }
    // This server knows nothing of that producer, so nobody knows what became of a message it had numbered.
    assert_eq!(ends, ["publish.uncertain", "stored", "stored", "publish.expired"]);
    let room = client.channel("room").history(moorline::History::After(0), 256).await.unwrap().messages;
    let found: Vec<_> = room.iter().map(|m| (m.payload.clone(), m.headers.len(), m.user.as_deref())).collect();
    let json = Payload::json(&[1, 2]).unwrap();
    assert_eq!(found, [(json, 1, Some("alice")), (Payload::bytes(vec![0, 255]), 0, Some("alice"))]);
    assert_eq!(room[0].id, "order-7");
    // The cursor is of another log: that is told, and not taken for one of this.
    let mut messages = client.channel("read").durable(true).subscribe().await.unwrap();
    let told = [messages.next_event().await.unwrap(), messages.next_event().await.unwrap()];
    assert!(told.iter().any(|event| matches!(event, Event::Reset { reason, .. } if reason == "epoch")), "{told:?}");
    client.close().await;
}
