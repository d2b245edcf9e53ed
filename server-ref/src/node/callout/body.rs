//! Questions and answers as JSON.

use bytes::Bytes;
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ChannelName, ErrorCode, Hello, Message, Publish, Qos, UserName, Utf8Bytes};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::config::{Claims, Grant, Permissions};
use super::Facts;
use super::rules::CalloutKind;
use crate::engine::SessionId;

/// Bytes of a reason that are passed on.
const MOST_REASON: usize = 512;
/// ms that an answer about a channel is good for, at most.
const MOST_CACHE_MS: u64 = 24 * 3_600_000;

/// A question. What is not known is left out.
#[derive(Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::node) struct Ask<'a> {
    ask: &'static str,
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdk: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Box<RawValue>>,
}

impl<'a> Ask<'a> {
    /// Who asks for something, on an open connection.
    pub(in crate::node) fn of(
        kind: CalloutKind,
        app: &'a AppName,
        session: SessionId,
        user: Option<&'a UserName>,
    ) -> Self {
        let session = Some(format!("{:x}", session.0));
        Self { ask: kind.name(), app: app.as_str(), session, user: user.map(UserName::as_str), ..Self::default() }
    }

    /// Who wants to connect, or to go on with a new token.
    pub(in crate::node) fn connect(
        app: &'a AppName,
        hello: &'a Hello,
        user: Option<&'a UserName>,
        facts: &'a Facts,
    ) -> Self {
        let headers = facts.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        Self {
            ask: CalloutKind::Connect.name(),
            app: app.as_str(),
            user: user.map(UserName::as_str),
            token: hello.token.as_deref(),
            device: hello.device.as_ref().map(moorline_protocol::DeviceId::as_str),
            sdk: hello.sdk.as_deref(),
            address: facts.address.as_deref(),
            headers: Some(headers).filter(|headers: &serde_json::Map<_, _>| !headers.is_empty()),
            ..Self::default()
        }
    }

    pub(in crate::node) fn about(self, channel: &'a ChannelName, qos: Qos) -> Self {
        Self { channel: Some(channel.as_str()), qos: Some(qos as u8), ..self }
    }

    /// Adds what is to be published, as it will be delivered.
    pub(in crate::node) fn with(self, publish: &Publish, time: UnixMillis) -> Self {
        let message = Message {
            offset: None,
            prev: None,
            id: publish.id.clone().unwrap_or_default(),
            user: self.user.map(Utf8Bytes::from),
            time,
            headers: publish.headers.clone(),
            payload: publish.payload.clone(),
        };
        let mut json = Vec::new();
        moorline_protocol::json::encode_message(&message, &mut json);
        Self { message: String::from_utf8(json).ok().and_then(|json| RawValue::from_string(json).ok()), ..self }
    }

    pub(in crate::node) fn body(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// An answer: what it may hold, whatever was asked.
#[derive(Deserialize)]
struct Answer {
    allow: bool,
    reason: Option<String>,
    code: Option<String>,
    user: Option<String>,
    grants: Option<Vec<GrantBody>>,
    expires: Option<f64>,
    can: Option<Vec<String>>,
    cache: Option<f64>,
}

#[derive(Deserialize)]
struct GrantBody {
    #[serde(rename = "match")]
    pattern: String,
    can: Vec<String>,
}

/// No, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct No {
    pub(in crate::node) code: ErrorCode,
    pub(in crate::node) reason: Utf8Bytes,
}

impl No {
    /// The token does not allow a publish.
    pub(in crate::node) fn without_grant() -> Self {
        let reason = Utf8Bytes::from_static("the token has no `publish` grant for this channel");
        Self { code: ErrorCode::ChannelDenied, reason }
    }
}

/// What an answer means; `None`: nothing, as it is not what was asked for.
pub(in crate::node) type Meaning<T> = Option<Result<T, No>>;

/// What a user may do in a channel, and until when without asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct Allowed {
    pub(in crate::node) can: Permissions,
    pub(in crate::node) until: Option<UnixMillis>,
}

/// Reads the answer to `subscribe`.
pub(in crate::node) fn subscribe(body: &[u8], now: UnixMillis) -> Meaning<Allowed> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    if !answer.allow {
        return Some(Err(answer.no(ErrorCode::ChannelDenied, "the app does not let you read this channel")));
    }
    let can = answer.can.as_deref().map_or_else(Permissions::default, Permissions::of);
    let cache = answer.cache.map(|seconds| ((seconds * 1_000.0) as u64).clamp(1_000, MOST_CACHE_MS));
    let until = cache.map(|cache| now.saturating_add(cache));
    Some(Ok(Allowed { can: can.union(Permissions::SUBSCRIBE), until }))
}

