//! A small terminal chat: rooms, history on joining, a receipt for each own message; works offline.
#![expect(clippy::print_stdout, reason = "a terminal chat")]

use std::collections::HashSet;
use std::io::BufRead;

use clap::Parser;
use moorline::{Channel, Client, ConnectionState, Error, Event, FileStore, Payload, Qos, Receipt, Restored, Since};
use tokio::sync::mpsc;

/// A small terminal chat.
#[derive(Parser)]
struct Cli {
    /// Who you are.
    name: String,
    /// The first room.
    #[arg(long, default_value = "lobby")]
    room: String,
    /// The server.
    #[arg(long, default_value = "ws://127.0.0.1:8000/ws")]
    url: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let cli = Cli::parse();
    // One file per user: it keeps who we are, and what we said while offline.
    let store = FileStore::open(format!("{}.moor", cli.name))?;
    let client = Client::builder(&cli.url).token(format!("dev:{}", cli.name)).store(store).build()?;
    tokio::spawn(show_states(client.clone()));
    for Restored { channel, receipt } in client.restored() {
        println!("* a message from last time waits for {channel}");
        tokio::spawn(show_receipt(receipt));
    }
    chat(&client, cli.room).await?;
    client.close().await;
    Ok(())
}

/// Does what the lines of standard input say.
async fn chat(client: &Client, first: String) -> Result<(), Error> {
    let mut joined = HashSet::new();
    let mut room = join(client, &mut joined, &first).await?;
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("/quit", _) => break,
            ("/join", name) => match join(client, &mut joined, name).await {
                Ok(other) => room = other,
                Err(error) => println!("* {error}"),
            },
            _ if line.is_empty() => {}
            // Returns at once, with or without a connection.
            _ => match room.publish(Payload::text(line)).send() {
                Ok(receipt) => drop(tokio::spawn(show_receipt(receipt))),
                Err(error) => println!("* {error}"),
            },
        }
    }
    Ok(())
}

/// Enters a room; what is read is shown from then on.
async fn join(client: &Client, joined: &mut HashSet<String>, name: &str) -> Result<Channel, Error> {
    // History and live messages are one stream: the newest 20, then whatever comes. After a lost connection it goes on
    // where it was.
    let room = client.channel(format!("room:{name}")).qos(Qos::ExactlyOnce).since(Since::Last(20));
    if !joined.contains(name) {
        let mut messages = room.subscribe().await?;
        joined.insert(name.to_owned());
        let name = name.to_owned();
        tokio::spawn(async move {
            while let Some(event) = messages.next_event().await {
                match event {
                    Event::Message(message) => {
                        let who = message.user.as_deref().unwrap_or("somebody");
                        println!("{name} | {who}: {}", message.text().unwrap_or("(no text)"));
                    }
                    Event::Reset { from, .. } => {
                        println!("* {name}: what was said before message {} is gone", from + 1)
                    }
                    Event::Ended(error) => println!("* {name}: {error}"),
                    Event::Subscribed { .. } | Event::Dropped(_) | Event::Acked(_) | _ => {}
                }
            }
        });
    }
    println!("* you are in {name}");
    Ok(room)
}

/// Shows how far one of our own messages comes.
async fn show_receipt(receipt: Receipt) {
    let id = receipt.id().to_owned();
    if let Err(error) = receipt.queued().await {
        return println!("* not sent: {error}");
    }
    println!("* {id} queued");
    match receipt.stored().await {
        Ok(stored) => println!("* {id} stored as {}", stored.offset.unwrap_or_default()),
        // It stays in the file, and goes out next time.
        Err(error) if error.code() == "client.closed" => {}
        Err(error) => println!("* {id}: {error}"),
    }
}

async fn show_states(client: Client) {
    let mut states = client.states();
    while states.changed().await.is_ok() {
        let state = states.borrow_and_update().0;
        if state == ConnectionState::Online {
            println!("* online");
        } else if state == ConnectionState::Recovering {
            println!("* offline: what you write waits");
        }
    }
}

/// Reads standard input on a thread of its own; the program does not wait for it at the end.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}
