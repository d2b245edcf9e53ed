//! A real client goes to the background, and its user's backend is told of what it misses.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "../../server-ref/tests/shell/hooks/receiver.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "shared with the tests of the server, which use more of it")]
mod receiver;

use moorline::{Client, Event, History, Lifecycle, Payload};
use moorline_server::engine::hooks::{HookKind, HookRule};
use moorline_server::hooks::{Hook, Secret, Times};
use moorline_server::server::{Options, Server};
use serde_json::{Value, json};

use self::receiver::{Answer, Receiver};

fn server(receiver: &Receiver) -> Server {
    let app = moorline_core::protocol::AppName::default_app();
    let rule = HookRule { app, kinds: vec![HookKind::MessageOffline], channels: Vec::new() };
    let hook = Hook {
        name: "push".into(),
        url: receiver.url().parse().unwrap(),
        secrets: vec![Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()],
        rule,
        allow_private: true,
        roots: Vec::new(),
        times: Times::default(),
        max_requests: 4,
    };
    Server::start(Options { hooks: vec![hook], ..Options::dev() }).unwrap()
}

fn client(server: &Server, user: &str) -> Client {
    Client::builder(server.url()).token(format!("dev:{user}")).build().unwrap()
}

async fn publish(client: &Client, text: &str) {
    client.channel("chat:1").publish(Payload::text(text)).send().unwrap().stored().await.unwrap();
}

fn handles(event: &Value) -> Vec<&str> {
    event["devices"].as_array().unwrap().iter().map(|device| device["handle"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_message_in_the_background_is_told_and_one_in_the_foreground_is_not() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let server = server(&receiver);
    let (alice, bob) = (client(&server, "alice"), client(&server, "bob"));
    alice.set_push_handle(Some("fcm:alice")).unwrap();
    let chat = alice.channel("chat:1").durable(true);
    let mut messages = chat.subscribe().await.unwrap();
    assert!(matches!(messages.next_event().await.unwrap(), Event::Subscribed { .. }));
    alice.lifecycle(Lifecycle::Background);
    // Once this is answered the server knows.
    chat.history(History::Newest, 1).await.unwrap();
    publish(&bob, "one").await;
    let events = receiver.request().events();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!([&event["user"], &event["first"], &event["last"]], [&json!("alice"), &json!(1), &json!(1)]);
    assert_eq!(handles(event), ["fcm:alice"]);
    // It comes to the app in the background, too.
    assert_eq!(messages.next().await.unwrap().text(), Some("one"));
    alice.lifecycle(Lifecycle::Foreground);
    chat.history(History::Newest, 1).await.unwrap();
    publish(&bob, "two").await;
    assert_eq!(messages.next().await.unwrap().text(), Some("two"));
    // A logout has the server forget the handle, though it goes on to tell of the user.
    alice.close_and_wipe().await.unwrap();
    publish(&bob, "three").await;
    let events = receiver.request().events();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event["last"], 3);
    assert_eq!(handles(event), [""; 0]);
}
