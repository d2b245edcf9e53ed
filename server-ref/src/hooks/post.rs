//! One request to a receiver, and what came of it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Hook;
use super::guard::is_public;

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No answer in time.
    #[error("no answer within {0} ms")]
    Late(u64),
    /// The name means nothing.
    #[error("cannot resolve the name: {0}")]
    Resolve(std::io::Error),
    /// The name means addresses that are not public.
    #[error("{0} is not a public address; `allow_private` lets a hook use such ones")]
    Private(std::net::IpAddr),
    /// Nobody is there.
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    /// No TLS came about.
    #[error("TLS failed: {0}")]
    Tls(std::io::Error),
    /// What came was no HTTP, or it ended.
    #[error("no valid answer: {0}")]
    Http(hyper::Error),
    /// An answer, but not 2xx. Redirects are not followed.
    #[error("answered {0}")]
    Status(StatusCode),
    /// The URL cannot be used.
    #[error("the URL has no host")]
    Url,
}

/// Sends one body. Taken means: an answer 2xx.
pub(super) async fn post(hook: &Hook, id: &str, timestamp: u64, body: Bytes) -> Result<(), Refusal> {
    let within = std::time::Duration::from_millis(hook.times.answer);
    let sent = tokio::time::timeout(within, send(hook, id, timestamp, body));
    sent.await.unwrap_or(Err(Refusal::Late(hook.times.answer)))
}

async fn send(hook: &Hook, id: &str, timestamp: u64, body: Bytes) -> Result<(), Refusal> {
    let host = hook.url.host().ok_or(Refusal::Url)?.trim_start_matches('[').trim_end_matches(']');
    let secure = hook.url.scheme_str() != Some("http");
    let port = hook.url.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = connect(host, port, hook.allow_private).await?;
    let status = if secure {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Refusal::Url)?;
        let stream = TlsConnector::from(tls(hook)).connect(name, stream).await.map_err(Refusal::Tls)?;
        exchange(stream, request(hook, id, timestamp, body)?).await?
    } else {
        exchange(stream, request(hook, id, timestamp, body)?).await?
    };
    if status.is_success() { Ok(()) } else { Err(Refusal::Status(status)) }
}

/// Connects to an address that the name means now and that may be used.
async fn connect(host: &str, port: u16, allow_private: bool) -> Result<TcpStream, Refusal> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(Refusal::Resolve)?.collect();
    let mut refusal = Refusal::Url;
    for address in addresses {
        if !allow_private && !is_public(address.ip()) {
            refusal = Refusal::Private(address.ip());
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => refusal = Refusal::Connect(error),
        }
    }
    Err(refusal)
}

fn tls(hook: &Hook) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots.add_parsable_certificates(hook.roots.iter().cloned());
    Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn request(hook: &Hook, id: &str, timestamp: u64, body: Bytes) -> Result<Request<Full<Bytes>>, Refusal> {
    let target = hook.url.path_and_query().map_or("/", |path| path.as_str());
    let target: Uri = target.parse().map_err(|_| Refusal::Url)?;
    let authority = hook.url.authority().ok_or(Refusal::Url)?;
    let host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("moorline-server/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", super::sign(&hook.secrets, id, timestamp, &body))
        .body(Full::new(body))
        .map_err(|_| Refusal::Url)
}

/// Sends a request on a connection of its own and reads the head of the answer; its body is nothing to us.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MOST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Refusal::Http)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer.map(|answer| answer.status()).map_err(Refusal::Http),
        ended = &mut connection => match ended {
            // The answer may have come with the end.
            Ok(()) => answer.await.map(|answer| answer.status()).map_err(Refusal::Http),
            Err(error) => Err(Refusal::Http(error)),
        },
    }
}

/// Bytes that an answer may have before its body.
const MOST_HEAD: usize = 16 * 1024;
