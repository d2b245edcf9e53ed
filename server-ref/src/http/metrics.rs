//! `/metrics`: what the shards and the engine say when somebody asks, so that nothing is counted twice or kept in step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use moorline_protocol::{AppName, ErrorCode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;

use super::problem::Problem;
use super::{Api, lock};
use crate::engine::log::DiskWatch;
use crate::engine::{Command, Completion, EngineStats};
use crate::jwt::Tokens;
use crate::node::AppNumbers;
use crate::shard::Question;

/// A shard that does not answer for so long is left out, and so are its numbers.
const WITHIN: Duration = Duration::from_secs(5);

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter<u64, AtomicU64>>;
type Gauges = Family<Labels, Gauge<i64, std::sync::atomic::AtomicI64>>;

/// How many requests about each app of the configuration, or about none, were answered with each status and code.
pub(super) type Answered = BTreeMap<(Option<AppName>, u16, String), u64>;

/// The server's numbers, for Prometheus. On the API's own listener, and in development mode.
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics", security(()),
    responses(
        (status = 200, description = "The numbers; docs/metrics.md names them.", body = String, content_type = "application/openmetrics-text"),
        (status = 404, description = "Not shown here.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The server could not be asked.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    if !api.shows_metrics {
        let text = "numbers are shown on the HTTP API's own listener: set `http_listen`";
        return Err(Problem::with_status(StatusCode::NOT_FOUND, &ErrorCode::FeatureDisabled, text));
    }
    let Completion::Stats(stats) = api.ask(Command::Stats).await? else { return Err(super::read::foreign()) };
    let shards = api.shards().await?;
    let mut registry = Registry::with_prefix("moorline");
    of_engine(&mut registry, &stats);
    of_shards(&mut registry, &shards);
    let answered = Counters::default();
    for ((app, status, code), count) in lock(&api.answered).iter() {
        let app = app.as_ref().map(AppName::to_string).unwrap_or_default();
        let labels = vec![("app", app), ("status", status.to_string()), ("code", code.clone())];
        answered.get_or_create(&labels).inc_by(*count);
    }
    registry.register("http_requests", "Requests of the HTTP API, by app, status and code", answered);
    of_disk(&mut registry, &api.disk);
    if let Some(expires) = api.expiry.get() {
        let gauge = Gauge::<i64, std::sync::atomic::AtomicI64>::default();
        gauge.set(expires);
        registry.register(
            "tls_certificate_expiry_seconds",
            "When the certificate in use expires, in s since 1970",
            gauge,
        );
    }
    registry.register("sync_seconds", "How long fdatasync took, in s", api.sync_times.histogram.clone());
    let (reloads, (done, refused)) = (Counters::default(), api.reloads.counts());
    for (outcome, count) in [("done", done), ("refused", refused)] {
        reloads.get_or_create(&vec![("outcome", outcome.to_owned())]).inc_by(count);
    }
    registry.register("config_reloads", "Reloads of the configuration, by outcome", reloads);
    api.callouts.numbers().register(&mut registry);
    api.hooks.register(&mut registry, api.unix());
    of_issuers(&mut registry, &api.tokens);
    of_operations(&mut registry, &lock(&api.operations).waiting());
    let mut text = String::new();
    let internal = |_| Problem::new(&ErrorCode::ServerInternal, "the numbers could not be written");
    prometheus_client::encoding::text::encode(&mut text, &registry).map_err(internal)?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

impl Api {
    /// Asks all shards for their numbers, and adds them up.
    pub(super) async fn shards(&self) -> Result<BTreeMap<AppName, AppNumbers>, Problem> {
        let mut all: BTreeMap<AppName, AppNumbers> = BTreeMap::new();
        for numbers in self.ask_shards(Question::Numbers).await? {
            for (app, numbers) in numbers {
                let sum = all.entry(app).or_default();
                sum.connections += numbers.connections;
                sum.behind += numbers.behind;
                sum.delivered += numbers.delivered;
                sum.dropped += numbers.dropped;
                for (code, count) in numbers.refused {
                    *sum.refused.entry(code).or_default() += count;
                }
            }
        }
        Ok(all)
    }

    /// Asks all shards the same, and waits for their answers.
    pub(super) async fn ask_shards<T>(
        &self,
        question: impl Fn(oneshot::Sender<T>) -> Question,
    ) -> Result<Vec<T>, Problem> {
        let late = || Problem::new(&ErrorCode::StorageUnavailable, "a shard did not answer in time").after(1_000);
        let mut asked = Vec::new();
        for shard in &self.shards {
            let (ask, answer) = oneshot::channel();
            // One that is asked already, and has not answered, is as good as one that does not.
            shard.try_send(question(ask)).map_err(|_| late())?;
            asked.push(answer);
        }
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(tokio::time::timeout(WITHIN, answer).await.map_err(|_| late())?.map_err(|_| late())?);
        }
        Ok(answers)
    }
}

