use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moorline_protocol::AppName;
use moorline_protocol::time::UnixMillis;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Hook;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter<u64, AtomicU64>>;
type Gauges = Family<Labels, Gauge<i64, AtomicI64>>;

/// What the couriers did. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct HookNumbers(Arc<Mutex<BTreeMap<(AppName, String), Counts>>>);

/// What became of one hook's requests and events, and how far it is.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By what became of them.
    pub(super) requests: BTreeMap<&'static str, u64>,
    /// Events that the receiver took.
    pub(super) delivered: u64,
    /// Events that were given up.
    pub(super) given_up: u64,
    /// Events that the log removed before they were read.
    pub(super) lost: u64,
    /// Events that are not settled, as far as is known.
    pub(super) backlog: u64,
    /// When the oldest of them happened.
    pub(super) oldest: Option<UnixMillis>,
    /// Its receiver said that it is gone.
    pub(super) is_gone: bool,
}

impl HookNumbers {
    /// Changes the numbers of a hook.
    pub(super) fn of<T>(&self, hook: &Hook, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(self.lock().entry((hook.app().clone(), hook.name.clone())).or_default())
    }

    /// Forgets all but these hooks.
    pub(super) fn keep(&self, hooks: &[Hook]) {
        self.lock().retain(|(app, name), _| hooks.iter().any(|hook| hook.app() == app && hook.name == *name));
    }

    /// Adds them to what is shown.
    pub fn register(&self, registry: &mut Registry, now: UnixMillis) {
        let (requests, events) = (Counters::default(), Counters::default());
        let (backlog, oldest, gone) = (Gauges::default(), Gauges::default(), Gauges::default());
        for ((app, name), counts) in self.lock().iter() {
            let labels = || vec![("app", app.to_string()), ("hook", name.clone())];
            let with = |outcome: &str| [labels(), vec![("outcome", outcome.to_owned())]].concat();
            for (outcome, count) in &counts.requests {
                requests.get_or_create(&with(outcome)).inc_by(*count);
            }
            let became = [("delivered", counts.delivered), ("given_up", counts.given_up), ("lost", counts.lost)];
            for (outcome, count) in became {
                events.get_or_create(&with(outcome)).inc_by(count);
            }
            backlog.get_or_create(&labels()).set(counts.backlog as i64);
            let age = counts.oldest.map_or(0, |oldest| now.saturating_sub(oldest) / 1_000);
            oldest.get_or_create(&labels()).set(age as i64);
            gone.get_or_create(&labels()).set(i64::from(counts.is_gone));
        }
        registry.register("hook_requests", "Requests of hooks, by what became of them", requests);
        registry.register("hook_events", "Events of hooks that are settled, by how", events);
        registry.register("hook_backlog", "Events that are not settled", backlog);
        registry.register("hook_oldest_seconds", "Age of the oldest of them, in s", oldest);
        registry.register("hook_gone", "1 while nothing is sent, since the receiver answered 410", gone);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(AppName, String), Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
