use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::http::request::Builder;
use hyper::http::response::Parts;
use hyper::{HeaderMap, Method, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::guard::is_public;
use super::retry::RetryAfter;
use super::sign::{Secret, sign};

/// Where requests go, and what they are signed with.
#[derive(Clone)]
pub struct Target {
    /// `http` or `https`, with a host.
    pub url: Uri,
    /// The current secret, and for a while the one before.
    pub secrets: Vec<Secret>,
    /// Whether it may have a private address, and do without TLS.
    pub allow_private: bool,
    /// For an answer, from resolving the name to its last byte that is read.
    pub within: Duration,
    /// What is trusted beside the certificates of the web.
    roots: Vec<CertificateDer<'static>>,
    /// All that is trusted: made once, as it reads some 150 certificates.
    tls: Arc<rustls::ClientConfig>,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        let Self { url, secrets, allow_private, within, roots, tls: _ } = self;
        (url, secrets, allow_private) == (&other.url, &other.secrets, &other.allow_private)
            && (within, roots) == (&other.within, &other.roots)
    }
}

impl Eq for Target {}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({})", self.url)
    }
}

impl Target {
    /// Makes a target; `roots` are trusted beside the certificates of the web.
    pub fn new(
        url: Uri,
        secrets: Vec<Secret>,
        roots: &[CertificateDer<'static>],
        allow_private: bool,
        within: Duration,
    ) -> Self {
        let mut trusted = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        trusted.add_parsable_certificates(roots.iter().cloned());
        let tls = rustls::ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
        Self { url, secrets, allow_private, within, roots: roots.to_vec(), tls: Arc::new(tls) }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `webhook-id`: the same for the same thing, however often it is sent.
    pub id: &'a str,
    /// `webhook-timestamp`: s since 1970.
    pub timestamp: u64,
    /// JSON.
    pub body: Bytes,
    /// Bytes of the answer's body that are read; `None`: none at all.
    pub most: Option<usize>,
    /// Other headers, such as `traceparent`.
    pub headers: HeaderMap,
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Any status, redirects among them.
    pub status: StatusCode,
    /// When it wants to be asked again, if it says so.
    pub retry_after: Option<RetryAfter>,
    /// The body, or nothing where it was not asked for.
    pub body: Bytes,
}

/// Why there is no answer, or none of use.
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
    #[error("{0} is not a public address; `allow_private` lets such ones be used")]
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
    /// The answer's body is larger than may be.
    #[error("answered more than {0} bytes")]
    Large(usize),
    /// The URL cannot be used.
    #[error("the URL has no host")]
    Url,
}

/// Sends one request on a connection of its own and returns its answer, whatever its status.
///
/// # Errors
/// [`Refusal`]: all but `Status`.
pub async fn send(target: &Target, request: Request<'_>) -> Result<Reply, Refusal> {
    let most = request.most;
    let (head, body) = exchange(target, head(target, request)?, most).await?;
    Ok(Reply::of(&head, body))
}

impl Reply {
    pub(super) fn of(head: &Parts, body: Bytes) -> Self {
        let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| RetryAfter::parse(value.to_str().ok()?));
        Self { status: head.status, retry_after, body }
    }
}

/// Sends one request and returns the head of its answer, and the body if it was asked for.
pub(super) async fn exchange(
    target: &Target,
    request: hyper::Request<Full<Bytes>>,
    most: Option<usize>,
) -> Result<(Parts, Bytes), Refusal> {
    let late = Refusal::Late(target.within.as_millis() as u64);
    tokio::time::timeout(target.within, try_exchange(target, request, most)).await.unwrap_or(Err(late))
}

async fn try_exchange(
    target: &Target,
    request: hyper::Request<Full<Bytes>>,
    most: Option<usize>,
) -> Result<(Parts, Bytes), Refusal> {
    let (mut sender, connection) = handshake(dial(target).await?).await?;
    let answer = async move {
        let answer = sender.send_request(request).await.map_err(Refusal::Http)?;
        read(answer, most).await
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            // The answer may have come with the end.
            Ok(()) => answer.await,
            Err(error) => Err(Refusal::Http(error)),
        },
    }
}

/// What bytes go through.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Makes a connection, with TLS where the URL says so.
pub(super) async fn dial(target: &Target) -> Result<Box<dyn Wire>, Refusal> {
    let host = target.url.host().ok_or(Refusal::Url)?.trim_start_matches('[').trim_end_matches(']');
    let secure = target.url.scheme_str() != Some("http");
    let port = target.url.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = connect(host, port, target.allow_private).await?;
    if !secure {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Refusal::Url)?;
    let stream = TlsConnector::from(Arc::clone(&target.tls)).connect(name, stream).await.map_err(Refusal::Tls)?;
    Ok(Box::new(stream))
}

/// Begins to speak HTTP.
pub(super) async fn handshake(
    wire: Box<dyn Wire>,
) -> Result<(SendRequest<Full<Bytes>>, Connection<TokioIo<Box<dyn Wire>>, Full<Bytes>>), Refusal> {
    let mut http = hyper::client::conn::http1::Builder::new();
    http.max_buf_size(MOST_HEAD).handshake(TokioIo::new(wire)).await.map_err(Refusal::Http)
}

/// Reads an answer as far as it is wanted.
pub(super) async fn read(answer: Response<Incoming>, most: Option<usize>) -> Result<(Parts, Bytes), Refusal> {
    let (head, body) = answer.into_parts();
    let Some(most) = most else { return Ok((head, Bytes::new())) };
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok((head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::Large(most)),
        Err(error) => Err(error.downcast().map_or(Refusal::Large(most), |error| Refusal::Http(*error))),
    }
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
            Ok(stream) => {
                // It is only slower without.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => refusal = Refusal::Connect(error),
        }
    }
    Err(refusal)
}

/// Makes a request.
pub(super) fn head(target: &Target, request: Request<'_>) -> Result<hyper::Request<Full<Bytes>>, Refusal> {
    let signature = sign(&target.secrets, request.id, request.timestamp, &request.body);
    let mut head = begin(target, Method::POST)?
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", request.id)
        .header("webhook-timestamp", request.timestamp)
        .header("webhook-signature", signature)
        .body(Full::new(request.body))
        .map_err(|_| Refusal::Url)?;
    head.headers_mut().extend(request.headers);
    Ok(head)
}

/// Begins the head of a request.
pub(super) fn begin(target: &Target, method: Method) -> Result<Builder, Refusal> {
    let path = target.url.path_and_query().map_or("/", |path| path.as_str());
    let path: Uri = path.parse().map_err(|_| Refusal::Url)?;
    let authority = target.url.authority().ok_or(Refusal::Url)?;
    let host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    let agent = concat!("moorline-server/", env!("CARGO_PKG_VERSION"));
    Ok(hyper::Request::builder().method(method).uri(path).header(HOST, host).header(USER_AGENT, agent))
}

/// Bytes that an answer may have before its body.
const MOST_HEAD: usize = 16 * 1024;
