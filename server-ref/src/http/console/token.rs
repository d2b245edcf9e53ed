//! Tokens for the page itself: it reads channels live as every client does.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use moorline_protocol::ErrorCode;
use serde::Serialize;
use serde_json::json;

use super::super::problem::Problem;
use super::super::{Api, Caller};

/// The `kid` of such tokens. No key of an app is taken for it: both have to fit.
pub(crate) const KEY_ID: &str = "moorline-console";
/// s for which a token is good; the page asks for the next one.
const GOOD_FOR: u64 = 120;

/// A token for one app.
#[derive(Serialize)]
pub(super) struct Token {
    token: String,
    /// s since 1970.
    expires: u64,
}

/// Makes a token that reads, and does nothing else.
pub(super) async fn make(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Token>, Problem> {
    let now = api.unix() / 1_000;
    let expires = now + GOOD_FOR;
    let claims = json!({
        "aud": caller.app.as_str(), "iat": now, "exp": expires,
        "grants": [{"match": "*", "can": ["subscribe", "history"]}],
    });
    let header = Header { kid: Some(KEY_ID.into()), ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(&api.console()?.sight.secret);
    let internal = |_| Problem::new(&ErrorCode::ServerInternal, "the token could not be signed");
    let token = jsonwebtoken::encode(&header, &claims, &key).map_err(internal)?;
    Ok(Json(Token { token, expires }))
}
