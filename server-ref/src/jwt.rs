//! Tokens: JWTs with the algorithm pinned per key, and the open door of `--dev`.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ChannelName, ErrorCode, UserName, limits};
use serde::Deserialize;

use crate::node::{AuthFailure, Authenticator, Claims, Grant, Permissions};

/// How far clocks may differ.
const LEEWAY_S: u64 = 5;

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
    apps: Vec<AppKeys>,
    dev: bool,
}

impl Tokens {
    /// Verifies with the keys of these apps.
    pub fn new(apps: Vec<AppKeys>) -> Self {
        Self { apps, dev: false }
    }

    /// Also lets in `dev:<user>` and nobody's connections, with every grant, to every app.
    #[must_use]
    pub fn with_dev(self) -> Self {
        Self { dev: true, ..self }
    }
}

#[derive(Deserialize)]
struct Body {
    sub: Option<String>,
    exp: u64,
    iat: Option<u64>,
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
        _now: UnixMillis,
    ) -> Result<Claims, AuthFailure> {
        let known = self.apps.iter().find(|known| known.name == *app);
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
        verify(token, app, keys)
    }

    fn has_app(&self, app: &AppName) -> bool {
        self.dev || self.apps.iter().any(|known| known.name == *app)
    }
}

fn verify(token: &str, app: &AppName, keys: &[Key]) -> Result<Claims, AuthFailure> {
    let header = decode_header(token).map_err(|_| failure(ErrorCode::AuthInvalid, "the token is not a JWT"))?;
    let fits = |key: &&Key| key.algorithm == header.alg && (header.kid.is_none() || key.id == header.kid);
    let mut refused = failure(ErrorCode::AuthInvalid, "no key of this app fits the token's `alg` and `kid`");
    for key in keys.iter().filter(fits) {
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_audience(&[app.as_str()]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        match decode::<Body>(token, &key.key, &validation) {
            Ok(token) => return claims(token.claims),
            Err(error) => refused = explain(error.kind()),
        }
    }
    Err(refused)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library adds kinds, and all others mean the same")]
fn explain(kind: &ErrorKind) -> AuthFailure {
    match kind {
        ErrorKind::ExpiredSignature => failure(ErrorCode::AuthExpired, "the token has expired; fetch a new one"),
        ErrorKind::InvalidAudience => failure(ErrorCode::AuthInvalid, "the token's `aud` is not this app"),
        ErrorKind::InvalidSignature => failure(ErrorCode::AuthInvalid, "the token's signature is wrong"),
        ErrorKind::ImmatureSignature => failure(ErrorCode::AuthInvalid, "the token is not valid yet (`nbf`)"),
        ErrorKind::MissingRequiredClaim(_) => failure(ErrorCode::AuthInvalid, "the token needs `exp` and `aud`"),
        _ => failure(ErrorCode::AuthInvalid, "the token's claims are not as docs/protocol.md wants them"),
    }
}

fn claims(body: Body) -> Result<Claims, AuthFailure> {
    let invalid = |message| failure(ErrorCode::AuthInvalid, message);
    let user = body.sub.map(|user| UserName::new(&user)).transpose();
    let user =
        user.map_err(|_| invalid("the token's `sub` is not a user's name: 1 to 128 bytes, no control characters"))?;
    let mut grants = Vec::new();
    for grant in body.grants {
        let mut can = Permissions::default();
        for permission in &grant.can {
            can = can.union(match permission.as_str() {
                "subscribe" => Permissions::SUBSCRIBE,
                "publish" => Permissions::PUBLISH,
                "presence" => Permissions::PRESENCE,
                "history" => Permissions::HISTORY,
                // A permission of a later version grants nothing here.
                _ => Permissions::default(),
            });
        }
        grants.push(Grant { pattern: grant.pattern.into(), can });
    }
    let expires = Some(body.exp.saturating_mul(1000));
    Ok(Claims { user, expires, issued: body.iat, id: body.jti.map(Into::into), grants })
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

    fn verified(body: &Value, algorithm: Algorithm, secret: &[u8]) -> Result<Claims, ErrorCode> {
        let token = encode(&Header::new(algorithm), body, &EncodingKey::from_secret(secret)).unwrap();
        let app = AppName::new("shop").unwrap();
        tokens().verify(&app, Some(&token), None, 0).map_err(|failure| failure.code)
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
        assert_eq!(dev.verify(&app, Some("dev:bob"), None, 0).unwrap().user.unwrap().as_str(), "bob");
        assert_eq!(dev.verify(&app, None, None, 0).unwrap().user, None);
        assert_eq!(dev.verify(&app, Some("dev:"), None, 0).unwrap_err().code, ErrorCode::AuthInvalid);
    }
}
