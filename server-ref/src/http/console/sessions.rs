//! Who is logged in, and who tries too often.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use moorline_protocol::time::UnixMillis;

/// Sessions at a time; the one that ends first makes room.
const MOST_SESSIONS: usize = 1_000;
/// Log-ins of one address that may fail within [`WINDOW_MS`].
const MOST_FAILURES: u32 = 10;
const WINDOW_MS: u64 = 60_000;
/// Addresses that are counted at a time.
const MOST_ADDRESSES: usize = 10_000;

/// Somebody who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoggedIn {
    /// The name of the key.
    pub(super) name: Arc<str>,
    /// The key's hash.
    pub(super) key: [u8; 32],
    pub(super) read_only: bool,
    /// When it ends, ms since 1970.
    pub(super) expires: UnixMillis,
}

/// Sessions, by the hash of what the cookie says: whoever reads the memory cannot come in, and how long a look takes
/// says nothing about a cookie.
#[derive(Debug, Default)]
pub(super) struct Sessions(BTreeMap<[u8; 32], LoggedIn>);

impl Sessions {
    /// Begins one.
    pub(super) fn begin(&mut self, hash: [u8; 32], who: LoggedIn, now: UnixMillis) {
        self.0.retain(|_, who| who.expires > now);
        if self.0.len() >= MOST_SESSIONS {
            let first = self.0.iter().min_by_key(|(_, who)| who.expires).map(|(hash, _)| *hash);
            first.and_then(|hash| self.0.remove(&hash));
        }
        self.0.insert(hash, who);
    }

    /// Returns whose it is.
    pub(super) fn find(&self, hash: &[u8; 32], now: UnixMillis) -> Option<LoggedIn> {
        self.0.get(hash).filter(|who| who.expires > now).cloned()
    }

    /// Ends one.
    pub(super) fn end(&mut self, hash: &[u8; 32]) {
        self.0.remove(hash);
    }
}

/// Log-ins that failed, per address.
#[derive(Debug, Default)]
pub(super) struct Attempts(BTreeMap<IpAddr, (UnixMillis, u32)>);

impl Attempts {
    /// Says whether an address may try. `Err` says in how many ms it may.
    pub(super) fn may(&mut self, address: IpAddr, now: UnixMillis) -> Result<(), u32> {
        let is_over = |since: UnixMillis| now >= since + WINDOW_MS || now < since;
        let address = network(address);
        match self.0.get(&address) {
            Some((since, _)) if is_over(*since) => {
                self.0.remove(&address);
                Ok(())
            }
            Some((since, failures)) if *failures >= MOST_FAILURES => Err((since + WINDOW_MS - now) as u32),
            Some(_) => Ok(()),
            None => {
                if self.0.len() >= MOST_ADDRESSES {
                    self.0.retain(|_, (since, _)| !is_over(*since));
                }
                if self.0.len() >= MOST_ADDRESSES { Err(WINDOW_MS as u32) } else { Ok(()) }
            }
        }
    }

    /// An address has failed.
    pub(super) fn fail(&mut self, address: IpAddr, now: UnixMillis) {
        self.0.entry(network(address)).or_insert((now, 0)).1 += 1;
    }
}

/// Returns what one customer of a provider has: of IPv6 a /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_at_its_time_and_when_it_is_ended() {
        let mut sessions = Sessions::default();
        let who = |expires| LoggedIn { name: "ops".into(), key: [0; 32], read_only: false, expires };
        sessions.begin([1; 32], who(1_000), 0);
        assert_eq!(sessions.find(&[1; 32], 999), Some(who(1_000)));
        assert_eq!(sessions.find(&[1; 32], 1_000), None);
        assert_eq!(sessions.find(&[2; 32], 0), None);
        sessions.end(&[1; 32]);
        assert_eq!(sessions.find(&[1; 32], 0), None);
        for at in 0..=MOST_SESSIONS as u64 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&at.to_be_bytes());
            sessions.begin(hash, who(5_000 + at), 0);
        }
        assert_eq!(sessions.0.len(), MOST_SESSIONS);
        assert_eq!(sessions.find(&[0; 32], 0), None, "the one that would have ended first has made room");
    }

    #[test]
    fn an_address_that_fails_too_often_waits_and_others_do_not() {
        let mut attempts = Attempts::default();
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..MOST_FAILURES {
            assert_eq!(attempts.may(one, 1_000), Ok(()));
            attempts.fail(one, 1_000);
        }
        assert_eq!(attempts.may(one, 11_000), Err(50_000));
        assert_eq!(attempts.may("::ffff:192.0.2.1".parse().unwrap(), 11_000), Err(50_000));
        assert_eq!(attempts.may(other, 11_000), Ok(()));
        assert_eq!(attempts.may(one, 61_000), Ok(()));
        for host in 0..u64::from(MOST_FAILURES) {
            attempts.fail(format!("2001:db8::{host:x}").parse().unwrap(), 0);
        }
        assert!(attempts.may("2001:db8::ffff".parse().unwrap(), 1).is_err(), "a /64 is one");
        assert!(attempts.may("2001:db8:0:1::1".parse().unwrap(), 1).is_ok());
    }
}
