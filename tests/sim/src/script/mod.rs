//! Scripts: a test says exactly what happens, and when; everything else is as with a seed.
//!
//! The world is that of the seeded scenarios: the same cores, node, engine, network and invariants. A script takes the
//! place of the dice that plan a run: it starts clients, lets their apps publish, holds back, cuts and kills, and
//! stops the world at a frame, an event or a moment. [`Stage::play`] ends every script as every run ends: the faults
//! stop, everything heals, and the end is checked.

mod act;
mod look;
mod peer;
mod stage;

pub use self::peer::Peer;
pub use self::stage::Stage;
pub use crate::client::Reading;
pub use crate::scenario::{Engine, Keeps};

use moorline_core::ConnectionState;
use moorline_core::protocol::ChannelName;

use crate::world::{Happening, World};

/// ms after which something that a script waits for will not happen any more.
const PATIENCE_MS: u64 = 600_000;

/// A script being played.
pub struct Play {
    world: World,
}

/// A client of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who(usize);

impl Play {
    /// Lets so many ms pass.
    pub fn pass(&mut self, ms: u64) {
        let end = self.world.now + ms * 1_000;
        while self.world.next_at().is_some_and(|at| at <= end) && self.step() {}
        self.world.now = self.world.now.max(end);
    }

    /// Lets time pass until something is so, and no longer.
    ///
    /// # Panics
    /// It is not so after ten minutes.
    pub fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = self.world.now + PATIENCE_MS * 1_000;
        while !is_so(self) {
            assert!(self.world.now < end && self.step(), "not within {PATIENCE_MS} ms: {what}");
        }
    }

    /// Lets time pass until nobody has anything left to do.
    pub fn settle(&mut self) {
        self.until("all is settled", |play| play.world.unsettled().is_none());
    }

    /// Lets time pass until a client is online.
    pub fn online(&mut self, who: Who) {
        self.until("it is online", |play| play.state(who) == Some(ConnectionState::Online));
    }

    fn step(&mut self) -> bool {
        let goes_on = self.world.step();
        self.check();
        goes_on
    }

    fn check(&self) {
        if let Some(broken) = self.world.violations.first() {
            panic!("invariant {}: {}", broken.invariant, broken.what);
        }
    }

    /// The faults stop, everything heals, and the end is checked.
    fn end(mut self) {
        self.hang_up_peers();
        self.world.scenario.quiet_at = self.world.now;
        self.world.happen(Happening::Quiet);
        while !self.world.is_settled() && self.step() {}
        self.world.check_end();
        (0..self.world.clients.len()).for_each(|index| self.world.check_blackbox(index));
        self.check();
        let unsettled = self.world.unsettled();
        assert_eq!(unsettled, None, "at the end");
    }
}

/// Returns the name of a channel.
fn named(channel: &str) -> ChannelName {
    ChannelName::new(channel).unwrap_or_else(|error| panic!("{channel}: {error}"))
}
