//! Problem details (RFC 9457) with the protocol's codes.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use moorline_protocol::ErrorCode;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request, or one message of it, was refused: a problem of RFC 9457.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// What kind of problem; `about:blank`: the status says it.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The HTTP status's words.
    #[schema(example = "Bad Request")]
    title: &'static str,
    /// The HTTP status; of one message among several: the one that it would have had alone.
    #[schema(example = 400)]
    pub(super) status: u16,
    /// What is wrong and what to do, for people.
    detail: String,
    /// The protocol's code, stable.
    #[schema(example = "request.malformed", value_type = String)]
    code: String,
    /// Whether the same request can succeed later.
    pub(super) retry: bool,
    /// ms to wait before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u32>,
    /// The header `X-Request-Id`, which stands in the server's log; not of one message among several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "5f0c2e7a9b1d4c3e8f6a7b8c9d0e1f2a")]
    request_id: Option<String>,
}

impl Problem {
    /// Makes a problem whose status is that of its code.
    pub(super) fn new(code: &ErrorCode, detail: impl Into<String>) -> Self {
        Self::with_status(status_of(code), code, detail)
    }

    pub(super) fn with_status(status: StatusCode, code: &ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.name().to_owned(),
            retry: code.is_retryable(),
            after: None,
            request_id: None,
        }
    }

    /// Says after how many ms it may be tried again.
    #[must_use]
    pub(super) fn after(self, ms: u32) -> Self {
        Self { after: Some(ms), ..self }
    }

    /// Returns the code.
    pub(super) fn code(&self) -> &str {
        &self.code
    }
}

/// The request is not one: malformed JSON, an unknown field, a value out of its range.
pub(super) fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(&ErrorCode::RequestMalformed, detail)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "codes that only clients make, or that HTTP cannot cause")]
fn status_of(code: &ErrorCode) -> StatusCode {
    match code {
        ErrorCode::AuthInvalid | ErrorCode::AuthExpired | ErrorCode::AuthRevoked => StatusCode::UNAUTHORIZED,
        ErrorCode::ChannelDenied | ErrorCode::FeatureDisabled => StatusCode::FORBIDDEN,
        ErrorCode::AppUnknown | ErrorCode::RequestUnsupported => StatusCode::NOT_FOUND,
        ErrorCode::LimitMessage => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::LimitRate => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::PublishReused => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::StorageUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::ServerInternal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The content type of problems.
pub(super) const CONTENT_TYPE: &str = "application/problem+json";

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let after = self.after;
        let told = Told(self.clone());
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some(ms) = after {
            let seconds = HeaderValue::from(ms.div_ceil(1_000).max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"moorline\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response.extensions_mut().insert(told);
        response
    }
}

/// The problem that a response is, for the log and the counters.
#[derive(Clone, Debug)]
pub(super) struct Told(Problem);

impl Told {
    /// Returns its code.
    pub(super) fn code(&self) -> &str {
        &self.0.code
    }

    /// Returns its body with the id of the request in it.
    pub(super) fn body(self, request_id: &str) -> Option<Vec<u8>> {
        serde_json::to_vec(&Problem { request_id: Some(request_id.to_owned()), ..self.0 }).ok()
    }
}
