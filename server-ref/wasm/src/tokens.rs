//! Tokens without signatures: a test hands them out, and can make them old.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ChannelName, ErrorCode, UserName};
use moorline_server::node::{AuthFailure, Authenticator, Claims, Grant, Permissions};
use serde::{Deserialize, Serialize};

use crate::settings::GrantRule;

/// What a token of this server begins with; what follows is JSON.
const OURS: &str = "test:";
/// What the tokens of `moorline-server --dev` begin with; a user's name follows.
const DEV: &str = "dev:";
/// How long a token is good after it expired, in ms, as with signed ones.
const LEEWAY_MS: u64 = 5_000;

/// What a token says.
#[derive(Debug, Deserialize, Serialize)]
struct Body {
    user: String,
    /// Orders the tokens of this server.
    n: u64,
    /// s since 1970.
    issued: u64,
    /// ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<Vec<GrantRule>>,
}

/// Hands out tokens and checks them.
#[derive(Debug)]
pub(crate) struct Tokens {
    users: Option<BTreeMap<String, Vec<GrantRule>>>,
    desk: Mutex<Desk>,
}

#[derive(Debug, Default)]
struct Desk {
    issued: u64,
    /// Up to which token of a user all are expired.
    expired: BTreeMap<String, u64>,
    /// s since 1970 from which on a user's tokens are not revoked.
    revoked: BTreeMap<String, u64>,
}

impl Tokens {
    pub(crate) fn new(users: Option<BTreeMap<String, Vec<GrantRule>>>) -> Self {
        Self { users, desk: Mutex::default() }
    }

    /// Makes a token; without grants, it allows what the settings say of its user.
    pub(crate) fn issue(
        &self,
        user: &UserName,
        ttl_ms: Option<u64>,
        grants: Option<Vec<GrantRule>>,
        now: UnixMillis,
    ) -> String {
        let mut desk = self.desk();
        desk.issued += 1;
        let issued = desk.revoked.get(user.as_str()).copied().unwrap_or_default().max(now / 1000);
        let expires = ttl_ms.map(|ttl| now.saturating_add(ttl));
        let body = Body { user: user.as_str().into(), n: desk.issued, issued, expires, grants };
        // A struct of texts and numbers is always JSON.
        format!("{OURS}{}", serde_json::to_string(&body).unwrap_or_default())
    }

    /// All tokens of a user that were handed out so far are expired from now on.
    pub(crate) fn expire(&self, user: &UserName) {
        let mut desk = self.desk();
        let issued = desk.issued;
        desk.expired.insert(user.as_str().into(), issued);
    }

    /// Returns the moment, in s since 1970, before which all tokens of a user were handed out so far; later ones are not.
    pub(crate) fn revoke(&self, user: &UserName, now: UnixMillis) -> u64 {
        let mut desk = self.desk();
        let before = desk.revoked.entry(user.as_str().into()).or_default();
        *before = (*before + 1).max(now / 1000 + 1);
        *before
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claims(&self, body: Body, is_dev: bool, now: UnixMillis) -> Result<Claims, AuthFailure> {
        let user = UserName::new(&body.user).map_err(|_| invalid("a user's name is 1 to 128 bytes"))?;
        let desk = self.desk();
        let made_old = desk.expired.get(&body.user).is_some_and(|until| body.n <= *until);
        let over = |expires: u64| expires.saturating_add(LEEWAY_MS) <= now;
        if made_old || body.expires.is_some_and(over) {
            return Err(AuthFailure {
                code: ErrorCode::AuthExpired,
                message: "the token has expired; fetch a new one",
            });
        }
        let grants = match (&body.grants, &self.users) {
            (Some(own), _) => own.iter().map(GrantRule::grant).collect(),
            (None, None) => everything(),
            (None, Some(users)) => {
                let unknown = "this test server has no such user; add it to `users`";
                users.get(&body.user).ok_or_else(|| invalid(unknown))?.iter().map(GrantRule::grant).collect()
            }
        };
        let issued = (!is_dev).then_some(body.issued);
        Ok(Claims { user: Some(user), expires: body.expires, issued, id: None, grants })
    }
}

impl Authenticator for Tokens {
    fn verify(
        &self,
        _app: &AppName,
        token: Option<&str>,
        _channel: Option<&ChannelName>,
        now: UnixMillis,
    ) -> Result<Claims, AuthFailure> {
        let Some(token) = token else {
            return match self.users {
                None => Ok(Claims { grants: everything(), ..Claims::default() }),
                Some(_) => Err(invalid("a token is needed; this test server has `users`")),
            };
        };
        if let Some(user) = token.strip_prefix(DEV) {
            let body = Body { user: user.into(), n: 0, issued: 0, expires: None, grants: None };
            return self.claims(body, true, now);
        }
        let body = token.strip_prefix(OURS).and_then(|body| serde_json::from_str(body).ok());
        self.claims(body.ok_or_else(|| invalid("not a token of this test server; see server.token()"))?, false, now)
    }

    fn has_app(&self, _app: &AppName) -> bool {
        true
    }
}

fn everything() -> Vec<Grant> {
    vec![Grant { pattern: "*".into(), can: Permissions::ALL }]
}

fn invalid(message: &'static str) -> AuthFailure {
    AuthFailure { code: ErrorCode::AuthInvalid, message }
}
