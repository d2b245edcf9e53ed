use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Engine, Keeps, Play};
use crate::bugs::Bugs;
use crate::dice::Dice;
use crate::notes::Notes;
use crate::scenario::Scenario;
use crate::world::World;

/// ms of one way unless a script says otherwise.
const LATENCY_MS: u64 = 10;
/// Channels `room:0`, `room:1`, … that a script may use without saying so.
const CHANNELS: usize = 4;

/// What a script is played on.
#[derive(Clone)]
pub struct Stage {
    scenario: Scenario,
    bugs: Vec<&'static str>,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// One server with one shard and a disk that keeps everything, 10 ms away, and nobody there.
    pub fn new() -> Self {
        let scenario = Scenario {
            engine: Engine::Disk,
            shards: 1,
            clients: Vec::new(),
            channels: CHANNELS,
            backlog: 0,
            publishes: Vec::new(),
            faults: Vec::new(),
            latency: (LATENCY_MS, LATENCY_MS),
            keeps: Keeps::default(),
            token_ttl_s: None,
            quiet_at: 0,
            payload: 0,
            rate: (10_000, 10_000),
            hot: usize::MAX,
            queue: 32,
            outbox: 1_000,
            regroup: 0,
            rolling: false,
            presence: Vec::new(),
            statuses: Vec::new(),
            calls: Vec::new(),
            decides: false,
            disk_us: 20_000,
        };
        Self { scenario, bugs: Vec::new() }
    }

    /// With this kind of engine.
    #[must_use]
    pub fn engine(mut self, engine: Engine) -> Self {
        self.scenario.engine = engine;
        self
    }

    /// With so many shards.
    #[must_use]
    pub fn shards(mut self, shards: u16) -> Self {
        self.scenario.shards = shards;
        self
    }

    /// With so many ms of one way.
    #[must_use]
    pub fn latency(mut self, ms: u64) -> Self {
        self.scenario.latency = (ms, ms);
        self
    }

    /// With a server that forgets.
    #[must_use]
    pub fn keeps(mut self, keeps: Keeps) -> Self {
        self.scenario.keeps = keeps;
        self
    }

    /// With tokens that live for so many s.
    #[must_use]
    pub fn tokens(mut self, ttl_s: u64) -> Self {
        self.scenario.token_ttl_s = Some(ttl_s);
        self
    }

    /// With payloads of at least so many bytes.
    #[must_use]
    pub fn payload(mut self, bytes: usize) -> Self {
        self.scenario.payload = bytes;
        self
    }

    /// With so many publishes a second and connection, and in a burst.
    #[must_use]
    pub fn rate(mut self, per_second: u32, burst: u32) -> Self {
        self.scenario.rate = (per_second, burst);
        self
    }

    /// With so many messages of a channel that are read at once; older ones come from a slow disk.
    #[must_use]
    pub fn hot(mut self, messages: usize) -> Self {
        self.scenario.hot = messages;
        self
    }

    /// With a disk that needs so many ms for a read at most.
    #[must_use]
    pub fn disk(mut self, ms: u64) -> Self {
        self.scenario.disk_us = ms * 1_000;
        self
    }

    /// With ends that now and then speak as a later version would.
    #[must_use]
    pub fn rolling(mut self) -> Self {
        self.scenario.rolling = true;
        self
    }

    /// With so many messages that wait in a client before it asks for a pause.
    #[must_use]
    pub fn queue(mut self, messages: usize) -> Self {
        self.scenario.queue = messages;
        self
    }

    /// With so many channels beside those named `room:0` to `room:3`.
    #[must_use]
    pub fn more_channels(mut self, channels: usize) -> Self {
        self.scenario.channels += channels;
        self
    }

    /// Names planted bugs with each of which the script must fail.
    #[must_use]
    pub fn fails_with(mut self, bugs: &[&'static str]) -> Self {
        self.bugs.extend(bugs);
        self
    }

    /// Plays a script, and once more with each planted bug that was named, if this is a build with planted bugs.
    ///
    /// # Panics
    /// The script fails, or does not fail with a planted bug.
    pub fn play(self, script: impl Fn(&mut Play)) {
        self.once(Bugs::default(), &script);
        if !cfg!(feature = "planted-bugs") {
            return;
        }
        for name in &self.bugs {
            let bugs = Bugs::named(name).unwrap_or_else(|_| panic!("no planted bug is called {name}"));
            let fails = catch_unwind(AssertUnwindSafe(|| self.once(bugs, &script))).is_err();
            assert!(fails, "it passes with the planted bug {name}");
        }
    }

    fn once(&self, bugs: Bugs, script: &impl Fn(&mut Play)) {
        let mut world = World::new(self.scenario.clone(), Dice::from_seed(0), bugs, false);
        world.notes = Some(Notes::default());
        let mut play = Play { world };
        play.pass(0);
        script(&mut play);
        play.end();
    }
}
