//! Time as an argument: monotonic for deadlines, Unix for what is stored and shown.

use std::time::Duration;

/// A moment of the monotonic clock, since an origin that the host chose.
///
/// Whole nanoseconds: up to 584 years after the origin, and the last of those from then on.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// Returns the moment `since_origin` after the origin.
    pub const fn new(since_origin: Duration) -> Self {
        Self(nanoseconds(since_origin))
    }

    /// Returns the moment so many ms after the origin.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// Returns the time since the origin.
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Returns the time since `earlier`, zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Timestamp").field(&self.since_origin()).finish()
    }
}

const fn nanoseconds(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos() as u64)
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    // Small where size counts: deadlines are set in many places.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(span)))
    }
}

/// Returns a span in whole milliseconds; what is longer than 584 million years is that.
///
/// The standard library's answer has 128 bits, and dividing those would be a good part of a small client.
pub const fn whole_millis(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000).saturating_add(span.subsec_millis() as u64)
}

/// Milliseconds since 1970 by the local clock.
pub type UnixMillis = u64;

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub mono: Timestamp,
    /// For token expiry, message times and retention.
    pub unix: UnixMillis,
}
