//! Traces for OpenTelemetry: what a request, a publish, a call-out and a webhook took.
//!
//! They are off unless [`start`] finds an endpoint in the standard variables (`OTEL_EXPORTER_OTLP_ENDPOINT`); then a span is
//! one look at an empty [`OnceLock`]. Spans carry names of apps, channels, hooks and routes, codes and counts: never payloads,
//! tokens, keys, or names of users. See `docs/adr/0030-traces.md`.

mod export;
mod settings;

use std::sync::OnceLock;
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use self::export::Client;
pub use self::settings::BadTraces;
use self::settings::Settings;

/// How long the last spans may take to leave when the server stops.
const LAST: Duration = Duration::from_secs(2);
/// The name of the service, where the environment has none.
const SERVICE: &str = "moorline-server";

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Spans are exported while this lives.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

/// Begins to export spans if the environment says where to. To be called once, before a server starts.
///
/// # Errors
/// [`BadTraces`]: a variable that is set means nothing, or something that is not supported.
pub fn start() -> Result<Option<Traces>, BadTraces> {
    let Some(settings) = Settings::of(|name| std::env::var(name).ok())? else { return Ok(None) };
    let client = Client::new(&settings).map_err(BadTraces::system)?;
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build().map_err(BadTraces::system)?;
    let mut resource = Resource::builder();
    if settings.is_nameless {
        resource = resource.with_service_name(SERVICE);
    }
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.with_attribute(version).build())
        .with_batch_exporter(exporter)
        .build();
    // Whoever starts twice goes on with the first one.
    let _ = TRACER.set(provider.tracer(SERVICE));
    tracing::info!("traces are exported");
    Ok(Some(Traces(provider)))
}

impl Traces {
    /// Sends what has not left, for a moment.
    pub fn finish(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST) {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

/// Tells whether there are spans at all.
pub(crate) fn is_on() -> bool {
    TRACER.get().is_some()
}

/// Something that takes time; it ends when this is dropped. Nothing, while traces are off.
#[derive(Debug, Default)]
pub(crate) struct Span(Option<Context>);

impl Span {
    /// Begins to answer a request; one that says of which trace it is a part (`traceparent`) is a part of it.
    pub(crate) fn answering(headers: &HeaderMap, name: impl FnOnce() -> String) -> Self {
        let parent = || TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
        Self::begin(SpanKind::Server, name, parent)
    }

    /// Begins something in the server, as a part of what the current task does.
    pub(crate) fn inside(name: &'static str) -> Self {
        Self::begin(SpanKind::Internal, || name.to_owned(), Context::current)
    }

    /// Begins to ask somebody else.
    pub(crate) fn asking(name: impl FnOnce() -> String) -> Self {
        Self::begin(SpanKind::Client, name, Context::current)
    }

    fn begin(kind: SpanKind, name: impl FnOnce() -> String, parent: impl FnOnce() -> Context) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        let parent = parent();
        let span = tracer.span_builder(name()).with_kind(kind).start_with_context(tracer, &parent);
        Self(Some(parent.with_span(span)))
    }

    /// Says something of it.
    pub(crate) fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// It did not go well; `kind` is one of a few words.
    pub(crate) fn fail(&self, kind: &str) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new("error.type", kind.to_owned()));
            context.span().set_status(Status::error(""));
        }
    }

    /// What is begun by this future is a part of it.
    pub(crate) async fn around<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Some(context) => future.with_context(context.clone()).await,
            None => future.await,
        }
    }

    /// Tells whoever is asked of which trace the request is a part (`traceparent`, `tracestate`).
    pub(crate) fn inject(&self, headers: &mut HeaderMap) {
        if let Some(context) = &self.0 {
            TraceContextPropagator::new().inject_context(context, &mut HeaderInjector(headers));
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

/// Returns the name of a channel as it may be told: that of an inbox is a user's name.
pub(crate) fn destination(channel: &str) -> String {
    if channel.starts_with('@') { "@".to_owned() } else { channel.to_owned() }
}
