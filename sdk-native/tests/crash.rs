//! An app that is killed, again and again, while it publishes: what it was told is queued goes out once, in order.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use moorline::{Client, FileStore, History, Payload, Qos, Receipt, Restored};
use moorline_server::server::{Options, Server};

const ROOMS: [&str; 2] = ["room:a", "room:b"];
const STORE: &str = "MOORLINE_VICTIM_STORE";
const URL: &str = "MOORLINE_VICTIM_URL";
const FIRST: &str = "MOORLINE_VICTIM_FIRST";
const WORDS: &str = "MOORLINE_VICTIM_WORDS";
/// Where nobody listens.
const NOWHERE: &str = "ws://127.0.0.1:1/ws";

fn client(url: &str, store: &Path) -> Client {
    Client::builder(url).token("dev:alice").store(FileStore::open(store).unwrap()).build().unwrap()
}

/// The app: publishes numbers, and says of each what became of it. Without its settings, as in a run of all tests, it
/// has nothing to do.
#[tokio::test]
async fn the_victim() {
    let Ok(store) = std::env::var(STORE) else { return };
    let client = client(&std::env::var(URL).unwrap(), store.as_ref());
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let mut words: usize = std::env::var(WORDS).unwrap().parse().unwrap();
    let mut waiting: Vec<Receipt> = Vec::new();
    for n in first.. {
        for room in ROOMS {
            let receipt = loop {
                let sent = client.channel(room).qos(Qos::ExactlyOnce).publish(Payload::json(&n).unwrap()).send();
                match sent {
                    Ok(receipt) => break receipt,
                    Err(error) if error.code() == "limit.outbox" => {
                        // The oldest makes room, or nothing does before the end comes.
                        waiting.remove(0).stored().await.unwrap();
                    }
                    Err(error) => panic!("{error}"),
                }
            };
            match receipt.queued().await {
                Ok(()) => writeln!(std::io::stdout(), "\nqueued {room} {n}").unwrap(),
                Err(error) => writeln!(std::io::stdout(), "\nrefused {room} {n} {}", error.code()).unwrap(),
            }
            waiting.push(receipt);
            words -= 1;
            if words == 0 {
                // Nothing gets a moment more than it was said to have.
                std::process::abort();
            }
        }
    }
}

/// Starts the app in a process of its own, which ends itself after so many words; `wrap` is a shell command that ends with `exec "$@"`.
fn victim(url: &str, store: &Path, first: u64, words: usize, wrap: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", wrap, "sh"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "the_victim", "--nocapture"]);
    command.env(STORE, store).env(URL, url).env(FIRST, first.to_string()).env(WORDS, words.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Reads what the app says, up to so many lines.
fn listen(victim: &mut Child, lines: usize) -> Vec<(String, String, u64)> {
    let told = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told = told.filter_map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        let (what, room, n) = (words.next()?, words.next()?, words.next()?);
        matches!(what.as_str(), "queued" | "refused").then(|| (what, room, n.parse().unwrap()))
    });
    told.take(lines).collect()
}

/// A sequence that looks random enough.
fn dice(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// What each room's log holds.
async fn logs(url: &str) -> HashMap<&'static str, Vec<u64>> {
    let reader = Client::builder(url).token("dev:bob").build().unwrap();
    let mut logs = HashMap::new();
    for room in ROOMS {
        let (channel, mut log, mut after) = (reader.channel(room), Vec::new(), 0);
        loop {
            let page = channel.history(History::After(after), 256).await.unwrap();
            log.extend(page.messages.iter().map(|message| message.json::<u64>().unwrap()));
            after = page.messages.last().and_then(|message| message.offset).unwrap_or(after);
            if !page.more {
                break;
            }
        }
        logs.insert(room, log);
    }
    logs
}

/// Lets everything that waits in a store go out.
async fn drain(url: &str, store: &Path) {
    let client = client(url, store);
    let last = client.channel("room:last").qos(Qos::ExactlyOnce);
    let waiting = client.restored();
    last.publish(Payload::text("last")).send().unwrap().stored().await.unwrap();
    for Restored { receipt, .. } in waiting {
        receipt.stored().await.unwrap();
    }
    assert_eq!(client.outbox().messages, 0);
    client.close().await;
}

#[tokio::test]
async fn what_is_queued_goes_out_once_whenever_the_app_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("alice.moor");
    let server = Server::start(Options::dev()).unwrap();
    let there = server.url();
    let (mut seed, mut queued, mut next) = (7, Vec::new(), 0);
    for kill in 0..48 {
        let url = if kill % 4 == 0 { NOWHERE } else { &there };
        let lines = 1 + dice(&mut seed) % 40;
        // Two of three are killed from outside, the others fall right after their last word.
        let words = if kill % 3 == 0 { lines } else { usize::MAX };
        let mut victim = victim(url, &store, next, words, r#"exec "$@""#);
        let told = listen(&mut victim, lines);
        victim.kill().unwrap();
        victim.wait().unwrap();
        assert!(told.iter().all(|(what, ..)| what == "queued"), "{told:?}");
        // What it published and could not tell of any more has a number below that.
        next = told.last().unwrap().2 + 100_000;
        queued.extend(told.into_iter().map(|(_, room, n)| (room, n)));
    }
    drain(&server.url(), &store).await;
    let logs = logs(&server.url()).await;
    for room in ROOMS {
        let log = &logs[room];
        assert!(log.is_sorted_by(|a, b| a < b), "{room}: in order, and each once: {log:?}");
        for (_, n) in queued.iter().filter(|(of, _)| of == room) {
            assert!(log.binary_search(n).is_ok(), "{room}: {n} was queued and is not in the log");
        }
    }
    assert!(queued.len() > 200);
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing_that_was_queued() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("alice.moor");
    // Files end after 16 KiB, as if there were no more room (blocks have 512 bytes or 1 KiB, depending on the shell).
    let mut victim = victim(NOWHERE, &store, 0, usize::MAX, r#"trap "" XFSZ; ulimit -f 16; exec "$@""#);
    let told = listen(&mut victim, 600);
    victim.kill().unwrap();
    victim.wait().unwrap();
    let of = |what: &str| told.iter().filter(|(told, ..)| told == what).count();
    assert!(of("queued") > 10 && of("refused") > 100, "{} queued, {} refused", of("queued"), of("refused"));
    let server = Server::start(Options::dev()).unwrap();
    drain(&server.url(), &store).await;
    let logs = logs(&server.url()).await;
    for (what, room, n) in &told {
        let is_there = logs[room.as_str()].contains(n);
        assert_eq!(is_there, what == "queued", "{room} {n} was {what}");
    }
}
