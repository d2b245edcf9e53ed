use std::time::Duration;

use crate::config::ClientConfig;
use crate::dice::Dice;
use crate::planted::Bug;

/// How long to wait before the next attempt: full jitter under a ceiling that doubles, also on the first retry.
#[derive(Default)]
pub(crate) struct Backoff {
    attempts: u32,
    window: Duration,
}

impl Backoff {
    /// Begins anew: the connection was stable.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Tells whether no attempt has failed since the last stable connection.
    pub(crate) fn is_fresh(&self) -> bool {
        self.attempts == 0
    }

    /// Counts a reconnect at a moment the server named; should that fail, the next one is spread over `window`.
    pub(crate) fn depart(&mut self, window: Duration) {
        self.attempts = self.attempts.saturating_add(1);
        self.window = window;
    }

    /// Forgets the window of a `goaway`: the connection stands again.
    pub(crate) fn arrive(&mut self) {
        self.window = Duration::ZERO;
    }

    /// Returns the pause before the next attempt; never zero.
    pub(crate) fn delay(&mut self, config: &ClientConfig, dice: &mut Dice) -> Duration {
        if config.bugs.has(Bug::BackoffWithoutDelay) {
            return Duration::from_millis(1);
        }
        let window = std::mem::take(&mut self.window);
        let ceiling = if window.is_zero() { self.ceiling(config) } else { window };
        self.attempts = self.attempts.saturating_add(1);
        spread(ceiling, dice)
    }

    fn ceiling(&self, config: &ClientConfig) -> Duration {
        doubled(
            Duration::from_millis(config.min_backoff_ms),
            self.attempts,
            Duration::from_millis(config.max_backoff_ms),
        )
    }
}

/// Returns `first` doubled so many times, at most `max` and at least 1 ms.
pub(crate) fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(max).max(Duration::from_millis(1))
}

/// Returns a moment of `(0, window]`, in whole microseconds.
pub(crate) fn spread(window: Duration, dice: &mut Dice) -> Duration {
    let most = window.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(window.subsec_micros())).max(1);
    Duration::from_micros(1 + dice.up_to(most - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_jittered_bounded_and_never_zero() {
        let config = ClientConfig::new("ws://a");
        let mut dice = Dice::new([1; 32]);
        for _ in 0..200 {
            let mut backoff = Backoff::default();
            for attempt in 0..12u32 {
                let delay = backoff.delay(&config, &mut dice);
                assert!(!delay.is_zero());
                assert!(delay <= Duration::from_millis(500 << attempt.min(6)).min(Duration::from_secs(20)));
            }
        }
    }

    #[test]
    fn a_window_is_used_once() {
        let config = ClientConfig::new("ws://a");
        let mut dice = Dice::new([2; 32]);
        let mut long = 0;
        for _ in 0..100 {
            let mut backoff = Backoff::default();
            backoff.depart(Duration::from_secs(60));
            long += u32::from(backoff.delay(&config, &mut dice) > Duration::from_secs(2));
            assert!(backoff.delay(&config, &mut dice) <= Duration::from_secs(2));
        }
        assert!(long > 80);
    }
}
