//! Tokens: JWTs with the algorithm pinned per key, and the open door of `--dev`.

use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ChannelName, ErrorCode, UserName, limits};
use serde::Deserialize;

use crate::http::{AppTokens, KEY_ID, TokenKey};
use crate::jwks::{Fetched, KeySet};
use crate::node::{AuthFailure, Authenticator, Claims, Grant, Permissions};

/// How far the clock of what makes tokens may differ from this server's.
const LEEWAY_MS: u64 = 5_000;

/// An app and the keys its tokens are signed with.
pub struct AppKeys {
    /// The app.
    pub name: AppName,
    /// Its keys.
    pub keys: Vec<Key>,
    /// Whether connections without a token are let in, without grants.
    pub anonymous: bool,
}

/// A key, for one algorithm only.
pub struct Key {
    /// The `kid` of tokens signed with it; a token without one is tried with every key.
    pub id: Option<String>,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What verifies.
    pub key: DecodingKey,
}

/// Verifies tokens for the apps of a server.
#[derive(Default)]
pub struct Tokens {
    known: RwLock<Arc<Known>>,
    dev: bool,
    /// This process's own, for the console.
    console: Option<Key>,
}

#[derive(Default)]
struct Known {
    apps: Vec<AppKeys>,
    /// Keys that issuers publish.
    sets: Vec<(AppName, Arc<KeySet>)>,
}

impl Tokens {
    /// Verifies with the keys of these apps.
    pub fn new(apps: Vec<AppKeys>) -> Self {
        Self { known: RwLock::new(Arc::new(Known { apps, sets: Vec::new() })), ..Self::default() }
    }

    /// Also verifies with the keys that issuers publish for apps. A token that names the issuer is tried with its keys.
    #[must_use]
    pub fn with_sets(self, sets: Vec<(AppName, Arc<KeySet>)>) -> Self {
        let known = self.known.into_inner().unwrap_or_else(PoisonError::into_inner);
        let apps = Arc::try_unwrap(known).map(|known| known.apps).unwrap_or_default();
        Self { known: RwLock::new(Arc::new(Known { apps, sets })), dev: self.dev, console: self.console }
    }

    /// Also lets in `dev:<user>` and nobody's connections, with every grant, to every app.
    #[must_use]
    pub fn with_dev(self) -> Self {
        Self { dev: true, ..self }
    }

    /// Verifies with the keys of other apps from now on. Who is in stays until its token expires.
    pub(crate) fn replace(&self, other: Self) {
        let known = other.known.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Takes over what others fetched from an issuer that is asked as before.
    pub(crate) fn go_on_with(&mut self, others: &Self) {
        let before = others.known();
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = Arc::get_mut(known) {
            for (app, set) in &mut known.sets {
                let mut same = before.sets.iter().filter(|(of, old)| of == app && old.source == set.source);
                same.next().into_iter().for_each(|(_, old)| *set = Arc::clone(old));
            }
        }
    }

    /// Also verifies what this process has signed with a secret of its own, for every app that there is.
    #[must_use]
    pub(crate) fn with_console(self, secret: &[u8]) -> Self {
        let id = Some(KEY_ID.to_owned());
        Self { console: Some(Key { id, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) }), ..self }
    }

    /// Says what tokens are signed with, without any secret.
    pub(crate) fn shown(&self) -> Vec<AppTokens> {
        let all = self.known();
        let key = |key: &Key| TokenKey { id: key.id.clone(), algorithm: format!("{:?}", key.algorithm) };
        let published = |set: &KeySet| TokenKey { id: Some(set.source.issuer.clone()), algorithm: "JWKS".into() };
        let app = |app: &AppKeys| {
            let sets = all.sets.iter().filter(|(of, _)| *of == app.name);
            AppTokens {
                app: app.name.clone(),
                anonymous: app.anonymous,
                keys: app.keys.iter().map(key).chain(sets.map(|(_, set)| published(set))).collect(),
            }
        };
        all.apps.iter().map(app).collect()
    }

    /// Returns the sets of keys that are to be fetched.
    pub(crate) fn sets(&self) -> Vec<Arc<KeySet>> {
        self.known().sets.iter().map(|(_, set)| Arc::clone(set)).collect()
    }

