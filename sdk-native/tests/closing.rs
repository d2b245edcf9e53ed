//! How a client ends, and what is left of it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use moorline::{
    Client, ConnectionState, Event, FileStore, History, Lifecycle, MemoryStore, Payload, Qos, ReceiptState, Since,
    StateReason, Store, StoreBatch, StoreEntry, StoreError,
};
use moorline_server::server::{Options, Server};
use tokio::sync::Semaphore;

fn server() -> Server {
    Server::start(Options::dev()).unwrap()
}

fn client(url: &str, store: &Path) -> Client {
    Client::builder(url).token("dev:alice").store(FileStore::open(store).unwrap()).build().unwrap()
}

/// An address where nobody listens: not even by chance, as on a port that was free a moment ago.
const NOWHERE: &str = "ws://127.0.0.1:1/ws";

#[tokio::test]
async fn a_closed_client_has_released_its_store() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("alice.moor");
    for n in 0..20_u32 {
        let client = client(&server.url(), &store);
        let room = client.channel("room").qos(Qos::ExactlyOnce);
        room.publish(Payload::json(&n).unwrap()).send().unwrap().stored().await.unwrap();
        client.close().await;
    }
    let reader = Client::builder(server.url()).token("dev:bob").build().unwrap();
    let mut messages = reader.channel("room").since(Since::First).subscribe().await.unwrap();
    for n in 0..20_u32 {
        assert_eq!(messages.next().await.unwrap().json::<u32>().unwrap(), n);
    }
}

#[tokio::test]
async fn what_is_published_offline_goes_out_from_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("alice.moor");
    let offline = client(NOWHERE, &store);
    let receipt = offline.channel("room").qos(Qos::ExactlyOnce).publish(Payload::text("hello")).send().unwrap();
    receipt.queued().await.unwrap();
    assert_eq!(receipt.state(), ReceiptState::Queued);
    offline.close().await;
    assert_eq!(receipt.clone().stored().await.unwrap_err().code(), "client.closed");

    let server = server();
    let online = client(&server.url(), &store);
    let restored = online.restored();
    assert_eq!((restored.len(), restored[0].channel.as_str(), restored[0].receipt.id()), (1, "room", receipt.id()));
    restored[0].receipt.queued().await.unwrap();
    online.connect().await.unwrap();
    assert_eq!(restored[0].receipt.clone().stored().await.unwrap().offset, Some(1));
    assert_eq!(online.outbox().messages, 0);
    online.close().await;
    assert!(client(&server.url(), &store).restored().is_empty());
}

