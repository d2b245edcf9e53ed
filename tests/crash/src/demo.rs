//! The demo: two clients and a server go through everything that networks and machines do, and count.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, AppError, Disk, Level, Reading};
use crate::book::{Book, SharedBook};
use crate::checker::{Report, Tally};
use crate::kills::judge;
use crate::load::{self, Plan};
use crate::proxy::{Cut, Heal, Proxy, Weather};
use crate::run::RunError;
use crate::server::{Program, Server, free_address};

const CHANNEL: &str = "demo";
/// What each client publishes.
const COUNT: u64 = 5_100;
/// What both publish.
const ALL: u64 = 2 * COUNT;
const PACE: Duration = Duration::from_micros(4_000);
/// How long the last messages may take: generous, so that a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the server listens if nobody else does, so that its address need not be typed.
const USUAL: &str = "127.0.0.1:8000";

/// What is run.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The server's binary.
    pub server: PathBuf,
    /// The command line client, named in the hints at the end.
    pub command: PathBuf,
    /// Whether the server goes on when the story is told.
    pub stay: bool,
}

/// How the story ended.
#[derive(Debug)]
pub struct Ending {
    /// Every contradiction found.
    pub reports: Vec<Report>,
    /// The counts.
    pub tally: Tally,
}

/// What happens, one after the other.
#[derive(Clone, Copy, Debug)]
enum Scene {
    /// Nothing in particular.
    Run,
    /// Connections end.
    Cut(Who, Cut),
    /// Bytes go nowhere.
    BlackHole(Who),
    /// The network works again.
    Heal(Who, Heal),
    /// The server is killed.
    Kill,
    /// The server is started again.
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Alice,
    Bob,
}

/// The script: what is told, what happens, and how long it lasts.
const SCRIPT: &[(&str, Scene, u64)] = &[
    ("both are online; each publishes 250 messages/s at QoS 2 and reads everything", Scene::Run, 2_000),
    ("alice's connection is reset", Scene::Cut(Who::Alice, Cut::Reset), 2_000),
    ("bob's network goes silent: bytes vanish, nobody is told", Scene::BlackHole(Who::Bob), 2_000),
    ("bob's network is back; what had vanished arrives late", Scene::Heal(Who::Bob, Heal::Flush), 2_000),
    ("the server is killed (SIGKILL)", Scene::Kill, 1_000),
    ("the server is started again", Scene::Restart, 3_000),
    ("alice's network goes silent", Scene::BlackHole(Who::Alice), 1_500),
    ("the server is killed while alice cannot hear it", Scene::Kill, 500),
    ("the server is started again", Scene::Restart, 1_000),
    ("alice's network is back, but what had vanished is lost", Scene::Heal(Who::Alice, Heal::Drop), 2_500),
    ("bob's connection is closed", Scene::Cut(Who::Bob, Cut::Finish), 2_000),
    ("no more trouble; the rest is sent", Scene::Run, 0),
];

impl Demo {
    /// Tells the story line by line to `tell`.
    ///
    /// # Errors
    /// [`RunError`] when the story could not be told to its end; lost messages are no error but an [`Ending`].
    pub async fn run(&self, mut tell: impl FnMut(String)) -> Result<Ending, RunError> {
        let disk = self.server.parent().filter(|folder| folder.is_dir()).unwrap_or_else(|| Path::new("."));
        let folder = tempfile::Builder::new().prefix("demo-").tempdir_in(disk)?;
        let mut stage = Stage::set(&self.server, folder.path(), self.stay).await?;
        tell(format!("server  {}", self.server.display()));
        tell(format!("        --dev --listen {} --data {}", stage.address, stage.program.data().display()));
        tell(format!("alice   connects through a proxy on {}, which can fail like a network", stage.alice.address()));
        tell(format!("bob     through another one, on {}", stage.bob.address()));
        tell("carol   looks at who is present, without a proxy\n".to_owned());
        for (words, scene, span) in SCRIPT {
            stage.play(*scene).await?;
            tell(stage.line(words));
            tokio::time::sleep(Duration::from_millis(*span)).await;
        }
        let arrived = stage.book.reaches(|progress| progress.complete && progress.published == ALL, PATIENCE).await;
        tell(stage.line(if arrived { "everything has arrived" } else { "patience has ended" }));
        let (reports, tally) = judge(&stage.book, &stage.url()).await?;
        tell(format!("\n{}", summary(&stage.book, &tally)));
        if !arrived {
            return Err(RunError::Unfinished { progress: stage.book.progress() });
        }
        if self.stay {
            self.stay_open(&stage, &mut tell).await?;
        }
        stage.close().await?;
        Ok(Ending { reports, tally })
    }

    /// Leaves the server to whoever reads this, until ctrl-c.
    async fn stay_open(&self, stage: &Stage, tell: &mut impl FnMut(String)) -> Result<(), RunError> {
        let command = self.command.display();
        let url = stage.url();
        let option = if stage.address.to_string() == USUAL { String::new() } else { format!(" --url {url}") };
        tell(format!("\nThe server stays at {url}. For a chat, open http://{}/ in a browser, twice.", stage.address));
        tell("Or type, in two other terminals\n".to_owned());
        tell(format!("  {command} sub room:42{option} --token dev:alice"));
        tell(format!("  {command} pub room:42 '{{\"text\":\"hi\"}}'{option} --token dev:bob --qos 2\n"));
        tell("and end with ctrl-c here.".to_owned());
        Ok(tokio::signal::ctrl_c().await?)
    }
}

