//! A phone that was away: it comes back to a long backlog and catches up in pages, while others read and publish live,
//! and one more reader holds a subscription without reading.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, AppError, Disk, Level, Reading};
use crate::book::{Book, SharedBook};
use crate::checker::{Report, Seen, Tally};
use crate::kills::judge;
use crate::load::{self, Plan};
use crate::run::RunError;
use crate::server::{Program, free_address};

const CHANNEL: &str = "inbox";
/// What the phone reads before it goes away.
const BEFORE: u64 = 100;
/// Clients that publish the backlog.
const PUBLISHERS: u32 = 8;
/// What is published while the phone catches up, and from one message to the next.
const LIVE: (u64, Duration) = (1_000, Duration::from_millis(2));
/// How long each part may take: generous, so that a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the server may have in memory at most, in MiB, of which 64 are for the newest messages; the backlog is larger.
const MEMORY: u64 = 96;

/// What is run.
#[derive(Clone, Debug)]
pub struct Away {
    /// The server's binary.
    pub server: PathBuf,
    /// How many messages the phone misses.
    pub messages: u64,
}

/// How it ended.
#[derive(Debug)]
pub struct Ending {
    /// Every contradiction found.
    pub reports: Vec<Report>,
    /// The counts.
    pub tally: Tally,
    /// What the server had in memory at most, in MiB, where the system tells.
    pub memory: Option<u64>,
}

impl Ending {
    /// Tells whether everything arrived once, in order, and the server's memory stayed bounded.
    pub fn is_clean(&self) -> bool {
        self.tally.is_clean() && self.memory.is_none_or(|memory| memory <= MEMORY)
    }
}

type Task = JoinHandle<Result<(), AppError>>;

impl Away {
    /// Runs it. `tell` gets a line for people now and then.
    ///
    /// # Errors
    /// [`RunError`] when the run could not be carried to its end.
    pub async fn run(&self, mut tell: impl FnMut(String)) -> Result<Ending, RunError> {
        let disk = self.server.parent().filter(|folder| folder.is_dir()).unwrap_or_else(|| Path::new("."));
        let folder = tempfile::Builder::new().prefix("away-").tempdir_in(disk)?;
        let program = Program::new(&self.server, free_address()?, folder.path());
        let server = program.start().await?;
        let url = format!("ws://{}/ws", program.address());
        let (book, begin) = (Book::open(), Instant::now());
        let mut crowd =
            Crowd { url: url.clone(), book: Arc::clone(&book), stop: watch::Sender::new(false), tasks: Vec::new() };
        let mut line = |words: String| tell(format!("{:>6.2} s  {words}", begin.elapsed().as_secs_f64()));

        let phone = Disk::default();
        crowd.book.add_subscriber(CHANNEL, "phone");
        let reading = crowd.read("phone", &phone, Reading::Durable)?;
        crowd.publish(1, BEFORE, Duration::from_millis(1))?;
        crowd.reaches(|progress| progress.complete && progress.published == BEFORE).await?;
        end(reading).await?;
        line(format!("the phone has read {BEFORE} messages and goes away"));

        for name in ["live 1", "live 2"] {
            crowd.book.add_subscriber(CHANNEL, name);
            let task = crowd.read(name, &Disk::default(), Reading::Plain)?;
            crowd.tasks.push(task);
        }
        // Subscribed, and read only when all is over.
        let idle = App::start(&url, "idle", &Disk::default())?;
        let mut inbox = idle.read(CHANNEL, Reading::Plain).await?;
        let each = self.messages / u64::from(PUBLISHERS);
        let missed = each * u64::from(PUBLISHERS);
        for publisher in 2..2 + PUBLISHERS {
            crowd.publish(publisher, each, Duration::from_micros(50))?;
        }
        crowd.reaches(|progress| progress.settled == BEFORE + missed).await?;
        line(format!("{missed} messages are stored; the phone has seen none of them"));

        crowd.publish(2 + PUBLISHERS, LIVE.0, LIVE.1)?;
        crowd.book.see(CHANNEL, "phone", Seen::Restarted);
        let reading = crowd.read("phone", &phone, Reading::Again)?;
        crowd.tasks.push(reading);
        let all = BEFORE + missed + LIVE.0;
        crowd.reaches(|progress| progress.complete && progress.published == all).await?;
        line("the phone has caught up, with what was published meanwhile".to_owned());

        crowd.book.add_subscriber(CHANNEL, "idle");
        for _ in 0..all {
            let seen = tokio::time::timeout(PATIENCE, inbox.next()).await;
            let seen = seen.map_err(|_| RunError::Unfinished { progress: book.progress() })??;
            crowd.book.see(CHANNEL, "idle", seen);
        }
        line("the reader that did not read has read it all, too".to_owned());
        let memory = server.memory();
        crowd.stop.send_replace(true);
        for task in crowd.tasks {
            end(task).await?;
        }
        let (reports, tally) = judge(&book, &url).await?;
        server.stop().await?;
        Ok(Ending { reports, tally, memory })
    }
}

/// Everybody at work.
struct Crowd {
    url: String,
    book: SharedBook,
    stop: watch::Sender<bool>,
    tasks: Vec<Task>,
}

impl Crowd {
    fn read(&self, name: &'static str, disk: &Disk, reading: Reading) -> Result<Task, RunError> {
        let app = App::start(&self.url, name, disk)?;
        let (book, stopped) = (Arc::clone(&self.book), self.stop.subscribe());
        Ok(tokio::spawn(async move { load::read(&app, CHANNEL, name, reading, &book, stopped).await }))
    }

    fn publish(&mut self, publisher: u32, count: u64, pace: Duration) -> Result<(), RunError> {
        let level = Level::ExactlyOnce;
        let plan =
            Plan { channel: CHANNEL.to_owned(), publisher, level, pace, waiting: 900, count: Some(count), size: 1_000 };
        plan.announce(&self.book);
        let app = App::start(&self.url, &format!("publisher-{publisher}"), &Disk::default())?;
        let (book, stopped) = (Arc::clone(&self.book), self.stop.subscribe());
        self.tasks.push(tokio::spawn(async move { load::publish(&app, &plan, &book, stopped).await }));
        Ok(())
    }

    async fn reaches(&self, far: impl FnMut(&crate::book::Progress) -> bool) -> Result<(), RunError> {
        if self.book.reaches(far, PATIENCE).await {
            return Ok(());
        }
        Err(RunError::Unfinished { progress: self.book.progress() })
    }
}

/// Ends a client as a killed app would.
async fn end(task: Task) -> Result<(), RunError> {
    task.abort();
    match task.await {
        Ok(result) => Ok(result?),
        Err(_aborted) => Ok(()),
    }
}