#[tokio::test]
async fn a_dropped_client_still_keeps_what_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("alice.moor");
    let dropped = client(NOWHERE, &store);
    let receipt = dropped.channel("room").qos(Qos::ExactlyOnce).publish(Payload::text("hello")).send().unwrap();
    drop(dropped);
    let ended = receipt.stored().await.unwrap_err();
    assert_eq!(ended.code(), "client.closed");
    let again = loop {
        match FileStore::open(&store) {
            Ok(store) => break Client::builder(NOWHERE).store(store).build().unwrap(),
            Err(error) => assert_eq!(error.code(), "client.store_locked"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(again.restored().len(), 1);
}

#[tokio::test]
async fn a_logout_leaves_nothing_of_the_user() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("alice.moor");
    let secret = "a secret that nobody else may read";
    let alice = client(&server.url(), &store);
    alice.connect().await.unwrap();
    alice.lifecycle(Lifecycle::Offline);
    drop(server);
    for _ in 0..100 {
        let room = alice.channel("room:secret").qos(Qos::ExactlyOnce);
        room.publish(Payload::text(secret)).send().unwrap().queued().await.unwrap();
    }
    let holds = |text: &str| {
        let mut files = std::fs::read_dir(folder.path()).unwrap();
        files.any(|file| std::fs::read(file.unwrap().path()).unwrap().windows(text.len()).any(|w| w == text.as_bytes()))
    };
    assert!(holds(secret) && holds("room:secret"));
    alice.close_and_wipe().await.unwrap();
    assert!(!holds(secret) && !holds("room:secret"));
    assert!(client(NOWHERE, &store).restored().is_empty());
}

#[tokio::test]
async fn streams_and_receipts_end_with_the_client() {
    let server = server();
    let alice = Client::builder(server.url()).token("dev:alice").build().unwrap();
    let room = alice.channel("room");
    let mut messages = room.subscribe().await.unwrap();
    assert!(matches!(messages.next_event().await.unwrap(), Event::Subscribed { .. }));
    let mut states = alice.states();
    let (closed, ended, ()) = tokio::join!(
        async { states.wait_for(|(state, _)| *state == ConnectionState::Closed).await.unwrap().1.clone() },
        messages.next_event(),
        alice.close(),
    );
    assert_eq!((closed, ended), (StateReason::Requested, None));
    let refused = [
        room.publish(Payload::text("x")).send().map(drop).unwrap_err(),
        room.subscribe().await.map(drop).unwrap_err(),
        room.history(History::Newest, 1).await.map(drop).unwrap_err(),
        alice.connect().await.unwrap_err(),
    ];
    assert!(refused.iter().all(|error| error.code() == "client.closed"), "{refused:?}");
    alice.close().await;
}

#[tokio::test]
async fn a_final_refusal_ends_streams_and_receipts_and_says_why() {
    let server = server();
    let client = Client::builder(server.url()).token("forged").build().unwrap();
    let room = client.channel("room");
    let mut messages = room.subscribe().await.unwrap();
    let receipt = room.publish(Payload::text("x")).send().unwrap();
    match messages.next_event().await {
        Some(Event::Ended(error)) => assert_eq!(error.code(), "auth.invalid"),
        other => panic!("{other:?}"),
    }
    assert_eq!(messages.next_event().await, None);
    assert_eq!(receipt.stored().await.unwrap_err().code(), "auth.invalid");
    client.close().await;
}

#[test]
fn a_client_whose_runtime_is_gone_hangs_nobody() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let client = Client::builder(NOWHERE).build().unwrap();
    let room = client.channel("room");
    assert_eq!(room.publish(Payload::text("x")).send().map(drop).unwrap_err().code(), "client.runtime");
    let (receipt, mut messages) = first.block_on(async {
        let receipt = room.publish(Payload::text("x")).send().unwrap();
        receipt.queued().await.unwrap();
        (receipt, room.subscribe().await.unwrap())
    });
    drop(first);
    second.block_on(async {
        assert_eq!(receipt.stored().await.unwrap_err().code(), "client.closed");
        assert_eq!(messages.next_event().await, None);
        assert_eq!(room.publish(Payload::text("x")).send().map(drop).unwrap_err().code(), "client.closed");
        client.close().await;
    });
}

/// A store whose commits do first what the test says.
struct Strange<F> {
    inside: MemoryStore,
    does: F,
}

impl<F: FnMut(&StoreBatch) -> Result<(), StoreError> + Send + 'static> Store for Strange<F> {
    fn load(&mut self) -> Result<Vec<StoreEntry>, StoreError> {
        self.inside.load()
    }

    fn commit(&mut self, batch: StoreBatch) -> Result<(), StoreError> {
        (self.does)(&batch)?;
        self.inside.commit(batch)
    }
}

fn strange(does: impl FnMut(&StoreBatch) -> Result<(), StoreError> + Send + 'static) -> Client {
    let store = Strange { inside: MemoryStore::default(), does };
    Client::builder(NOWHERE).store(store).build().unwrap()
}

#[tokio::test]
async fn a_store_that_panics_fails_what_it_was_given_and_hangs_nobody() {
    let client = strange(|_| panic!("a planted panic of a store"));
    let room = client.channel("room").qos(Qos::ExactlyOnce);
    let publish = async || room.publish(Payload::text("x")).send().unwrap().queued().await.unwrap_err();
    assert_eq!(publish().await.code(), "publish.uncertain", "nobody knows what it did before it panicked");
    assert_eq!(publish().await.code(), "storage.unavailable");
    client.close().await;
}

