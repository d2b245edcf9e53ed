//! What happens to a store and its server when people copy them, restore them, damage them, or set a clock wrong: the
//! real file, the real client, the real server.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod clocks;
mod copies;
mod disk;
mod golden;
mod restores;

use std::path::Path;

use moorline::{Client, FileStore, History, Payload, Qos, Receipt};
use moorline_server::server::{Engine, Options, Server};

/// Where nobody listens.
const NOWHERE: &str = "ws://127.0.0.1:1/ws";

/// Alice's phone, with its store.
fn phone(url: &str, store: &Path) -> Client {
    Client::builder(url).token("dev:alice").store(FileStore::open(store).unwrap()).build().unwrap()
}

/// The same, with a connection: what waits in the store goes out.
async fn online(url: &str, store: &Path) -> Client {
    let client = phone(url, store);
    client.connect().await.unwrap();
    client
}

/// A server whose data is here.
fn server(data: &Path, restored: bool) -> Server {
    let engine = Engine::Log { dir: data.into(), sync: true, restored, state_cache: 1 << 20 };
    Server::start(Options { engine, drain_window_ms: 50, ..Options::dev() }).unwrap()
}

/// Publishes a text at QoS 2.
fn publish(client: &Client, text: &str) -> Receipt {
    client.channel("room").qos(Qos::ExactlyOnce).publish(Payload::text(text)).send().unwrap()
}

/// How a publish ended: `stored`, or the code of its error.
async fn end(receipt: Receipt) -> String {
    match receipt.stored().await {
        Ok(_) => "stored".to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

/// What the room's log holds.
async fn log(url: &str) -> Vec<String> {
    let reader = Client::builder(url).token("dev:reader").build().unwrap();
    let page = reader.channel("room").history(History::After(0), 256).await.unwrap();
    assert!(!page.more);
    let texts = page.messages.iter().map(|message| message.text().unwrap().to_owned()).collect();
    reader.close().await;
    texts
}

/// Copies a data directory of a server that is not running.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
