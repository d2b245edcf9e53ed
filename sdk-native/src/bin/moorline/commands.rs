use std::collections::VecDeque;
use std::io::{BufRead, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moorline::{Client, ConnectionState, Event, History, Message, Payload, Receipt, ReceiptState, StateReason};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::Failed;
use crate::options::{Command, HistoryOptions, Pub, Server, Sub};

/// Unsettled messages of `pub -` before it stops reading.
const IN_FLIGHT: usize = 500;

pub(crate) async fn run(command: Command) -> Result<(), Failed> {
    match command {
        Command::Sub(options) => sub(options).await,
        Command::Pub(options) => publish(options).await,
        Command::History(options) => history(options).await,
        Command::Token(_) => Ok(()),
    }
}

fn connect(server: &Server) -> Result<Client, Failed> {
    let mut builder = Client::builder(&server.url);
    if let Some(token) = &server.token {
        builder = builder.token(token);
    }
    let client = builder.build().map_err(|error| Failed::Misuse(error.to_string()))?;
    let (mut states, url) = (client.states(), server.url.clone());
    tokio::spawn(async move {
        let mut told = false;
        while states.changed().await.is_ok() {
            let (state, reason) = states.borrow_and_update().clone();
            match (state, reason) {
                (ConnectionState::Connecting | ConnectionState::Recovering, StateReason::TransportClosed(code))
                    if !told =>
                {
                    let code = code.map(|code| format!(" (close code {})", code.0)).unwrap_or_default();
                    eprintln!("moorline: no connection to {url}{code}; trying again until it is there");
                    told = true;
                }
                (ConnectionState::Online, _) if told => {
                    eprintln!("moorline: connected to {url}");
                    told = false;
                }
                _ => {}
            }
        }
    });
    Ok(client)
}

/// Ends when the server refuses this client for ever.
async fn refused(client: &Client) -> Failed {
    let mut states = client.states();
    loop {
        let (state, reason) = states.borrow_and_update().clone();
        if let (ConnectionState::Closed, StateReason::Refused(failure)) = (state, reason) {
            return Failed::Error(failure.to_string());
        }
        if states.changed().await.is_err() {
            return Failed::Error("the client is closed".into());
        }
    }
}

async fn sub(options: Sub) -> Result<(), Failed> {
    let client = connect(&options.server)?;
    let mut channel = client.channel(options.channel).durable(options.durable).since(options.since);
    if let Some(qos) = options.qos {
        channel = channel.qos(qos);
    }
    let mut messages = channel.subscribe().await.map_err(|error| Failed::Misuse(error.to_string()))?;
    let mut left = options.count.unwrap_or(u64::MAX);
    let result = loop {
        if left == 0 {
            break Ok(());
        }
        let event = tokio::select! {
            event = messages.next_event() => event,
            failed = refused(&client) => break Err(failed),
            _ = tokio::signal::ctrl_c() => break Ok(()),
        };
        match event {
            Some(Event::Message(message)) => {
                print_line(&line(&message))?;
                if options.durable {
                    messages.ack(&message);
                }
                left -= 1;
            }
            Some(Event::Reset { reason, first, from, .. }) => {
                eprintln!("moorline: reset ({reason}): the log begins at {first}; going on after {from}");
            }
            Some(Event::Dropped(count)) => eprintln!("moorline: {count} messages at QoS 0 were dropped"),
            Some(Event::Ended(error)) => break Err(error.into()),
            Some(_) => {}
            None => break Ok(()),
        }
    };
    client.close().await;
    result
}

async fn history(options: HistoryOptions) -> Result<(), Failed> {
    let client = connect(&options.server)?;
    let range = match (options.after, options.before) {
        (Some(offset), _) => History::After(offset),
        (None, Some(offset)) => History::Before(offset),
        (None, None) => History::Newest,
    };
    let channel = client.channel(options.channel);
    let page = tokio::select! {
        page = channel.history(range, options.limit) => page?,
        failed = refused(&client) => return Err(failed),
        _ = tokio::signal::ctrl_c() => return Err(Failed::Error(String::new())),
    };
    for message in &page.messages {
        print_line(&line(message))?;
    }
    eprintln!(
        "moorline: offsets {} to {} are kept{}",
        page.first,
        page.head,
        if page.more { "; there is more" } else { "" }
    );
    client.close().await;
    Ok(())
}

async fn publish(options: Pub) -> Result<(), Failed> {
    let client = connect(&options.server)?;
    let mut channel = client.channel(options.channel);
    if let Some(qos) = options.qos {
        channel = channel.qos(qos);
    }
    if options.qos == Some(moorline::Qos::AtMostOnce) {
        // Without an outbox a message is lost before there is a connection.
        tokio::select! {
            connected = client.connect() => connected?,
            _ = tokio::signal::ctrl_c() => return Err(Failed::Error(String::new())),
        }
    }
    let result = match options.payload.filter(|payload| payload != "-") {
        Some(text) => {
            let mut message = channel.publish(payload(&text));
            if let Some(id) = options.id {
                message = message.id(id);
            }
            let receipt = message.send().map_err(|error| Failed::Misuse(error.to_string()))?;
            tokio::select! {
                ok = settle(receipt) => if ok? { Ok(()) } else { Err(Failed::Error(String::new())) },
                failed = refused(&client) => Err(failed),
                _ = tokio::signal::ctrl_c() => Err(Failed::Error("not settled yet".into())),
            }
        }
        None if options.id.is_some() => {
            Err(Failed::Misuse("--id is for one message; several lines need several ids".into()))
        }
        None => tokio::select! {
            result = publish_lines(&channel) => result,
            failed = refused(&client) => Err(failed),
            _ = tokio::signal::ctrl_c() => Err(Failed::Error("not all messages are settled yet".into())),
        },
    };
    client.close().await;
    result
}

/// Publishes each line of standard input; settled messages are printed in order.
async fn publish_lines(channel: &moorline::Channel) -> Result<(), Failed> {
    let (sender, mut lines) = mpsc::channel::<String>(IN_FLIGHT);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    let mut waiting: VecDeque<Receipt> = VecDeque::new();
    let (mut all, mut open) = (true, true);
    while open || !waiting.is_empty() {
        if waiting.len() >= IN_FLIGHT || !open {
            if let Some(receipt) = waiting.pop_front() {
                all &= settle(receipt).await?;
            }
            continue;
        }
        match lines.recv().await {
            Some(line) => {
                let receipt = loop {
                    match channel.publish(payload(&line)).send() {
                        Err(error) if error.code() == "limit.outbox" => match waiting.pop_front() {
                            Some(receipt) => all &= settle(receipt).await?,
                            None => return Err(error.into()),
                        },
                        other => break other?,
                    }
                };
                waiting.push_back(receipt);
                while waiting.front().is_some_and(|receipt| is_settled(&receipt.state())) {
                    if let Some(receipt) = waiting.pop_front() {
                        all &= settle(receipt).await?;
                    }
                }
            }
            None => open = false,
        }
    }
    if all { Ok(()) } else { Err(Failed::Error(String::new())) }
}

fn is_settled(state: &ReceiptState) -> bool {
    !matches!(state, ReceiptState::Queued | ReceiptState::Sent)
}

/// Waits for a message's end and prints it. Returns whether it went as asked.
async fn settle(receipt: Receipt) -> Result<bool, Failed> {
    let id = receipt.id().to_owned();
    match receipt.stored().await {
        Ok(stored) => {
            let line = json!({"state": "stored", "id": id, "epoch": stored.epoch, "offset": stored.offset, "duplicate": stored.duplicate});
            print_line(&line)?;
            Ok(true)
        }
        Err(error) if error.code() == "request.unsupported" => {
            print_line(&json!({"state": "sent", "id": id}))?;
            Ok(true)
        }
        Err(error) => {
            let state = if error.code() == "publish.uncertain" { "uncertain" } else { "failed" };
            print_line(&json!({"state": state, "id": id, "code": error.code()}))?;
            eprintln!("moorline: {error}");
            Ok(false)
        }
    }
}

/// JSON where it is JSON, otherwise a text.
fn payload(text: &str) -> Payload {
    match serde_json::from_str::<&serde_json::value::RawValue>(text) {
        Ok(json) => Payload::json(json).unwrap_or_else(|_| Payload::text(text)),
        Err(_) => Payload::text(text),
    }
}

fn line(message: &Message) -> Value {
    let mut line = json!({
        "channel": message.channel,
        "epoch": message.epoch,
        "offset": message.offset,
        "id": message.id,
        "user": message.user,
        "time": message.time,
        "replayed": message.replayed,
    });
    let (field, value) = if message.payload.is_json() {
        ("data", message.json::<Value>().unwrap_or(Value::Null))
    } else if let Some(text) = message.text() {
        ("text", text.into())
    } else {
        ("bin", STANDARD.encode(message.payload.as_bytes()).into())
    };
    if let Some(line) = line.as_object_mut() {
        line.insert(field.into(), value);
        if message.redelivered {
            line.insert("redelivered".into(), true.into());
        }
        if !message.headers.is_empty() {
            let headers = message.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
            line.insert("headers".into(), Value::Object(headers.collect()));
        }
    }
    line
}

/// Prints one object and sees to it that it is out.
fn print_line(line: &Value) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
