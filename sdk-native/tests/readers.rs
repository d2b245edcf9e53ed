//! Readers that are pulled in leased batches, as other languages do; a client on a thread of its own.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use moorline::{Client, ConnectionState, Event, Payload, Presence, Qos, Reader, Since};
use moorline_server::server::{Options, Server};

fn server() -> Server {
    Server::start(Options::dev()).unwrap()
}

fn client(server: &Server, user: &str) -> Client {
    Client::builder(server.url()).token(format!("dev:{user}")).own_thread().build().unwrap()
}

/// The numbers and the texts of the next messages.
async fn next(reader: &Reader<Event>, taken: u64, max: usize) -> Vec<(u64, String)> {
    loop {
        // A reader that has lost something would wait for ever.
        let items = tokio::time::timeout(Duration::from_secs(20), reader.next(taken, max)).await;
        let items = items.unwrap().unwrap().unwrap();
        let text = |(number, event): &(u64, Event)| {
            if let Event::Message(message) = event { Some((*number, message.text().unwrap().to_owned())) } else { None }
        };
        let texts: Vec<_> = items.iter().filter_map(text).collect();
        if texts.len() == max {
            return texts;
        }
        // What comes first is that the channel is being read: confirmed together with what follows.
        tokio::task::yield_now().await;
    }
}

/// What a reader is told first: its number, from where, and the newest offset.
async fn subscribed(reader: &Reader<Event>) -> (u64, u64, u64) {
    let items = tokio::time::timeout(Duration::from_secs(20), reader.next(0, 1)).await.unwrap().unwrap().unwrap();
    match &items[..] {
        [(number, Event::Subscribed { from, head, .. })] => (*number, *from, *head),
        other => panic!("not told first: {other:?}"),
    }
}