    /// Says of each app's issuers how fetching their keys goes.
    pub(crate) fn fetched(&self) -> Vec<(AppName, String, Fetched)> {
        let known = self.known();
        known.sets.iter().map(|(app, set)| (app.clone(), set.source.issuer.clone(), set.fetched())).collect()
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Times are seconds since 1970, for some libraries with a fraction.
#[derive(Deserialize)]
struct Body {
    sub: Option<String>,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    jti: Option<String>,
    #[serde(default)]
    grants: Vec<GrantBody>,
}

#[derive(Deserialize)]
struct GrantBody {
    #[serde(rename = "match")]
    pattern: String,
    can: Vec<String>,
}

fn failure(code: ErrorCode, message: &'static str) -> AuthFailure {
    AuthFailure { code, message }
}

impl Authenticator for Tokens {
    fn verify(
        &self,
        app: &AppName,
        token: Option<&str>,
        _channel: Option<&ChannelName>,
        now: UnixMillis,
    ) -> Result<Claims, AuthFailure> {
        let all = self.known();
        let known = all.apps.iter().find(|known| known.name == *app);
        if known.is_none() && !self.dev {
            return Err(failure(ErrorCode::AppUnknown, "this server has no such app; check the path of the URL"));
        }
        let everything = || vec![Grant { pattern: Arc::from("*"), can: Permissions::ALL }];
        let Some(token) = token else {
            return match known {
                _ if self.dev => Ok(Claims { grants: everything(), ..Claims::default() }),
                Some(app) if app.anonymous => Ok(Claims::default()),
                _ => Err(failure(ErrorCode::AuthInvalid, "a token is needed; this app lets nobody in without one")),
            };
        };
        if let Some(user) = token.strip_prefix("dev:").filter(|_| self.dev) {
            let invalid = failure(ErrorCode::AuthInvalid, "after `dev:` a user's name is needed, 1 to 128 bytes");
            let user = Some(UserName::new(user).map_err(|_| invalid)?);
            return Ok(Claims { user, grants: everything(), ..Claims::default() });
        }
        if token.len() > limits::TOKEN_BYTES {
            return Err(failure(ErrorCode::AuthInvalid, "the token is larger than 8 KiB"));
        }
        let keys = known.map(|app| app.keys.as_slice()).unwrap_or_default();
        let sets = all.sets.iter().filter(|(of, _)| of == app).map(|(_, set)| set.as_ref());
        claims(verify(token, app, keys.iter().chain(&self.console), sets)?, now)
    }

    fn has_app(&self, app: &AppName) -> bool {
        self.dev || self.known().apps.iter().any(|known| known.name == *app)
    }
}

/// Returns what a token says, if one of the keys has signed it for this app.
fn verify<'a>(
    token: &str,
    app: &AppName,
    keys: impl Iterator<Item = &'a Key>,
    sets: impl Iterator<Item = &'a KeySet>,
) -> Result<Body, AuthFailure> {
    let invalid = |message| failure(ErrorCode::AuthInvalid, message);
    let header =
        decode_header(token).map_err(|_| invalid("the token is not a JWT signed with HS256, RS256, ES256 or EdDSA"))?;
    let sets: Vec<(&KeySet, Arc<Vec<Key>>)> = of_issuer(token, sets).map(|set| (set, set.keys())).collect();
    let published = sets.iter().flat_map(|(set, keys)| keys.iter().map(|key| (key, Some(set.source.issuer.as_str()))));
    let fits = |key: &Key| key.algorithm == header.alg && (header.kid.is_none() || key.id == header.kid);
    let mut refused = invalid("no key of this app fits the token's `alg` and `kid`");
    for (key, issuer) in keys.map(|key| (key, None)).chain(published).filter(|(key, _)| fits(key)) {
        let mut validation = Validation::new(key.algorithm);
        // Times are compared with the server's clock, below.
        validation.validate_exp = false;
        validation.set_audience(&[app.as_str()]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        // It was looked at before: what leads to a key has to be what the key has signed.
        issuer.into_iter().for_each(|issuer| validation.set_issuer(&[issuer]));
        match decode::<Body>(token, &key.key, &validation).map_err(jsonwebtoken::errors::Error::into_kind) {
            Ok(token) => return Ok(token.claims),
            // The signature is right, so it does not matter what another key says.
            Err(ErrorKind::InvalidAudience) => return Err(invalid("the token's `aud` is not this app")),
            Err(ErrorKind::MissingRequiredClaim(_)) => return Err(invalid("the token needs `exp` and `aud`")),
            Err(ErrorKind::Json(_)) => {
                return Err(invalid("the token's claims are not as docs/protocol.md wants them"));
            }
            Err(_) => refused = invalid("the token's signature is wrong"),
        }
    }
    // What an issuer began to sign with after its keys were fetched is found a moment later.
    let may_come = |(set, _): &(&KeySet, Arc<Vec<Key>>)| set.miss(header.kid.as_deref());
    let is_known = |key: &Key| header.kid.is_some() && key.id == header.kid;
    let has_named = sets.iter().any(|(_, keys)| keys.iter().any(is_known));
    if !has_named && sets.iter().filter(|set| may_come(set)).count() > 0 {
        let text = "the keys of the token's issuer are being fetched; try again";
        return Err(failure(ErrorCode::AppUnavailable, text));
    }
    Err(refused)
}

#[derive(Deserialize)]
struct Issued {
    iss: Option<String>,
}

/// Returns the sets of the issuer that a token names. Nothing of it is verified yet.
fn of_issuer<'a>(token: &str, sets: impl Iterator<Item = &'a KeySet>) -> impl Iterator<Item = &'a KeySet> {
    let mut sets = sets.peekable();
    let named = sets.peek().and_then(|_| jsonwebtoken::dangerous::insecure_decode_claims::<Issued>(token).ok()?.iss);
    sets.filter(move |set| named.as_deref() == Some(set.source.issuer.as_str()))
}

