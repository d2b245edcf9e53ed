//! Two clients and a real server, in one process, over real sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use moorline::{Client, Event, History, Payload, Qos, Since, Stored};
use moorline_server::server::{Engine, Options, Server};

fn server() -> Server {
    Server::start(Options::dev()).unwrap()
}

fn client(server: &Server, user: &str) -> Client {
    Client::builder(server.url()).token(format!("dev:{user}")).build().unwrap()
}

#[tokio::test]
async fn each_level_arrives() {
    let server = server();
    let (alice, bob) = (client(&server, "alice"), client(&server, "bob"));
    let mut messages = bob.channel("room").qos(Qos::ExactlyOnce).subscribe().await.unwrap();
    assert!(matches!(messages.next_event().await.unwrap(), Event::Subscribed { .. }));
    alice.connect().await.unwrap();
    let room = alice.channel("room");
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let receipt = room.publish(Payload::json(&qos.level()).unwrap()).qos(qos).header("k", "v").send().unwrap();
        let message = messages.next().await.unwrap();
        assert_eq!((message.json::<u8>().unwrap(), message.user.as_deref()), (qos.level(), Some("alice")));
        assert_eq!((message.id.as_str(), message.headers.len()), (receipt.id(), 1));
        if qos > Qos::AtMostOnce {
            let Stored { offset, duplicate, .. } = receipt.stored().await.unwrap();
            assert_eq!((offset, duplicate), (message.offset, false));
        } else {
            assert_eq!(message.offset, None);
            assert_eq!(receipt.stored().await.unwrap_err().code(), "request.unsupported");
        }
    }
}

#[tokio::test]
async fn the_same_id_is_stored_once() {
    let server = server();
    let alice = client(&server, "alice");
    let room = alice.channel("room");
    let send = || room.publish(Payload::text("hello")).id("one").send().unwrap().stored();
    let (first, second) = (send().await.unwrap(), send().await.unwrap());
    assert_eq!((first.offset, first.duplicate), (Some(1), false));
    assert_eq!((second.offset, second.duplicate), (Some(1), true));
    let other = room.publish(Payload::text("another")).id("one").send().unwrap().stored().await;
    assert_eq!(other.unwrap_err().code(), "publish.reused");
}

#[tokio::test]
async fn a_restarted_server_is_resumed_without_loss() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::Log { dir: dir.path().into(), sync: true, restored: false, state_cache: 1 << 20 };
    let start =
        |listen| Server::start(Options { listen, engine: engine.clone(), drain_window_ms: 50, ..Options::dev() });
    // An address that no connection comes from: nobody takes the port while it is free. Only Linux has it.
    let own = if cfg!(target_os = "linux") { "127.0.0.4:0" } else { "127.0.0.1:0" };
    let first = start(own.parse().unwrap()).unwrap();
    let address = first.address();
    let (alice, bob) = (client(&first, "alice"), client(&first, "bob"));
    let mut messages = bob.channel("room").durable(true).qos(Qos::ExactlyOnce).subscribe().await.unwrap();
    assert!(matches!(messages.next_event().await.unwrap(), Event::Subscribed { .. }));
    let room = alice.channel("room").qos(Qos::ExactlyOnce);
    let publish = |n: u32| room.publish(Payload::json(&n).unwrap()).send().unwrap();
    let before: Vec<_> = (0..50).map(publish).collect();
    for receipt in before {
        receipt.stored().await.unwrap();
    }
    tokio::task::spawn_blocking(move || drop(first)).await.unwrap();
    let meanwhile: Vec<_> = (50..100).map(publish).collect();
    let _second = start(address).unwrap();
    for receipt in meanwhile {
        assert!(!receipt.stored().await.unwrap().duplicate);
    }
    for expected in 0..100 {
        let message = messages.next().await.unwrap();
        assert_eq!(message.json::<u32>().unwrap(), expected);
        messages.ack(&message);
    }
    bob.close().await;
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_order() {
    let server = server();
    let (alice, bob) = (client(&server, "alice"), client(&server, "bob"));
    let mut messages = bob.channel("room").subscribe().await.unwrap();
    assert!(matches!(messages.next_event().await.unwrap(), Event::Subscribed { .. }));
    let room = alice.channel("room");
    let mut receipts = std::collections::VecDeque::new();
    for n in 0..5_000_u32 {
        receipts.push_back(room.publish(Payload::json(&n).unwrap()).send().unwrap());
        if receipts.len() == 500 {
            receipts.pop_front().unwrap().stored().await.unwrap();
        }
    }
    for receipt in receipts {
        receipt.stored().await.unwrap();
    }
    for expected in 0..5_000 {
        assert_eq!(messages.next().await.unwrap().offset, Some(expected + 1));
    }
}

