use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use moorline_core::protocol::{CloseCode, Codec};
use moorline_core::{Input, TransportId};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::driver::{Happened, arrived, closed, tell};

/// What goes out on a socket.
pub(crate) enum Outgoing {
    Message(Bytes),
    Close(CloseCode),
}

/// Bytes of a message from the server: a page and its frame, generously.
const MAX_MESSAGE: usize = 4 << 20;
/// A goodbye takes at most this long.
const GOODBYE: Duration = Duration::from_secs(2);

/// Opens a socket and runs it to its end; what happens is told to the driver.
pub(crate) async fn run(
    id: TransportId,
    url: String,
    queue: mpsc::UnboundedReceiver<Outgoing>,
    happened: mpsc::UnboundedSender<Happened>,
) {
    let code = match connect(id, &url, queue, &happened).await {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(%error, url, "the connection ended");
            None
        }
    };
    tell(&happened, closed(id, code));
}

async fn connect(
    id: TransportId,
    url: &str,
    queue: mpsc::UnboundedReceiver<Outgoing>,
    happened: &mpsc::UnboundedSender<Happened>,
) -> Result<Option<u16>, Error> {
    let mut request = url.into_client_request()?;
    let protocol = HeaderValue::from_static(Codec::BINARY_SUBPROTOCOL);
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let secure = request.uri().scheme_str() == Some("wss");
    let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = request.uri().port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    if secure {
        let name =
            rustls::pki_types::ServerName::try_from(host).map_err(|error| Error::Io(std::io::Error::other(error)))?;
        let stream = TlsConnector::from(Arc::new(tls()?)).connect(name, stream).await?;
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        drive(id, socket, queue, happened).await
    } else {
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        drive(id, socket, queue, happened).await
    }
}

fn tls() -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::Io(std::io::Error::other(error)))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn drive<S>(
    id: TransportId,
    socket: tokio_tungstenite::WebSocketStream<S>,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    happened: &mpsc::UnboundedSender<Happened>,
) -> Result<Option<u16>, Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    tell(happened, Input::TransportOpened { id });
    let (mut sink, mut stream) = socket.split();
    let write = async {
        while let Some(outgoing) = queue.recv().await {
            match outgoing {
                Outgoing::Message(bytes) => sink.send(Message::Binary(bytes)).await?,
                Outgoing::Close(code) => {
                    let frame = CloseFrame { code: code.0.into(), reason: "".into() };
                    // Whoever does not take a goodbye in time is left.
                    let _ = tokio::time::timeout(GOODBYE, sink.send(Message::Close(Some(frame)))).await;
                    break;
                }
            }
        }
        Ok(None)
    };
    let read = async {
        while let Some(message) = stream.next().await {
            match message? {
                Message::Binary(bytes) => {
                    if !tell(happened, arrived(id, bytes)) {
                        break;
                    }
                }
                Message::Close(frame) => return Ok(frame.map(|frame| u16::from(frame.code))),
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                    tell(happened, Input::Activity { id });
                }
            }
        }
        Ok(None)
    };
    tokio::select! { result = write => result, result = read => result }
}