fn claims(body: Body, now: UnixMillis) -> Result<Claims, AuthFailure> {
    let invalid = |message| failure(ErrorCode::AuthInvalid, message);
    // Numbers below zero become zero.
    let seconds = |time: f64| time as u64;
    let future = |time: Option<f64>| time.map_or(0, seconds).saturating_mul(1000) > now.saturating_add(LEEWAY_MS);
    let expires = seconds(body.exp).saturating_mul(1000);
    if expires.saturating_add(LEEWAY_MS) <= now {
        return Err(failure(ErrorCode::AuthExpired, "the token has expired; fetch a new one"));
    }
    if future(body.nbf) {
        return Err(invalid("the token is not valid yet (`nbf`)"));
    }
    if future(body.iat) {
        return Err(invalid("the token's `iat` lies in the future; check the clock of what makes tokens"));
    }
    let user = body.sub.map(|user| UserName::new(&user)).transpose();
    let user =
        user.map_err(|_| invalid("the token's `sub` is not a user's name: 1 to 128 bytes, no control characters"))?;
    let grant = |grant: GrantBody| Grant { can: Permissions::of(&grant.can), pattern: grant.pattern.into() };
    let grants = body.grants.into_iter().map(grant).collect();
    let (expires, issued) = (Some(expires), body.iat.map(seconds));
    Ok(Claims { user, expires, issued, id: body.jti.map(Into::into), grants })
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    const FAR: u64 = 4_000_000_000;

    fn tokens() -> Tokens {
        let key = DecodingKey::from_secret(b"secret");
        let keys = vec![Key { id: None, algorithm: Algorithm::HS256, key }];
        Tokens::new(vec![AppKeys { name: AppName::new("shop").unwrap(), keys, anonymous: false }])
    }

    /// s since 1970, at which these tests verify.
    const NOW: u64 = 1_700_000_000;

    fn signed(body: &Value, algorithm: Algorithm, secret: &[u8]) -> String {
        encode(&Header::new(algorithm), body, &EncodingKey::from_secret(secret)).unwrap()
    }

    fn verified(body: &Value, algorithm: Algorithm, secret: &[u8]) -> Result<Claims, ErrorCode> {
        let token = signed(body, algorithm, secret);
        let app = AppName::new("shop").unwrap();
        tokens().verify(&app, Some(&token), None, NOW * 1000).map_err(|failure| failure.code)
    }

    #[test]
    fn a_good_token_says_who_and_what() {
        let grants = json!([{"match": "chat:*", "can": ["subscribe", "publish", "fly"]}]);
        let body = json!({"sub": "alice", "aud": "shop", "exp": FAR, "iat": 5, "jti": "t1", "grants": grants});
        let claims = verified(&body, Algorithm::HS256, b"secret").unwrap();
        assert_eq!(claims.user.unwrap().as_str(), "alice");
        assert_eq!((claims.expires, claims.issued), (Some(FAR * 1000), Some(5)));
        assert!(claims.grants[0].matches("chat:7") && !claims.grants[0].matches("room"));
        assert_eq!(claims.grants[0].can, Permissions::SUBSCRIBE.union(Permissions::PUBLISH));
    }

    #[test]
    fn bad_tokens_are_refused() {
        let body = json!({"sub": "alice", "aud": "shop", "exp": FAR});
        assert_eq!(verified(&body, Algorithm::HS256, b"forged"), Err(ErrorCode::AuthInvalid));
        assert_eq!(verified(&body, Algorithm::HS512, b"secret"), Err(ErrorCode::AuthInvalid));
        let old = json!({"sub": "alice", "aud": "shop", "exp": 1});
        assert_eq!(verified(&old, Algorithm::HS256, b"secret"), Err(ErrorCode::AuthExpired));
        let elsewhere = json!({"sub": "alice", "aud": "bank", "exp": FAR});
        assert_eq!(verified(&elsewhere, Algorithm::HS256, b"secret"), Err(ErrorCode::AuthInvalid));
        let endless = json!({"sub": "alice", "aud": "shop"});
        assert_eq!(verified(&endless, Algorithm::HS256, b"secret"), Err(ErrorCode::AuthInvalid));
    }

    #[test]
    fn times_are_compared_with_the_servers_clock() {
        let times = |exp: Value, nbf: Value, iat: Value| {
            let body = json!({"sub": "alice", "aud": "shop", "exp": exp, "nbf": nbf, "iat": iat});
            verified(&body, Algorithm::HS256, b"secret").map(|claims| claims.expires)
        };
        let (null, good) = (Value::Null, json!(NOW + 60));
        assert_eq!(times(json!(NOW - 4), null.clone(), null.clone()), Ok(Some((NOW - 4) * 1000)));
        assert_eq!(times(json!(NOW - 5), null.clone(), null.clone()), Err(ErrorCode::AuthExpired));
        assert_eq!(times(json!(1), null.clone(), null.clone()), Err(ErrorCode::AuthExpired));
        assert!(times(good.clone(), json!(NOW + 5), null.clone()).is_ok());
        assert_eq!(times(good.clone(), json!(NOW + 6), null.clone()), Err(ErrorCode::AuthInvalid));
        // A token from the future would outlive a revocation of everything issued before now.
        assert!(times(good.clone(), null.clone(), json!(NOW + 5)).is_ok());
        assert_eq!(times(good, null.clone(), json!(NOW + 6)), Err(ErrorCode::AuthInvalid));
        // Some libraries write seconds with a fraction.
        let fraction = times(json!(NOW as f64 + 60.5), json!(NOW as f64 - 0.5), json!(NOW as f64));
        assert_eq!(fraction, Ok(Some((NOW + 60) * 1000)));
        for nonsense in [json!("soon"), json!(-1), null.clone()] {
            assert_eq!(times(nonsense, null.clone(), null.clone()), Err(ErrorCode::AuthInvalid));
        }
    }

    #[test]
    fn while_keys_change_an_expired_token_is_still_expired() {
        let key = |secret: &[u8]| Key { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) };
        let app = AppName::new("shop").unwrap();
        let verify = |keys, body: &Value| {
            let tokens = Tokens::new(vec![AppKeys { name: app.clone(), keys, anonymous: false }]);
            let token = signed(body, Algorithm::HS256, b"old");
            tokens.verify(&app, Some(&token), None, NOW * 1000).map(|_| ()).map_err(|failure| failure.code)
        };
        let old = json!({"sub": "alice", "aud": "shop", "exp": NOW - 60});
        assert_eq!(verify(vec![key(b"old"), key(b"new")], &old), Err(ErrorCode::AuthExpired));
        assert_eq!(verify(vec![key(b"new"), key(b"old")], &old), Err(ErrorCode::AuthExpired));
        let good = json!({"sub": "alice", "aud": "shop", "exp": NOW + 60});
        assert_eq!(verify(vec![key(b"new"), key(b"old")], &good), Ok(()));
        assert_eq!(verify(vec![key(b"new")], &good), Err(ErrorCode::AuthInvalid));
    }

    #[test]
    fn a_token_of_more_than_8_kib_is_not_looked_at() {
        let grants: Vec<Value> = (0..300).map(|n| json!({"match": format!("room:{n}"), "can": ["publish"]})).collect();
        let body = json!({"sub": "alice", "aud": "shop", "exp": FAR, "grants": grants});
        assert_eq!(verified(&body, Algorithm::HS256, b"secret"), Err(ErrorCode::AuthInvalid));
    }

    #[test]
    fn none_and_nonsense_are_refused() {
        let app = AppName::new("shop").unwrap();
        // {"alg":"none"} . {"sub":"alice","aud":"shop","exp":4000000000} .
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImF1ZCI6InNob3AiLCJleHAiOjQwMDAwMDAwMDB9.";
        for token in [Some(none), Some("dev:alice"), Some("x"), Some(""), None] {
            assert_eq!(tokens().verify(&app, token, None, 0).unwrap_err().code, ErrorCode::AuthInvalid, "{token:?}");
        }
        let unknown = AppName::new("bank").unwrap();
        assert_eq!(tokens().verify(&unknown, None, None, 0).unwrap_err().code, ErrorCode::AppUnknown);
    }

    #[test]
    fn dev_lets_everybody_in() {
        let dev = tokens().with_dev();
        let app = AppName::new("any").unwrap();
        assert_eq!(dev.verify(&app, Some("dev:bob"), None, NOW).unwrap().user.unwrap().as_str(), "bob");
        assert_eq!(dev.verify(&app, None, None, 0).unwrap().user, None);
        assert_eq!(dev.verify(&app, Some("dev:"), None, 0).unwrap_err().code, ErrorCode::AuthInvalid);
    }
}
