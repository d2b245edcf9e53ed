//! Before anything is answered: that it is the console's own page that asks, and for whom.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use moorline_protocol::ErrorCode;

use super::super::problem::Problem;
use super::super::{Api, keys, lock};
use super::Console;
use super::sessions::LoggedIn;

/// A request of somebody who is logged in. Only [`guard`] makes one.
#[derive(Clone, Debug)]
pub(in crate::http) struct Session {
    pub(super) who: LoggedIn,
    /// The hash of its cookie.
    pub(super) hash: [u8; 32],
}

impl Session {
    /// Whose ids its messages have. No API key has such a name.
    pub(in crate::http) fn key(&self) -> Arc<str> {
        format!("console/{}", self.who.name).into()
    }
}

/// The name of the session's cookie.
pub(super) const COOKIE: &str = "moorline-console";

/// Lets in who is logged in.
pub(super) async fn guard(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let console = api.console()?;
    is_own(&request)?;
    let out = || Problem::new(&ErrorCode::AuthInvalid, "log in: the session has ended, or there was none");
    let hash = cookie(request.headers()).map(keys::hash).ok_or_else(out)?;
    let mut who = lock(&console.sessions).find(&hash, api.unix()).ok_or_else(out)?;
    // A session may what its key may by the configuration of now; one whose key is gone has ended.
    let live = api.live();
    let key = live.console_keys.iter().find(|key| key.hash == who.key);
    let is_good = key.is_some_and(|key| key.expires.is_none_or(|at| at > api.unix()));
    who.read_only = key.map_or(who.read_only, |key| key.read_only);
    if !is_good && console.config.once != Some(who.key) {
        lock(&console.sessions).end(&hash);
        return Err(out());
    }
    if !request.method().is_safe() {
        let (method, path) = (request.method(), request.uri().path());
        tracing::info!(key = &*who.name, %method, path, "console");
    }
    request.extensions_mut().insert(Session { who, hash });
    Ok(next.run(request).await)
}

/// Keeps out who may only look.
pub(super) async fn may_change(request: Request, next: Next) -> Result<Response, Problem> {
    match request.extensions().get::<Session>() {
        Some(session) if !session.who.read_only => Ok(next.run(request).await),
        _ => Err(refuse("this key may only look (`read_only` in the configuration)")),
    }
}

/// Keeps out what pages of others ask for.
pub(super) async fn own_page(request: Request, next: Next) -> Result<Response, Problem> {
    is_own(&request)?;
    Ok(next.run(request).await)
}

/// A request that changes something says which page it comes from, and that is this server's own. Browsers let no page
/// say otherwise.
fn is_own(request: &Request) -> Result<(), Problem> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let is_here = origin.zip(text(header::HOST)).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host));
    let is_foreign = text(SITE).is_some_and(|site| !matches!(site, "same-origin" | "none"));
    if is_foreign || (!is_here && !request.method().is_safe()) {
        return Err(refuse("only the console's own page may ask this: `Origin` and `Host` are not the same"));
    }
    Ok(())
}

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

fn refuse(text: &str) -> Problem {
    Problem::with_status(StatusCode::FORBIDDEN, &ErrorCode::FeatureDisabled, text)
}

/// Returns what the session's cookie says.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|one| one.trim().split_once('='));
    cookies.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// Nothing of the console is kept, framed or taken for something else.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

impl Api {
    /// Returns the console.
    pub(super) fn console(&self) -> Result<&Console, Problem> {
        self.console.as_ref().ok_or_else(|| Problem::new(&ErrorCode::RequestUnsupported, "there is no console here"))
    }
}
