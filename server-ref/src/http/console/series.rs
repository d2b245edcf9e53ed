//! What the server was like: a sample every second, for 15 minutes, in memory.

use std::collections::{BTreeMap, VecDeque};

use moorline_protocol::AppName;
use moorline_protocol::time::UnixMillis;
use serde::Serialize;

use super::super::problem::Problem;
use super::super::timed::{self, SyncCounts};
use super::super::{Api, lock};
use crate::engine::{Command, Completion, EngineStats};
use crate::node::AppNumbers;

/// 15 minutes.
const MOST: usize = 900;
/// Names of what a sample's row holds. Rates are per second, times in ms, memory in bytes.
pub(super) const COLUMNS: [&str; 13] = [
    "time",
    "connections",
    "online",
    "channels",
    "published",
    "delivered",
    "behind",
    "dropped",
    "refused",
    "requests",
    "syncs",
    "sync_p99",
    "memory",
];

/// A row: as [`COLUMNS`] says. `None` where there is nothing to say.
pub(super) type Row = [Option<f64>; COLUMNS.len()];

/// An app now.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct AppNow {
    pub(super) app: String,
    pub(super) connections: u64,
    pub(super) online: u64,
    pub(super) members: u64,
    /// Per second.
    pub(super) published: f64,
    /// Per second.
    pub(super) delivered: f64,
    pub(super) behind: u64,
    /// Since the start.
    pub(super) published_total: u64,
}

#[derive(Debug, Default)]
pub(super) struct Series {
    rows: VecDeque<Row>,
    pub(super) apps: Vec<AppNow>,
    before: Option<Totals>,
}

/// What only grows.
#[derive(Clone, Debug, Default)]
struct Totals {
    at: UnixMillis,
    /// Published and delivered.
    apps: BTreeMap<AppName, (u64, u64)>,
    dropped: u64,
    refused: u64,
    requests: u64,
    syncs: SyncCounts,
}

/// What is asked for a sample.
pub(super) struct Asked {
    pub(super) at: UnixMillis,
    pub(super) engine: EngineStats,
    pub(super) shards: BTreeMap<AppName, AppNumbers>,
    pub(super) requests: u64,
    pub(super) syncs: SyncCounts,
    pub(super) memory: Option<u64>,
}

impl Series {
    /// Takes a sample.
    pub(super) fn push(&mut self, asked: Asked) {
        let before = self.before.take();
        let seconds = before.as_ref().map_or(0.0, |before| asked.at.saturating_sub(before.at) as f64 / 1_000.0);
        let rate = |now: u64, then: Option<u64>| match then {
            Some(then) if seconds > 0.0 => now.saturating_sub(then) as f64 / seconds,
            _ => 0.0,
        };
        let mut apps: BTreeMap<&AppName, AppNow> = BTreeMap::new();
        for (app, stats) in &asked.engine.apps {
            let now = apps.entry(app).or_default();
            (now.online, now.members, now.published_total) = (stats.online, stats.members, stats.published);
        }
        for (app, numbers) in &asked.shards {
            let now = apps.entry(app).or_default();
            (now.connections, now.behind) = (numbers.connections, numbers.behind);
        }
        let mut totals = Totals { at: asked.at, requests: asked.requests, syncs: asked.syncs, ..Totals::default() };
        for (app, now) in &mut apps {
            let delivered = asked.shards.get(*app).map_or(0, |numbers| numbers.delivered);
            let then = before.as_ref().map(|before| before.apps.get(*app).copied().unwrap_or_default());
            now.app = app.to_string();
            now.published = rate(now.published_total, then.map(|then| then.0));
            now.delivered = rate(delivered, then.map(|then| then.1));
            totals.apps.insert((*app).clone(), (now.published_total, delivered));
        }
        totals.dropped = asked.shards.values().map(|numbers| numbers.dropped).sum();
        totals.refused = asked.shards.values().flat_map(|numbers| numbers.refused.values()).sum();
        let of = |value: fn(&Totals) -> u64, now: &Totals| rate(value(now), before.as_ref().map(value));
        // The sum of nothing is −0 where it is left to `sum`.
        let sum = |value: fn(&AppNow) -> f64| Some(apps.values().map(value).fold(0.0, |sum, value| sum + value));
        let (syncs, p99) = timed::between(before.as_ref().map(|before| &before.syncs), &totals.syncs);
        self.rows.push_back([
            Some(asked.at as f64),
            sum(|app| app.connections as f64),
            sum(|app| app.online as f64),
            Some(asked.engine.channels as f64),
            sum(|app| app.published),
            sum(|app| app.delivered),
            sum(|app| app.behind as f64),
            Some(of(|totals| totals.dropped, &totals)),
            Some(of(|totals| totals.refused, &totals)),
            Some(of(|totals| totals.requests, &totals)),
            Some(if seconds > 0.0 { syncs as f64 / seconds } else { 0.0 }),
            p99,
            asked.memory.map(|bytes| bytes as f64),
        ]);
        if self.rows.len() > MOST {
            self.rows.pop_front();
        }
        self.apps = apps.into_values().collect();
        self.before = Some(totals);
    }

