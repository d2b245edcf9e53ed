//! Many clients, and a server that is restarted, then killed: everybody comes back, spread over the window that the server
//! named, and misses nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moorline::{Client, ConnectionState, Event, Payload};
use tokio::sync::watch;

use crate::app::AppError;
use crate::run::RunError;
use crate::server::{Program, Server, free_address};

/// Rooms that the clients are spread over.
const ROOMS: usize = 50;
/// What is published in each room while a server is away.
const MISSED: u64 = 10;
/// Clients that connect at the same time when all begins: a server's queue of new sockets is no part of this.
const AT_ONCE: usize = 250;
/// How long each part may take: generous, so that a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is run.
#[derive(Clone, Debug)]
pub struct Storm {
    /// The server's binary.
    pub server: PathBuf,
    /// How many clients.
    pub clients: usize,
    /// Over how long they come back.
    pub window: Duration,
}

/// How the clients came back after a server ended.
#[derive(Clone, Debug)]
pub struct Return {
    /// How it ended: `restart` or `kill`.
    pub end: &'static str,
    /// When each client was online again, from the moment when the server was told to end; ascending.
    pub arrivals: Vec<Duration>,
}

impl Return {
    /// Returns the first moment at which more clients were back than a uniform spread over `window` lets come, five
    /// standard deviations allowed; `None` if nobody hurried. A slow machine makes nobody early.
    pub fn too_early(&self, window: Duration) -> Option<Duration> {
        let all = self.arrivals.len() as f64;
        let allowance = 5.0 * (all / 4.0).sqrt();
        let mut back = 0.0;
        self.arrivals.iter().copied().find(|arrival| {
            back += 1.0;
            back > all * (arrival.as_secs_f64() / window.as_secs_f64()).min(1.0) + allowance
        })
    }
}

/// How it ended.
#[derive(Debug)]
pub struct Ending {
    /// One for each end of a server.
    pub returns: Vec<Return>,
    /// What a client saw that it should not: a reset, a refusal, a message twice or out of order.
    pub faults: Vec<String>,
}

impl Storm {
    /// Runs it. `tell` gets a line for people now and then.
    ///
    /// # Errors
    /// [`RunError`] when the run could not be carried to its end.
    pub async fn run(&self, mut tell: impl FnMut(String)) -> Result<Ending, RunError> {
        let disk = self.server.parent().filter(|folder| folder.is_dir()).unwrap_or_else(|| Path::new("."));
        let folder = tempfile::Builder::new().prefix("storm-").tempdir_in(disk)?;
        let config = format!("[limits]\nreconnect_window = \"{}ms\"\n", self.window.as_millis());
        let program = Program::new(&self.server, free_address()?, folder.path()).configured(&config)?;
        let mut server = program.start().await?;
        let url = format!("ws://{}/ws", program.address());
        let begin = Instant::now();
        let mut line = |words: String| tell(format!("{:>6.2} s  {words}", begin.elapsed().as_secs_f64()));

        let crowd = Crowd::connect(&url, self.clients).await?;
        line(format!("{} clients are connected, each to one of {ROOMS} rooms", self.clients));
        let publisher = Client::builder(&url).token("dev:publisher").build().map_err(AppError::from)?;
        crowd.publish(&publisher).await?;
        crowd.have(1).await?;
        line(format!("all have read {MISSED} messages"));

        let mut returns = Vec::new();
        for (round, end) in ["restart", "kill"].into_iter().enumerate() {
            crowd.forget_arrivals();
            let ended = Instant::now();
            end_of(server, end).await?;
            server = program.start().await?;
            crowd.publish(&publisher).await?;
            crowd.have(2 + round as u64).await?;
            let arrivals = crowd.arrivals(ended).await?;
            let last = arrivals.last().copied().unwrap_or_default();
            line(format!("{end}: all are back after {:.1} s, with what they missed", last.as_secs_f64()));
            returns.push(Return { end, arrivals });
        }
        let faults = crowd.faults();
        drop(crowd);
        server.stop().await?;
        Ok(Ending { returns, faults })
    }
}

async fn end_of(server: Server, end: &str) -> Result<(), RunError> {
    match end {
        "kill" => server.kill().await?,
        _ => drop(server.stop().await?),
    }
    Ok(())
}

/// The clients, and what they saw.
struct Crowd {
    clients: Vec<Arc<Visitor>>,
    changes: watch::Sender<()>,
    faults: Arc<Mutex<Vec<String>>>,
}

/// One client.
struct Visitor {
    client: Client,
    /// Whether the server has said that it reads.
    reads: AtomicBool,
    /// The newest offset it has read.
    read: AtomicU64,
    /// When it was online last.
    arrived: Mutex<Option<Instant>>,
}

