use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use moorline_protocol::{CloseCode, Codec, limits};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::{Handle, Shard};
use crate::node::{ConnId, Pressure};
use crate::ws::{self, Incoming, Reader};

/// How long a closed connection may take to hear of it.
const LINGER: Duration = Duration::from_secs(2);

/// Reads a connection until it ends.
pub(super) async fn read_on(
    handle: Handle,
    conn: ConnId,
    stream: Rc<TcpStream>,
    wake: Rc<Notify>,
    codec: Codec,
    rest: Vec<u8>,
) {
    let mut reader = Box::new(Reader::new(limits::TRANSPORT_MESSAGE_BYTES));
    let mut over = !rest.is_empty() && !take(&handle, conn, &mut reader, codec, &rest);
    while !over {
        let (closing, full) = {
            let shard = handle.shard.borrow();
            let connection = shard.conns.get(&conn);
            (connection.is_none_or(|c| c.closing), connection.is_some_and(|c| c.pressure == Pressure::Full))
        };
        if closing {
            break;
        }
        if full {
            wake.notified().await;
            continue;
        }
        tokio::select! {
            ready = stream.readable() => over = ready.is_err() || !read_some(&handle, conn, &stream, &mut reader, codec),
            () = wake.notified() => {}
        }
    }
    drop(reader);
    linger(&handle, conn, &stream).await;
}

/// Reads once, into the shard's buffer. Returns false at the end.
fn read_some(handle: &Handle, conn: ConnId, stream: &TcpStream, reader: &mut Reader, codec: Codec) -> bool {
    let mut scratch = handle.scratch.borrow_mut();
    match stream.try_read(&mut scratch) {
        Ok(0) => false,
        Ok(read) => take(handle, conn, reader, codec, scratch.get(..read).unwrap_or_default()),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Hands what has arrived to the node. Returns false at the end.
fn take(handle: &Handle, conn: ConnId, reader: &mut Reader, codec: Codec, bytes: &[u8]) -> bool {
    reader.feed(bytes);
    let mut open = true;
    handle.with(|shard, now| {
        shard.node.handle_activity(conn, now);
        while open {
            match reader.poll() {
                Ok(None) => break,
                Ok(Some(Incoming::Text(message))) if shard.echoes(conn) => {
                    shard.send_frame(conn, ws::frame(true, &message));
                }
                Ok(Some(Incoming::Binary(message))) if shard.echoes(conn) => {
                    shard.send_frame(conn, ws::frame(false, &message));
                }
                Ok(Some(Incoming::Text(message))) if codec == Codec::Json => {
                    shard.node.handle_message(conn, message, now);
                }
                Ok(Some(Incoming::Binary(message))) if codec == Codec::Binary => {
                    shard.node.handle_message(conn, message, now);
                }
                Ok(Some(Incoming::Text(_) | Incoming::Binary(_))) => {
                    open = shard.close(conn, CloseCode::PROTOCOL_ERROR)
                }
                Ok(Some(Incoming::Ping(payload))) => shard.send_frame(conn, ws::pong_frame(&payload)),
                Ok(Some(Incoming::Pong)) => {}
                Ok(Some(Incoming::Close(code))) => open = shard.close(conn, code.unwrap_or(CloseCode::NORMAL)),
                Err(violation) => open = shard.close(conn, violation.close_code()),
            }
        }
    });
    open
}

impl Shard {
    fn echoes(&self, conn: ConnId) -> bool {
        cfg!(feature = "echo") && self.conns.get(&conn).is_some_and(|connection| connection.echoes)
    }

    fn send_frame(&mut self, conn: ConnId, frame: bytes::Bytes) {
        if let Some(connection) = self.conns.get_mut(&conn).filter(|connection| !connection.closing) {
            connection.outbox.push(frame);
            self.dirty.push(conn);
        }
    }

    /// Says goodbye. Returns false: there is nothing more to read.
    fn close(&mut self, conn: ConnId, code: CloseCode) -> bool {
        self.send_frame(conn, ws::close_frame(code));
        if let Some(connection) = self.conns.get_mut(&conn) {
            connection.closing = true;
        }
        false
    }
}

/// The connection is over: the node forgets it, what is queued gets a moment to leave, then the socket goes.
async fn linger(handle: &Handle, conn: ConnId, stream: &TcpStream) {
    handle.with(|shard, now| shard.node.handle_closed(conn, now));
    let done = || handle.shard.borrow().conns.get(&conn).is_none_or(|connection| connection.outbox.is_done());
    let deadline = tokio::time::Instant::now() + LINGER;
    while !done() {
        let writable = tokio::time::timeout_at(deadline, stream.writable()).await;
        if !matches!(writable, Ok(Ok(()))) {
            break;
        }
        // The writing task takes its turn.
        tokio::task::yield_now().await;
    }
    handle.shard.borrow_mut().conns.remove(&conn);
    handle.rearm.notify_one();
}

/// Writes a connection's queue whenever its socket has room, until the queue is empty.
pub(super) async fn write_on(handle: Handle, conn: ConnId, stream: Rc<TcpStream>) {
    loop {
        if stream.writable().await.is_err() {
            return;
        }
        let mut again = false;
        handle.with(|shard, _| {
            if let Some(connection) = shard.conns.get_mut(&conn) {
                again = connection.outbox.resume(&stream);
            }
            shard.report(conn);
        });
        if !again {
            return;
        }
    }
}
