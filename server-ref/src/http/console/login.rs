//! Log-in, log-out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moorline_protocol::ErrorCode;
use moorline_protocol::time::UnixMillis;
use rand_core::RngCore;
use serde::{Deserialize, Serialize};

use super::super::body::Body;
use super::super::problem::{Problem, malformed};
use super::super::serve::Peer;
use super::super::{Api, keys, lock};
use super::guard::{COOKIE, Session};
use super::sessions::LoggedIn;
use super::{Console, ConsoleKey};

/// Bytes of a body with a key.
const MAX_BODY: usize = 1_024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    key: String,
}

/// Who is logged in.
#[derive(Serialize)]
pub(super) struct Who {
    /// The name of the key.
    name: String,
    /// Whether it may only look.
    read_only: bool,
    /// When the session ends, ms since 1970.
    expires: UnixMillis,
    /// The URL of WebSockets, where it is not that of the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<String>,
}

impl Who {
    fn new(who: &LoggedIn, console: &Console, headers: &HeaderMap) -> Self {
        let socket = console.socket(headers);
        Self { name: who.name.to_string(), read_only: who.read_only, expires: who.expires, socket }
    }
}

/// Begins a session.
pub(super) async fn login(
    State(api): State<Arc<Api>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (console, now) = (api.console()?, api.unix());
    let address = api.client_of(peer, &headers);
    lock(&console.attempts).may(address, now).map_err(|after| {
        Problem::new(&ErrorCode::LimitRate, "too many log-ins of this address have failed; wait").after(after)
    })?;
    if body.0.len() > MAX_BODY {
        return Err(malformed("a log-in is an object with the `key`"));
    }
    // What is wrong with it is not said: it may quote the key.
    let shown: Shown =
        serde_json::from_slice(&body.0).map_err(|_| malformed("a log-in is an object with the `key`"))?;
    let Some(who) = console.known(&api.live().console_keys, &keys::hash(shown.key.trim()), now) else {
        lock(&console.attempts).fail(address, now);
        tracing::warn!(%address, "console: a log-in failed");
        return Err(Problem::new(&ErrorCode::AuthInvalid, "this is not a key to the console, or not any more"));
    };
    tracing::info!(key = &*who.name, %address, "console: logged in");
    let mut random = [0; 32];
    lock(&api.random).fill_bytes(&mut random);
    let cookie = URL_SAFE_NO_PAD.encode(random);
    let seconds = who.expires.saturating_sub(now) / 1_000;
    let answer = Json(Who::new(&who, console, &headers));
    lock(&console.sessions).begin(keys::hash(&cookie), who, now);
    Ok(([(header::SET_COOKIE, set_cookie(&cookie, seconds, &headers))], answer).into_response())
}

/// Says who is logged in.
pub(super) async fn who(
    State(api): State<Arc<Api>>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
) -> Result<Json<Who>, Problem> {
    Ok(Json(Who::new(&session.who, api.console()?, &headers)))
}

/// Ends the session.
pub(super) async fn logout(
    State(api): State<Arc<Api>>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    lock(&api.console()?.sessions).end(&session.hash);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie("", 0, &headers))]).into_response())
}

impl Console {
    /// Finds whose key has this hash. All are compared, each in the same time. What is good once is used up.
    fn known(&self, keys: &[ConsoleKey], hash: &[u8; 32], now: UnixMillis) -> Option<LoggedIn> {
        let end = now + self.config.session.as_millis() as u64;
        let mut found = None;
        for key in keys {
            let is_good = key.expires.is_none_or(|at| at > now);
            if keys::is_same(&key.hash, hash) && is_good {
                let expires = key.expires.map_or(end, |at| at.min(end));
                found = Some(LoggedIn { name: Arc::clone(&key.name), key: *hash, read_only: key.read_only, expires });
            }
        }
        let mut once = lock(&self.once);
        if once.as_ref().is_some_and(|once| keys::is_same(once, hash)) {
            *once = None;
            found = Some(LoggedIn { name: "dev".into(), key: *hash, read_only: false, expires: end });
        }
        found
    }
}

/// `Secure` where the page came by TLS, which ends at the proxy.
fn set_cookie(value: &str, seconds: u64, headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let by_tls = text("origin").starts_with("https://") || text("x-forwarded-proto").eq_ignore_ascii_case("https");
    let secure = if by_tls { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_secure_where_the_page_came_by_tls() {
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            set_cookie("x", 60, &headers)
        };
        let plain = "moorline-console=x; Path=/console; Max-Age=60; HttpOnly; SameSite=Strict";
        assert_eq!(with("origin", "http://127.0.0.1:8000"), plain);
        assert_eq!(with("origin", "https://ops.example.com"), format!("{plain}; Secure"));
        assert_eq!(with("x-forwarded-proto", "https"), format!("{plain}; Secure"));
    }
}
