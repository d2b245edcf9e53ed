use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::ws::{Refusal, Upgrade};

/// Who is let in; one for all shards of a server.
pub struct Door {
    /// Pages that may open a WebSocket; empty = any.
    origins: Vec<String>,
    /// The head of a request must be whole within this time.
    pub(super) head_within: Duration,
    /// Sockets that clients may have together.
    max_sockets: usize,
    sockets: AtomicUsize,
    /// Whether `/` shows the chat.
    pub(super) has_page: bool,
    /// Whether the server takes clients; `/readyz` says so.
    open: AtomicBool,
}

/// A client's socket, counted until it is dropped.
pub(super) struct Seat(Arc<Door>);

impl Door {
    /// Opens a door.
    pub fn new(origins: Vec<String>, max_sockets: Option<u32>, head_within_ms: u32, has_page: bool) -> Self {
        Self {
            origins,
            head_within: Duration::from_millis(head_within_ms.into()),
            max_sockets: max_sockets.map_or(usize::MAX, |max| max as usize),
            sockets: AtomicUsize::new(0),
            has_page,
            open: AtomicBool::new(true),
        }
    }

    /// From now on nobody is let in.
    pub(super) fn shut(&self) {
        self.open.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts a socket, or not: where there is no room even for an answer.
    pub(super) fn seat(door: &Arc<Self>) -> Option<Seat> {
        let seat = Seat(Arc::clone(door));
        let taken = door.sockets.fetch_add(1, Ordering::Relaxed);
        // A few more than there is room for are told so.
        (taken < door.max_sockets.saturating_add(TOLD)).then_some(seat)
    }

    /// Says whether a request may become a WebSocket.
    ///
    /// # Errors
    /// [`Refusal`], with what to do.
    pub(super) fn admit(&self, upgrade: &Upgrade) -> Result<(), Refusal> {
        let refuse = |status, text: &str| Err(Refusal { status, text: text.into(), plain: None });
        let foreign = |origin: &String| !self.origins.is_empty() && !self.origins.contains(origin);
        if upgrade.origin.as_ref().is_some_and(foreign) {
            return refuse(403, "pages of this origin may not connect; add it to `origins` in the configuration");
        }
        if !self.is_open() {
            return refuse(503, "the server is stopping");
        }
        if self.sockets.load(Ordering::Relaxed) > self.max_sockets {
            return refuse(503, "the server has no room for more connections; raise its limit of open files");
        }
        Ok(())
    }
}

/// Sockets beyond the limit that get an answer at the same time.
const TOLD: usize = 16;

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}
