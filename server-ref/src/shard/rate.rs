//! How fast the server takes clients in, and how many strangers one address may send at once.

use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::net::Proxies;

/// A second's worth divided by this may come at once.
const BURST: u64 = 2;
const SECOND: u64 = 1_000_000;

/// Lets so many through in a second, and half a second's worth at once; one for all threads, without a lock.
pub(super) struct Rate {
    began: Instant,
    per_second: u64,
    /// When all that was let through would have come at an even pace, in µs since it began.
    even: AtomicU64,
}

impl Rate {
    pub(super) fn new(per_second: u32) -> Self {
        Self { began: Instant::now(), per_second: u64::from(per_second).max(1), even: AtomicU64::new(0) }
    }

    /// Lets one through, or says how long it should wait.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.take_at(self.began.elapsed().as_micros() as u64)
    }

    fn take_at(&self, now: u64) -> Result<(), Duration> {
        let ahead = (SECOND / BURST).max(SECOND / self.per_second);
        let next = |even: u64| even.max(now) + SECOND / self.per_second;
        let taken = self.even.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |even| {
            Some(next(even)).filter(|next| *next <= now + ahead)
        });
        taken.map(drop).map_err(|even| Duration::from_micros(next(even).saturating_sub(now + ahead)))
    }
}

/// Connections that have not said a good `hello` yet, by the address they come from.
pub(super) struct Strangers {
    most: u32,
    /// Many clients come from these addresses.
    proxies: Proxies,
    here: Mutex<FxHashMap<IpAddr, u32>>,
}

/// One of them, until it is dropped.
pub(super) struct Stranger {
    /// Where it is counted, and under what.
    counted: Option<(Arc<Strangers>, IpAddr)>,
    /// Whether there are too many of its address.
    pub(super) is_too_many: bool,
}

impl Strangers {
    pub(super) fn new(most: u32, proxies: Proxies) -> Self {
        Self { most, proxies, here: Mutex::default() }
    }

    /// Counts one more.
    pub(super) fn count(self: &Arc<Self>, address: IpAddr) -> Stranger {
        let address = address.to_canonical();
        if self.proxies.trust(address) {
            return Stranger { counted: None, is_too_many: false };
        }
        let origin = origin_of(address);
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        let count = here.entry(origin).or_default();
        *count += 1;
        Stranger { is_too_many: *count > self.most, counted: Some((Arc::clone(self), origin)) }
    }
}

/// What one party has: an address, or with IPv6 a network of 64 bits.
fn origin_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let Some((strangers, origin)) = self.counted.take() else { return };
        let mut here = strangers.here.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = here.entry(origin) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_lets_half_a_second_through_at_once_and_then_goes_on_evenly() {
        let rate = Rate::new(100);
        let taken = |now: u64| (0..1_000).take_while(|_| rate.take_at(now).is_ok()).count();
        assert_eq!(taken(0), 50);
        assert_eq!(rate.take_at(0), Err(Duration::from_millis(10)));
        assert_eq!(taken(SECOND / 10), 10);
        let later: usize = (1..=10).map(|tenth| taken(SECOND / 10 + tenth * SECOND / 10)).sum();
        assert_eq!(later, 100);
        assert_eq!(taken(60 * SECOND), 50, "what was not used is lost");
    }

    #[test]
    fn the_slowest_rate_lets_one_through_at_a_time() {
        let rate = Rate::new(1);
        assert_eq!(rate.take_at(0), Ok(()));
        assert_eq!(rate.take_at(0), Err(Duration::from_secs(1)));
        assert_eq!(rate.take_at(SECOND), Ok(()));
    }

    #[test]
    fn strangers_are_counted_by_address_until_they_are_known_or_gone() {
        let strangers = Arc::new(Strangers::new(2, Proxies::new(vec!["10.0.0.1".parse().unwrap()])));
        let count = |address: &str| strangers.count(address.parse().unwrap());
        let mut here = vec![count("192.0.2.7"), count("::ffff:192.0.2.7")];
        assert!(count("192.0.2.7").is_too_many && !count("192.0.2.8").is_too_many);
        here.pop();
        assert!(!count("192.0.2.7").is_too_many);
        let network: Vec<_> = (1..=3).map(|n| count(&format!("2001:db8::{n}"))).collect();
        assert!(network[2].is_too_many && !count("2001:db8:0:1::1").is_too_many);
        let proxied: Vec<_> = (0..9).map(|_| count("::ffff:10.0.0.1")).collect();
        assert!(proxied.iter().all(|one| !one.is_too_many));
        drop((here, network, proxied));
        assert!(strangers.here.lock().unwrap().is_empty(), "nothing is kept");
    }
}
