//! One store in two hands, and a store that somebody has written into.

use std::sync::Arc;

use moorline::{Client, ConnectionState, Error, FileStore, StateReason};
use moorline_server::server::{Options, Server};
use tokio::sync::Semaphore;

use super::{NOWHERE, end, log, online, phone, publish};

#[tokio::test]
async fn a_store_copied_to_a_second_phone_is_one_device_and_one_of_the_two_has_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.moor"), folder.path().join("second.moor"));
    let server = Server::start(Options::dev()).unwrap();
    online(&server.url(), &first).await.close().await;
    // A message waits when the store is copied, so both phones have it.
    let before = phone(NOWHERE, &first);
    publish(&before, "both").queued().await.unwrap();
    before.close().await;
    std::fs::copy(&first, &second).unwrap();

    let a = online(&server.url(), &first).await;
    assert_eq!(end(a.restored().remove(0).receipt).await, "stored");
    assert_eq!(end(publish(&a, "from the first")).await, "stored");
    let mut states = a.states();

    let b = online(&server.url(), &second).await;
    let again = b.restored().remove(0).receipt.stored().await.unwrap();
    assert!(again.duplicate, "what both have is stored once");
    // The newcomer is the one whose user is looking: the other one is told, and does not come back by itself.
    let (_, reason) = states.wait_for(|(state, _)| *state == ConnectionState::Closed).await.unwrap().clone();
    assert!(matches!(&reason, StateReason::Refused(why) if why.code.name() == "connection.displaced"), "{reason:?}");
    let refused = a.channel("room").publish(moorline::Payload::text("x")).send().map(drop).unwrap_err();
    assert_eq!(refused.code(), "connection.displaced");
    // Its number was used by the first phone for another message: it is not taken for that one, and gets another.
    assert_eq!(end(publish(&b, "from the second")).await, "stored");
    assert_eq!(end(publish(&b, "from the second, again")).await, "stored");
    a.close().await;

    // The first phone's user starts it again: now it is the newcomer.
    let mut states = b.states();
    let a = online(&server.url(), &first).await;
    a.connect().await.unwrap();
    states.wait_for(|(state, _)| *state == ConnectionState::Closed).await.unwrap();
    assert_eq!(end(publish(&a, "from the first, again")).await, "stored");
    a.close().await;
    b.close().await;
    let expected = ["both", "from the first", "from the second", "from the second, again", "from the first, again"];
    assert_eq!(log(&server.url()).await, expected);
}

#[tokio::test]
async fn a_displaced_phone_keeps_what_it_had_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.moor"), folder.path().join("second.moor"));
    phone(NOWHERE, &first).close().await;
    std::fs::copy(&first, &second).unwrap();
    let server = Server::start(Options::dev()).unwrap();
    // The first phone runs and has no connection: its token has not come.
    let gate = Arc::new(Semaphore::new(0));
    let token = Arc::clone(&gate);
    let builder = Client::builder(server.url()).token_provider(move |_| {
        let gate = Arc::clone(&token);
        async move { gate.acquire().await.map(|_| "dev:alice".to_owned()).map_err(|_| Error::token("closed")) }
    });
    let a = builder.store(FileStore::open(&first).unwrap()).build().unwrap();
    let waiting = publish(&a, "waits");
    waiting.queued().await.unwrap();
    // The second phone has been started once more than the first.
    phone(NOWHERE, &second).close().await;
    let b = online(&server.url(), &second).await;
    let mut states = a.states();
    gate.add_permits(1);
    states.wait_for(|(state, _)| *state == ConnectionState::Closed).await.unwrap();
    assert_eq!(end(waiting).await, "connection.displaced", "it is told why it did not go out");
    a.close().await;
    b.close().await;
    // Nothing of it is lost: with the next start it goes out, once.
    let a = online(&server.url(), &first).await;
    assert_eq!(a.restored().len(), 1);
    for restored in a.restored() {
        assert_eq!(end(restored.receipt).await, "stored");
    }
    a.close().await;
    assert_eq!(log(&server.url()).await, ["waits"]);
}

#[tokio::test]
async fn a_damaged_store_is_refused_kept_and_can_be_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.moor");
    let before = phone(NOWHERE, &path);
    for n in 0..5 {
        publish(&before, &format!("message {n}")).queued().await.unwrap();
    }
    before.close().await;
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.windows(9).position(|part| part == b"message 2").unwrap();
    damaged[middle] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    for _ in 0..2 {
        let refused = FileStore::open(&path).map(drop).unwrap_err();
        assert_eq!((refused.code(), refused.is_retryable()), ("client.store_corrupt", false));
        assert!(refused.to_string().contains("alice.moor"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "it is left as it is");
    }
    // The app goes on with a new file, as a new device; the old one is there for whoever can repair it.
    let aside = folder.path().join("alice.damaged");
    std::fs::rename(&path, &aside).unwrap();
    let server = Server::start(Options::dev()).unwrap();
    let new = online(&server.url(), &path).await;
    assert_eq!((new.restored().len(), end(publish(&new, "new")).await), (0, "stored".to_owned()));
    new.close().await;
    std::fs::write(&aside, &whole).unwrap();
    let old = online(&server.url(), &aside).await;
    for restored in old.restored() {
        assert_eq!(end(restored.receipt).await, "stored");
    }
    old.close().await;
    assert_eq!(log(&server.url()).await, ["new", "message 0", "message 1", "message 2", "message 3", "message 4"]);
}
