//! Network scripts: many small groups of real clients over one real server, each with networks that fail as its seed
//! says. What the apps saw is compared with the log, script by script.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep_until;

use crate::app::{App, AppError, Disk, Level, Reading};
use crate::book::{Book, SharedBook};
use crate::checker::{Report, Tally};
use crate::dice::Dice;
use crate::kills::judge;
use crate::load::{self, Plan};
use crate::proxy::{Cut, Direction, Heal, Proxy, Weather};
use crate::run::RunError;
use crate::server::{Program, free_address};

/// How long the networks of a script fail.
const TROUBLE: Duration = Duration::from_secs(15);
/// How long the last messages may take afterwards.
const PATIENCE: Duration = Duration::from_secs(60);
/// Scripts that run at once.
const AT_ONCE: usize = 100;
/// Short intervals, so that silence is noticed within a script.
const CONFIG: &str = "[limits]\nping = \"5s\"\n";

/// What is run.
#[derive(Clone, Debug)]
pub struct Scripts {
    /// The server's binary.
    pub server: PathBuf,
    /// How many.
    pub scripts: u64,
    /// The first script's seed; the others follow it.
    pub seed: u64,
}

/// How a script ended.
#[derive(Debug)]
pub struct Ending {
    /// Its seed.
    pub seed: u64,
    /// What was found.
    pub report: Report,
    /// What its networks did, in order.
    pub acts: Vec<String>,
}

impl Scripts {
    /// Runs them all and returns the ones that broke a promise, and all counts. `tell` gets a line for people now and
    /// then.
    ///
    /// # Errors
    /// [`RunError`] when a script could not be carried to its end.
    pub async fn run(&self, mut tell: impl FnMut(String)) -> Result<(Vec<Ending>, Tally), RunError> {
        let disk = self.server.parent().filter(|folder| folder.is_dir()).unwrap_or_else(|| Path::new("."));
        let folder = tempfile::Builder::new().prefix("scripts-").tempdir_in(disk)?;
        let program = Program::new(&self.server, free_address()?, folder.path()).configured(CONFIG)?;
        let server = program.start().await?;
        let (mut running, mut next) = (JoinSet::new(), 0);
        let (mut broken, mut tally, mut done) = (Vec::new(), Tally::default(), 0);
        loop {
            while running.len() < AT_ONCE && next < self.scripts {
                running.spawn(Script::draw(self.seed + next, program.clone()).play());
                next += 1;
            }
            let Some(ending) = running.join_next().await else { break };
            let ending = ending.map_err(std::io::Error::other)??;
            tally.add(&ending.report.tally);
            if !ending.report.tally.is_clean() {
                broken.push(ending);
            }
            done += 1;
            if done % 50 == 0 || done == self.scripts {
                let Tally { acknowledged, received, .. } = tally;
                tell(format!("{done:>5} scripts  {acknowledged:>8} acknowledged  {received:>8} received"));
            }
        }
        server.stop().await?;
        Ok((broken, tally))
    }
}

/// One group of clients and what happens to their networks.
struct Script {
    seed: u64,
    program: Program,
    channel: String,
    members: Vec<Member>,
    /// When, to whose network, what; in order.
    acts: Vec<(Duration, usize, Act)>,
}

/// How a client takes part.
struct Member {
    level: Level,
    reading: Reading,
    pace: Duration,
}

/// What happens to a client's network.
#[derive(Clone, Copy, Debug)]
enum Act {
    Set(Weather),
    Cut(Cut),
    Heal(Heal),
    /// The device says that the network is there.
    Wake,
}

impl Script {
    fn draw(seed: u64, program: Program) -> Self {
        let mut dice = Dice::new(seed);
        let members = (0..2 + dice.below(2)).map(|_| Member {
            level: if dice.once_in(3) { Level::AtLeastOnce } else { Level::ExactlyOnce },
            reading: if dice.once_in(2) { Reading::Durable } else { Reading::Plain },
            pace: Duration::from_millis(60 + dice.below(200)),
        });
        let members: Vec<Member> = members.collect();
        let mut acts = Vec::new();
        for _ in 0..3 + dice.below(6) {
            let who = dice.below(members.len() as u64) as usize;
            let at = dice.span(TROUBLE);
            let until = at + dice.span(TROUBLE);
            match trouble(&mut dice) {
                Act::Set(weather) => {
                    let heal = if dice.once_in(2) { Heal::Flush } else { Heal::Drop };
                    acts.extend([(at, who, Act::Set(weather)), (until.min(TROUBLE), who, Act::Heal(heal))]);
                }
                act @ (Act::Cut(_) | Act::Heal(_) | Act::Wake) => acts.push((at, who, act)),
            }
        }
        acts.sort_by_key(|(at, ..)| *at);
        Self { seed, program, channel: format!("script-{seed}"), members, acts }
    }

