//! What the server's own log says of connections: by the session that a client was told, whoever reports a fault is found.

use moorline_protocol::CloseCode;

use super::{Connection, Handle, Shard};
use crate::engine::SessionId;
use crate::node::ConnId;

/// Writes a session as `welcome` has it.
pub(super) fn name(session: Option<SessionId>) -> Option<String> {
    session.map(|session| format!("{:x}", session.0))
}

impl Shard {
    /// A `hello` was good, or not yet. It is told once, without the user: with `--dev` the name is the token.
    pub(super) fn tell_welcome(&mut self, conn: ConnId) {
        let strange = self.conns.get_mut(&conn).filter(|connection| connection.session.is_none());
        let Some(connection) = strange else { return };
        let Some(welcomed) = self.node.welcomed(conn) else { return };
        connection.session = Some(welcomed.session);
        connection.stranger = None;
        tracing::debug!(
            conn = format!("{}-{}", self.id.0, conn.0),
            session = name(connection.session),
            app = welcomed.app.as_str(),
            address = %connection.from,
            "a client was let in"
        );
    }

    /// The server closes a connection. What a client did wrong is told at the level `info`, as of a request by HTTP.
    pub(super) fn tell_close(&self, conn: ConnId, code: CloseCode, reason: &str) {
        let Some(Connection { session, from, .. }) = self.conns.get(&conn) else { return };
        let (conn, session, code) = (format!("{}-{}", self.id.0, conn.0), name(*session), code.0);
        // Clients that are to come back are gone, slow or sent away: there are many, and nothing is wrong with them.
        if (4_000..4_500).contains(&code) {
            tracing::debug!(conn, session, code, reason, address = %from, "a WebSocket is closed");
        } else {
            tracing::info!(conn, session, code, reason, address = %from, "a WebSocket is closed");
        }
    }
}

impl Handle {
    /// A connection is over, whoever ended it.
    pub(super) fn tell_end(&self, conn: ConnId) {
        let session = self.shard.borrow().conns.get(&conn).and_then(|connection| name(connection.session));
        tracing::debug!(conn = self.name_of(conn), session, "a WebSocket ended");
    }
}
