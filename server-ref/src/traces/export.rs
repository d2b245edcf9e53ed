//! Takes spans to a collector, on the exporter's thread, by the same HTTP and TLS as everything else that leaves the server.

use std::fmt::{self, Debug};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use rustls::pki_types::CertificateDer;
use tokio::runtime::Runtime;

use super::settings::Settings;
use crate::egress::{self, Refusal, Target};

/// For one answer; after it the exporter tries again, or gives the spans up.
const WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Client {
    runtime: Runtime,
    roots: Vec<CertificateDer<'static>>,
    /// Made of the first request: only the exporter knows what the variables come to.
    target: OnceLock<Target>,
    /// Whether the last request failed: that is told once.
    fails: AtomicBool,
}

impl Client {
    /// # Errors
    /// The system's, if there is no runtime to be had.
    pub(super) fn new(settings: &Settings) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, roots: settings.roots.clone(), target: OnceLock::new(), fails: AtomicBool::new(false) })
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let make = || Target::new(request.uri().clone(), Vec::new(), &self.roots, true, WITHIN);
        let target = self.target.get_or_init(make);
        self.runtime.block_on(egress::forward(target, request))
    }

    /// The log says that it fails, and that it does not any more; not each time.
    fn tell(&self, problem: Option<&dyn fmt::Display>) {
        let failed = self.fails.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !failed => {
                tracing::warn!(%problem, "traces cannot be exported; what does not fit is dropped")
            }
            None if failed => tracing::info!("traces are exported again"),
            Some(_) | None => {}
        }
    }
}

impl Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The exporter has a thread of its own, and waits there.
        let answer = self.send(request);
        match &answer {
            Ok(answer) if answer.status().is_success() => self.tell(None),
            Ok(answer) => self.tell(Some(&Refusal::Status(answer.status()))),
            Err(refusal) => self.tell(Some(refusal)),
        }
        Ok(answer?)
    }
}
