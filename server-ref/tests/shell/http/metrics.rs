//! Numbers for whoever runs the server: each is documented, shown on the dashboard, and true.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Http, backend};
use crate::support::program::{Program, command};
use crate::support::{Heard, Wire};

/// Returns the value of a series; 0 where there is none.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// Returns the names of metrics in a text, without what a histogram adds.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let words = words.filter(|word| word.starts_with("moorline_") && *word != "moorline_server");
    words
        .map(|word| word.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count").to_owned())
        .collect()
}

/// Waits for so many messages, whatever else comes.
fn delivered(wire: &mut Wire, mut count: usize) {
    while count > 0 {
        let Heard::Json(frame) = wire.hear() else { panic!("the connection ended") };
        count -= frame["messages"].as_array().map_or(0, Vec::len);
    }
}

#[test]
fn what_happens_is_counted_per_app() {
    let dir = tempfile::tempdir().unwrap();
    let (program, http) = backend(dir.path());
    let mut wires = [Wire::hello(program.address(), "dev:alice"), Wire::hello(program.address(), "dev:bob")];
    for wire in &mut wires {
        wire.say(&json!({"t": "subscribe", "req": 1, "channel": "room", "presence": "join"}));
        wire.expect("subscribed");
    }
    for id in ["1", "2", "2"] {
        http.post("/v1/apps/default/messages", &json!({"channel": "room", "text": "x", "id": id})).good();
    }
    for wire in &mut wires {
        delivered(wire, 2);
    }
    wires[0].say(&json!({"t": "history", "req": 2, "channel": "room", "limit": 0}));
    while !matches!(wires[0].hear(), Heard::Json(frame) if frame["code"] == "request.malformed") {}
    http.get("/v1/apps/default/nothing").problem(404, "request.unsupported");
    let text = http.bare("GET", "/metrics", &[], None).text();
    for (series, expected) in [
        ("moorline_connections{app=\"default\"}", 2.0),
        ("moorline_online_users{app=\"default\"}", 2.0),
        ("moorline_presence_members{app=\"default\"}", 2.0),
        ("moorline_published_total{app=\"default\"}", 2.0),
        ("moorline_duplicates_total{app=\"default\"}", 1.0),
        ("moorline_delivered_total{app=\"default\"}", 4.0),
        ("moorline_behind_readers{app=\"default\"}", 0.0),
        ("moorline_refused_total{app=\"default\",code=\"request.malformed\"}", 1.0),
        ("moorline_http_requests_total{app=\"default\",status=\"200\",code=\"\"}", 3.0),
        ("moorline_http_requests_total{app=\"\",status=\"404\",code=\"request.unsupported\"}", 1.0),
    ] {
        assert!((value(&text, series) - expected).abs() < 0.5, "{series} is not {expected}:\n{text}");
    }
    assert!(value(&text, "moorline_sync_seconds_count") >= 2.0, "{text}");
    assert!(text.ends_with("# EOF\n"));

    let documented = names(include_str!("../../../../docs/metrics.md"));
    let dashboard = include_str!("../../../../deploy/grafana/moorline.json");
    let told: BTreeSet<String> =
        names(&text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
    assert!(told.is_subset(&documented), "not documented: {:?}", told.difference(&documented));
    let alerts = names(include_str!("../../../../deploy/prometheus/alerts.yml"));
    assert!(alerts.is_subset(&documented), "no such metrics: {:?}", alerts.difference(&documented));
    let shown = names(dashboard);
    assert_eq!(shown, documented, "the dashboard shows what is documented");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}

#[test]
fn numbers_are_not_shown_where_clients_come_in() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("moorline.toml");
    let key = format!("sha256:{}", "0".repeat(64));
    let app =
        format!("[[apps]]\nname = \"default\"\nanonymous = true\n[[apps.api_keys]]\nname = \"a\"\nhash = \"{key}\"\n");
    std::fs::write(&path, app).unwrap();
    let start = |own: &[&str]| {
        let mut run = command(["--listen", "127.0.0.1:0", "--engine", "memory", "--config"]);
        Program::start(run.arg(&path).args(own))
    };
    let shared = start(&[]);
    Http::new(shared.address(), "").get("/metrics").problem(404, "feature.disabled");
    let mut own = start(&["--http-listen", "127.0.0.1:0"]);
    assert_eq!(Http::new(own.http_address(), "").bare("GET", "/metrics", &[], None).status, 200);
}
