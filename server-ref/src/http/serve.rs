//! Connections: taken in, bounded, and ended in good order.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Sleep;

use crate::net::{self, Detached, NoTls, Proxies, Stream, Tls};
use crate::ws::Refusal;

/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Pause after an accept that failed (no file descriptors, for instance).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long requests may take to end when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// A connection that came in elsewhere, with what was read of it.
pub struct Handed {
    /// The connection.
    pub stream: Detached,
    /// What was read.
    pub read: Bytes,
    /// Where it comes from, as far as that is known before a request.
    pub from: IpAddr,
    /// What counts it where it came in, until it ends.
    pub seat: Box<dyn Send>,
}

/// What counts a connection: here, and where it came in.
type Place = (OwnedSemaphorePermit, Option<Box<dyn Send>>);

/// See the module's documentation.
pub(super) struct Serving {
    pub(super) router: axum::Router,
    pub(super) within: Duration,
    pub(super) most: usize,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) greeting: Greeting,
}

/// Where a connection comes from: whom a request is from, its headers may tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// A connection that is to be served.
enum Arrived {
    /// One of the own listener.
    New(TcpStream),
    /// One that came in elsewhere, with what was read of it.
    Greeted(Stream, Bytes),
}

/// What connections of the own listener begin with.
#[derive(Clone)]
pub(super) struct Greeting {
    pub(super) tls: Option<Tls>,
    pub(super) proxy_protocol: bool,
    pub(super) proxies: Proxies,
}

impl Greeting {
    /// Gets so far that a request can be read. Each part of it must be done `within` this time.
    async fn greet(&self, mut tcp: TcpStream, peer: IpAddr, within: Duration) -> Option<(Stream, IpAddr)> {
        // It only delays small answers.
        let _ = tcp.set_nodelay(true);
        let mut from = peer;
        if self.proxy_protocol {
            if !self.proxies.trust(peer) {
                tracing::debug!(address = %peer, "a connection of somebody who is not one of `server.proxies` was closed");
                return None;
            }
            match tokio::time::timeout(within, net::take_header(&mut tcp)).await.ok()? {
                Ok(source) => from = source.map_or(peer, |source| source.ip()),
                Err(error) => {
                    tracing::debug!(%error, address = %peer, "a connection without a good header of the PROXY protocol was closed");
                    return None;
                }
            }
        }
        let Some(tls) = &self.tls else { return Some((Stream::plain(tcp), from)) };
        match tokio::time::timeout(within, Stream::accept(tcp, tls.config())).await.ok()? {
            Ok(stream) => Some((stream, from)),
            Err(NoTls::Plain(mut tcp)) => {
                let refusal = Refusal::new(400, "this port speaks TLS: connect with https://");
                let _ = tcp.write_all(refusal.response().as_bytes()).await;
                None
            }
            Err(error) => {
                tracing::debug!(%error, address = %from, "a TLS handshake failed");
                None
            }
        }
    }
}

impl Serving {
    /// Serves until the server stops.
    pub(super) async fn run(mut self, listener: Option<TcpListener>, mut handed: mpsc::Receiver<Handed>) {
        let room = Arc::new(Semaphore::new(self.most));
        loop {
            let (arrived, from, seat) = tokio::select! {
                _ = self.stop.wait_for(|stopped| *stopped) => break,
                Some(Handed { stream, read, from, seat }) = handed.recv() => match stream.attach() {
                    Ok(stream) => (Arrived::Greeted(stream, read), from, Some(seat)),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be handed over");
                        continue;
                    }
                },
                Ok((tcp, from)) = accept(listener.as_ref()) => (Arrived::New(tcp), from.ip(), None),
            };
            // Where there is no room, nobody is told: telling takes room.
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
            tokio::spawn(self.serve(arrived, from, (place, seat)));
        }
        drop(listener);
        let all = u32::try_from(self.most).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(STOP_WITHIN, room.acquire_many(all)).await;
    }

    fn serve(&self, arrived: Arrived, from: IpAddr, place: Place) -> impl Future<Output = ()> + use<> {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.within)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .half_close(true);
        let service = TowerToHyperService::new(self.router.clone());
        let (mut stop, within, greeting) = (self.stop.clone(), self.within, self.greeting.clone());
        async move {
            let _place = place;
            let (stream, read, from) = match arrived {
                Arrived::Greeted(stream, read) => (stream, read, from),
                Arrived::New(tcp) => match greeting.greet(tcp, from, within).await {
                    Some((stream, from)) => (stream, Bytes::new(), from),
                    None => return,
                },
            };
            let service = service_fn(move |mut request: hyper::Request<Incoming>| {
                request.extensions_mut().insert(Peer(from));
                service.call(request)
            });
            let connection =
                builder.serve_connection(TokioIo::new(Resumed { read, stream, within, stalled: None }), service);
            tokio::pin!(connection);
            let result = tokio::select! {
                result = connection.as_mut() => result,
                () = async { drop(stop.wait_for(|stopped| *stopped).await) } => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = result {
                tracing::debug!(%error, "a connection ended");
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok(accepted) => return Ok(accepted),
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection of which something was read already, and that is given up when the other side takes in nothing.
struct Resumed {
    read: Bytes,
    stream: Stream,
    within: Duration,
    /// Runs while nothing can be written.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Resumed {
    /// Waits for the other side, but not for ever.
    fn wait<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let within = self.within;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Resumed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Resumed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wait(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
