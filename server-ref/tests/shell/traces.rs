//! Traces, from the program to a collector that decodes what it gets.

use std::path::Path;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Wrapped, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde_json::json;

use crate::hooks::SECRET;
use crate::hooks::receiver::{Answer, Receiver, Request};
use crate::http::Http;
use crate::support::Wire;
use crate::support::program::{Program, command, ended};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// Stands in payloads, ids and names of users alone.
const PRIVATE: &str = "private-7c41";
const PATIENCE: Duration = Duration::from_secs(60);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(list: &[KeyValue], key: &str) -> String {
    let found = list.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone());
    match found {
        Some(Wrapped { value: Some(AnyValue::StringValue(text)) }) => text,
        Some(Wrapped { value: Some(AnyValue::IntValue(number)) }) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// A collector, and what it has got so far.
struct Collector {
    receiver: Receiver,
    spans: Vec<Span>,
    raw: Vec<u8>,
}

impl Collector {
    fn start() -> Self {
        Self { receiver: Receiver::start(|_| Answer::Status(200)), spans: Vec::new(), raw: Vec::new() }
    }

    /// Waits for a span.
    fn wait_for(&mut self, what: &str, is_it: impl Fn(&Span) -> bool) -> Span {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.spans.iter().find(|span| is_it(span)) {
                return found.clone();
            }
            assert!(Instant::now() < end, "no span of {what}: {:#?}", self.spans);
            let request = self.receiver.request();
            self.take(&request);
        }
    }

    fn take(&mut self, request: &Request) {
        assert_eq!(request.header("content-type"), "application/x-protobuf");
        assert_eq!(request.header("x-tenant"), "moor");
        self.raw.extend_from_slice(&request.body);
        for resource in ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap().resource_spans {
            let of = resource.resource.unwrap().attributes;
            assert_eq!(text(&of, "service.name"), "moorline-server");
            assert_eq!(text(&of, "service.version"), env!("CARGO_PKG_VERSION"));
            self.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
}

fn config(dir: &Path, backend: &Receiver) -> std::path::PathBuf {
    let common = format!("url = \"{}\"\nsecrets = [\"{SECRET}\"]\nallow_private = true\n", backend.url());
    let file = dir.join("moorline.toml");
    let text = format!(
        "[[callouts]]\nname = \"decide\"\nasks = [\"publish\"]\nchannels = [\"room:*\"]\n{common}\
         [[hooks]]\nname = \"tell\"\nevents = [\"message.stored\"]\nchannels = [\"room:*\"]\n{common}"
    );
    std::fs::write(&file, text).unwrap();
    file
}

fn traced(file: &Path, endpoint: &str) -> std::process::Command {
    let mut command = command(["--dev", "--listen", "127.0.0.1:0", "--engine", "memory", "--config"]);
    command.arg(file).env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=moor").env("OTEL_BSP_SCHEDULE_DELAY", "50");
    command
}

fn allow() -> Answer {
    let body = "{\"allow\": true}";
    Answer::Bytes(format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

#[test]
fn requests_publishes_callouts_and_hooks_are_spans_and_nothing_of_a_message_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Receiver::start(|_| allow());
    let mut collector = Collector::start();
    let endpoint = format!("http://{}", collector.receiver.address());
    let server = Program::start(&mut traced(&config(dir.path(), &backend), &endpoint));

    // A backend's request is a part of the backend's trace, down to the log.
    let http = Http::new(server.address(), "dev");
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let body = json!({"channel": "news", "text": PRIVATE, "id": PRIVATE});
    http.post_with("/v1/apps/default/messages", &[("traceparent", &parent)], &body).good();
    let served = collector.wait_for("the request", |span| span.kind == SpanKind::Server as i32);
    assert_eq!(served.name, "POST /v1/apps/{app}/messages");
    assert_eq!((hex(&served.trace_id).as_str(), hex(&served.parent_span_id).as_str()), (TRACE, PARENT));
    assert_eq!(text(&served.attributes, "http.response.status_code"), "200");
    let stored = collector.wait_for("the publish", |span| span.name == "publish");
    assert_eq!((&stored.trace_id, &stored.parent_span_id), (&served.trace_id, &served.span_id));
    assert_eq!(text(&stored.attributes, "messaging.destination.name"), "news");
    assert!(served.start_time_unix_nano <= stored.start_time_unix_nano);
    assert!(stored.end_time_unix_nano <= served.end_time_unix_nano);
    // One whose parent is of no use begins a trace.
    http.send("GET", "/v1/nowhere", &[("traceparent", "00-0-0-00")], None).problem(404, "request.unsupported");
    let lost = collector.wait_for("the other request", |span| span.name == "GET");
    assert!(lost.parent_span_id.is_empty() && hex(&lost.trace_id) != TRACE);
    assert_eq!(text(&lost.attributes, "moorline.code"), "request.unsupported");

    // A client's publish: the backend is asked, and told, each time with the span that waits for it.
    let mut wire = Wire::hello(server.address(), &format!("dev:{PRIVATE}"));
    wire.say(&json!({"t": "publish", "channel": "room:1", "req": 1, "id": PRIVATE, "data": {"text": PRIVATE}}));
    wire.expect("published");
    wire.say(&json!({"t": "publish", "channel": "@me", "req": 2, "id": "b", "data": PRIVATE}));
    wire.expect("published");
    collector.wait_for("a client's publish", |span| text(&span.attributes, "messaging.destination.name") == "room:1");
    collector.wait_for("a publish to an inbox", |span| text(&span.attributes, "messaging.destination.name") == "@");
    for (name, attribute, value) in
        [("callout publish", "moorline.callout", "decide"), ("webhook", "moorline.hook", "tell")]
    {
        let request = backend.request();
        let asked = collector.wait_for(name, |span| span.name == name);
        assert_eq!(asked.kind, SpanKind::Client as i32);
        assert_eq!(text(&asked.attributes, attribute), value);
        assert_eq!(text(&asked.attributes, "http.response.status_code"), "200");
        let expected = format!("00-{}-{}-01", hex(&asked.trace_id), hex(&asked.span_id));
        assert_eq!(request.header("traceparent"), expected, "{name}");
    }
    drop(wire);
    let said = server.stop();
    assert!(said.contains("traces are exported") && !said.contains("cannot be exported"), "{said}");
    assert!(!String::from_utf8_lossy(&collector.raw).contains(PRIVATE), "{:#?}", collector.spans);
}

#[test]
fn the_last_spans_leave_with_a_stop_and_a_sampler_leaves_some_out() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Receiver::start(|_| allow());
    let mut collector = Collector::start();
    let endpoint = format!("http://{}", collector.receiver.address());
    let file = config(dir.path(), &backend);
    let mut command = traced(&file, &endpoint);
    // Only the stop is reason to export.
    command.env("OTEL_BSP_SCHEDULE_DELAY", "3600000").env("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    let server = Program::start(&mut command);
    let http = Http::new(server.address(), "dev");
    http.get("/openapi.json");
    http.send("GET", "/asyncapi.json", &[("traceparent", &format!("00-{TRACE}-{PARENT}-01"))], None);
    server.stop();
    collector.wait_for("the sampled request", |span| span.name == "GET /asyncapi.json");
    assert_eq!(collector.spans.len(), 1, "{:#?}", collector.spans);
}

#[test]
fn without_an_endpoint_nothing_is_traced_and_a_collector_that_refuses_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Receiver::start(|_| allow());
    let file = config(dir.path(), &backend);
    let server = Program::start(traced(&file, "").env_remove("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let mut wire = Wire::hello(server.address(), "dev:alice");
    wire.say(&json!({"t": "publish", "channel": "room:1", "req": 1, "id": "a", "data": 1}));
    wire.expect("published");
    assert_eq!(backend.request().header("traceparent"), "");
    drop(wire);
    assert!(!server.stop().contains("traces"));

    // One that refuses twice, then takes what comes.
    let mut refused = 0;
    let collector = Receiver::start(move |_| {
        refused += 1;
        Answer::Status(if refused <= 2 { 400 } else { 200 })
    });
    let server = Program::start(&mut traced(&file, &format!("http://{}", collector.address())));
    let http = Http::new(server.address(), "dev");
    for _ in 0..3 {
        assert_eq!(http.get("/openapi.json").status, 200);
        collector.request();
    }
    server.wait_for(0, "traces are exported again");
    let said = server.stop();
    assert_eq!(said.matches("traces cannot be exported").count(), 1, "{said}");
}

#[test]
fn a_variable_that_means_nothing_ends_the_start() {
    for (name, value) in [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost")] {
        let mut command = command(["--dev", "--listen", "127.0.0.1:0", "--engine", "memory"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318").env(name, value);
        let (code, said) = ended(command.output().unwrap());
        assert!(code == 2 && said.contains(name) && said.contains(value), "{said}");
    }
}
