//! What a real server sends to a real client, counted on the way.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moorline::{Client, Event, Payload, Since};
use moorline_server::node::CompressionRules;
use moorline_server::server::{Options, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes one connection on to the server, and counts the bytes that come back.
struct Relay {
    url: String,
    received: Arc<AtomicU64>,
}

impl Relay {
    async fn start(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        let (to, received) = (server.address(), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&received);
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(to).await.unwrap();
            let (mut up, mut into) = client.split();
            let (mut down, mut out) = server.split();
            let passed = async {
                let mut buffer = vec![0; 65_536];
                while let Ok(read @ 1..) = down.read(&mut buffer).await {
                    count.fetch_add(read as u64, Ordering::Relaxed);
                    into.write_all(&buffer[..read]).await.unwrap();
                }
            };
            tokio::join!(passed, tokio::io::copy(&mut up, &mut out)).1.unwrap();
        });
        Self { url, received }
    }
}

fn text(n: u32) -> String {
    format!(
        r#"{{"type":"message","room":"room:7","user":{{"name":"Alice","n":{n}}},"text":"hello for the {n}th time"}}"#
    )
}

/// Publishes 100 messages to somebody who reads them live, then has somebody read them all from the log; returns how
/// many bytes each was sent.
async fn received(server: &Server, channel: &str, compression: bool) -> (u64, u64) {
    let client = |url: &str, user: &str| Client::builder(url).token(format!("dev:{user}")).compression(compression);
    let (live, late) = (Relay::start(server).await, Relay::start(server).await);
    let (alice, bob) = (client(&server.url(), "alice").build().unwrap(), client(&live.url, "bob").build().unwrap());
    let mut messages = bob.channel(channel).subscribe().await.unwrap();
    assert!(matches!(messages.next_event().await.unwrap(), Event::Subscribed { .. }));
    for n in 0..100 {
        let receipt = alice.channel(channel).publish(Payload::text(text(n))).send().unwrap();
        assert_eq!(messages.next().await.unwrap().text(), Some(text(n).as_str()));
        receipt.stored().await.unwrap();
    }
    let carol = client(&late.url, "carol").build().unwrap();
    let mut messages = carol.channel(channel).since(Since::First).subscribe().await.unwrap();
    for n in 0..100 {
        assert_eq!(messages.next().await.unwrap().text(), Some(text(n).as_str()));
    }
    (live.received.load(Ordering::Relaxed), late.received.load(Ordering::Relaxed))
}

#[tokio::test]
async fn live_messages_and_pages_take_fewer_bytes_and_arrive_as_they_were() {
    let server = Server::start(Options::dev()).unwrap();
    let (live, pages) = received(&server, "packed", true).await;
    let (plain_live, plain_pages) = received(&server, "plain", false).await;
    assert!(live * 2 < plain_live, "{live} bytes live, instead of {plain_live}");
    assert!(pages * 3 < plain_pages, "{pages} bytes of pages, instead of {plain_pages}");
}

#[tokio::test]
async fn a_channel_can_be_left_alone() {
    let compression = CompressionRules::new(vec![("raw:".into(), false)]);
    let server = Server::start(Options { compression, ..Options::dev() }).unwrap();
    let (live, pages) = received(&server, "raw:1", true).await;
    let (packed_live, packed_pages) = received(&server, "chat:1", true).await;
    assert!(packed_live * 2 < live && packed_pages * 3 < pages, "{live} and {pages} bytes");
}
