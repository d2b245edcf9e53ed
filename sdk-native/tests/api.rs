//! What an app types, against a real server.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use moorline::{
    Client, ClientConfig, ConnectionState, Error, Event, FileStore, Lifecycle, Messages, OutboxStats, Payload, Qos,
    ReceiptState, Since, StateReason, TokenReason,
};
use moorline_server::server::{Options, Server};

fn server() -> Server {
    Server::start(Options::dev()).unwrap()
}

fn client(server: &Server, user: &str) -> Client {
    Client::builder(server.url()).token(format!("dev:{user}")).build().unwrap()
}

async fn reading(messages: &mut Messages) {
    assert!(matches!(messages.next_event().await.unwrap(), Event::Subscribed { .. }));
}

#[tokio::test]
async fn a_message_says_everything_about_itself() {
    let server = server();
    let (alice, bob) = (client(&server, "alice"), client(&server, "bob"));
    let room = alice.channel("room:42").durable(true).qos(Qos::ExactlyOnce);
    let mut live = bob.channel("room:42").subscribe().await.unwrap();
    reading(&mut live).await;
    let payloads = [Payload::json(&vec![1, 2]).unwrap(), Payload::text("hi"), Payload::bytes(vec![0, 255])];
    let mut stored = Vec::new();
    for payload in payloads.clone() {
        let receipt = room.publish(payload).header("a", "1").header("b", "2").send().unwrap();
        stored.push((receipt.id().to_owned(), receipt.stored().await.unwrap()));
    }
    let mut late = bob.channel("room:42").since(Since::First).subscribe().await;
    assert_eq!(late.as_mut().map(|_| ()).unwrap_err().code(), "request.malformed", "it is read from elsewhere already");
    let carol = client(&server, "carol");
    let mut replay = carol.channel("room:42").since(Since::First).subscribe().await.unwrap();
    for (messages, replayed) in [(&mut live, false), (&mut replay, true)] {
        for ((id, stored), payload) in stored.iter().zip(&payloads) {
            let message = messages.next().await.unwrap();
            assert_eq!((&message.channel, &message.id, &message.epoch), (&"room:42".to_owned(), id, &stored.epoch));
            assert_eq!((message.offset, message.user.as_deref()), (stored.offset, Some("alice")));
            assert_eq!((message.replayed, message.redelivered), (replayed, false));
            assert_eq!(message.headers, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
            assert!(message.time > 1_600_000_000_000);
            assert_eq!((&message.payload, message.bytes()), (payload, payload.as_bytes()));
            match message.offset.unwrap() {
                1 => assert_eq!(message.json::<Vec<u8>>().unwrap(), [1, 2]),
                2 => assert_eq!(message.text(), Some("hi")),
                _ => assert!(message.json::<Vec<u8>>().is_err() && message.text().is_none()),
            }
        }
    }
}

#[tokio::test]
async fn readers_of_one_channel_get_everything_and_come_and_go() {
    let server = server();
    let (alice, bob) = (client(&server, "alice"), client(&server, "bob"));
    let room = bob.channel("room");
    let (mut first, mut second) = (room.subscribe().await.unwrap(), room.subscribe().await.unwrap());
    reading(&mut first).await;
    reading(&mut second).await;
    let publish = async |n: u32| {
        let receipt = alice.channel("room").publish(Payload::json(&n).unwrap()).send().unwrap();
        receipt.stored().await.unwrap();
    };
    publish(1).await;
    publish(2).await;
    assert_eq!(first.next().await.unwrap().json::<u32>().unwrap(), 1);
    // In the middle of the stream, with a message in its queue.
    drop(first);
    publish(3).await;
    for n in 1..=3 {
        assert_eq!(second.next().await.unwrap().json::<u32>().unwrap(), n);
    }
    let mut third = room.subscribe().await.unwrap();
    publish(4).await;
    assert_eq!(second.next().await.unwrap().json::<u32>().unwrap(), 4);
    assert_eq!(third.next().await.unwrap().json::<u32>().unwrap(), 4);
    drop((second, third));
    publish(5).await;
    let mut fourth = room.since(Since::Last(1)).subscribe().await.unwrap();
    assert_eq!(fourth.next().await.unwrap().json::<u32>().unwrap(), 5, "the channel can be read again");
}

#[tokio::test]
async fn events_stand_beside_the_messages() {
    let server = server();
    let (alice, bob) = (client(&server, "alice"), client(&server, "bob"));
    let stored = alice.channel("room").publish(Payload::text("x")).send().unwrap().stored().await.unwrap();
    let since = Since::Position { epoch: "another".into(), offset: 7 };
    let mut messages = bob.channel("room").since(since).durable(true).subscribe().await.unwrap();
    let events: Vec<_> = messages.events().take(3).collect().await;
    assert!(
        matches!(&events[..], [Event::Subscribed { .. }, Event::Reset { reason, from: 0, epoch, .. }, Event::Message(message)]
            | [Event::Reset { reason, from: 0, epoch, .. }, Event::Subscribed { .. }, Event::Message(message)]
            if reason == "epoch" && *epoch == stored.epoch && message.offset == Some(1)),
        "{events:?}"
    );
    let Some(Event::Message(message)) = events.last() else { return };
    messages.ack(message);
    assert_eq!(messages.next_event().await, Some(Event::Acked(1)));
}

#[tokio::test]
async fn a_cursor_outlives_the_process_and_what_may_come_twice_says_so() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let bob = || {
        let store = FileStore::open(folder.path().join("bob.moor")).unwrap();
        Client::builder(server.url()).token("dev:bob").store(store).build().unwrap()
    };
    let (alice, first) = (client(&server, "alice"), bob());
    let mut messages = first.channel("room").durable(true).subscribe().await.unwrap();
    reading(&mut messages).await;
    for n in 1..=4_u32 {
        let receipt = alice.channel("room").publish(Payload::json(&n).unwrap()).send().unwrap();
        receipt.stored().await.unwrap();
    }
    for n in 1..=3 {
        let message = messages.next().await.unwrap();
        assert_eq!((message.json::<u32>().unwrap(), message.redelivered), (n, false));
        if n == 2 {
            messages.ack(&message);
        }
    }
    first.close().await;
    let second = bob();
    let mut messages = second.channel("room").durable(true).subscribe().await.unwrap();
    for n in 3..=4 {
        let message = messages.next().await.unwrap();
        assert_eq!((message.json::<u32>().unwrap(), message.redelivered), (n, true));
    }
    messages.forget();
    second.close().await;
}