    async fn play(self) -> Result<Ending, RunError> {
        let book = Book::open();
        let stop = watch::Sender::new(false);
        let (mut apps, mut proxies, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        let mut all = 0;
        for (index, member) in self.members.iter().enumerate() {
            let proxy = Proxy::start(self.program.address()).await?;
            let name = format!("{}-{index}", self.channel);
            let app = Arc::new(App::start(&format!("ws://{}/ws", proxy.address()), &name, &Disk::default())?);
            all += self.enter(index as u32, member, &app, &book, &stop, &mut tasks);
            proxies.push(proxy);
            apps.push(app);
        }
        let begin = Instant::now();
        for (at, who, act) in &self.acts {
            sleep_until((begin + *at).into()).await;
            match (act, proxies.get(*who), apps.get(*who)) {
                (Act::Set(weather), Some(proxy), _) => proxy.set(*weather),
                (Act::Cut(cut), Some(proxy), _) => proxy.cut(*cut),
                (Act::Heal(heal), Some(proxy), _) => proxy.heal(*heal),
                (Act::Wake, _, Some(app)) => app.wake(),
                _ => {}
            }
        }
        proxies.iter().for_each(|proxy| proxy.heal(Heal::Flush));
        apps.iter().for_each(|app| app.wake());
        // What is missing when patience ends is what the checker will call lost.
        book.reaches(|progress| progress.complete && progress.published == all, PATIENCE).await;
        stop.send_replace(true);
        for task in tasks {
            task.abort();
            if let Ok(result) = task.await {
                result?;
            }
        }
        let (mut reports, _) = judge(&book, &format!("ws://{}/ws", self.program.address())).await?;
        let acts = self.acts.iter().map(|(at, who, act)| format!("{:>6.2} s  client {who}: {act:?}", at.as_secs_f64()));
        Ok(Ending { seed: self.seed, report: reports.pop().unwrap_or_default(), acts: acts.collect() })
    }

    /// Lets a client read and publish. Returns how many messages it publishes.
    fn enter(
        &self,
        publisher: u32,
        member: &Member,
        app: &Arc<App>,
        book: &SharedBook,
        stop: &watch::Sender<bool>,
        tasks: &mut Vec<JoinHandle<Result<(), AppError>>>,
    ) -> u64 {
        let subscriber = format!("client {publisher}");
        book.add_subscriber(&self.channel, &subscriber);
        let count = (TROUBLE.as_millis() / member.pace.as_millis().max(1)) as u64;
        let channel = self.channel.clone();
        let plan = Plan {
            channel,
            publisher,
            level: member.level,
            pace: member.pace,
            waiting: 900,
            count: Some(count),
            size: load::CHAT,
        };
        plan.announce(book);
        let (publishing, account, stopped) = (Arc::clone(app), Arc::clone(book), stop.subscribe());
        tasks.push(tokio::spawn(async move { load::publish(&publishing, &plan, &account, stopped).await }));
        let (reading, account, stopped) = (Arc::clone(app), Arc::clone(book), stop.subscribe());
        let (channel, how) = (self.channel.clone(), member.reading);
        tasks.push(tokio::spawn(
            async move { load::read(&reading, &channel, &subscriber, how, &account, stopped).await },
        ));
        count
    }
}

fn trouble(dice: &mut Dice) -> Act {
    match dice.below(10) {
        0 => Act::Set(Weather::Latency(dice.span(Duration::from_secs(2)))),
        1 => Act::Set(Weather::Slow(500 + dice.below(20_000) as u32)),
        2 | 3 => Act::Set(Weather::BlackHole),
        4 => Act::Set(Weather::Deaf(if dice.once_in(2) { Direction::Upstream } else { Direction::Downstream })),
        5 => Act::Set(Weather::Refuse),
        6 => Act::Cut(Cut::Reset),
        7 => Act::Cut(Cut::Finish),
        8 => Act::Cut(Cut::Linger(dice.span(Duration::from_secs(3)))),
        _ => Act::Wake,
    }
}
