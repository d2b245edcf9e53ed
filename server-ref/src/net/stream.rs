//! A client's connection: TCP, with TLS or without. Both are read and written the same way, without waiting, when the
//! socket is ready.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream as StdStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{ServerConfig, ServerConnection};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of a head that are read at once.
const PART: usize = 1_024;

/// See the module's documentation.
pub(crate) struct Stream {
    tcp: TcpStream,
    tls: Option<Box<Tls>>,
}

struct Tls {
    session: RefCell<ServerConnection>,
    /// Whether what was decrypted may not have been taken: the socket need not become readable for it.
    has_more: Cell<bool>,
    /// Whether what came was no TLS, or no good one.
    is_broken: Cell<bool>,
}

/// Why no TLS came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTls {
    /// The client speaks HTTP in the clear: it can be told.
    #[error("the client speaks HTTP without TLS")]
    Plain(TcpStream),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("the connection ended: {0}")]
    Gone(#[from] io::Error),
}

/// A connection on its way to another thread.
pub struct Detached {
    tcp: StdStream,
    tls: Option<Box<Tls>>,
}

impl Detached {
    /// Goes on with it on this thread's runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        Ok(Stream { tcp: TcpStream::from_std(self.tcp)?, tls: self.tls })
    }
}

/// A socket that is never waited for, as rustls wants it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what is encrypted, as far as the socket takes it.
fn send(session: &mut ServerConnection, tcp: &TcpStream) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(&mut Socket(tcp))?;
    }
    Ok(())
}

impl Stream {
    /// A connection in the clear.
    pub(crate) fn plain(tcp: TcpStream) -> Self {
        Self { tcp, tls: None }
    }

    /// Has a client shake hands. Whoever calls this limits how long it may take.
    ///
    /// # Errors
    /// [`NoTls`].
    pub(crate) async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> Result<Self, NoTls> {
        let mut first = [0];
        if tcp.peek(&mut first).await? == 0 {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        // The name of a method; no record of TLS begins so.
        if first.iter().all(u8::is_ascii_uppercase) {
            return Err(NoTls::Plain(tcp));
        }
        let mut session = ServerConnection::new(config)?;
        loop {
            match send(&mut session, &tcp) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => tcp.writable().await?,
                Err(error) => return Err(error.into()),
                Ok(()) if !session.is_handshaking() => break,
                Ok(()) => {
                    tcp.readable().await?;
                    match session.read_tls(&mut Socket(&tcp)) {
                        Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                        Err(error) => return Err(error.into()),
                    }
                    if let Err(error) = session.process_new_packets() {
                        // The alert that says why; it fits into the socket's buffer.
                        let _ = send(&mut session, &tcp);
                        return Err(error.into());
                    }
                }
            }
        }
        // With the end of its handshake the client may have said something already.
        let tls = Tls { session: RefCell::new(session), has_more: Cell::new(true), is_broken: Cell::new(false) };
        Ok(Self { tcp, tls: Some(Box::new(tls)) })
    }

    /// Takes it away from this thread's runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        Ok(Detached { tcp: self.tcp.into_std()?, tls: self.tls })
    }

    /// Returns the socket, for its options.
    pub(crate) fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.tcp)
    }

    /// Waits until there may be something to read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match &self.tls {
            Some(tls) if tls.has_more.get() || tls.is_broken.get() => Ok(()),
            _ => self.tcp.readable().await,
        }
    }

    /// Waits until there may be room to write.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.tcp.writable().await
    }

    /// Reads what has come; `WouldBlock` if that is nothing, 0 at the end.
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            let read = self.tcp.try_read(buf)?;
            if 0 < read && read < buf.len() {
                // The socket is empty: it need not be asked again before more comes.
                let _ = self.tcp.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
            }
            return Ok(read);
        };
        let mut read = 0;
        let end = loop {
            let Some(rest) = buf.get_mut(read..).filter(|rest| !rest.is_empty()) else { break None };
            match tls.read(&self.tcp, rest) {
                Ok(0) => break Some(Ok(0)),
                Ok(more) => read += more,
                Err(error) => break Some(Err(error)),
            }
        };
        // A full buffer, or an end that is told the next time.
        let is_later =
            |end: &io::Result<usize>| end.as_ref().map_or_else(|e| e.kind() != ErrorKind::WouldBlock, |_| true);
        tls.has_more.set(end.as_ref().is_none_or(is_later));
        if read > 0 { Ok(read) } else { end.unwrap_or(Ok(0)) }
    }

    /// The same, at the end of a vector.
    pub(crate) fn try_read_buf(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        let mut part = [0; PART];
        let read = self.try_read(&mut part)?;
        into.extend_from_slice(part.get(..read).unwrap_or_default());
        Ok(read)
    }

    /// Writes what there is room for; `WouldBlock` if that is nothing.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.tcp.try_write(bytes),
            Some(tls) => tls.write(&self.tcp, |writer| writer.write(bytes)),
        }
    }

    /// The same with several parts.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.tls {
            None => self.tcp.try_write_vectored(slices),
            Some(tls) => tls.write(&self.tcp, |writer| writer.write_vectored(slices)),
        }
    }

    /// Sends what was written and encrypted, and waits; `WouldBlock` if not all of it fits.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        self.tls.as_ref().map_or(Ok(()), |tls| send(&mut tls.session.borrow_mut(), &self.tcp))
    }

    /// Writes all of it, and sends it.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let result = if bytes.is_empty() { self.try_flush().map(|()| 0) } else { self.try_write(bytes) };
            match result {
                Ok(_) if bytes.is_empty() => return Ok(()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Says that nothing more is sent. It fails where the client is gone already.
    pub(crate) fn end_writing(&self) {
        if let Some(tls) = &self.tls {
            let mut session = tls.session.borrow_mut();
            session.send_close_notify();
            let _ = send(&mut session, &self.tcp);
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }
}

impl Tls {
    /// Reads once: what is decrypted, or what the socket has.
    fn read(&self, tcp: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        loop {
            match session.reader().read(buf) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            if self.is_broken.get() {
                return Err(ErrorKind::InvalidData.into());
            }
            session.read_tls(&mut Socket(tcp))?;
            if let Err(error) = session.process_new_packets() {
                tracing::debug!(%error, "a connection broke the rules of TLS");
                self.is_broken.set(true);
            }
            // An alert, or the answer to new keys. What does not fit goes with what is written next.
            let _ = send(&mut session, tcp);
        }
    }

    /// Encrypts as much as may wait, once all before it is sent, and sends it as far as that goes.
    fn write(
        &self,
        tcp: &TcpStream,
        write: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        send(&mut session, tcp)?;
        let written = write(&mut session.writer())?;
        match send(&mut session, tcp) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(written),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.tls.is_none() {
            return Pin::new(&mut self.tcp).poll_read(cx, buf);
        }
        loop {
            match self.try_read(buf.initialize_unfilled()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.tcp.poll_read_ready(cx))?,
                // As without TLS: whoever goes without a word is gone.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.tls.is_none() {
            return Pin::new(&mut self.tcp).poll_write(cx, bytes);
        }
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.tcp.poll_write_ready(cx))?,
                other => return Poll::Ready(other),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.try_flush() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.tcp.poll_write_ready(cx))?,
                other => return Poll::Ready(other),
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(tls) = &self.tls {
            tls.session.borrow_mut().send_close_notify();
        }
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