impl Crowd {
    async fn connect(url: &str, count: usize) -> Result<Self, RunError> {
        let (changes, faults) = (watch::Sender::new(()), Arc::default());
        let mut crowd = Self { clients: Vec::with_capacity(count), changes, faults };
        while crowd.clients.len() < count {
            let from = crowd.clients.len();
            for index in from..count.min(from + AT_ONCE) {
                let client = Client::builder(url).token(format!("dev:visitor-{index}")).build();
                let client = client.map_err(AppError::from)?;
                let (reads, read) = (AtomicBool::new(false), AtomicU64::new(0));
                crowd.clients.push(Arc::new(Visitor { client, reads, read, arrived: Mutex::default() }));
            }
            for (index, visitor) in crowd.clients.iter().enumerate().skip(from) {
                let messages = visitor.client.channel(room(index)).subscribe().await.map_err(AppError::from)?;
                tokio::spawn(watch_over(
                    Arc::clone(visitor),
                    messages,
                    index,
                    crowd.changes.clone(),
                    Arc::clone(&crowd.faults),
                ));
            }
            crowd.until(|visitor| visitor.reads.load(Ordering::Relaxed)).await?;
        }
        Ok(crowd)
    }

    /// Publishes in every room, and waits until all of it is stored.
    async fn publish(&self, publisher: &Client) -> Result<(), RunError> {
        let mut receipts = Vec::new();
        for index in 0..ROOMS {
            for n in 0..MISSED {
                let sent = publisher.channel(room(index)).publish(Payload::text(format!("message {n}"))).send();
                receipts.push(sent.map_err(AppError::from)?);
            }
        }
        for receipt in receipts {
            receipt.stored().await.map_err(AppError::from)?;
        }
        Ok(())
    }

    /// Waits until all have read what was published in so many rounds.
    async fn have(&self, rounds: u64) -> Result<(), RunError> {
        self.until(|visitor| visitor.read.load(Ordering::Relaxed) >= rounds * MISSED).await
    }

    /// Waits until all are back, and returns when they came.
    async fn arrivals(&self, since: Instant) -> Result<Vec<Duration>, RunError> {
        self.until(|visitor| visitor.arrival().is_some()).await?;
        let arrivals = self.clients.iter().filter_map(|visitor| visitor.arrival());
        let mut arrivals: Vec<Duration> = arrivals.map(|at| at.duration_since(since)).collect();
        arrivals.sort_unstable();
        Ok(arrivals)
    }

    async fn until(&self, is_done: impl Fn(&Visitor) -> bool) -> Result<(), RunError> {
        let mut changes = self.changes.subscribe();
        let all = async {
            while !self.clients.iter().all(|visitor| is_done(visitor)) {
                // The sender lives as long as this.
                let _ = changes.changed().await;
            }
        };
        let missing = || self.clients.iter().filter(|visitor| !is_done(visitor)).count();
        tokio::time::timeout(PATIENCE, all).await.map_err(|_| RunError::Missing { clients: missing() })
    }

    fn forget_arrivals(&self) {
        self.clients.iter().for_each(|visitor| *visitor.arrived.lock().unwrap_or_else(PoisonError::into_inner) = None);
    }

    fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Visitor {
    fn arrival(&self) -> Option<Instant> {
        *self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn room(client: usize) -> String {
    format!("room-{}", client % ROOMS)
}

/// Notes what a client sees, for as long as the crowd stands.
async fn watch_over(
    visitor: Arc<Visitor>,
    mut messages: moorline::Messages,
    index: usize,
    changes: watch::Sender<()>,
    faults: Arc<Mutex<Vec<String>>>,
) {
    let fault = |what: String| {
        faults.lock().unwrap_or_else(PoisonError::into_inner).push(format!("client {index}: {what}"));
    };
    let mut states = visitor.client.states();
    loop {
        tokio::select! {
            changed = states.changed() => {
                if changed.is_err() {
                    return;
                }
                match states.borrow_and_update().clone() {
                    (ConnectionState::Online, _) => {
                        *visitor.arrived.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                    }
                    (ConnectionState::Closed, reason) => fault(format!("refused: {reason:?}")),
                    _ => {}
                }
            }
            event = messages.next_event() => match event {
                Some(Event::Message(message)) => {
                    let before = visitor.read.load(Ordering::Relaxed);
                    if message.offset != Some(before + 1) {
                        fault(format!("{:?} after {before}", message.offset));
                    }
                    visitor.read.store(message.offset.unwrap_or(before), Ordering::Relaxed);
                }
                Some(Event::Subscribed { .. }) => visitor.reads.store(true, Ordering::Relaxed),
                Some(Event::Acked(_)) => {}
                Some(other) => fault(format!("{other:?}")),
                None => return,
            }
        }
        changes.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn arrivals(at: impl Fn(u32) -> Duration) -> Return {
        let mut arrivals: Vec<Duration> = (0..1_000).map(at).collect();
        arrivals.sort_unstable();
        Return { end: "kill", arrivals }
    }

    #[test]
    fn who_hurries_is_noticed() {
        assert_eq!(arrivals(|n| WINDOW * n / 1_000).too_early(WINDOW), None);
        assert_eq!(arrivals(|n| WINDOW * 2 * n / 1_000).too_early(WINDOW), None, "late is not early");
        assert_eq!(arrivals(|_| WINDOW).too_early(WINDOW), None);
        assert!(arrivals(|n| WINDOW * n / 2_000).too_early(WINDOW).is_some());
        assert!(arrivals(|n| Duration::from_millis(u64::from(n % 500))).too_early(WINDOW).is_some());
        assert!(arrivals(|n| WINDOW * (n / 200) / 5).too_early(WINDOW).is_some(), "in bursts");
    }
}
