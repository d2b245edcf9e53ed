use moorline_protocol::time::Timestamp;

/// A token bucket that counts publishes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// Thousandths of a publish.
    filled: u64,
    at: Timestamp,
}

impl Bucket {
    pub(super) fn full(burst: u32, now: Timestamp) -> Self {
        Self { filled: u64::from(burst) * 1000, at: now }
    }

    /// Takes one publish. `Err` says in how many ms there is one.
    pub(super) fn take(&mut self, rate: u32, burst: u32, now: Timestamp) -> Result<(), u32> {
        self.take_many(1, rate, burst, now)
    }

    /// Takes several, or none. `Err` says in how many ms there are as many.
    pub(super) fn take_many(&mut self, count: u32, rate: u32, burst: u32, now: Timestamp) -> Result<(), u32> {
        let wanted = u64::from(count) * 1000;
        let ms = now.since(self.at).as_millis() as u64;
        self.at = self.at.max(now);
        self.filled = (self.filled + ms * u64::from(rate)).min(u64::from(burst) * 1000);
        match self.filled.checked_sub(wanted) {
            Some(rest) => {
                self.filled = rest;
                Ok(())
            }
            None => Err((wanted - self.filled).div_ceil(u64::from(rate.max(1))) as u32),
        }
    }
}
