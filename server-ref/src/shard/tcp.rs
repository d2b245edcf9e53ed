//! What the system is asked to do about peers that are gone.
//!
//! The heartbeat ends a connection over which nothing comes. Two things are left to the system: a peer that still sends but
//! takes in nothing, and what was queued when a connection ended.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// A connection over which nothing went for so long is probed: longer than any ping interval, so that no probe wakes a
/// device in the background.
const IDLE: Duration = Duration::from_secs(310);
/// Between two probes, and how many may stay without an answer.
const INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Sets the options of an accepted socket: small messages leave at once, and what nobody confirms within `unconfirmed`
/// ends the connection (Linux and Android; elsewhere the system's own time, and the probes, have to do).
///
/// # Errors
/// The system's: the connection is usable all the same.
pub(super) fn tune(stream: &TcpStream, unconfirmed: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE).with_interval(INTERVAL).with_retries(PROBES))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(unconfirmed))?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = unconfirmed;
    Ok(())
}
