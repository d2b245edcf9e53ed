//! Books payments from a channel into a database, each exactly once, whenever it is killed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to people")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use moorline::{Client, Event, Message, Qos, Since};
use rusqlite::{Connection, OptionalExtension};
use serde::Deserialize;

/// Books payments from a channel into a database, each exactly once.
#[derive(Parser)]
struct Cli {
    /// The database.
    database: PathBuf,
    /// The channel.
    #[arg(long, default_value = "payments")]
    channel: String,
    /// The server.
    #[arg(long, default_value = "ws://127.0.0.1:8000/ws")]
    url: String,
    /// The token.
    #[arg(long, default_value = "dev:bookkeeper")]
    token: String,
}

/// A payment as it is published.
#[derive(Deserialize)]
struct Payment {
    account: String,
    cents: i64,
}

/// Why the consumer stops.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("the database: {0}")]
    Database(#[from] rusqlite::Error),
    #[error(transparent)]
    Client(#[from] moorline::Error),
    #[error("message {offset} is no payment: {why}")]
    NoPayment { offset: u64, why: String },
    #[error("the log does not go on where the books end ({0}): compare them with the log by hand")]
    Gap(String),
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS booking (number INTEGER PRIMARY KEY, account TEXT NOT NULL, cents INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS position (channel TEXT PRIMARY KEY, epoch TEXT NOT NULL, offset INTEGER NOT NULL);
";

#[tokio::main]
async fn main() -> ExitCode {
    match consume(&Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(stopped) => {
            eprintln!("exactly-once: {stopped}");
            ExitCode::FAILURE
        }
    }
}

async fn consume(cli: &Cli) -> Result<(), Stopped> {
    let mut database = Connection::open(&cli.database)?;
    database.execute_batch(SCHEMA)?;
    let client = Client::builder(&cli.url).token(&cli.token).build()?;
    let since = position(&database, &cli.channel)?;
    let mut messages = client.channel(&cli.channel).qos(Qos::ExactlyOnce).since(since).subscribe().await?;
    while let Some(event) = messages.next_event().await {
        match event {
            Event::Message(message) => {
                let offset = book(&mut database, &message)?;
                println!("booked {offset}");
            }
            Event::Reset { reason, .. } => return Err(Stopped::Gap(reason)),
            Event::Ended(error) => return Err(error.into()),
            Event::Subscribed { .. } | Event::Dropped(_) | Event::Acked(_) | _ => {}
        }
    }
    Ok(())
}

/// Returns where the books end.
fn position(database: &Connection, channel: &str) -> Result<Since, Stopped> {
    let query = "SELECT epoch, offset FROM position WHERE channel = ?1";
    let found = database.query_row(query, [channel], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.map_or(Since::First, |(epoch, offset)| Since::Position { epoch, offset }))
}

/// Books a payment and moves the position, both or neither.
fn book(database: &mut Connection, message: &Message) -> Result<u64, Stopped> {
    // Nothing without an offset is in the log, so nothing of the kind comes at QoS 1 and 2.
    let offset = message.offset.unwrap_or_default();
    let payment: Payment = message.json().map_err(|error| Stopped::NoPayment { offset, why: error.to_string() })?;
    let transaction = database.transaction()?;
    transaction.execute("INSERT INTO booking (account, cents) VALUES (?1, ?2)", (&payment.account, payment.cents))?;
    transaction.execute(
        "INSERT OR REPLACE INTO position (channel, epoch, offset) VALUES (?1, ?2, ?3)",
        (&message.channel, &message.epoch, offset),
    )?;
    transaction.commit()?;
    Ok(offset)
}
