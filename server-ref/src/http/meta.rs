//! How the server is, and what it can do: without a key.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::Api;
use super::problem::Problem;

/// The parts of the document that no handler says.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Moorline HTTP API",
        description = "What an app's backend asks of a Moorline server. Every request of an app shows a bearer key; errors are problem details (RFC 9457) with the protocol's stable codes.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This server.")),
    tags(
        (name = "messages", description = "Publishing."),
        (name = "channels", description = "Reading channels."),
        (name = "users", description = "Users and their connections."),
        (name = "server", description = "The server itself; no key is needed."),
    ),
    modifiers(&Keys),
    components(schemas(super::read::Message)),
)]
pub(super) struct Document;

struct Keys;

impl utoipa::Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key of the app. The configuration says what it may do, and in which channels."))
            .build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// Says that the process is alive.
#[utoipa::path(
    get, path = "/healthz", tag = "server", operation_id = "healthz", security(()),
    responses((status = 200, description = "It is.", body = String, content_type = "text/plain")),
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Says whether the server takes clients.
#[utoipa::path(
    get, path = "/readyz", tag = "server", operation_id = "readyz", security(()),
    responses(
        (status = 200, description = "It does: `ready`, or `degraded: ` and why, when it serves all but publishes.", body = String, content_type = "text/plain"),
        (status = 503, description = "It is stopping.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Result<String, Problem> {
    if api.is_stopping() {
        return Err(super::publish::stopping());
    }
    Ok(format!("{}\n", super::readiness(&api.disk)))
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "server", operation_id = "openapi", security(()),
    responses((status = 200, description = "The HTTP API in OpenAPI 3.1.", body = serde_json::Value)),
)]
pub(super) async fn openapi(State(api): State<Arc<Api>>) -> Response {
    json(api.openapi.clone())
}

/// The WebSocket side.
#[utoipa::path(
    get, path = "/asyncapi.json", tag = "server", operation_id = "asyncapi", security(()),
    responses((status = 200, description = "The WebSocket protocol's JSON form in AsyncAPI 3.0.", body = serde_json::Value)),
)]
pub(super) async fn asyncapi() -> Response {
    json(super::asyncapi::document())
}

fn json(text: impl Into<axum::body::Body>) -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], text.into()).into_response()
}