fn summary(book: &Book, tally: &Tally) -> String {
    let received: Vec<String> = book.received(CHANNEL).iter().map(|(who, count)| format!("{who} {count}")).collect();
    let Tally { published, acknowledged, stored, duplicates, lost, out_of_order, wrong, .. } = tally;
    let verdict = if tally.is_clean() { "Nothing lost, nothing doubled, everything in order." } else { "NOT CLEAN." };
    format!(
        "published     {published}\nacknowledged  {acknowledged}\nstored        {stored}\nreceived      {}\n\
         duplicates    {duplicates}\nlost          {lost}\nout of order  {out_of_order}\nwrong         {wrong}\n{verdict}",
        received.join(", ")
    )
}

/// Everything that is on.
struct Stage {
    begin: Instant,
    program: Program,
    address: SocketAddr,
    server: Option<Server>,
    alice: Proxy,
    bob: Proxy,
    /// Looks at who is there, on a connection that nothing happens to.
    carol: Arc<App>,
    book: SharedBook,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<Result<(), AppError>>>,
}

impl Stage {
    async fn set(server: &Path, folder: &Path, stay: bool) -> Result<Self, RunError> {
        let usual = USUAL.parse().ok().filter(|usual| stay && std::net::TcpListener::bind(usual).is_ok());
        let address: SocketAddr = match usual {
            Some(usual) => usual,
            None => free_address()?,
        };
        let program = Program::new(server, address, folder);
        let mut stage = Self {
            begin: Instant::now(),
            server: Some(program.start().await?),
            program,
            address,
            alice: Proxy::start(address).await?,
            bob: Proxy::start(address).await?,
            carol: Arc::new(App::start(&format!("ws://{address}/ws"), "carol", &Disk::default())?),
            book: Book::open(),
            stop: watch::Sender::new(false),
            tasks: Vec::new(),
        };
        for (publisher, name) in [(1, "alice"), (2, "bob")] {
            stage.enter(name, publisher)?;
        }
        stage.look();
        stage.begin = Instant::now();
        Ok(stage)
    }

    /// Starts a client that reads and publishes.
    fn enter(&mut self, name: &'static str, publisher: u32) -> Result<(), RunError> {
        let proxy = if publisher == 1 { &self.alice } else { &self.bob };
        let url = format!("ws://{}/ws", proxy.address());
        let app = Arc::new(App::start(&url, name, &Disk::default())?);
        self.book.add_subscriber(CHANNEL, name);
        let (reading, book, stopped) = (Arc::clone(&app), Arc::clone(&self.book), self.stop.subscribe());
        self.tasks.push(tokio::spawn(async move {
            load::read(&reading, CHANNEL, name, Reading::Durable, &book, stopped).await
        }));
        let plan = Plan {
            channel: CHANNEL.to_owned(),
            publisher,
            level: Level::ExactlyOnce,
            pace: PACE,
            waiting: 900,
            count: Some(COUNT),
            size: load::CHAT,
        };
        plan.announce(&self.book);
        let (book, stopped) = (Arc::clone(&self.book), self.stop.subscribe());
        self.tasks.push(tokio::spawn(async move { load::publish(&app, &plan, &book, stopped).await }));
        Ok(())
    }

    /// Has carol watch who is present.
    fn look(&mut self) {
        let carol = Arc::clone(&self.carol);
        self.tasks.push(tokio::spawn(async move {
            let mut inbox = carol.watch(CHANNEL).await?;
            loop {
                inbox.next().await?;
            }
        }));
    }

    async fn play(&mut self, scene: Scene) -> Result<(), RunError> {
        match scene {
            Scene::Run => {}
            Scene::Cut(who, cut) => self.proxy(who).cut(cut),
            Scene::BlackHole(who) => self.proxy(who).set(Weather::BlackHole),
            Scene::Heal(who, heal) => self.proxy(who).heal(heal),
            Scene::Kill => {
                if let Some(server) = self.server.take() {
                    server.kill().await?;
                }
            }
            Scene::Restart => self.server = Some(self.program.start().await?),
        }
        Ok(())
    }

    fn proxy(&self, who: Who) -> &Proxy {
        match who {
            Who::Alice => &self.alice,
            Who::Bob => &self.bob,
        }
    }

    fn line(&self, words: &str) -> String {
        let (seconds, progress) = (self.begin.elapsed().as_secs_f64(), self.book.progress());
        let (published, settled, received) = (progress.published, progress.settled, progress.received);
        let present = self.carol.present(CHANNEL).map_or_else(|| "?".to_owned(), |names| names.join(", "));
        format!(
            "{seconds:>5.1} s  {words}\n         present {present}\n         published {published:>6}   acknowledged {settled:>6}   \
             received {received:>6}"
        )
    }

    fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    async fn close(self) -> Result<(), RunError> {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.abort();
            if let Ok(result) = task.await {
                result?;
            }
        }
        if let Some(server) = self.server {
            server.stop().await?;
        }
        Ok(())
    }
}
