use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal};

use moorline::{Channel, Qos, Receipt, ReceiptState};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::Failed;
use crate::options::Pub;
use crate::output::{print, tell};
use crate::payload;
use crate::session::Session;

/// Unsettled messages of `pub -` before it stops reading.
const IN_FLIGHT: usize = 500;

/// Publishes one message, or each line of standard input.
pub(crate) async fn run(options: Pub) -> Result<(), Failed> {
    let session = Session::start(&options.server)?;
    let mut channel = session.client.channel(options.channel);
    if let Some(qos) = options.qos {
        channel = channel.qos(qos);
    }
    let mut publishing = Publishing { channel, waiting: VecDeque::new(), all_well: true };
    let source = match options.payload.filter(|payload| payload != "-") {
        Some(text) => Source::One { text, id: options.id },
        None if options.id.is_some() => {
            return Err(Failed::Misuse("--id is for one message; several lines need several ids".into()));
        }
        None => Source::Lines(read_lines()),
    };
    let ended = tokio::select! {
        ended = publish(&session, &mut publishing, source, options.qos) => ended,
        failed = session.hopeless() => Err(failed),
        () = session.stop.wanted() => Err(Failed::Error("interrupted".into())),
    };
    let ended = publishing.give_up(ended);
    session.client.close().await;
    ended
}

/// What is published.
enum Source {
    One { text: String, id: Option<String> },
    Lines(mpsc::Receiver<std::io::Result<String>>),
}

async fn publish(
    session: &Session,
    publishing: &mut Publishing,
    source: Source,
    qos: Option<Qos>,
) -> Result<(), Failed> {
    if qos == Some(Qos::AtMostOnce) {
        // Without an outbox a message is lost before there is a connection.
        session.client.connect().await?;
    }
    match source {
        Source::One { text, id } => {
            let mut message = publishing.channel.publish(payload::parse(&text));
            if let Some(id) = id {
                message = message.id(id);
            }
            let receipt = message.send()?;
            publishing.waiting.push_back(receipt);
        }
        Source::Lines(lines) => publishing.lines(lines).await?,
    }
    while publishing.settle_next().await? {}
    if publishing.all_well { Ok(()) } else { Err(Failed::Told) }
}

/// Reads standard input on a thread of its own: nothing can interrupt it there.
fn read_lines() -> mpsc::Receiver<std::io::Result<String>> {
    if std::io::stdin().is_terminal() {
        tell("each line is a message; Ctrl-D ends");
    }
    let (sender, lines) = mpsc::channel(IN_FLIGHT);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let last = line.is_err();
            if sender.blocking_send(line).is_err() || last {
                break;
            }
        }
    });
    lines
}

/// Messages under way, in the order of their publication.
struct Publishing {
    channel: Channel,
    waiting: VecDeque<Receipt>,
    all_well: bool,
}

impl Publishing {
    /// Publishes lines as they come, and prints what is settled meanwhile.
    async fn lines(&mut self, mut lines: mpsc::Receiver<std::io::Result<String>>) -> Result<(), Failed> {
        for number in 1_u64.. {
            while self.waiting.len() >= IN_FLIGHT {
                self.settle_next().await?;
            }
            let line = loop {
                tokio::select! {
                    line = lines.recv() => break line,
                    settled = self.settle_next(), if !self.waiting.is_empty() => settled?,
                };
            };
            match line {
                None => break,
                Some(Ok(line)) => self.line(number, &line).await?,
                Some(Err(error)) => {
                    tell(format_args!("line {number} of standard input cannot be read: {error}"));
                    self.all_well = false;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Publishes one line; waits where the outbox is full.
    async fn line(&mut self, number: u64, line: &str) -> Result<(), Failed> {
        loop {
            match self.channel.publish(payload::parse(line)).send() {
                Ok(receipt) => {
                    self.waiting.push_back(receipt);
                    return Ok(());
                }
                Err(error) if error.code() == "limit.outbox" && !self.waiting.is_empty() => {
                    self.settle_next().await?;
                }
                Err(error) if error.code() == "limit.message" => {
                    // Its line comes in its turn, and the others go on.
                    while self.settle_next().await? {}
                    tell(format_args!("line {number}: {error}"));
                    self.all_well = false;
                    return show(&Settled { code: Some(error.code()), ..Settled::new("failed", None) });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the end of the oldest message and prints it. Returns whether there was one.
    async fn settle_next(&mut self) -> Result<bool, Failed> {
        let Some(receipt) = self.waiting.front().cloned() else { return Ok(false) };
        let id = receipt.id().to_owned();
        // It stays the oldest until its end is known, so that it is not forgotten when something else ends the wait.
        let outcome = receipt.stored().await;
        self.waiting.pop_front();
        match outcome {
            Ok(stored) => {
                let (offset, duplicate) = (stored.offset, Some(stored.duplicate));
                let epoch = Some(stored.epoch.as_str());
                show(&Settled { epoch, offset, duplicate, ..Settled::new("stored", Some(&id)) })?;
            }
            // At QoS 0 there is no more to know.
            Err(error) if error.code() == "request.unsupported" => show(&Settled::new("sent", Some(&id)))?,
            Err(error) => {
                self.all_well = false;
                tell(&error);
                let state = if error.code() == "publish.uncertain" { "uncertain" } else { "failed" };
                show(&Settled { code: Some(error.code()), ..Settled::new(state, Some(&id)) })?;
            }
        }
        Ok(true)
    }

    /// Says what became of the messages that were not waited for.
    fn give_up(&self, ended: Result<(), Failed>) -> Result<(), Failed> {
        let Err(Failed::Error(why)) = ended else { return ended };
        for receipt in &self.waiting {
            let state = if receipt.state() == ReceiptState::Queued { "queued" } else { "sent" };
            show(&Settled::new(state, Some(receipt.id())))?;
        }
        Err(Failed::Error(match self.waiting.len() {
            0 => why,
            1 => format!("{why}; the message is not settled: if it was sent, it may be stored"),
            count => format!("{why}; {count} messages are not settled: those sent may be stored"),
        }))
    }
}

/// What became of a message, as it is printed.
#[derive(Serialize)]
struct Settled<'a> {
    state: &'static str,
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

impl<'a> Settled<'a> {
    fn new(state: &'static str, id: Option<&'a str>) -> Self {
        Self { state, id, epoch: None, offset: None, duplicate: None, code: None }
    }
}

/// Prints it. Where nobody reads, publishing goes on all the same.
fn show(settled: &Settled<'_>) -> Result<(), Failed> {
    match print(&serde_json::to_string(settled).map_err(std::io::Error::from)?) {
        Err(Failed::NobodyReads) => Ok(()),
        printed => printed,
    }
}
