//! What a backend does about users.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use moorline_protocol::{UserName, limits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::problem::{Problem, malformed};
use super::read::foreign;
use super::rights::Right;
use super::{Api, Caller};
use crate::engine::{Command, Completion, Revocation, StatusQuery};

/// Which users.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusAsked {
    /// At most 500 names.
    #[schema(max_items = 500)]
    users: Vec<String>,
}

/// Whether users have a connection.
#[derive(Serialize, ToSchema)]
pub(super) struct Statuses {
    /// By name.
    users: BTreeMap<String, UserStatus>,
}

/// Whether a user has a connection.
#[derive(Serialize, ToSchema)]
pub(super) struct UserStatus {
    /// Whether there is one.
    online: bool,
    /// Since when, ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

/// Reads whether users are online.
#[utoipa::path(
    post,
    path = "/v1/apps/{app}/users/status",
    tag = "users",
    operation_id = "readStatus",
    params(("app" = String, Path, description = "The app.", pattern = "^[A-Za-z0-9_.-]{1,64}$")),
    request_body(content = StatusAsked),
    responses(
        (status = 200, description = "All that were asked for.", body = Statuses),
        (status = 403, description = "The key may not do this, or not here.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "The request was refused.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
)]
pub(super) async fn status(State(api): State<Arc<Api>>, caller: Caller, body: Body) -> Result<Json<Statuses>, Problem> {
    caller.must(Right::Status)?;
    let asked: StatusAsked = body.read()?;
    if asked.users.len() > limits::STATUS_USERS {
        return Err(malformed("`users` has 500 names at most"));
    }
    let users = asked.users.iter().map(|user| user_name(user)).collect::<Result<_, _>>()?;
    let query = StatusQuery { app: caller.app, users, watch: false };
    let Completion::Statuses(users) = api.ask(Command::Status(query)).await? else { return Err(foreign()) };
    let status =
        |of: moorline_protocol::UserStatus| (of.user.to_string(), UserStatus { online: of.online, since: of.since });
    Ok(Json(Statuses { users: users.into_iter().map(status).collect() }))
}

/// What was ended.
#[derive(Serialize, ToSchema)]
pub(super) struct Disconnected {
    /// How many connections there were.
    connections: u32,
}

/// Ends all connections of a user, with close code 4100: its clients fetch a new token before they come back.
#[utoipa::path(
    delete,
    path = "/v1/apps/{app}/users/{user}/connections",
    tag = "users",
    operation_id = "disconnect",
    params(
        ("app" = String, Path, description = "The app.", pattern = "^[A-Za-z0-9_.-]{1,64}$"),
        ("user" = String, Path, description = "The user's name, percent-encoded.", max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f*]+$"),
    ),
    responses(
        (status = 200, description = "They are ended.", body = Disconnected),
        (status = 403, description = "The key may not do this, or not here.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "The request was refused.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
)]
pub(super) async fn disconnect(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Option<Path<(String, String)>>,
) -> Result<Json<Disconnected>, Problem> {
    caller.must(Right::Disconnect)?;
    let Some(Path((_, user))) = path else {
        return Err(malformed("the path is not UTF-8 with what has to be percent-encoded"));
    };
    let ask = Command::Disconnect(caller.app, user_name(&user)?);
    let Completion::Disconnected(connections) = api.ask(ask).await? else { return Err(foreign()) };
    Ok(Json(Disconnected { connections }))
}

/// Which tokens: one by its `jti`, or those of a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevocationAsked {
    /// The token with this `jti`, 1–256 bytes.
    jti: Option<String>,
    /// The tokens of this user.
    user: Option<String>,
    /// Of the user's tokens, those issued before this moment, s since 1970 (default: now).
    issued_before: Option<u64>,
}

/// One token, or those of a user.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema of a body")]
pub(super) enum RevocationBody {
    Token(#[schema(inline)] TokenRevocation),
    User(#[schema(inline)] UserRevocation),
}

/// One token.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema of a body")]
pub(super) struct TokenRevocation {
    /// The token with this `jti`, 1–256 bytes.
    #[schema(min_length = 1, max_length = 256)]
    jti: String,
}

/// The tokens of a user.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema of a body")]
pub(super) struct UserRevocation {
    /// The tokens of this user.
    #[schema(pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f*]+$", max_length = 128)]
    user: String,
    /// Those issued before this moment, s since 1970 (default: now).
    #[schema(minimum = 0, maximum = 9_007_199_254_740_990_u64)]
    issued_before: Option<u64>,
}

/// Revokes tokens, durably, and ends the connections that rest on them with close code 4503.
#[utoipa::path(
    post,
    path = "/v1/apps/{app}/revocations",
    tag = "users",
    operation_id = "revoke",
    params(("app" = String, Path, description = "The app.", pattern = "^[A-Za-z0-9_.-]{1,64}$")),
    request_body(content = RevocationBody),
    responses(
        (status = 204, description = "They are revoked."),
        (status = 403, description = "The key may not do this, or not here.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "The request was refused.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
)]
pub(super) async fn revoke(State(api): State<Arc<Api>>, caller: Caller, body: Body) -> Result<StatusCode, Problem> {
    caller.must(Right::Revoke)?;
    let asked: RevocationAsked = body.read()?;
    let app = caller.app;
    let revocation = match (asked.jti, asked.user, asked.issued_before) {
        (Some(jti), None, None) if (1..=LONGEST_JTI).contains(&jti.len()) => Revocation::Token { app, jti: jti.into() },
        (Some(_), None, None) => return Err(malformed("`jti` is 1 to 256 bytes")),
        (None, Some(_), Some(limits::MAX_SAFE_INTEGER..)) => {
            return Err(malformed("`issued_before` is in s since 1970"));
        }
        (None, Some(user), before) => {
            // A token of this very second is one of before, too.
            let issued_before = before.unwrap_or_else(|| api.unix() / 1_000 + 1);
            Revocation::User { app, user: user_name(&user)?, issued_before }
        }
        _ => return Err(malformed("a revocation has a `jti`, or a `user` and perhaps `issued_before`")),
    };
    let Completion::Revoked = api.ask(Command::Revoke(revocation)).await? else { return Err(foreign()) };
    Ok(StatusCode::NO_CONTENT)
}

/// Bytes: it stands in the log as long as a token can live.
const LONGEST_JTI: usize = 256;

fn user_name(name: &str) -> Result<UserName, Problem> {
    UserName::new(name).map_err(|error| malformed(error.sentence()))
}
