use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use moorline_protocol::AppName;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, String)>;

/// What became of calls, and how long it took.
#[derive(Clone, Debug)]
pub struct Numbers {
    calls: Family<Labels, Counter<u64, AtomicU64>>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    open: Family<Labels, Gauge<i64, AtomicI64>>,
}

/// Upper bounds of the histogram's buckets, in s.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

impl Default for Numbers {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self { calls: Family::default(), seconds: Family::new_with_constructor(histogram), open: Family::default() }
    }
}

impl Numbers {
    /// A call is over.
    pub(super) fn count(&self, app: &AppName, kind: &str, outcome: &str, took: Duration) {
        let labels = |rest: Option<&str>| {
            let mut labels = vec![("app", app.to_string()), ("kind", kind.to_owned())];
            labels.extend(rest.map(|outcome| ("outcome", outcome.to_owned())));
            labels
        };
        self.calls.get_or_create(&labels(Some(outcome))).inc();
        self.seconds.get_or_create(&labels(None)).observe(took.as_secs_f64());
    }

    pub(super) fn breaker(&self, app: &AppName, name: &str, closed: bool) {
        let labels = vec![("app", app.to_string()), ("callout", name.to_owned())];
        self.open.get_or_create(&labels).set(i64::from(!closed));
    }

    /// A call-out is not there any more.
    pub(super) fn forget(&self, app: &AppName, name: &str) {
        self.open.remove(&vec![("app", app.to_string()), ("callout", name.to_owned())]);
    }

    /// Adds them to what is shown.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("callouts", "Questions to apps' backends, by what became of them", self.calls.clone());
        registry.register("callout_seconds", "How long questions to apps' backends took, in s", self.seconds.clone());
        registry.register("callout_open", "Whether a call-out is left alone, after failures", self.open.clone());
    }
}
