//! Bodies of requests: bounded in size and time, JSON, nothing unknown in them.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use moorline_protocol::ErrorCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::message::Few;
use super::problem::{Problem, malformed};
use super::{Api, MAX_BODY};

/// A body as it was sent.
pub(super) struct Body(pub(super) Bytes);

impl FromRequest<Arc<Api>> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        check_type(request.headers())?;
        let too_large = || Problem::new(&ErrorCode::LimitMessage, "a body is 8 MiB at most; send several requests");
        let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > MAX_BODY) {
            return Err(too_large());
        }
        let reading = Limited::new(request.into_body(), MAX_BODY).collect();
        match tokio::time::timeout(api.within, reading).await {
            Ok(Ok(body)) => Ok(Self(body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(malformed("the body could not be read to its end")),
            Err(_) => {
                let status = StatusCode::REQUEST_TIMEOUT;
                Err(Problem::with_status(status, &ErrorCode::RequestTimeout, "the request's body took too long"))
            }
        }
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    let coding = text(header::CONTENT_ENCODING);
    let refuse = |text: &str| {
        Err(Problem::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, &ErrorCode::RequestUnsupported, text))
    };
    if !kind.eq_ignore_ascii_case("application/json") {
        return refuse("a body is JSON: `Content-Type: application/json`");
    }
    if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
        return refuse("a body is sent as it is, without `Content-Encoding`");
    }
    Ok(())
}

impl Body {
    /// Reads the body as one value.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.0).map_err(|error| malformed(error.to_string()))
    }

    /// Reads the body as one value or a list of a [`Few`]; says whether it is a list.
    pub(super) fn read_some<'a, T: Deserialize<'a>>(&'a self) -> Result<(Vec<T>, bool), Problem> {
        let first = self.0.iter().find(|byte| !byte.is_ascii_whitespace());
        let read = if first == Some(&b'[') {
            serde_json::from_slice(&self.0).map(|Few(list)| (list, true))
        } else {
            serde_json::from_slice(&self.0).map(|one| (vec![one], false))
        };
        read.map_err(|error| malformed(error.to_string()))
    }
}
