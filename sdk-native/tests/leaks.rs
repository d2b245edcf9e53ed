//! What a hundred clients leave behind: nothing. Alone in its process, which it counts.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::time::Duration;

use moorline::{Client, FileStore, Payload, Qos};
use moorline_server::server::{Options, Server};
use tokio::runtime::Handle;

/// Tasks of the runtime, threads of stores, open files.
fn counts() -> (usize, usize, usize) {
    let threads = fs::read_dir("/proc/self/task").unwrap().filter_map(|thread| {
        // A thread that has just ended has no name.
        fs::read_to_string(thread.unwrap().path().join("comm")).ok()
    });
    let stores = threads.filter(|name| name.trim() == "moorline-store").count();
    (Handle::current().metrics().num_alive_tasks(), stores, fs::read_dir("/proc/self/fd").unwrap().count())
}

#[tokio::test]
async fn a_hundred_clients_leave_no_tasks_threads_or_files() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Options { max_connections: 200, ..Options::dev() }).unwrap();
    let client = |n: u32| {
        let store = FileStore::open(folder.path().join(format!("{n}.moor"))).unwrap();
        let builder = Client::builder(server.url()).token("dev:alice").store(store);
        // A token that never comes must not stay behind, either.
        let builder = if n % 10 == 9 { builder.token_provider(|_| std::future::pending()) } else { builder };
        builder.build().unwrap()
    };
    let before = counts();
    let clients: Vec<_> = (0..100).map(client).collect();
    for (n, client) in (0..).zip(&clients) {
        let receipt = client.channel("room").qos(Qos::ExactlyOnce).publish(Payload::text("x")).send().unwrap();
        if n % 10 == 9 {
            receipt.queued().await.unwrap();
        } else {
            receipt.stored().await.unwrap();
        }
    }
    assert!(counts().0 >= before.0 + 100 && counts().1 >= before.1 + 100);
    for (n, client) in (0..).zip(clients) {
        if n % 2 == 0 {
            client.close().await;
        }
    }
    // Nobody tells when a dropped client is gone, nor the server when it has noticed.
    let gone = async {
        while counts() != before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
}
