//! How rarely a parked client is pinged: learnt per network, since each forgets silent connections after a time of its own.
//!
//! A wish that a network has kept for three silent intervals is good, and a longer one is tried; one that it did not keep
//! is bad, and what lies between the two is tried until they are near.

use crate::store::StoredNetwork;

/// ms of the first wish, and the bounds of all, as the protocol has them.
const FIRST: u32 = 60_000;
const LEAST: u32 = 25_000;
const MOST: u32 = 300_000;

/// ms that a longer wish adds.
const STEP: u32 = 30_000;

/// ms between good and bad that are not worth another loss.
const NEAR: u32 = 15_000;

/// Silent intervals that make a wish good.
const PROOF: u32 = 3;

/// Silent intervals of a good wish after which a bad one may be tried again: networks change, and one loss may have had
/// another cause.
const PARDON: u32 = 64;

/// Networks that are remembered; the one that was not used for the longest time goes first.
const NETWORKS: usize = 16;

/// What is known about each network; the current one is the last.
pub(crate) struct Parking {
    networks: Vec<Network>,
    /// Silent intervals in a row.
    silent: u32,
    /// Messages sent when the last ping came.
    sent: u64,
    /// Whether something was learnt that is not stored.
    is_news: bool,
}

type Network = StoredNetwork;

impl Network {
    fn new(id: Option<u64>) -> Self {
        Self { id, good: None, bad: None, most: MOST }
    }

    fn wish(&self) -> u32 {
        let wish = match (self.good, self.bad) {
            (None, None) => FIRST,
            (None, Some(bad)) => bad / 2,
            (Some(good), None) => good + STEP,
            (Some(good), Some(bad)) if bad.saturating_sub(good) > NEAR => good + (bad - good) / 2,
            (Some(good), Some(_)) => good,
        };
        wish.clamp(LEAST, self.most.max(LEAST))
    }
}

impl Default for Parking {
    fn default() -> Self {
        Self { networks: vec![Network::new(None)], silent: 0, sent: 0, is_news: false }
    }
}

impl Parking {
    /// Goes on with what an earlier process has learnt. The host has not said which network this is.
    pub(crate) fn restored(stored: Vec<StoredNetwork>) -> Self {
        let mut parking = Self::default();
        let bounded = stored.into_iter().map(|network| Network {
            good: network.good.map(|ms| ms.clamp(LEAST, MOST)),
            bad: network.bad.map(|ms| ms.clamp(LEAST, MOST)),
            most: network.most.clamp(LEAST, MOST),
            ..network
        });
        let (unnamed, mut named): (Vec<_>, Vec<_>) = bounded.partition(|network| network.id.is_none());
        named.drain(..named.len().saturating_sub(NETWORKS - 1));
        parking.networks = named;
        parking.networks.push(unnamed.last().copied().unwrap_or_else(|| Network::new(None)));
        parking
    }

    /// Returns what to store, if something was learnt since the last call.
    pub(crate) fn news(&mut self) -> Option<&[StoredNetwork]> {
        std::mem::take(&mut self.is_news).then_some(&self.networks)
    }

    /// Returns the interval to ask for, in ms.
    pub(crate) fn wish(&self) -> u32 {
        self.networks.last().map_or(FIRST, Network::wish)
    }

    /// The device is on this network now.
    pub(crate) fn on_network(&mut self, id: u64) {
        let known = self.networks.iter().position(|network| network.id == Some(id));
        let network = known.map_or_else(|| Network::new(Some(id)), |at| self.networks.remove(at));
        if self.networks.len() == NETWORKS {
            self.networks.remove(0);
        }
        self.networks.push(network);
        self.silent = 0;
    }

    /// The server has set the interval of a parked connection; `sent` counts the messages that this client has sent so
    /// far.
    pub(crate) fn on_interval(&mut self, interval: u32, sent: u64) {
        (self.silent, self.sent) = (0, sent);
        let wish = self.wish();
        if let Some(network) = self.networks.last_mut().filter(|network| interval < wish && network.most != interval) {
            network.most = interval;
            self.is_news = true;
        }
    }

