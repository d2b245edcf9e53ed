//! What an app is told beside messages: how far a message has come, and the log.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use moorline::{Client, LogLevel, LogLine, Payload, Qos, Reader, ReceiptState, ReceiptStates};
use moorline_server::server::{Options, Server};
use tokio::net::TcpListener;

/// A client of an address where nobody answers.
async fn alone() -> (TcpListener, Client) {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws?secret=yes", mute.local_addr().unwrap());
    (mute, Client::builder(url).token("dev:alice").build().unwrap())
}

async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap()
}

/// Everything that is told from here to the end.
async fn rest(states: &ReceiptStates, mut taken: u64) -> Vec<ReceiptState> {
    let mut all = Vec::new();
    while let Some(items) = within(states.next(taken, 1)).await.unwrap() {
        taken = items[0].0;
        all.extend(items.into_iter().map(|(_, state)| state));
    }
    all
}

async fn line(lines: &Reader<LogLine>, taken: &mut u64) -> Option<LogLine> {
    let (number, line) = within(lines.next(*taken, 1)).await.unwrap()?.remove(0);
    *taken = number;
    Some(line)
}

#[tokio::test]
async fn a_receipt_tells_how_far_its_message_has_come_and_ends() {
    let server = Server::start(Options::dev()).unwrap();
    let client = Client::builder(server.url()).token("dev:alice").build().unwrap();
    let receipt = client.channel("room").publish(Payload::text("x")).send().unwrap();
    let states = receipt.states();
    let first = within(states.next(0, 1)).await.unwrap().unwrap();
    assert!(matches!(first[..], [(1, ReceiptState::Queued)]), "{first:?}");
    // The wait was broken off, and its result lost.
    assert_eq!(within(states.next(0, 1)).await.unwrap().unwrap(), first);
    let all = rest(&states, 1).await;
    let stored = ReceiptState::Stored(receipt.clone().stored().await.unwrap());
    assert_eq!(all.last(), Some(&stored));
    assert!(all.len() == 1 || all[..] == [ReceiptState::Sent, stored.clone()], "{all:?}");
    assert_eq!(rest(&receipt.states(), 0).await, [stored]);
    let ephemeral = client.channel("room").publish(Payload::text("x")).qos(Qos::AtMostOnce).send().unwrap();
    assert_eq!(rest(&ephemeral.states(), 0).await, [ReceiptState::Sent]);
    client.close().await;
}

#[tokio::test]
async fn closing_ends_what_follows_a_receipt_and_so_does_cancelling() {
    let (_mute, client) = alone().await;
    let receipt = client.channel("room").publish(Payload::text("x")).send().unwrap();
    let (closed, cancelled) = (receipt.states(), receipt.states());
    assert_eq!(within(cancelled.next(0, 1)).await.unwrap().unwrap().len(), 1);
    let (ended, ()) = tokio::join!(within(cancelled.next(1, 1)), async { cancelled.cancel(1) });
    assert_eq!(ended.unwrap(), None);
    let (states, ()) = tokio::join!(rest(&closed, 0), client.close());
    assert_eq!(states, [ReceiptState::Queued]);
    assert_eq!(receipt.stored().await.unwrap_err().code(), "client.closed");
}

#[tokio::test]
async fn the_log_has_a_life_from_its_first_use_to_its_end() {
    let server = Server::start(Options::dev()).unwrap();
    let client = Client::builder(server.url()).token("dev:alice").build().unwrap();
    let (lines, mut taken) = (client.logs(), 0);
    client.connect().await.unwrap();
    let refused = client.channel("room").publish(Payload::text("x")).ttl(0).send().unwrap();
    assert_eq!(refused.stored().await.unwrap_err().code(), "publish.expired");
    client.close().await;
    let mut all = Vec::new();
    while let Some(line) = line(&lines, &mut taken).await {
        all.push((line.level, line.text));
    }
    let levels: Vec<_> = all.iter().map(|(level, _)| *level).collect();
    let texts: Vec<_> = all.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts[..3], ["connecting (requested)", &format!("opens {}", server.url()), "online (welcome)"]);
    assert_eq!(levels[..3], [LogLevel::Info, LogLevel::Debug, LogLevel::Info]);
    assert!(texts[3].starts_with("room: a message is not stored: "), "{texts:?}");
    assert!(texts[3].ends_with("(publish.expired)"), "{texts:?}");
    assert_eq!((levels[3], &texts[4..]), (LogLevel::Warn, &["closed (requested)"][..]));
    assert!(within(client.logs().next(0, 1)).await.unwrap().is_none());
}

#[tokio::test]
async fn the_log_says_why_there_is_no_connection_and_keeps_secrets() {
    let (mute, client) = alone().await;
    let (lines, mut taken) = (client.logs(), 0);
    // Nobody is there any more.
    drop(mute);
    let connecting = client.connect();
    let look = async {
        let mut all = Vec::new();
        loop {
            let line = line(&lines, &mut taken).await.unwrap();
            let is_it = line.level == LogLevel::Warn;
            all.push(line.text);
            if is_it {
                return all;
            }
        }
    };
    let all = tokio::select! { _ = connecting => panic!("there is no server"), all = look => all };
    let last = all.last().unwrap();
    assert!(last.starts_with("connecting (transport-failed): cannot reach 127.0.0.1"), "{all:?}");
    assert!(last.contains("(transport.unreachable); attempt 2 in "), "{all:?}");
    assert!(!all.concat().contains("secret") && !all.concat().contains("dev:alice"), "{all:?}");
    client.close().await;
}
