//! The page itself. `console` is its source; `cargo xtask npm --page` makes it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use moorline_protocol::ErrorCode;

use super::super::Api;
use super::super::problem::Problem;
use super::Console;

const PAGE: &[u8] = include_bytes!("../../page/console.html.gz");
/// What the page may do: run itself, and connect to where it comes from.
const POLICY: &str = include_str!("../../page/console.csp");
const CONNECT: &str = "connect-src 'self'";

/// Shows the page: to everybody, as it says nothing of the server.
pub(super) async fn page(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !text(header::ACCEPT_ENCODING).contains("gzip") {
        let text = "the page is sent in gzip: `Accept-Encoding: gzip`";
        return Err(Problem::with_status(StatusCode::NOT_ACCEPTABLE, &ErrorCode::RequestUnsupported, text));
    }
    let policy = POLICY.trim_end();
    let policy = match api.console()?.socket(&headers) {
        Some(socket) => policy.replace(CONNECT, &format!("{CONNECT} {}", origin(&socket))),
        None => policy.to_owned(),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_ENCODING, "gzip".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    Ok((headers, PAGE).into_response())
}

/// Where pages were looked for with a slash.
pub(super) async fn slash() -> Redirect {
    Redirect::permanent("/console")
}

impl Console {
    /// Returns where the page finds WebSockets; `None`: where it comes from.
    pub(super) fn socket(&self, headers: &HeaderMap) -> Option<String> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        self.config.socket.clone().or_else(|| socket(host?, self.sight.socket?))
    }
}

/// The URL of WebSockets on the same host, at another port.
fn socket(host: &str, (scheme, port): (&str, u16)) -> Option<String> {
    let uri: Uri = format!("http://{host}/").parse().ok()?;
    Some(format!("{scheme}://{}:{port}/ws", uri.host()?))
}

/// What of a URL a policy names.
fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("ws", url));
    let host: String = rest.chars().take_while(|c| !matches!(c, '/' | ';' | ',' | ' ')).collect();
    format!("{scheme}://{host}")
}
