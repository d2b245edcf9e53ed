use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};

use super::post::{Refusal, Target, begin, exchange};

/// Bytes of an answer's body that are read.
const MOST: usize = 64 * 1024;

/// Sends a request as it is, to the target's URL, and returns the answer, whatever its status. Nothing is signed.
///
/// # Errors
/// [`Refusal`]: all but `Status`.
pub(crate) async fn forward(target: &Target, request: Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
    let (head, body) = request.into_parts();
    let mut sent = begin(target, head.method)?.body(Full::new(body)).map_err(|_| Refusal::Url)?;
    sent.headers_mut().extend(head.headers);
    let (head, body) = exchange(target, sent, Some(MOST)).await?;
    Ok(Response::from_parts(head, body))
}
