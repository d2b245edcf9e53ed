//! What the system is asked to do about servers that are gone.
//!
//! The heartbeat ends a connection over which nothing comes. What is left to the system: a server that still sends but
//! takes in nothing, and what was queued when a connection ended.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Bytes that the server does not confirm within this time end the connection (Linux and Android; elsewhere the system's
/// own time, and the probes, have to do).
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNCONFIRMED: Duration = Duration::from_secs(60);
/// A connection over which nothing went for so long is probed: longer than any ping interval, so that no probe wakes a
/// device in the background.
const IDLE: Duration = Duration::from_secs(310);
/// Between two probes, and how many may stay without an answer.
const INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Sets the options of a connected socket.
///
/// # Errors
/// The system's: the connection is usable all the same.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE).with_interval(INTERVAL).with_retries(PROBES))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(UNCONFIRMED))?;
    Ok(())
}
