//! Readers that nobody takes from: they hold up no other, and lose nothing but what they say.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use moorline::{Channel, Client, Event, Payload, Presence, Qos, Reader, Since};
use moorline_server::server::{Options, Server};

/// More than wait for a reader.
const MANY: usize = 30;

fn server() -> Server {
    Server::start(Options::dev()).unwrap()
}

fn client(server: &Server, user: &str) -> Client {
    let builder = Client::builder(server.url()).token(format!("dev:{user}")).own_thread();
    builder.configure(|config| config.queue_messages = 4).build().unwrap()
}

async fn publish(client: &Client, from: usize, count: usize) {
    let room = client.channel("room");
    for number in from..from + count {
        room.publish(Payload::text(number.to_string())).send().unwrap().stored().await.unwrap();
    }
}

/// What a reader is handed until it has so many messages: their texts, and how many messages were dropped before or between.
async fn take(reader: &Reader<Event>, count: usize) -> (Vec<String>, u64) {
    let (mut texts, mut lost, mut taken) = (Vec::new(), 0, 0);
    while texts.len() < count {
        // What was lost would be waited for for ever.
        let items = tokio::time::timeout(Duration::from_secs(20), reader.next(taken, 1)).await;
        for (number, event) in items.unwrap().unwrap().unwrap() {
            taken = number;
            if let Event::Message(message) = event {
                texts.push(message.text().unwrap().to_owned());
            } else if let Event::Dropped(count) = event {
                lost += count;
            }
        }
    }
    reader.confirm(taken);
    (texts, lost)
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn whole(client: &Client) -> Channel {
    client.channel("room").since(Since::First)
}

#[tokio::test]
async fn a_reader_that_nobody_takes_from_holds_up_no_other() {
    let server = server();
    let alice = client(&server, "alice");
    let handles = (whole(&alice).readers().unwrap(), whole(&alice).readers().unwrap());
    let (idle, busy) = (handles.0.open().unwrap(), handles.1.open().unwrap());
    publish(&client(&server, "bob"), 0, MANY).await;
    assert_eq!(take(&busy, MANY).await, (numbers(0..MANY), 0));
    // What is the newest waits for it, and it is told of the rest.
    assert_eq!(take(&idle, 4).await, (numbers(MANY - 4..MANY), MANY as u64 - 4));
}

#[tokio::test]
async fn what_a_reader_left_behind_holds_up_no_other() {
    let server = server();
    let alice = client(&server, "alice");
    let (one, other) = (whole(&alice).readers().unwrap(), whole(&alice).readers().unwrap());
    publish(&client(&server, "bob"), 0, 1).await;
    let left = one.open().unwrap();
    assert_eq!(take(&left, 1).await, (numbers(0..1), 0));
    left.cancel(0);
    let busy = other.open().unwrap();
    publish(&client(&server, "bob"), 1, MANY).await;
    assert_eq!(take(&busy, MANY).await, (numbers(1..MANY + 1), 0));
    // Another one goes on from there, and is waited for again.
    let next = one.open().unwrap();
    assert_eq!(take(&next, 4).await.0, numbers(MANY - 3..MANY + 1));
    publish(&client(&server, "bob"), MANY + 1, 3).await;
    assert_eq!(take(&next, 3).await, (numbers(MANY + 1..MANY + 4), 0));
}

#[tokio::test]
async fn what_nobody_takes_anywhere_is_not_given_up() {
    let server = server();
    let alice = client(&server, "alice");
    let handles = (whole(&alice).readers().unwrap(), whole(&alice).readers().unwrap());
    let (first, second) = (handles.0.open().unwrap(), handles.1.open().unwrap());
    publish(&client(&server, "bob"), 0, MANY).await;
    drop(first);
    drop(handles.0);
    assert_eq!(take(&second, MANY).await, (numbers(0..MANY), 0));
}

#[tokio::test]
async fn who_watches_members_and_reads_later_has_lost_nothing_of_a_durable_channel() {
    let server = server();
    let alice = client(&server, "alice");
    let durable = || whole(&alice).durable(true).qos(Qos::ExactlyOnce).auto_ack(true).presence(Presence::Watch);
    publish(&client(&server, "bob"), 0, 3).await;
    let readers = durable().readers().unwrap();
    let members = readers.members().unwrap();
    // The channel is read.
    assert_eq!(members.next(0, 1).await.unwrap().unwrap().len(), 1);
    publish(&client(&server, "bob"), 3, 1).await;
    assert_eq!(take(&readers.open().unwrap(), 4).await, (numbers(0..4), 0));
}
