use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CACHE_CONTROL};
use hyper::{Method, StatusCode};

use super::post::{Refusal, Target, begin, exchange};

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The body.
    pub body: Bytes,
    /// How long it may be believed, if its `Cache-Control` says so.
    pub max_age: Option<Duration>,
}

/// Fetches a JSON document of at most so many bytes. Nothing is signed.
///
/// # Errors
/// [`Refusal`], if the answer is not 200 and whole.
pub async fn get(target: &Target, most: usize) -> Result<Document, Refusal> {
    let request = begin(target, Method::GET)?.header(ACCEPT, "application/json").body(Full::new(Bytes::new()));
    let (head, body) = exchange(target, request.map_err(|_| Refusal::Url)?, Some(most)).await?;
    if head.status != StatusCode::OK {
        return Err(Refusal::Status(head.status));
    }
    let lines = head.headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let max_age = lines.flat_map(|line| line.split(',')).find_map(max_age);
    Ok(Document { body, max_age })
}

fn max_age(directive: &str) -> Option<Duration> {
    let (name, value) = directive.split_once('=').unwrap_or((directive, "0"));
    match name.trim().to_ascii_lowercase().as_str() {
        "max-age" => value.trim().trim_matches('"').parse().ok().map(Duration::from_secs),
        "no-store" | "no-cache" => Some(Duration::ZERO),
        _ => None,
    }
}