async fn publish(client: &Client, texts: &[&str]) {
    for text in texts {
        client.channel("room").publish(Payload::text(*text)).send().unwrap().stored().await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_comes_again_until_it_is_confirmed() {
    let server = server();
    let alice = client(&server, "alice");
    publish(&alice, &["a", "b", "c"]).await;
    let readers = alice.channel("room").since(Since::First).readers().unwrap();
    let reader = readers.open().unwrap();
    let subscribed = reader.next(0, 1).await.unwrap().unwrap();
    assert!(matches!(subscribed[..], [(1, Event::Subscribed { .. })]));
    let first = next(&reader, 1, 2).await;
    assert_eq!(first.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    // The wait was broken off, and its result lost.
    assert_eq!(next(&reader, 1, 2).await, first);
    let rest = next(&reader, first[0].0, 2).await;
    assert_eq!(rest.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["b", "c"]);
}

#[tokio::test]
async fn the_next_reader_goes_on_where_one_was_cancelled() {
    let server = server();
    let alice = client(&server, "alice");
    publish(&alice, &["a", "b", "c"]).await;
    let readers = alice.channel("room").since(Since::First).readers().unwrap();
    let reader = readers.open().unwrap();
    assert!(matches!(reader.next(0, 1).await.unwrap().unwrap()[..], [(1, Event::Subscribed { .. })]));
    let first = next(&reader, 1, 2).await;
    reader.cancel(first[0].0);
    assert_eq!(reader.next(first[1].0, 2).await.unwrap(), None);
    let second = readers.open().unwrap();
    let number = subscribed(&second).await.0;
    let rest = next(&second, number, 2).await;
    assert_eq!(rest.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    readers.leave(false);
    assert_eq!(second.next(rest[1].0, 2).await.unwrap(), None);
    assert_eq!(readers.open().err().unwrap().code(), "request.malformed");
}

#[tokio::test]
async fn the_next_reader_is_told_that_the_channel_is_being_read() {
    let server = server();
    let alice = client(&server, "alice");
    publish(&alice, &["a", "b", "c"]).await;
    let readers = alice.channel("room").since(Since::First).readers().unwrap();
    let reader = readers.open().unwrap();
    let (number, from, head) = subscribed(&reader).await;
    assert_eq!((from, head), (0, 3));
    let first = next(&reader, number, 3).await;
    reader.cancel(first[1].0);
    // Before what was left, and again while that is so.
    for _ in 0..2 {
        let reader = readers.open().unwrap();
        let (number, from, head) = subscribed(&reader).await;
        assert_eq!((from, head), (2, 3));
        reader.cancel(number);
    }
    let reader = readers.open().unwrap();
    let number = subscribed(&reader).await.0;
    let rest = next(&reader, number, 1).await;
    assert_eq!(rest[0].1, "c");
    reader.cancel(rest[0].0);
    // Nothing is left.
    let reader = readers.open().unwrap();
    let (number, from, head) = subscribed(&reader).await;
    assert_eq!((from, head), (3, 3));
    publish(&alice, &["d"]).await;
    assert_eq!(next(&reader, number, 1).await[0].1, "d");
}

#[tokio::test]
async fn a_wait_ends_when_its_reader_is_cancelled_or_its_client_closed() {
    let server = server();
    let alice = client(&server, "alice");
    let readers = alice.channel("room").readers().unwrap();
    let idle = readers.open().unwrap();
    let taken = idle.next(0, 1).await.unwrap().unwrap()[0].0;
    let (ended, ()) = tokio::join!(idle.next(taken, 64), async { idle.cancel(taken) });
    assert_eq!(ended.unwrap(), None);
    let other = readers.open().unwrap();
    let taken = subscribed(&other).await.0;
    let (ended, ()) = tokio::join!(other.next(taken, 64), alice.close());
    assert_eq!(ended.unwrap(), None);
}

#[tokio::test]
async fn what_is_confirmed_is_acknowledged_and_what_is_cancelled_is_not() {
    let server = server();
    let alice = client(&server, "alice");
    let durable = || alice.channel("room").durable(true).qos(Qos::ExactlyOnce).since(Since::First).auto_ack(true);
    publish(&alice, &["a", "b", "c"]).await;
    let readers = durable().readers().unwrap();
    let reader = readers.open().unwrap();
    assert!(matches!(reader.next(0, 1).await.unwrap().unwrap()[..], [(1, Event::Subscribed { .. })]));
    let batch = next(&reader, 1, 3).await;
    reader.confirm(batch[1].0);
    let acked = loop {
        let items = reader.next(batch[1].0, 64).await.unwrap().unwrap();
        if let Some((_, Event::Acked(offset))) = items.iter().find(|(_, event)| matches!(event, Event::Acked(_))) {
            break *offset;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(acked, 2);
    reader.cancel(batch[2].0);
    assert!(readers.open().is_ok());
}

#[tokio::test]
async fn members_connection_and_outbox_are_told_as_the_newest() {
    let server = server();
    let (alice, bob) = (client(&server, "alice"), client(&server, "bob"));
    let connections = alice.connections();
    assert_eq!(connections.next(0, 1).await.unwrap().unwrap()[0].1.state, ConnectionState::Idle);
    alice.connect().await.unwrap();
    let online = connections.next(1, 64).await.unwrap().unwrap();
    assert_eq!(online.len(), 1);
    assert_eq!((online[0].1.state, online[0].1.user.as_deref()), (ConnectionState::Online, Some("alice")));
    let readers = alice.channel("room").presence(Presence::Watch).readers().unwrap();
    let members = readers.members().unwrap();
    assert_eq!(members.next(0, 64).await.unwrap().unwrap()[0].1.count, 0);
    let held = bob.channel("room").presence(Presence::Watch).readers().unwrap();
    held.hold().unwrap();
    bob.channel("room").members().enter(&1).await.unwrap();
    let joined = members.next(1, 64).await.unwrap().unwrap();
    assert_eq!((joined[0].1.count, joined[0].1.changes[0].user.as_str()), (1, "bob"));
    let outboxes = alice.outboxes();
    assert_eq!(outboxes.next(0, 64).await.unwrap().unwrap()[0].1.messages, 0);
}

#[test]
fn a_client_on_a_thread_of_its_own_needs_no_runtime() {
    let server = server();
    let alice = client(&server, "alice");
    let stored = alice.channel("room").publish(Payload::text("x")).send().unwrap().stored();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(stored).unwrap().offset, Some(1));
    runtime.block_on(alice.close());
    assert_eq!(alice.state(), ConnectionState::Closed);
}