#[tokio::test]
async fn history_is_paged_both_ways() {
    let server = server();
    let alice = client(&server, "alice");
    let room = alice.channel("room");
    for n in 0..10_u32 {
        room.publish(Payload::json(&n).unwrap()).send().unwrap().stored().await.unwrap();
    }
    let offsets = |page: &moorline::Page| page.messages.iter().filter_map(|m| m.offset).collect::<Vec<_>>();
    let newest = room.history(History::Newest, 3).await.unwrap();
    assert_eq!((offsets(&newest), newest.more, newest.head), (vec![8, 9, 10], true, 10));
    let before = room.history(History::Before(8), 100).await.unwrap();
    assert_eq!((offsets(&before), before.more), ((1..8).collect(), false));
    let after = room.history(History::After(8), 1).await.unwrap();
    assert_eq!((offsets(&after), after.more), (vec![9], true));
    let wrong = room.history(History::Newest, 1_000).await.unwrap_err();
    assert_eq!(wrong.code(), "request.malformed");
}

#[tokio::test]
async fn a_late_reader_begins_where_it_says() {
    let server = server();
    let alice = client(&server, "alice");
    let room = alice.channel("room");
    for n in 0..10_u32 {
        room.publish(Payload::json(&n).unwrap()).send().unwrap().stored().await.unwrap();
    }
    for (since, first) in [(Since::First, 1), (Since::Last(3), 8)] {
        let bob = client(&server, "bob");
        let mut messages = bob.channel("room").since(since).subscribe().await.unwrap();
        assert_eq!(messages.next().await.unwrap().offset, Some(first));
    }
}

#[tokio::test]
async fn the_token_provider_is_asked_once_per_need() {
    let server = server();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let provider = move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Ok("dev:alice".to_owned()) }
    };
    let client = Client::builder(server.url()).token_provider(provider).build().unwrap();
    client.connect().await.unwrap();
    client.connect().await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    client.close().await;
}

#[tokio::test]
async fn mistakes_have_codes() {
    let server = server();
    let build = |url: &str| Client::builder(url).build().map(|_| ()).unwrap_err();
    assert_eq!(build("http://127.0.0.1/").code(), "request.malformed");
    let refused = Client::builder(server.url()).token("forged").build().unwrap();
    assert_eq!(refused.connect().await.unwrap_err().code(), "auth.invalid");
    let alice = client(&server, "alice");
    assert_eq!(alice.channel("bad*name").subscribe().await.map(|_| ()).unwrap_err().code(), "channel.invalid");
    let large = alice.channel("room").publish(Payload::bytes(vec![0; 70_000])).send();
    assert_eq!(large.unwrap_err().code(), "limit.message");
    alice.close().await;
    assert_eq!(alice.channel("room").publish(Payload::text("x")).send().unwrap_err().code(), "client.closed");
}

#[tokio::test]
async fn a_message_of_another_channel_is_not_acknowledged() {
    let server = server();
    let alice = client(&server, "alice");
    let durable = |name: &str| alice.channel(name).durable(true).qos(Qos::ExactlyOnce).since(Since::First);
    for name in ["one", "other"] {
        alice.channel(name).publish(Payload::text("x")).send().unwrap().stored().await.unwrap();
    }
    let mut one = durable("one").subscribe().await.unwrap();
    let mut other = durable("other").subscribe().await.unwrap();
    let (message, wrong) = (one.next().await.unwrap(), other.next().await.unwrap());
    let logs = alice.logs();
    one.ack(&wrong);
    let told = logs.next(0, 1).await.unwrap().unwrap();
    assert_eq!(told[0].1.text, "one: a message of other is not acknowledged here");
    one.ack(&message);
    assert_eq!(one.next_event().await.unwrap(), Event::Acked(1));
}
