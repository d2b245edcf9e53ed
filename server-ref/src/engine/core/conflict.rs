use std::collections::{BTreeMap, VecDeque};

use moorline_protocol::time::UnixMillis;

use crate::engine::{Conflict, Owner};

/// Takeovers within this time count together, in ms.
const WITHIN_MS: u64 = 60_000;

/// So many are a conflict. One installation can do it twice: it is killed and started again while the connection it had
/// still seems alive. A third time within a minute, somebody else answers to the same name.
const MANY: usize = 3;

/// How often different runs of a device took its name from each other, for the last minute.
#[derive(Debug, Default)]
pub(super) struct Takeovers {
    by_owner: BTreeMap<Owner, Recent>,
    swept: UnixMillis,
}

#[derive(Debug, Default)]
struct Recent {
    /// The last ones, at most [`MANY`].
    times: VecDeque<UnixMillis>,
    told: Option<UnixMillis>,
}

fn is_recent(time: UnixMillis, now: UnixMillis) -> bool {
    now.saturating_sub(time) < WITHIN_MS
}

impl Takeovers {
    /// Counts one. Returns whether it is one too many.
    pub(super) fn count(&mut self, owner: &Owner, now: UnixMillis) -> Option<Conflict> {
        if !is_recent(self.swept, now) {
            self.swept = now;
            self.by_owner.retain(|_, recent| recent.times.back().is_some_and(|last| is_recent(*last, now)));
        }
        let recent = self.by_owner.entry(owner.clone()).or_default();
        recent.times.push_back(now);
        if recent.times.len() > MANY {
            recent.times.pop_front();
        }
        let is_conflict =
            recent.times.len() == MANY && recent.times.front().is_some_and(|first| is_recent(*first, now));
        is_conflict.then(|| {
            let is_news = recent.told.is_none_or(|told| !is_recent(told, now));
            if is_news {
                recent.told = Some(now);
            }
            Conflict { is_news }
        })
    }

    /// Returns the number of devices that are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_owner.len()
    }
}

#[cfg(test)]
mod tests {
    use moorline_protocol::{AppName, DeviceId, UserName};

    use super::*;

    fn owner(n: u32) -> Owner {
        let device = DeviceId::new(&format!("device-number-{n:04}")).unwrap();
        Owner { app: AppName::new("default").unwrap(), user: UserName::new("alice").unwrap(), device }
    }

    #[test]
    fn the_third_within_a_minute_is_a_conflict_and_news_once_a_minute() {
        let mut takeovers = Takeovers::default();
        let mut count = |ms: u64| takeovers.count(&owner(0), 1_000_000 + ms);
        assert_eq!([count(0), count(20_000)], [None; 2]);
        assert_eq!(count(59_999), Some(Conflict { is_news: true }));
        assert_eq!(count(70_000), Some(Conflict { is_news: false }));
        assert_eq!(count(119_000), Some(Conflict { is_news: false }));
        assert_eq!(count(120_000), Some(Conflict { is_news: true }));
        assert_eq!([count(181_000), count(241_000)], [None; 2], "once a minute is none");
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut takeovers = Takeovers::default();
        for n in 0..100 {
            takeovers.count(&owner(n), u64::from(n) * 10_000);
        }
        assert!(takeovers.len() <= 12, "{}", takeovers.len());
    }
}
