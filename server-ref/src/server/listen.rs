use std::net::{SocketAddr, TcpListener};

use super::StartError;

/// Clients that the system keeps until they are taken in.
const BACKLOG: i32 = 4_096;

/// Opens one listener per shard on the same address; the kernel spreads clients over them.
pub(super) fn listen(address: SocketAddr, count: u16) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for _ in 0..count {
        // All but the first take the port that the first was given.
        let wanted = listeners.first().map_or(Ok(address), TcpListener::local_addr)?;
        let open = || {
            let domain = socket2::Domain::for_address(wanted);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            // The first takes the port as if it were alone, and so finds out whether another server has it; only then
            // are the others let in.
            if !listeners.is_empty() {
                socket.set_reuse_port(true)?;
            }
            socket.bind(&wanted.into())?;
            socket.set_reuse_port(count > 1)?;
            socket.listen(BACKLOG)?;
            Ok(TcpListener::from(socket))
        };
        listeners.push(open().map_err(|source| StartError::Listen { address: wanted, source })?);
    }
    Ok(listeners)
}
