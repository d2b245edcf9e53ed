//! Hands what the log holds for hooks to the receivers: one courier per hook, on a thread of their own.
//!
//! A courier is a reader like any other, with a durable cursor. What is not settled stands in the log, so that a
//! receiver that is dead for days costs a courier's window of memory, and publishers nothing.

mod courier;
mod numbers;
mod post;
mod queue;

use std::sync::{Arc, mpsc};

use moorline_protocol::AppName;
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet};

pub use self::numbers::HookNumbers;
pub use self::queue::{Batch, DeadLetter, Key, Next, Outcome, Queue, Queued};
use crate::asker::Asker;
pub use crate::egress::{BadSecret, Refusal, Secret, is_public, sign};
use crate::engine::ShardId;
use crate::engine::hooks::{HookRule, HookRules};
use crate::engine::host::EngineHandle;
use crate::wall_clock::WallClock;

/// No node has so many shards.
const SHARD: ShardId = ShardId(u16::MAX);

/// A hook: what is told to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Names it, and with that its place in the log; unique in its app.
    pub name: String,
    /// The receiver.
    pub url: hyper::Uri,
    /// The secrets that requests are signed with: the current one, and for a while the one before.
    pub secrets: Vec<Secret>,
    /// What it wants to be told.
    pub rule: HookRule,
    /// Whether it may have a private address, and do without TLS.
    pub allow_private: bool,
    /// PEM certificates that are trusted beside those of the web.
    pub roots: Vec<rustls::pki_types::CertificateDer<'static>>,
    /// Requests on their way at a time; of one user or channel there is one at most.
    pub max_requests: usize,
    /// Times, in ms.
    pub times: Times,
}

/// How long a courier waits, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// For an answer, from resolving the name to its status.
    pub answer: u64,
    /// After the first failure of a key.
    pub first_retry: u64,
    /// After many, and whatever a `Retry-After` says.
    pub last_retry: u64,
    /// After failures of a receiver, whatever the key.
    pub pause: u64,
    /// After which an event is given up.
    pub max_age: u64,
}

impl Default for Times {
    /// 15 s, 1 s, 1 h, 30 s, 3 days.
    fn default() -> Self {
        let max_age = 3 * 24 * 3_600_000;
        Self { answer: 15_000, first_retry: 1_000, last_retry: 3_600_000, pause: 30_000, max_age }
    }
}

impl Hook {
    /// Returns the app.
    pub fn app(&self) -> &AppName {
        &self.rule.app
    }
}

/// Makes the rules of the engine of hooks.
pub fn rules(hooks: &[Hook]) -> HookRules {
    let mut rules = HookRules::new(hooks.iter().map(|hook| hook.rule.clone()).collect());
    rules.max_age_ms = hooks.iter().map(|hook| hook.times.max_age).max().unwrap_or(rules.max_age_ms);
    rules
}

/// Hooks to go on with; what stands beside them is dropped once each of them has asked for its place in the log.
pub type NewHooks = (Vec<Hook>, mpsc::Sender<()>);

/// The couriers at work.
struct Staff {
    asker: Arc<Asker>,
    clock: WallClock,
    seed: [u8; 32],
    hired: u64,
    working: Vec<(Hook, JoinHandle<()>)>,
    numbers: HookNumbers,
}

impl Staff {
    /// Sees to it that there is a courier for each hook. One whose hook is as it was goes on; what another one had on its
    /// way is told again by the one that replaces it, which knows its place by the hook's name. With `asks_again`, a receiver that
    /// said that it is gone is asked again.
    fn work_for(&mut self, hooks: Vec<Hook>, asks_again: bool, placing: &mpsc::Sender<()>) {
        self.working.retain(|(hook, courier)| {
            let stays = hooks.contains(hook) && !self.numbers.of(hook, |counts| counts.is_gone);
            if !stays {
                courier.abort();
            }
            stays
        });
        self.numbers.keep(&hooks);
        for hook in hooks {
            if self.working.iter().any(|(working, _)| *working == hook) {
                continue;
            }
            self.hired += 1;
            let (asker, clock) = (Arc::clone(&self.asker), self.clock.clone());
            let courier = courier::Courier::new(
                hook.clone(),
                asker,
                clock,
                (self.seed, self.hired, asks_again),
                self.numbers.clone(),
            );
            self.working.push((hook, tokio::task::spawn_local(courier.run(placing.clone()))));
        }
    }
}

