//! A circuit breaker: who has failed again and again is left alone for a while, and then tried with one call.

use std::time::Duration;

use moorline_protocol::time::Timestamp;

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it stays open first; twice as long after each trial that fails.
const FIRST: Duration = Duration::from_secs(1);
/// And at most.
const LAST: Duration = Duration::from_secs(30);

/// See the module's documentation. Without a clock: whoever asks says what time it is.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    /// Failures in a row, while closed.
    failures: u32,
    /// How long it is open the next time.
    wait: Duration,
    /// Grows with each change of state: what was let through before says nothing about after.
    turn: u32,
}

/// Whether calls go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All of them.
    Closed,
    /// None, until this moment.
    Open(Timestamp),
    /// One is under way, and the others wait for what comes of it.
    HalfOpen,
}

/// A call that was let through; its end is told with [`Breaker::done`].
#[derive(Debug)]
#[must_use]
pub struct Pass(u32);

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, failures: 0, wait: FIRST, turn: 0 }
    }
}

impl Breaker {
    /// Lets a call through, or not.
    ///
    /// # Errors
    /// After which time it is worth asking again: not zero.
    pub fn admit(&mut self, now: Timestamp) -> Result<Pass, Duration> {
        match self.state {
            State::Closed => Ok(Pass(self.turn)),
            State::Open(until) if until <= now => {
                self.change(State::HalfOpen);
                Ok(Pass(self.turn))
            }
            State::Open(until) => Err(until.since(now)),
            State::HalfOpen => Err(FIRST),
        }
    }

    /// A call is over: whether the other side showed that it works.
    pub fn done(&mut self, pass: Pass, works: bool, now: Timestamp) {
        if pass.0 != self.turn {
            return;
        }
        if works {
            if self.state != State::Closed {
                self.change(State::Closed);
            }
            (self.failures, self.wait) = (0, FIRST);
            return;
        }
        self.failures += 1;
        if self.state == State::HalfOpen || self.failures >= FAILURES {
            self.change(State::Open(now + self.wait));
            (self.failures, self.wait) = (0, (self.wait * 2).min(LAST));
        }
    }

    /// A call is over, and has shown nothing: where it was the trial, the next one is.
    pub fn given_up(&mut self, pass: Pass, now: Timestamp) {
        if pass.0 == self.turn && self.state == State::HalfOpen {
            self.change(State::Open(now));
        }
    }

    /// Returns its state.
    pub fn state(&self) -> State {
        self.state
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.turn = self.turn.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::new(Duration::from_millis(ms))
    }

    #[test]
    fn a_trial_that_shows_nothing_leaves_it_to_the_next() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, 5, 0);
        let trial = breaker.admit(at(1_000)).unwrap();
        breaker.given_up(trial, at(1_500));
        let next = breaker.admit(at(1_500)).unwrap();
        breaker.done(next, true, at(1_600));
        assert_eq!(breaker.state(), State::Closed);
        let pass = breaker.admit(at(1_600)).unwrap();
        breaker.given_up(pass, at(1_600));
        assert_eq!(breaker.state(), State::Closed);
    }

    fn fail(breaker: &mut Breaker, count: u32, ms: u64) {
        for _ in 0..count {
            let pass = breaker.admit(at(ms)).unwrap();
            breaker.done(pass, false, at(ms));
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_four_do_not() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, 4, 0);
        let pass = breaker.admit(at(0)).unwrap();
        breaker.done(pass, true, at(0));
        fail(&mut breaker, 4, 0);
        assert_eq!(breaker.state(), State::Closed);
        fail(&mut breaker, 1, 10);
        assert_eq!(breaker.state(), State::Open(at(1_010)));
        assert_eq!(breaker.admit(at(20)).unwrap_err(), Duration::from_millis(990));
    }

    #[test]
    fn after_a_while_one_call_is_tried_and_decides() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, 5, 0);
        let trial = breaker.admit(at(1_000)).unwrap();
        assert!(breaker.admit(at(1_000)).is_err(), "one at a time");
        breaker.done(trial, true, at(1_001));
        assert_eq!(breaker.state(), State::Closed);
        fail(&mut breaker, 4, 2_000);
        assert_eq!(breaker.state(), State::Closed, "what was before does not count");
    }

    #[test]
    fn each_trial_that_fails_doubles_the_wait_up_to_its_bound() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, 5, 0);
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..8 {
            let State::Open(until) = breaker.state() else { panic!("{breaker:?}") };
            waits.push(until.since(at(now)).as_secs());
            now = until.since_origin().as_millis() as u64;
            fail(&mut breaker, 1, now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        let State::Open(until) = breaker.state() else { panic!("{breaker:?}") };
        let trial = breaker.admit(until).unwrap();
        breaker.done(trial, true, until);
        fail(&mut breaker, 5, 1_000_000);
        assert_eq!(breaker.state(), State::Open(at(1_001_000)), "it begins anew");
    }

    #[test]
    fn what_was_let_through_before_says_nothing_about_after() {
        let mut breaker = Breaker::default();
        let (early, late) = (breaker.admit(at(0)).unwrap(), breaker.admit(at(0)).unwrap());
        fail(&mut breaker, 5, 0);
        breaker.done(early, true, at(1));
        assert_eq!(breaker.state(), State::Open(at(1_000)));
        let trial = breaker.admit(at(1_000)).unwrap();
        breaker.done(late, false, at(1_001));
        assert_eq!(breaker.state(), State::HalfOpen);
        breaker.done(trial, true, at(1_002));
        assert_eq!(breaker.state(), State::Closed);
    }
}
