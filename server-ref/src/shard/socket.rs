use std::io::ErrorKind;
use std::rc::Rc;

use moorline_protocol::{CloseCode, Codec, limits};
use tokio::sync::Notify;

use super::door::Seat;
use super::goodbye::take_leave;
use super::{Handle, Shard};
use crate::net::Stream;
use crate::node::{ConnId, Pressure};
use crate::ws::{self, Incoming, Reader};

/// A connection that has so much to say at once waits for its next turn.
const GREEDY: usize = 8 * 1024;
const SPEAKS_BINARY: &str = "this connection speaks moorline.v1.bin: send binary messages";
const SPEAKS_JSON: &str = "this connection speaks moorline.v1.json: send text messages";

/// Reads a connection until it ends, and sees it out.
pub(super) async fn read_on(
    handle: Handle,
    _seat: Seat,
    conn: ConnId,
    stream: Rc<Stream>,
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
            ready = stream.readable() => {
                let read = ready.ok().and_then(|()| read_some(&handle, conn, &stream, &mut reader, codec));
                over = read.is_none();
                // A socket that is always readable never waits by itself.
                match read {
                    Some(GREEDY..) => tokio::task::yield_now().await,
                    _ => tokio::task::consume_budget().await,
                }
            }
            () = wake.notified() => {}
        }
    }
    drop(reader);
    take_leave(&handle, conn, &stream, &wake).await;
}

/// Reads once, into the shard's buffer. Returns how much, or `None` at the end.
fn read_some(handle: &Handle, conn: ConnId, stream: &Stream, reader: &mut Reader, codec: Codec) -> Option<usize> {
    let mut scratch = handle.scratch.borrow_mut();
    match stream.try_read(&mut scratch) {
        Ok(0) => None,
        Ok(read) => take(handle, conn, reader, codec, scratch.get(..read).unwrap_or_default()).then_some(read),
        Err(error) => (error.kind() == ErrorKind::WouldBlock).then_some(0),
    }
}

/// Hands what has arrived to the node. Returns false at the end.
fn take(handle: &Handle, conn: ConnId, reader: &mut Reader, codec: Codec, bytes: &[u8]) -> bool {
    reader.feed(bytes);
    let mut end = None;
    handle.with(|shard, now| {
        shard.node.handle_activity(conn, now);
        while end.is_none() {
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
                Ok(Some(Incoming::Text(_))) => shard.node.handle_violation(conn, SPEAKS_BINARY, now),
                Ok(Some(Incoming::Binary(_))) => shard.node.handle_violation(conn, SPEAKS_JSON, now),
                Ok(Some(Incoming::Ping(payload))) => shard.send_frame(conn, ws::pong_frame(&payload)),
                Ok(Some(Incoming::Pong)) => {}
                Ok(Some(Incoming::Close(code))) => end = Some((code.unwrap_or(CloseCode::NORMAL), String::new())),
                Err(violation) => {
                    let (code, reason) = (violation.close_code(), violation.to_string());
                    shard.tell_close(conn, code, &reason);
                    end = Some((code, reason));
                }
            }
        }
    });
    // What the node had to say to everything before has its place in the queue now.
    if let Some((code, reason)) = &end {
        handle.with(|shard, _| shard.close(conn, *code, reason));
    }
    end.is_none()
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

    /// Says goodbye; nothing is sent after it.
    pub(super) fn close(&mut self, conn: ConnId, code: CloseCode, reason: &str) {
        self.send_frame(conn, ws::close_frame(code, reason));
        if let Some(connection) = self.conns.get_mut(&conn) {
            connection.closing = true;
            connection.wake.notify_one();
        }
    }
}

/// Writes a connection's queue whenever its socket has room, until the queue is empty.
pub(super) async fn write_on(handle: Handle, conn: ConnId, stream: Rc<Stream>) {
    loop {
        if stream.writable().await.is_err() {
            return;
        }
        let mut again = false;
        handle.with(|shard, _| {
            if let Some(connection) = shard.conns.get_mut(&conn) {
                again = connection.outbox.resume(&stream);
                if connection.closing {
                    connection.wake.notify_one();
                }
            }
            shard.report(conn);
        });
        if !again {
            return;
        }
    }
}