#[tokio::test]
async fn a_publish_before_the_first_connection_waits_for_it() {
    let server = server();
    let alice = client(&server, "alice");
    assert_eq!((alice.state(), alice.outbox()), (ConnectionState::Idle, OutboxStats::default()));
    alice.lifecycle(Lifecycle::Offline);
    let receipt = alice.channel("room").publish(Payload::text("hello")).send().unwrap();
    assert_eq!(receipt.state(), ReceiptState::Queued);
    assert_eq!(alice.outbox(), OutboxStats { messages: 1, bytes: 5 });
    receipt.queued().await.unwrap();
    alice.lifecycle(Lifecycle::Online);
    receipt.stored().await.unwrap();
    assert_eq!((alice.state(), alice.outbox().messages), (ConnectionState::Online, 0));
}

#[tokio::test]
async fn a_full_outbox_refuses_at_once() {
    let server = server();
    let builder = Client::builder(server.url()).token("dev:alice");
    let alice = builder.configure(|config| config.outbox_messages = 2).build().unwrap();
    let room = alice.channel("room");
    let publish = || room.publish(Payload::text("x")).send();
    let (first, second) = (publish().unwrap(), publish().unwrap());
    let full = publish().map(drop).unwrap_err();
    assert_eq!((full.code(), full.number(), full.is_retryable()), ("limit.outbox", 704, true));
    first.stored().await.unwrap();
    second.stored().await.unwrap();
    publish().unwrap().stored().await.unwrap();
}

