use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use moorline_core::protocol::{CloseCode, Codec, ErrorCode};
use moorline_core::{Failure, Input, Origin, TransportId};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::driver::Happened;
use crate::log::LogLevel;

/// Bytes of a message from the server: a page and its frame, generously.
const MAX_MESSAGE: usize = 4 << 20;
/// A goodbye takes at most this long, whatever is still to be sent before it.
const GOODBYE: Duration = Duration::from_secs(2);
/// An address that does not answer must not keep the next one of the same name from its turn.
const ADDRESS: Duration = Duration::from_secs(3);
/// Bytes written after which the core hears of it, even if more waits.
const TELL: usize = 64 << 10;

/// What goes out on a socket.
pub(crate) enum Outgoing {
    Message(Bytes),
    Close(CloseCode),
}

/// The driver's end of a socket. When it is dropped, the socket has 2 s left.
pub(crate) struct Socket {
    id: TransportId,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
    _open: oneshot::Sender<()>,
}

/// The task's end.
pub(crate) struct Ends {
    id: TransportId,
    queue: mpsc::UnboundedReceiver<Outgoing>,
    waiting: Arc<AtomicUsize>,
    released: oneshot::Receiver<()>,
    happened: mpsc::UnboundedSender<Happened>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Socket {
    pub(crate) fn new(id: TransportId, happened: mpsc::UnboundedSender<Happened>) -> (Self, Ends) {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (open, released) = oneshot::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let ends = Ends { id, queue, waiting: Arc::clone(&waiting), released, happened };
        (Self { id, outgoing, waiting, _open: open }, ends)
    }

    pub(crate) fn id(&self) -> TransportId {
        self.id
    }

    pub(crate) fn send(&self, bytes: Bytes) {
        self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        // A socket that has ended has said so.
        let _ = self.outgoing.send(Outgoing::Message(bytes));
    }

    /// Says goodbye after what is queued.
    pub(crate) fn close(self, code: CloseCode) {
        // As above.
        let _ = self.outgoing.send(Outgoing::Close(code));
    }
}

impl Ends {
    /// Opens the socket and runs it to its end; what happens is told to the driver.
    pub(crate) async fn run(mut self, url: String, tls: Arc<rustls::ClientConfig>) {
        let opened = tokio::select! {
            opened = connect(&url, tls) => opened,
            // Nothing is sent before it is open: it is given up.
            _ = self.queue.recv() => return,
        };
        let id = self.id;
        let input = match opened {
            Ok(socket) => Input::TransportClosed { id, code: self.drive(socket).await.map(CloseCode) },
            Err(failure) => Input::TransportFailed { id, failure },
        };
        self.tell(input);
    }

    async fn drive(&mut self, socket: WebSocketStream<Box<dyn Stream>>) -> Option<u16> {
        let Self { id, queue, waiting, released, happened } = self;
        let (id, tell) = (*id, |input| happened.send(Happened::Input(input)).is_ok());
        tell(Input::TransportOpened { id });
        tell(Input::Buffered { id, bytes: 0 });
        let (mut sink, mut stream) = socket.split();
        let write = async {
            let mut untold = 0;
            while let Some(outgoing) = queue.recv().await {
                let message = match outgoing {
                    Outgoing::Message(bytes) => Message::Binary(bytes),
                    Outgoing::Close(code) => {
                        Message::Close(Some(CloseFrame { code: code.0.into(), reason: "".into() }))
                    }
                };
                let (length, closes) = (message.len(), message.is_close());
                sink.send(message).await?;
                if closes {
                    // The peer ends it.
                    std::future::pending::<()>().await;
                }
                let bytes = waiting.fetch_sub(length, Ordering::Relaxed) - length;
                untold += length;
                if queue.is_empty() || untold >= TELL {
                    untold = 0;
                    tell(Input::Buffered { id, bytes });
                }
            }
            Ok(None)
        };
        let read = async {
            while let Some(message) = stream.next().await {
                let input = match message? {
                    Message::Binary(bytes) => Input::Message { id, bytes },
                    Message::Close(frame) => return Ok(frame.map(|frame| u16::from(frame.code))),
                    Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                        Input::Activity { id }
                    }
                };
                if !tell(input) {
                    break;
                }
            }
            Ok(None)
        };
        let overdue = async {
            // Dropping the other end is the word.
            let _ = released.await;
            tokio::time::sleep(GOODBYE).await;
            Ok(None)
        };
        let ended: Result<_, Error> =
            tokio::select! { result = write => result, result = read => result, result = overdue => result };
        ended.unwrap_or_else(|error| {
            // A driver that has ended needs no word.
            let _ = happened.send(Happened::Line(LogLevel::Debug, format!("the connection broke: {error}")));
            None
        })
    }