#[tokio::test]
async fn batches_that_wait_are_committed_as_one() {
    let (begun, hold, sizes) =
        (Arc::new(Semaphore::new(0)), Arc::new(tokio::sync::Mutex::new(())), Arc::new(Mutex::new(Vec::new())));
    let client = {
        let (begun, hold, sizes) = (Arc::clone(&begun), Arc::clone(&hold), Arc::clone(&sizes));
        strange(move |batch| {
            begun.add_permits(1);
            drop(hold.blocking_lock());
            sizes.lock().unwrap().push(batch.puts.len());
            Ok(())
        })
    };
    let room = client.channel("room").qos(Qos::ExactlyOnce);
    let publish = || room.publish(Payload::text("x")).send().unwrap();
    publish().queued().await.unwrap();
    begun.forget_permits(usize::MAX);
    let held = hold.lock().await;
    let mut receipts = vec![publish()];
    // The thread is busy with this one while the others come.
    begun.acquire().await.unwrap().forget();
    receipts.extend((0..50).map(|_| publish()));
    // The driver hands them over before it is this test's turn again.
    tokio::task::yield_now().await;
    drop(held);
    for receipt in receipts {
        receipt.queued().await.unwrap();
    }
    let sizes = sizes.lock().unwrap().clone();
    assert_eq!(sizes[sizes.len() - 2..], [1, 50]);
    client.close().await;
}

#[tokio::test]
async fn a_full_store_refuses_and_recovers() {
    let full = Arc::new(AtomicBool::new(true));
    let client = {
        let full = Arc::clone(&full);
        strange(move |_| if full.load(Ordering::SeqCst) { Err(StoreError::Full) } else { Ok(()) })
    };
    let room = client.channel("room").qos(Qos::ExactlyOnce);
    let refused = room.publish(Payload::text("x")).send().unwrap();
    let error = refused.queued().await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("storage.full", true));
    assert_eq!(refused.stored().await.unwrap_err().code(), "storage.full");
    full.store(false, Ordering::SeqCst);
    room.publish(Payload::text("x")).send().unwrap().queued().await.unwrap();
    client.close().await;
}

/// Lets a future run once.
fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What hangs fails.
async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap()
}

#[test]
fn a_client_whose_runtime_goes_before_it_has_run_hangs_nobody() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let client = Client::builder(NOWHERE).build().unwrap();
    // The block ends before it is anybody else's turn.
    let receipt = first.block_on(async { client.channel("room").publish(Payload::text("x")).send().unwrap() });
    drop(first);
    second.block_on(within(async {
        assert_eq!(receipt.stored().await.unwrap_err().code(), "client.closed");
        client.close().await;
        assert_eq!(client.connect().await.unwrap_err().code(), "client.closed");
    }));
}

#[tokio::test]
async fn who_follows_a_client_that_was_never_used_hears_when_it_is_dropped() {
    let client = Client::builder(NOWHERE).build().unwrap();
    let (connections, outboxes, logs) = (client.connections(), client.outboxes(), client.logs());
    assert_eq!(connections.next(0, 1).await.unwrap().unwrap()[0].1.state, ConnectionState::Idle);
    assert_eq!(outboxes.next(0, 1).await.unwrap().unwrap()[0].1.messages, 0);
    drop(client);
    assert_eq!(within(connections.next(1, 1)).await.unwrap(), None);
    assert_eq!(within(outboxes.next(1, 1)).await.unwrap(), None);
    assert_eq!(within(logs.next(0, 1)).await.unwrap(), None);
}

