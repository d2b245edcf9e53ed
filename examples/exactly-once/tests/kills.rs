//! The consumer is killed again and again while payments come in: each is booked once.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use moorline::{Channel, Client, Payload, Qos};
use moorline_server::server::{Options, Server};
use serde_json::json;

const KILLS: u64 = 20;
/// Payments that come in while one consumer lives.
const WAVE: u64 = 20;

fn consumer(url: &str, database: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exactly-once"));
    command.arg(database).args(["--url", url]).stdout(Stdio::piped()).spawn().unwrap()
}

/// Reads which payments the consumer books, up to one that is enough, and kills it.
fn kill_after(mut consumer: Child, enough: impl FnMut(u64) -> bool) {
    let lines = BufReader::new(consumer.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut booked = lines.map(|line| line.strip_prefix("booked ").unwrap().parse().unwrap());
    assert!(booked.any(enough), "the consumer has stopped by itself");
    consumer.kill().unwrap();
    consumer.wait().unwrap();
}

async fn pay(payments: &Channel, cents: u64) {
    let payment = Payload::json(&json!({"account": "alice", "cents": cents})).unwrap();
    payments.publish(payment).send().unwrap().stored().await.unwrap();
}

#[tokio::test]
async fn each_payment_is_booked_once_whenever_the_consumer_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("payments.db");
    let server = Server::start(Options::dev()).unwrap();
    let shop = Client::builder(server.url()).token("dev:shop").build().unwrap();
    let payments = shop.channel("payments").qos(Qos::ExactlyOnce);
    for round in 0..KILLS {
        let consumer = consumer(&server.url(), &database);
        let mut left = 1 + round * 7 % (WAVE - 1);
        let killed = tokio::task::spawn_blocking(move || {
            kill_after(consumer, |_| {
                left -= 1;
                left == 0
            });
        });
        for n in 1..=WAVE {
            pay(&payments, round * WAVE + n).await;
        }
        killed.await.unwrap();
    }
    let last = KILLS * WAVE;
    let consumer = consumer(&server.url(), &database);
    pay(&payments, last + 1).await;
    tokio::task::spawn_blocking(move || kill_after(consumer, |offset| offset == last + 1)).await.unwrap();

    let database = rusqlite::Connection::open(&database).unwrap();
    let mut bookings = database.prepare("SELECT cents FROM booking ORDER BY number").unwrap();
    let booked: Vec<u64> = bookings.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(booked, (1..=last + 1).collect::<Vec<_>>());
}