/// Reads the answer to `publish`.
pub(in crate::node) fn publish(body: &[u8]) -> Meaning<()> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    if answer.allow {
        return Some(Ok(()));
    }
    Some(Err(answer.no(ErrorCode::ChannelDenied, "the app does not let you publish this")))
}

/// Reads the answer to `connect`; what it does not say is what the token says.
pub(in crate::node) fn connect(body: &[u8], token: &Claims, now: UnixMillis) -> Meaning<Claims> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    if !answer.allow {
        let code = match answer.code.as_deref() {
            None | Some("auth.invalid") => ErrorCode::AuthInvalid,
            Some("auth.expired") => ErrorCode::AuthExpired,
            Some("auth.revoked") => ErrorCode::AuthRevoked,
            Some("app.unavailable") => ErrorCode::AppUnavailable,
            Some(_) => return None,
        };
        return Some(Err(answer.no(code, "the app does not let you in")));
    }
    let user = match (answer.user, &token.user) {
        (None, user) => user.clone(),
        (Some(name), user) => {
            let name = UserName::new(&name).ok()?;
            // Whose token it is was verified; nobody becomes somebody else.
            if user.as_ref().is_some_and(|user| *user != name) {
                return None;
            }
            Some(name)
        }
    };
    let grant = |grant: &GrantBody| Grant { pattern: grant.pattern.as_str().into(), can: Permissions::of(&grant.can) };
    let grants = answer.grants.map_or_else(|| token.grants.clone(), |grants| grants.iter().map(grant).collect());
    let expires = answer.expires.map(|seconds| (seconds * 1_000.0) as u64);
    if expires.is_some_and(|expires| expires <= now) {
        return None;
    }
    let expires = expires.into_iter().chain(token.expires).min();
    // The app vouches now, whatever was revoked before.
    let issued = Some(token.issued.unwrap_or(now / 1_000));
    Some(Ok(Claims { user, expires, issued, id: token.id.clone(), grants }))
}

impl Answer {
    fn no(self, code: ErrorCode, text: &'static str) -> No {
        let reason = match self.reason.filter(|reason| !reason.is_empty()) {
            None => Utf8Bytes::from_static(text),
            Some(reason) => {
                let most = MOST_REASON.min(reason.len());
                let end = (0..=most).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
                Utf8Bytes::from(reason.get(..end).unwrap_or_default())
            }
        };
        No { code, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_answer_means_nothing() {
        for body in ["", "{}", "[]", "{\"allow\": 1}", "{\"allow\": \"yes\"}", "{\"allow\": true", "null"] {
            assert_eq!(subscribe(body.as_bytes(), 0), None, "{body}");
            assert_eq!(publish(body.as_bytes()), None, "{body}");
            assert_eq!(connect(body.as_bytes(), &Claims::default(), 0), None, "{body}");
        }
        for body in [
            r#"{"allow": false, "code": "limit.rate"}"#,
            r#"{"allow": true, "user": ""}"#,
            r#"{"allow": true, "expires": 1}"#,
        ] {
            assert_eq!(connect(body.as_bytes(), &Claims::default(), 5_000), None, "{body}");
        }
    }

    #[test]
    fn times_are_bounded_and_reasons_are_short() {
        let until = |cache: &str| {
            let body = format!("{{\"allow\": true, \"cache\": {cache}}}");
            subscribe(body.as_bytes(), 10).unwrap().unwrap().until
        };
        assert_eq!((until("60"), until("0"), until("-5")), (Some(60_010), Some(1_010), Some(1_010)));
        assert_eq!((until("1e300"), until("null")), (Some(MOST_CACHE_MS + 10), None));
        let body = serde_json::json!({"allow": false, "reason": "ü".repeat(1_000)}).to_string();
        assert_eq!(publish(body.as_bytes()).unwrap().unwrap_err().reason.len(), 512);
        let body = r#"{"allow": false, "reason": ""}"#;
        assert!(publish(body.as_bytes()).unwrap().unwrap_err().reason.len() > 10);
    }

    #[test]
    fn nobody_becomes_somebody_else_and_no_token_lives_longer() {
        let alice = Claims { user: UserName::new("alice").ok(), expires: Some(9_000), ..Claims::default() };
        assert_eq!(connect(br#"{"allow": true, "user": "bob"}"#, &alice, 0), None);
        let claims = connect(br#"{"allow": true, "user": "alice", "expires": 100}"#, &alice, 0).unwrap().unwrap();
        assert_eq!((claims.expires, claims.user), (Some(9_000), alice.user));
    }
}
