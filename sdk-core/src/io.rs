use moorline_protocol::{Bytes, CloseCode};

use crate::error::StoreError;
use crate::event::{Event, Failure};

/// The generation of a socket; grows with each one. Inputs of an old generation change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportId(pub u64);

/// Names a batch of writes to the store. Batches are committed in the order of their tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What the host tells the core.
#[derive(Clone)]
pub enum Input {
    /// The socket is open, with subprotocol `moorline.v1.bin`.
    TransportOpened {
        /// Which.
        id: TransportId,
    },
    /// A WebSocket message arrived.
    Message {
        /// On which socket.
        id: TransportId,
        /// The message.
        bytes: Bytes,
    },
    /// Other bytes arrived (a WebSocket ping): a sign of life.
    Activity {
        /// On which socket.
        id: TransportId,
    },
    /// So many bytes wait in the socket (`bufferedAmount` of a browser): tell it whenever the socket has taken some.
    /// Messages at QoS 0 are dropped while that and what was sent since is too much. A host that never says so has no
    /// such limit.
    Buffered {
        /// In which socket.
        id: TransportId,
        /// Bytes.
        bytes: usize,
    },
    /// The socket is gone, or could not be opened.
    TransportClosed {
        /// Which.
        id: TransportId,
        /// The close code, if the peer sent one.
        code: Option<CloseCode>,
    },
    /// The socket could not be opened, or broke, and the host knows why: a certificate that is not trusted, for
    /// instance. It is tried again all the same.
    TransportFailed {
        /// Which.
        id: TransportId,
        /// Why.
        failure: Failure,
    },
    /// The answer to [`Output::NeedToken`]; `Ok(None)` means anonymous.
    Token(Result<Option<String>, Failure>),
    /// The answer to [`Output::Persist`].
    Persisted {
        /// Which.
        ticket: Ticket,
        /// Whether the batch is durable. After an error nothing of the batch may become durable later, but for
        /// [`StoreError::Uncertain`].
        result: Result<(), StoreError>,
    },
    /// Something happened to the device or the app.
    Host(HostSignal),
}

/// What happens to the device or the app around the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostSignal {
    /// The network is there (again) or is another one: probe at once, or reconnect at once. An attempt under way has to
    /// succeed within the span of a probe.
    Online,
    /// The device is on another network now, or on this one again: as [`Online`](Self::Online). The number names it, in a
    /// way of the host's: for each network, the client learns how rarely it needs to be pinged in the background. It keeps
    /// that in its store, for the 16 networks that were used last, so a network should have the same number after a
    /// restart.
    Network(u64),
    /// There is no network: do not try until it is back, or 20 s have passed (some hosts lie).
    Offline,
    /// The app is in the foreground (again): as [`Online`](Self::Online).
    Foreground,
    /// The app goes to the background.
    Background,
    /// The device slept or timers stood still: as [`Online`](Self::Online).
    Wake,
}

/// Why a token is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenReason {
    /// For the first connection.
    Connect,
    /// The current one expires soon.
    Expiring,
    /// The server refused the current one as expired.
    Refused,
}

/// A key and a value of the store. Keys are short ASCII texts; a value is at most 4 KiB larger than the largest payload
/// that the server allows (64 KiB unless it says otherwise).
pub type StoreEntry = (Vec<u8>, Vec<u8>);

/// Writes to the store that become durable together or not at all: first `clear`, then `deletes`, then `puts`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreBatch {
    /// Whether everything is removed first (logout).
    pub clear: bool,
    /// Keys to remove.
    pub deletes: Vec<Vec<u8>>,
    /// Keys to write.
    pub puts: Vec<StoreEntry>,
}

impl StoreBatch {
    /// Tells whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        !self.clear && self.deletes.is_empty() && self.puts.is_empty()
    }
}

/// What the core tells the host, in order.
#[derive(Clone)]
pub enum Output {
    /// Open a WebSocket to `url`, offering `moorline.v1.bin`. At most one socket is open or opening.
    OpenTransport {
        /// Its generation.
        id: TransportId,
        /// Where.
        url: String,
    },
    /// Send one WebSocket message.
    Send {
        /// On which socket.
        id: TransportId,
        /// The message.
        bytes: Bytes,
    },
    /// Close the socket; no answer is awaited.
    CloseTransport {
        /// Which.
        id: TransportId,
        /// With what.
        code: CloseCode,
    },
    /// Fetch a token; one request is outstanding at most. Without an answer within 60 s it counts as failed, and is
    /// repeated.
    NeedToken {
        /// Why.
        reason: TokenReason,
    },
    /// Commit these writes, in the order of tickets, then answer [`Input::Persisted`].
    Persist {
        /// Its name.
        ticket: Ticket,
        /// The writes.
        batch: StoreBatch,
    },
    /// Tell the app.
    Event(Event),
}
