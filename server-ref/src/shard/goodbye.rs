//! The end of a connection: what is queued gets a moment to leave, and the client a moment to read it.
//!
//! A socket that is closed while the client still sends is reset, and a reset can overtake the answer that says what
//! was wrong. So the server says all it has, says that there is no more, and throws away what comes until the client
//! closes, too.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use moorline_protocol::CloseCode;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Handle;
use crate::net::Stream;
use crate::node::ConnId;

/// How long a closed connection may take to hear of it.
const LINGER: Duration = Duration::from_secs(2);

/// Tells people why; programs read the code.
pub(super) fn reason(code: CloseCode) -> &'static str {
    match code {
        CloseCode::GOING_AWAY => "the server or a newer connection of this client asks you to reconnect",
        CloseCode::PING_TIMEOUT => "nothing was heard from you for too long",
        CloseCode::OVERLOADED => "too much at once; reconnect later",
        CloseCode::STORAGE_UNAVAILABLE => "the log is not available; reconnect later",
        CloseCode::HELLO_TIMEOUT => "no `hello` came in time",
        CloseCode::TOKEN_EXPIRED => "the token expired; reconnect with a new one",
        CloseCode::PROTOCOL_ERROR => "the protocol was broken; see the error before",
        CloseCode::VERSION => "this server speaks protocol version 1",
        CloseCode::TOKEN_INVALID => "the token is not good here",
        CloseCode::REVOKED => "the token or its user was revoked",
        CloseCode::DISPLACED => "another connection of this device took over",
        CloseCode::UNKNOWN_APP => "this server has no such app; check the path of the URL",
        _ => "",
    }
}

/// A connection of the shard is over: the node forgets it, then the socket goes.
pub(super) async fn take_leave(handle: &Handle, conn: ConnId, stream: &Stream, wake: &Notify) {
    handle.tell_end(conn);
    handle.with(|shard, now| shard.node.handle_closed(conn, now));
    let done = || handle.shard.borrow().conns.get(&conn).is_none_or(|connection| connection.outbox.is_done());
    linger(handle, stream, done, wake).await;
    handle.shard.borrow_mut().conns.remove(&conn);
    handle.rearm.notify_one();
}

/// Waits until everything is written (`done`, looked at when `wake` says so) and the client has closed, for a moment.
pub(super) async fn linger(handle: &Handle, stream: &Stream, done: impl Fn() -> bool, wake: &Notify) {
    let deadline = Instant::now() + LINGER;
    let (mut reading, mut writing) = (true, true);
    while reading || writing {
        if writing && done() {
            writing = false;
            stream.end_writing();
            continue;
        }
        tokio::select! {
            () = wake.notified() => {}
            ready = stream.readable(), if reading => reading = ready.is_ok() && discard(handle, stream),
            () = tokio::time::sleep_until(deadline) => break,
        }
        // A client that never stops sending must not keep the others waiting.
        tokio::task::yield_now().await;
    }
    if writing {
        // Whoever does not read is not waited for by the system either.
        let _ = stream.socket().set_linger(Some(Duration::ZERO));
    }
    // Wakes the task that waits to write, which holds the socket, too.
    let _ = stream.socket().shutdown(Shutdown::Both);
}

/// Throws away what has come. Returns false at the end.
fn discard(handle: &Handle, stream: &Stream) -> bool {
    match stream.try_read(&mut handle.scratch.borrow_mut()) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