    fn tell(&self, input: Input) {
        // A driver that has ended needs no word.
        let _ = self.happened.send(Happened::Input(input));
    }
}

async fn connect(url: &str, tls: Arc<rustls::ClientConfig>) -> Result<WebSocketStream<Box<dyn Stream>>, Failure> {
    let mut request = request(url)?;
    let protocol = HeaderValue::from_static(Codec::BINARY_SUBPROTOCOL);
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let secure = request.uri().scheme_str() == Some("wss");
    let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = request.uri().port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = reach(&host, port)
        .await
        .map_err(|error| failure("transport.unreachable", format!("cannot reach {host}, port {port}: {error}")))?;
    let stream: Box<dyn Stream> = if secure {
        let untrusted = |error: &dyn std::fmt::Display| {
            let text = format!(
                "no trusted TLS connection to {host}: {error}; if the certificate is your own, \
                give its root to Builder::root_certificate"
            );
            failure("transport.tls", text)
        };
        let name = ServerName::try_from(host.clone()).map_err(|error| untrusted(&error))?;
        Box::new(TlsConnector::from(tls).connect(name, stream).await.map_err(|error| untrusted(&error))?)
    } else {
        Box::new(stream)
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
            let why = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let text = format!("{host} takes no clients at the moment (503 {})", why.trim());
            Err(failure("transport.unreachable", text))
        }
        Err(error) => {
            Err(failure("transport.upgrade", format!("{url} does not open as a WebSocket ({error}); check the URL")))
        }
    }
}

/// Reads a URL.
///
/// # Errors
/// `request.malformed` for what is no `ws://` or `wss://` URL with a host.
pub(crate) fn request(url: &str) -> Result<Request, Failure> {
    let malformed = |why: &dyn std::fmt::Display| {
        let text = format!("the URL of a server is ws://host/ws or wss://host/ws, not `{url}`: {why}");
        Failure::new(ErrorCode::RequestMalformed, text, Origin::Client)
    };
    let request = url.into_client_request().map_err(|error| malformed(&error))?;
    // Another port would be a server that nobody meant.
    if request.uri().port_u16().is_none() && names_port(request.uri()) {
        return Err(malformed(&"a port is 1 to 65535"));
    }
    match (request.uri().scheme_str(), request.uri().host()) {
        (Some("ws" | "wss"), Some(host)) if !host.is_empty() => Ok(request),
        _ => Err(malformed(&"it has another scheme, or no host")),
    }
}

/// Tells whether a port is written behind the host.
fn names_port(uri: &Uri) -> bool {
    let place = uri.authority().and_then(|authority| authority.as_str().rsplit('@').next()).unwrap_or_default();
    let behind = place.rsplit_once(']').map_or(place, |(_, behind)| behind);
    behind.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty())
}

/// Connects to the first address of a host that answers.
async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in lookup_host((host, port)).await? {
        match tokio::time::timeout(ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                if let Err(error) = crate::tcp::tune(&stream) {
                    tracing::debug!(%error, "an option of the socket could not be set");
                }
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

fn failure(code: &str, message: String) -> Failure {
    Failure::new(ErrorCode::from_name(code), message, Origin::Transport)
}