#[tokio::test]
async fn a_token_provider_may_fail_and_is_asked_again() {
    let server = server();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let provider = move |reason| {
        assert_eq!(reason, TokenReason::Connect);
        let nth = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            match nth {
                0 => Err(Error::token("the login server does not answer")),
                1 => panic!("a planted panic of a token provider"),
                _ => Ok("dev:alice".to_owned()),
            }
        }
    };
    let builder = Client::builder(server.url()).token_provider(provider);
    let client = builder.configure(|config| config.max_backoff_ms = 1).build().unwrap();
    let mut states = client.states();
    let no_token = async { states.wait_for(|(_, reason)| matches!(reason, StateReason::Token(_))).await.map(drop) };
    let (connected, told) = tokio::join!(client.connect(), no_token);
    assert_eq!((connected, told.is_ok(), asked.load(Ordering::Relaxed)), (Ok(()), true, 3));
}

#[tokio::test]
async fn the_states_tell_the_story_of_a_connection() {
    let server = server();
    let alice = client(&server, "alice");
    let mut states = alice.states();
    let mut seen = vec![states.borrow_and_update().0];
    alice.connect().await.unwrap();
    seen.push(states.borrow_and_update().0);
    drop(server);
    let lost = states.wait_for(|(state, _)| *state == ConnectionState::Recovering).await.unwrap().1.clone();
    assert!(matches!(lost, StateReason::TransportClosed(_)), "{lost:?}");
    alice.close().await;
    seen.push(states.borrow_and_update().0);
    assert_eq!(seen, [ConnectionState::Idle, ConnectionState::Online, ConnectionState::Closed]);
}

#[tokio::test]
async fn mistakes_are_refused_on_the_spot() {
    for url in ["", "localhost", "http://localhost/ws", "ws://", "ws:///ws", "wss://a b/ws", "ws://[::1/ws"] {
        let refused = Client::builder(url).build().map(drop).unwrap_err();
        assert_eq!(refused.code(), "request.malformed", "{url}");
    }
    let server = server();
    let alice = client(&server, "alice");
    let long = "x".repeat(129);
    for name in ["", "with\nbreak", "all*", &long] {
        let channel = alice.channel(name);
        let refused = [
            channel.subscribe().await.map(drop).unwrap_err(),
            channel.publish(Payload::text("x")).send().map(drop).unwrap_err(),
            channel.history(moorline::History::Newest, 1).await.map(drop).unwrap_err(),
        ];
        assert!(refused.iter().all(|error| error.code() == "channel.invalid"), "{name}: {refused:?}");
    }
    let room = alice.channel("room");
    let publish = || room.publish(Payload::text("x"));
    for refused in [publish().id(""), publish().id(long.clone()), publish().header("a", "1").header("a", "2")] {
        assert_eq!(refused.send().map(drop).unwrap_err().code(), "request.malformed");
    }
    let epoch = Since::Position { epoch: "x".repeat(17), offset: 1 };
    assert_eq!(room.since(epoch).subscribe().await.map(drop).unwrap_err().code(), "request.malformed");
    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    assert_eq!(Payload::json(&no_json).unwrap_err().code(), "request.malformed");
    assert_eq!(alice.outbox().messages, 0, "nothing of all that was queued");
}

#[test]
fn what_is_no_address_of_a_server_is_refused() {
    let code = |url: &str| Client::builder(url).build().err().map(|error| error.code().to_owned());
    for url in ["", "http://h/", "ws://", "ws://h:99999/", "ws://h:x/", "ws://a@h:65536/", "wss://[::1]:70000/ws"] {
        assert_eq!(code(url).as_deref(), Some("request.malformed"), "{url}");
    }
    for url in ["ws://h", "wss://h:8443/ws", "ws://[::1]/ws", "ws://[::1]:1/ws", "ws://a:b@h/ws"] {
        assert_eq!(code(url), None, "{url}");
    }
    let zeros: [fn(&mut ClientConfig); 2] =
        [|config| config.connect_timeout_ms = 0, |config| config.outbox_messages = 0];
    for zero in zeros {
        let refused = Client::builder("ws://h").configure(zero).build().err().unwrap();
        assert_eq!(refused.code(), "request.malformed");
    }
}