    /// A ping came, in silence or not. Returns another wish, if there is one.
    pub(crate) fn on_ping(&mut self, interval: u32, is_silent: bool, sent: u64) -> Option<u32> {
        // One more is the `pong` to the ping before.
        let was_silent = is_silent && sent <= self.sent + 1;
        self.sent = sent;
        self.silent = if was_silent { self.silent + 1 } else { 0 };
        let network = self.networks.last_mut()?;
        if self.silent >= PROOF && network.good.is_none_or(|good| good < interval) {
            network.good = Some(interval);
        } else if self.silent >= PARDON {
            network.bad = None;
        } else {
            return None;
        }
        self.is_news = true;
        let wish = network.wish();
        (wish != interval).then(|| {
            self.silent = 0;
            wish
        })
    }

    /// A parked connection died in silence.
    pub(crate) fn on_death(&mut self, interval: u32) {
        self.silent = 0;
        let Some(network) = self.networks.last_mut() else { return };
        self.is_news = true;
        network.bad = Some(network.bad.map_or(interval, |bad| bad.min(interval)));
        network.good = network.good.filter(|good| *good < interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parks on a network that forgets connections after so many ms of silence; returns the intervals, one per change.
    fn park(parking: &mut Parking, forgets: u32, pings: usize) -> Vec<u32> {
        let mut interval = parking.wish();
        let mut seen = vec![interval];
        for sent in 0..pings as u64 {
            let next = if interval >= forgets {
                parking.on_death(interval);
                parking.wish()
            } else {
                parking.on_ping(interval, true, sent).unwrap_or(interval)
            };
            if next != interval {
                seen.push(next);
            }
            interval = next;
        }
        seen
    }

    #[test]
    fn an_interval_grows_while_the_network_keeps_it() {
        let seen = park(&mut Parking::default(), u32::MAX, 100);
        assert_eq!(seen, [60_000, 90_000, 120_000, 150_000, 180_000, 210_000, 240_000, 270_000, 300_000]);
    }

    #[test]
    fn it_settles_near_what_the_network_bears() {
        for forgets in [29_000, 45_000, 61_000, 100_000, 140_000, 299_000] {
            let seen = park(&mut Parking::default(), forgets, 60);
            let last = *seen.last().unwrap();
            assert!(last < forgets && forgets - last <= STEP, "{forgets}: {seen:?}");
            let deaths = seen.iter().filter(|interval| **interval >= forgets).count();
            assert!(deaths <= 3, "{forgets}: {seen:?}");
        }
        assert_eq!(park(&mut Parking::default(), 20_000, 60).last(), Some(&LEAST), "no less than the protocol allows");
    }

    #[test]
    fn a_single_loss_is_forgiven_in_time() {
        let mut parking = Parking::default();
        parking.on_death(60_000);
        let seen = park(&mut parking, u32::MAX, 200);
        assert!(seen.iter().any(|interval| *interval > 60_000), "{seen:?}");
    }

    #[test]
    fn each_network_has_its_own() {
        let mut parking = Parking::default();
        parking.on_network(1);
        park(&mut parking, u32::MAX, 100);
        assert_eq!(parking.wish(), 300_000);
        parking.on_network(2);
        assert_eq!(parking.wish(), 60_000);
        parking.on_network(1);
        assert_eq!(parking.wish(), 300_000);
        (10..30).for_each(|id| parking.on_network(id));
        assert_eq!(parking.networks.len(), NETWORKS);
        parking.on_network(1);
        assert_eq!(parking.wish(), 60_000, "the oldest is forgotten");
    }

    #[test]
    fn what_is_restored_is_bounded() {
        let stored = |id, good| Network { id, good: Some(good), bad: None, most: u32::MAX };
        let many = (0..99).map(|id| stored(Some(id), u32::MAX)).chain([stored(None, 0)]).collect();
        let mut parking = Parking::restored(many);
        assert_eq!((parking.networks.len(), parking.wish()), (NETWORKS, LEAST + STEP));
        parking.on_network(98);
        assert_eq!(parking.wish(), MOST);
        parking.on_network(50);
        assert_eq!(parking.wish(), FIRST, "one of those that were used long ago");
        assert_eq!(parking.news(), None);
    }

    #[test]
    fn traffic_proves_nothing() {
        let mut parking = Parking::default();
        for n in 0..20 {
            assert_eq!(parking.on_ping(60_000, false, n), None, "something was received in between");
            assert_eq!(parking.on_ping(60_000, true, 100 + 10 * n), None, "something was sent in between");
        }
    }

    #[test]
    fn the_server_bounds_it() {
        let mut parking = Parking::default();
        parking.on_interval(45_000, 0);
        assert_eq!(park(&mut parking, u32::MAX, 100), [45_000]);
    }
}