#[test]
fn a_client_that_has_no_runtime_to_be_closed_in_ends_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("alice.moor");
    let closed = client(NOWHERE, &store);
    assert!(poll(pin!(closed.close())).is_ready());
    assert_eq!(closed.set_push_handle(None).unwrap_err().code(), "client.closed");
    // It has released its store.
    let wiped = client(NOWHERE, &store);
    let Poll::Ready(result) = poll(pin!(wiped.close_and_wipe())) else { panic!("it waits") };
    assert_eq!(result.unwrap_err().code(), "client.runtime");
    client(NOWHERE, &store);
}

/// Holds up who drops it.
struct Held(Arc<Semaphore>, Arc<tokio::sync::Mutex<()>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.add_permits(1);
        drop(self.1.blocking_lock());
    }
}

#[tokio::test]
async fn a_logout_that_comes_too_late_says_so() {
    let (released, hold) = (Arc::new(Semaphore::new(0)), Arc::new(tokio::sync::Mutex::new(())));
    let held = Held(Arc::clone(&released), Arc::clone(&hold));
    let client = strange(move |_| {
        let _ = &held;
        Ok(())
    });
    client.channel("room").publish(Payload::text("x")).send().unwrap().queued().await.unwrap();
    let holds = hold.lock().await;
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    // Everything is flushed, and the store is about to be gone.
    released.acquire().await.unwrap().forget();
    let mut late = pin!(client.close_and_wipe());
    assert!(poll(late.as_mut()).is_pending(), "it waits until the store is released");
    drop(holds);
    assert_eq!(within(late).await.unwrap_err().code(), "client.closed");
    closing.await.unwrap();
}

#[tokio::test]
async fn a_logout_that_is_done_can_be_asked_for_again() {
    let client = strange(|_| Ok(()));
    client.channel("room").publish(Payload::text("x")).send().unwrap().queued().await.unwrap();
    let (one, other) = tokio::join!(client.close_and_wipe(), client.close_and_wipe());
    assert_eq!((one, other, client.close_and_wipe().await), (Ok(()), Ok(()), Ok(())));
    let full = strange(|batch| if batch.clear { Err(StoreError::Full) } else { Ok(()) });
    assert_eq!(full.close_and_wipe().await.unwrap_err().code(), "storage.full");
    assert_eq!(full.close_and_wipe().await.unwrap_err().code(), "storage.full");
}

#[tokio::test]
async fn a_wait_for_a_connection_ends_when_it_is_called_off() {
    let alice = Client::builder("ws://127.0.0.1:1/ws").build().unwrap();
    let (ended, ()) = tokio::join!(alice.connect(), async { alice.disconnect() });
    assert_eq!(ended.unwrap_err().code(), "request.order");
    alice.close().await;
}

#[tokio::test]
async fn after_a_final_refusal_every_call_says_why() {
    let server = Server::start(Options::dev()).unwrap();
    let alice = Client::builder(server.url()).token("none").build().unwrap();
    let refused = alice.connect().await.unwrap_err();
    let room = alice.channel("room");
    assert_eq!(room.publish(Payload::text("x")).send().unwrap_err(), refused);
    assert_eq!(room.subscribe().await.err().unwrap(), refused);
    assert_eq!(room.history(History::Newest, 1).await.unwrap_err(), refused);
    assert_eq!(alice.call("m", Payload::text("x")).await.unwrap_err(), refused);
    alice.close_and_wipe().await.unwrap();
    assert_eq!(room.publish(Payload::text("x")).send().unwrap_err().code(), "client.closed");
}

#[tokio::test]
async fn a_store_that_never_answers_holds_up_no_close() {
    let (over, stuck) = std::sync::mpsc::channel::<()>();
    // A disk that is gone, and does not say so.
    let client = strange(move |_| stuck.recv().map_err(|gone| StoreError::Io(gone.to_string())));
    let receipt = client.channel("room").publish(Payload::text("x")).send().unwrap();
    within(client.close()).await;
    assert_eq!(receipt.queued().await.unwrap_err().code(), "publish.uncertain");
    drop(over);
}
