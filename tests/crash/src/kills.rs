//! The crash test: a real server under load from real clients, killed again and again at moments chosen by a seed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moorline_protocol::ChannelName;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, AppError, Disk, Level, Reading};
use crate::book::{Book, SharedBook};
use crate::checker::{Report, Seen, Tally};
use crate::dice::Dice;
use crate::load::{self, Plan};
use crate::log_reader::LogReader;
use crate::run::RunError;
use crate::server::{Program, free_address};

/// How long anything may take that must happen: generous, so that a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest a server lives after it has shown that it serves.
const LIFE: Duration = Duration::from_millis(400);
/// The longest a server lives that is killed while it starts.
const BIRTH: Duration = Duration::from_millis(40);
/// Settled messages that show that a server serves, at most.
const SETTLED: u64 = 300;

/// What is run.
#[derive(Clone, Debug)]
pub struct Kills {
    /// The server's binary.
    pub server: PathBuf,
    /// How often it is killed.
    pub kills: u32,
    /// Chooses the moments.
    pub seed: u64,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// One per channel.
    pub reports: Vec<Report>,
    /// All of them together.
    pub tally: Tally,
    /// Where data and logs are, if they were kept because something is wrong.
    pub kept: Option<PathBuf>,
}

/// The publishers: channel and level.
const PUBLISHERS: &[(&str, Level)] = &[
    ("orders", Level::ExactlyOnce),
    ("orders", Level::ExactlyOnce),
    ("orders", Level::AtLeastOnce),
    ("chat", Level::ExactlyOnce),
    ("chat", Level::AtLeastOnce),
];
/// The subscribers: channel, name, and how they read. The first one is restarted now and then.
const SUBSCRIBERS: &[(&str, &str, Reading)] = &[
    ("orders", "restarted", Reading::Durable),
    ("orders", "durable", Reading::Durable),
    ("orders", "plain", Reading::Plain),
    ("chat", "durable", Reading::Durable),
    ("chat", "plain", Reading::Plain),
];

impl Kills {
    /// Runs it. `tell` gets a line for people now and then.
    ///
    /// # Errors
    /// [`RunError`] when the run could not be carried to its end; wrong results are no error but an [`Outcome`].
    pub async fn run(&self, tell: impl FnMut(String)) -> Result<Outcome, RunError> {
        let disk = self.server.parent().filter(|folder| folder.is_dir()).unwrap_or_else(|| Path::new("."));
        let folder = tempfile::Builder::new().prefix("crash-").tempdir_in(disk)?;
        let result = self.run_in(folder.path(), tell).await;
        let clean = matches!(&result, Ok((_, tally)) if tally.is_clean());
        let kept = if clean { None } else { Some(TempDir::keep(folder)) };
        match (result, kept) {
            (Ok((reports, tally)), kept) => Ok(Outcome { reports, tally, kept }),
            (Err(error), Some(folder)) => Err(RunError::Kept { folder, source: Box::new(error) }),
            (Err(error), None) => Err(error),
        }
    }

    async fn run_in(&self, folder: &Path, mut tell: impl FnMut(String)) -> Result<(Vec<Report>, Tally), RunError> {
        let program = Program::new(&self.server, free_address()?, folder);
        let mut dice = Dice::new(self.seed);
        let mut server = program.start().await?;
        let mut crowd = Crowd::start(&program)?;
        let begin = Instant::now();
        for kill in 1..=self.kills {
            if dice.once_in(8) {
                // This kill hits a server that reads its log.
                tokio::time::sleep(dice.span(BIRTH)).await;
            } else {
                server.listening().await?;
                crowd.wake();
                crowd.settles(dice.below(SETTLED), kill).await?;
                tokio::time::sleep(dice.span(LIFE)).await;
            }
            if let Some(status) = server.ended()? {
                return Err(RunError::Died { kill, status, log: program.log() });
            }
            server.kill().await?;
            if dice.once_in(4) {
                crowd.restart_subscriber().await?;
            }
            server = program.spawn()?;
            if kill % 10 == 0 || kill == self.kills {
                let progress = crowd.book.progress();
                let (seconds, settled, received) = (begin.elapsed().as_secs(), progress.settled, progress.received);
                tell(format!("{kill:>5} kills  {seconds:>4} s  {settled:>8} acknowledged  {received:>8} received"));
            }
        }
        server.listening().await?;
        let logs = crowd.finish(&program).await?;
        server.kill().await?;
        Ok(logs)
    }
}

/// Everybody who uses the server.
struct Crowd {
    book: SharedBook,
    url: String,
    publishers: Vec<Worker>,
    subscribers: Vec<Worker>,
    /// The disk of the subscriber that is restarted.
    disk: Disk,
}

/// An app at work.
struct Worker {
    app: Arc<App>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), AppError>>,
}

