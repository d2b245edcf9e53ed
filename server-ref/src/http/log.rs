//! What the server's own log says of requests: one line each, with the id that the answer carries, too: in a header, and
//! in the body of a problem.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use moorline_protocol::AppName;

use super::problem::Told;
use super::serve::Peer;
use super::{Api, lock};
use crate::net;
use crate::traces::Span;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bytes of an id that a client or a proxy gives.
const LONGEST: usize = 128;

/// Answers a request, and says so. What succeeds is told at the level `debug`, what a client did wrong at `info`.
pub(super) async fn logged(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).filter(|id| is_plain(id.as_bytes())).cloned();
    let id = given.or_else(|| HeaderValue::from_str(&api.random_name()).ok());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let peer = request.extensions().get().map(|Peer(peer)| *peer);
    let client = peer.map(|peer| tracing::field::display(api.client_of(peer, request.headers())));
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let name = || route.as_ref().map_or_else(|| method.to_string(), |route| format!("{method} {route}"));
    let span = Span::answering(request.headers(), name);
    let (mut parts, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
    let app = params.as_ref().and_then(|params| api.configured_app(params));
    let request = Request::from_parts(parts, body);
    let mut response = span.around(next.run(request)).await;
    let request_id = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis() as u64);
    let code = response.extensions().get::<Told>().map(Told::code);
    *lock(&api.answered).entry((app, status, code.unwrap_or_default().to_owned())).or_default() += 1;
    span.set("http.request.method", method.to_string());
    route.into_iter().for_each(|route| span.set("http.route", route));
    span.set("http.response.status_code", i64::from(status));
    span.set("moorline.request_id", request_id.to_owned());
    code.into_iter().for_each(|code| span.set("moorline.code", code.to_owned()));
    if status >= 500 {
        span.fail(code.unwrap_or("500"));
    }
    drop(span);
    match status {
        500.. => tracing::warn!(request_id, client, %method, path, status, code, ms, "request"),
        400..500 => tracing::info!(request_id, client, %method, path, status, code, ms, "request"),
        _ => tracing::debug!(request_id, client, %method, path, status, ms, "request"),
    }
    if let Some(body) = response.extensions_mut().remove::<Told>().and_then(|told| told.body(request_id)) {
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
    }
    response.headers_mut().extend(id.map(|id| (REQUEST_ID, id)));
    response
}

impl Api {
    /// Returns the app that a request is about, whoever makes it, if the configuration names it: so there are not more
    /// than that has.
    fn configured_app(&self, params: &RawPathParams) -> Option<AppName> {
        let app = params.iter().find(|(name, _)| *name == "app").and_then(|(_, app)| AppName::new(app).ok())?;
        self.live().keys.is_configured(&app).then_some(app)
    }

    /// Returns whom a request is from.
    pub(super) fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines = self.forwarded.name().map(|name| headers.get_all(name));
        let lines = lines.into_iter().flatten().map(|line| line.to_str().unwrap_or_default());
        net::client(&self.proxies, self.forwarded, peer, lines.collect::<Vec<_>>().into_iter())
    }
}

fn is_plain(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LONGEST).contains(&id.len()) && id.iter().all(plain)
}