/// The room of the disk, if messages live on one.
fn of_disk(registry: &mut Registry, disk: &DiskWatch) {
    let Some((free, reserve)) = disk.numbers() else { return };
    for (name, help, value) in [
        ("disk_free_bytes", "Room left on the disk of the data directory", free),
        ("disk_reserve_bytes", "Room that publishes leave free", reserve),
        ("disk_low", "1 while publishes are refused because less is free than that", u64::from(disk.is_low())),
    ] {
        let gauge = Gauge::<i64, std::sync::atomic::AtomicI64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
}

/// The keys that issuers publish.
fn of_issuers(registry: &mut Registry, tokens: &Tokens) {
    let (fetches, keys, ages) = (Counters::default(), Gauges::default(), Gauges::default());
    for (app, issuer, numbers) in tokens.fetched() {
        let labels = || vec![("app", app.to_string()), ("issuer", issuer.clone())];
        for (outcome, count) in [("done", numbers.done), ("failed", numbers.failed)] {
            let with = [labels(), vec![("outcome", outcome.to_owned())]].concat();
            fetches.get_or_create(&with).inc_by(count);
        }
        keys.get_or_create(&labels()).set(numbers.keys as i64);
        // Without a first fetch there is no age: the series is missing.
        if let Some(age) = numbers.age {
            ages.get_or_create(&labels()).set(age.as_secs() as i64);
        }
    }
    registry.register("jwks_fetches", "Fetches of keys that issuers publish, by outcome", fetches);
    registry.register("jwks_keys", "Keys of an issuer that are in use", keys);
    registry.register("jwks_age_seconds", "Time since they were last fetched, in s", ages);
}

/// The operations that are promised and not done.
fn of_operations(registry: &mut Registry, waiting: &[(String, usize)]) {
    let gauges = Gauges::default();
    for (app, count) in waiting {
        gauges.get_or_create(&vec![("app", app.clone())]).set(*count as i64);
    }
    registry.register("operations_waiting", "Asynchronous requests that are promised and not done", gauges);
}

fn of_engine(registry: &mut Registry, stats: &EngineStats) {
    let (published, duplicates) = (Counters::default(), Counters::default());
    let (members, online) = (Gauges::default(), Gauges::default());
    for (app, stats) in &stats.apps {
        let labels = vec![("app", app.to_string())];
        published.get_or_create(&labels).inc_by(stats.published);
        duplicates.get_or_create(&labels).inc_by(stats.duplicates);
        members.get_or_create(&labels).set(stats.members as i64);
        online.get_or_create(&labels).set(stats.online as i64);
    }
    registry.register("published", "Messages stored, by WebSocket and by HTTP", published);
    registry.register("duplicates", "Publishes of a message that was stored before", duplicates);
    registry.register("presence_members", "Members of all channels; a user counts once for each", members);
    registry.register("online_users", "Users with a connection", online);
    for (name, help, value) in [
        ("channels", "Channels that the server knows", stats.channels),
        ("producers_in_memory", "Producers in memory", stats.producers),
        ("cursors_in_memory", "Cursors in memory", stats.cursors),
    ] {
        let gauge = Gauge::<i64, std::sync::atomic::AtomicI64>::default();
        gauge.set(value as i64);
        registry.register(name, help, gauge);
    }
}

fn of_shards(registry: &mut Registry, shards: &BTreeMap<AppName, AppNumbers>) {
    let (connections, behind) = (Gauges::default(), Gauges::default());
    let (delivered, dropped, refused) = (Counters::default(), Counters::default(), Counters::default());
    for (app, numbers) in shards {
        let labels = vec![("app", app.to_string())];
        connections.get_or_create(&labels).set(numbers.connections as i64);
        behind.get_or_create(&labels).set(numbers.behind as i64);
        delivered.get_or_create(&labels).inc_by(numbers.delivered);
        dropped.get_or_create(&labels).inc_by(numbers.dropped);
        for (code, count) in &numbers.refused {
            let labels = vec![("app", app.to_string()), ("code", code.clone())];
            refused.get_or_create(&labels).inc_by(*count);
        }
    }
    registry.register("connections", "Open WebSockets", connections);
    registry.register("behind_readers", "Subscriptions that read the log: catching up, slow, or paused", behind);
    registry.register("delivered", "Messages handed to connections, each of them counted", delivered);
    registry.register("dropped", "Messages at QoS 0 that slow connections were not sent", dropped);
    registry.register("refused", "Errors told to WebSocket clients, by code", refused);
}