impl Crowd {
    fn start(program: &Program) -> Result<Self, RunError> {
        let url = format!("ws://{}/ws", program.address());
        let (publishers, subscribers) = (Vec::new(), Vec::new());
        let mut crowd = Self { book: Book::open(), url, publishers, subscribers, disk: Disk::default() };
        for (index, (channel, name, reading)) in SUBSCRIBERS.iter().enumerate() {
            crowd.book.add_subscriber(channel, name);
            let disk = if index == 0 { crowd.disk.clone() } else { Disk::default() };
            let worker = crowd.subscriber(channel, name, *reading, &disk)?;
            crowd.subscribers.push(worker);
        }
        for (publisher, (channel, level)) in (1..).zip(PUBLISHERS) {
            let worker = crowd.publisher(publisher, channel, *level)?;
            crowd.publishers.push(worker);
        }
        Ok(crowd)
    }

    fn publisher(&self, publisher: u32, channel: &str, level: Level) -> Result<Worker, RunError> {
        let (channel, pace) = (channel.to_owned(), Duration::from_millis(2));
        let plan = Plan { channel, publisher, level, pace, waiting: 128, count: None, size: load::CHAT };
        plan.announce(&self.book);
        let app = Arc::new(App::start(&self.url, &format!("publisher-{publisher}"), &Disk::default())?);
        let (stop, stopped) = watch::channel(false);
        let (book, working) = (Arc::clone(&self.book), Arc::clone(&app));
        let task = tokio::spawn(async move { load::publish(&working, &plan, &book, stopped).await });
        Ok(Worker { app, stop, task })
    }

    fn subscriber(
        &self,
        channel: &'static str,
        name: &'static str,
        reading: Reading,
        disk: &Disk,
    ) -> Result<Worker, RunError> {
        let app = Arc::new(App::start(&self.url, &format!("{channel}-{name}"), disk)?);
        let (stop, stopped) = watch::channel(false);
        let (book, working) = (Arc::clone(&self.book), Arc::clone(&app));
        let task = tokio::spawn(async move { load::read(&working, channel, name, reading, &book, stopped).await });
        Ok(Worker { app, stop, task })
    }

    /// Drops the first subscriber as a killed app would be, and starts it again with what is on its disk.
    async fn restart_subscriber(&mut self) -> Result<(), RunError> {
        let (Some((channel, name, _)), false) = (SUBSCRIBERS.first(), self.subscribers.is_empty()) else {
            return Ok(());
        };
        self.subscribers.remove(0).abandon().await?;
        self.book.see(channel, name, Seen::Restarted);
        let worker = self.subscriber(channel, name, Reading::Again, &self.disk)?;
        self.subscribers.insert(0, worker);
        Ok(())
    }

    /// Tells all clients that the network is there, as a device does; they need not wait for their next try.
    fn wake(&self) {
        for worker in self.publishers.iter().chain(&self.subscribers) {
            worker.app.wake();
        }
    }

    /// Waits until so many more messages are settled.
    async fn settles(&self, more: u64, kill: u32) -> Result<(), RunError> {
        let goal = self.book.progress().settled + more;
        if self.book.reaches(|progress| progress.settled >= goal, PATIENCE).await {
            return Ok(());
        }
        Err(RunError::Stuck { kill, progress: self.book.progress() })
    }

    /// Stops the publishers, waits until everything has arrived, and compares all accounts.
    async fn finish(self, program: &Program) -> Result<(Vec<Report>, Tally), RunError> {
        self.wake();
        for worker in &self.publishers {
            worker.stop.send_replace(true);
        }
        // What is missing when patience ends is what the checker will call lost.
        self.book.reaches(|progress| progress.complete, PATIENCE).await;
        for worker in self.publishers.into_iter().chain(self.subscribers) {
            worker.abandon().await?;
        }
        let url = format!("ws://{}/ws", program.address());
        judge(&self.book, &url).await
    }
}

impl Worker {
    /// Ends the app without a word to the server.
    async fn abandon(self) -> Result<(), RunError> {
        self.stop.send_replace(true);
        self.task.abort();
        match self.task.await {
            Ok(result) => Ok(result?),
            Err(_aborted) => Ok(()),
        }
    }
}

/// Reads every channel's log and compares it with the accounts.
///
/// # Errors
/// [`RunError`] when a log cannot be read.
pub async fn judge(book: &Book, url: &str) -> Result<(Vec<Report>, Tally), RunError> {
    let mut reader = LogReader::connect(url, "dev:checker").await?;
    let (mut reports, mut tally) = (Vec::new(), Tally::default());
    for name in book.channels() {
        let log = reader.read(&ChannelName::new(&name)?).await?;
        let report = book.judge(&name, log);
        tally.add(&report.tally);
        reports.push(report);
    }
    Ok((reports, tally))
}