/// Makes everything that can fail. What it returns runs the couriers on the thread that calls it, until `stop` is true, for
/// these hooks and then for `others`; the receiver beside it ends once each of them has asked for its place in the log, whether the
/// engine answers or not.
///
/// # Errors
/// The system's, if the runtime cannot be set up.
pub fn prepare(
    hooks: Vec<Hook>,
    engine: &EngineHandle,
    clock: WallClock,
    (seed, numbers): ([u8; 32], HookNumbers),
    mut others: tokio::sync::mpsc::UnboundedReceiver<NewHooks>,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<(impl FnOnce() + Send + 'static, mpsc::Receiver<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asker = Arc::new(Asker::new(engine.clone(), SHARD));
    let (placing, placed) = mpsc::channel();
    let run = move || {
        let couriers = async move {
            let mut staff = Staff { asker, clock, seed, hired: 0, working: Vec::new(), numbers };
            staff.work_for(hooks, false, &placing);
            drop(placing);
            loop {
                tokio::select! {
                    // What is on its way when the server stops is told again by the next start.
                    _ = stop.wait_for(|stopped| *stopped) => break,
                    Some((hooks, placing)) = others.recv() => staff.work_for(hooks, true, &placing),
                }
            }
        };
        LocalSet::new().block_on(&runtime, couriers);
    };
    Ok((run, placed))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc::RecvTimeoutError;
    use std::time::Duration;

    use moorline_protocol::{Headers, Payload, Utf8Bytes};

    use super::*;
    use crate::engine::core::{CoreConfig, EngineCore, MemoryStore};
    use crate::engine::hooks::HookKind;
    use crate::engine::host::EngineThread;
    use crate::engine::{Append, ChannelKey, Command, Ticket, content_hash};

    /// What takes longer does not come.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn message(id: &'static str) -> Command {
        let (id, payload, headers) = (Utf8Bytes::from(id), Payload::Text("x".into()), Headers::new());
        let name = moorline_protocol::ChannelName::new("room").unwrap();
        let (channel, hash) = (ChannelKey { app: AppName::default_app(), name }, content_hash(&id, &payload, &headers));
        let (scope, user, ttl, producer, verdict) = ("s".into(), None, None, None, Ok(()));
        Command::Append(Append { channel, id, scope, user, headers, payload, ttl, hash, producer, verdict })
    }

    #[test]
    fn a_new_hook_waits_for_no_engine_and_is_told_what_comes_after_it() {
        let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
        let hook = Hook {
            name: "test".into(),
            url: format!("http://{}/", receiver.local_addr().unwrap()).parse().unwrap(),
            secrets: Vec::new(),
            rule: HookRule { app: AppName::default_app(), kinds: vec![HookKind::MessageStored], channels: Vec::new() },
            allow_private: true,
            roots: Vec::new(),
            max_requests: 1,
            times: Times::default(),
        };
        let mut config = CoreConfig::new("test0000");
        config.hooks = rules(std::slice::from_ref(&hook));
        let mut clock = WallClock::new(0);
        let mut core = EngineCore::new(config, MemoryStore::default());
        core.begin(false, clock.now_ms());
        // It does nothing before this test lets it, or ends.
        let engine;
        let (go_on, goes_on) = mpsc::channel::<()>();
        let time = {
            let mut clock = clock.clone();
            move || {
                let _ = goes_on.recv();
                clock.now_ms()
            }
        };
        engine = EngineThread::spawn(core, time, |fatal| panic!("{fatal}")).unwrap();
        let (stop, stopped) = watch::channel(false);
        let (_others, others) = tokio::sync::mpsc::unbounded_channel();
        let told = ([0; 32], HookNumbers::default());
        let (run, placed) = prepare(vec![hook], &engine.handle(), clock, told, others, stopped).unwrap();
        let couriers = std::thread::spawn(run);
        assert_eq!(placed.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "it waits for the engine");
        engine.handle().submit(ShardId(0), [(Ticket(1), message("a"))]);
        drop(go_on);
        let (came, comes) = mpsc::channel();
        std::thread::spawn(move || came.send(receiver.accept().is_ok()));
        assert_eq!(comes.recv_timeout(PATIENCE), Ok(true), "it is told nothing");
        stop.send_replace(true);
        couriers.join().unwrap();
    }
}