    /// Returns the rows after a moment.
    pub(super) fn after(&self, time: f64) -> Vec<Row> {
        let is_later = |row: &&Row| row.first().copied().flatten().is_some_and(|at| at > time);
        let mut rows: Vec<Row> = self.rows.iter().rev().take_while(is_later).copied().collect();
        rows.reverse();
        rows
    }
}

/// Takes a sample, if the server has a console. Where somebody does not answer there is none.
pub(in crate::http) async fn sample(api: &Api) {
    let Some(console) = &api.console else { return };
    match ask(api).await {
        Ok(asked) => lock(&console.series).push(asked),
        Err(problem) => tracing::debug!(code = problem.code(), "no sample for the console"),
    }
}

async fn ask(api: &Api) -> Result<Asked, Problem> {
    let Completion::Stats(engine) = api.ask(Command::Stats).await? else { return Err(super::read::foreign()) };
    Ok(Asked {
        engine,
        shards: api.shards().await?,
        at: api.unix(),
        requests: lock(&api.answered).values().sum(),
        syncs: api.sync_times.counts(),
        memory: memory(),
    })
}

/// Returns how much memory the process holds, in bytes, where the system says so.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::AppStats;

    fn asked(at: UnixMillis, published: u64, delivered: u64) -> Asked {
        let app = AppName::new("shop").unwrap();
        let engine = EngineStats {
            apps: vec![(app.clone(), AppStats { published, online: 2, ..AppStats::default() })],
            channels: 7,
            ..EngineStats::default()
        };
        let numbers = AppNumbers { connections: 3, delivered, ..AppNumbers::default() };
        let shards = BTreeMap::from([(app, numbers)]);
        Asked { at, engine, shards, requests: at / 100, syncs: SyncCounts::default(), memory: Some(1 << 20) }
    }

    #[test]
    fn a_server_without_an_app_is_at_zero() {
        let mut series = Series::default();
        let nothing = Asked { engine: EngineStats::default(), shards: BTreeMap::new(), ..asked(1_000, 0, 0) };
        series.push(nothing);
        let rows = series.after(0.0);
        assert!(rows[0].iter().flatten().all(|value| value.is_sign_positive()), "{rows:?}");
    }

    #[test]
    fn rates_are_per_second_and_old_rows_go() {
        let mut series = Series::default();
        series.push(asked(1_000, 500, 500));
        series.push(asked(3_000, 520, 600));
        let rows = series.after(1_000.0);
        let named: BTreeMap<_, _> = COLUMNS.iter().copied().zip(rows[0]).collect();
        assert_eq!((named["time"], named["published"], named["delivered"]), (Some(3_000.0), Some(10.0), Some(50.0)));
        assert_eq!((named["connections"], named["online"], named["requests"]), (Some(3.0), Some(2.0), Some(10.0)));
        assert_eq!((named["sync_p99"], named["channels"]), (None, Some(7.0)));
        let first = series.after(0.0);
        assert_eq!((first.len(), first[0][4]), (2, Some(0.0)), "nothing is known of the time before");
        assert_eq!((series.apps.len(), series.apps[0].published_total), (1, 520));
        for at in 4..=MOST as u64 + 10 {
            series.push(asked(at * 1_000, 520, 600));
        }
        assert_eq!(series.after(0.0).len(), MOST);
    }
}
