//! Connections that are kept for the next request to the same target.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, HeaderMap, HeaderName};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::post::{Refusal, Reply, Request, Target, dial, handshake, head, read};

/// How long a connection that nobody needs is kept, if its receiver says nothing shorter.
const KEPT: Duration = Duration::from_secs(15);
/// And how long it is trusted with a request that must not be sent twice.
const TRUSTED: Duration = Duration::from_secs(1);
/// How old a connection gets: its name may mean another address by then, and its certificate may be another.
const AGE: Duration = Duration::from_secs(5 * 60);
/// So much earlier than the receiver says it is given up, as both ends count differently.
const MARGIN: Duration = Duration::from_secs(1);
/// `Keep-Alive`, of which `timeout` counts.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Connections to one target, each to an address that was checked when it was made. Belongs to the runtime it is used on.
#[derive(Debug)]
pub struct Pool {
    idle: Arc<Mutex<Idle>>,
    most: usize,
}

/// Whether a request may reach its receiver twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// A question: if a kept connection ends before the head of the answer is there, it is asked anew on a new one.
    Harmless,
    /// What does something: it is handed over once at most. It takes a kept connection only if the receiver has said that it
    /// keeps it, and that was a moment ago.
    Never,
}

#[derive(Debug, Default)]
struct Idle {
    /// The last one used is the last one.
    connections: Vec<Kept>,
    /// Whether somebody is there to close them.
    is_watched: bool,
}

/// A connection that waits for a request.
#[derive(Debug)]
struct Kept {
    connection: Connection,
    since: Instant,
    until: Instant,
    /// Whether the receiver said that it keeps it.
    is_promised: bool,
}

/// A connection; dropping it closes it, whatever is under way.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    made: Instant,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Pool {
    /// Makes a pool that keeps so many connections at most.
    pub fn new(most: usize) -> Self {
        Self { idle: Arc::default(), most }
    }

    /// Sends one request and returns its answer, whatever its status.
    ///
    /// # Errors
    /// [`Refusal`]: all but `Status`.
    pub async fn send(&self, target: &Target, request: Request<'_>, repeat: Repeat) -> Result<Reply, Refusal> {
        let late = Refusal::Late(target.within.as_millis() as u64);
        tokio::time::timeout(target.within, self.try_send(target, request, repeat)).await.unwrap_or(Err(late))
    }

    async fn try_send(&self, target: &Target, request: Request<'_>, repeat: Repeat) -> Result<Reply, Refusal> {
        let most = request.most.unwrap_or(0);
        let head = head(target, request)?;
        while let Some(mut connection) = self.take(repeat) {
            if connection.sender.ready().await.is_err() {
                continue;
            }
            let mut failed = match connection.sender.try_send_request(head.clone()).await {
                Ok(answer) => return self.finish(connection, answer, most).await,
                Err(failed) => failed,
            };
            // What comes back was not sent.
            if failed.take_message().is_some() {
                continue;
            }
            if repeat == Repeat::Never || !ended(failed.error()) {
                return Err(Refusal::Http(failed.into_error()));
            }
            break;
        }
        let (sender, driver) = handshake(dial(target).await?).await?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer is told.
            let _ = driver.await;
        });
        let mut connection = Connection { sender, driver, made: Instant::now() };
        let answer = connection.sender.send_request(head).await.map_err(Refusal::Http)?;
        self.finish(connection, answer, most).await
    }

    /// Reads an answer, and keeps the connection if it can be used again.
    async fn finish(
        &self,
        connection: Connection,
        answer: hyper::Response<hyper::body::Incoming>,
        most: usize,
    ) -> Result<Reply, Refusal> {
        let (head, body) = read(answer, Some(most)).await?;
        self.keep(connection, &head.headers);
        Ok(Reply::of(&head, body))
    }

    fn take(&self, repeat: Repeat) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = lock(&self.idle);
        idle.prune(now);
        let fits = |kept: &Kept| {
            repeat == Repeat::Harmless || kept.is_promised && now.saturating_duration_since(kept.since) < TRUSTED
        };
        let at = idle.connections.iter().rposition(fits)?;
        Some(idle.connections.remove(at).connection)
    }

    fn keep(&self, connection: Connection, headers: &HeaderMap) {
        let (is_promised, kept) = promise(headers);
        let now = Instant::now();
        let until = (now + kept).min(connection.made + AGE);
        let mut idle = lock(&self.idle);
        if until <= now || connection.sender.is_closed() || idle.connections.len() >= self.most {
            return;
        }
        idle.connections.push(Kept { connection, since: now, until, is_promised });
        if !std::mem::replace(&mut idle.is_watched, true) {
            tokio::spawn(watch(Arc::downgrade(&self.idle)));
        }
    }
}

impl Idle {
    fn prune(&mut self, now: Instant) {
        self.connections.retain(|kept| kept.until > now && !kept.connection.sender.is_closed());
    }
}

/// Closes what nobody has needed in time, until there is nothing.
async fn watch(idle: Weak<Mutex<Idle>>) {
    loop {
        let next = {
            let Some(idle) = idle.upgrade() else { return };
            let mut idle = lock(&idle);
            idle.prune(Instant::now());
            let Some(next) = idle.connections.iter().map(|kept| kept.until).min() else {
                idle.is_watched = false;
                return;
            };
            next
        };
        tokio::time::sleep_until(next).await;
    }
}

/// Whether a receiver says that it keeps a connection, and how long it may be kept.
fn promise(headers: &HeaderMap) -> (bool, Duration) {
    let words = |name| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase())
    };
    let seconds = words(KEEP_ALIVE).find_map(|word| word.strip_prefix("timeout=")?.trim().parse().ok());
    let says = words(CONNECTION).any(|word| word == "keep-alive");
    let kept = seconds.map_or(KEPT, |seconds| Duration::from_secs(seconds).saturating_sub(MARGIN).min(KEPT));
    (says || seconds.is_some(), kept)
}

/// Tells whether a connection ended instead of answering, as kept ones do.
fn ended(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    error.is_incomplete_message() || error.is_canceled() || error.is_closed() || source.is_some()
}

fn lock(idle: &Mutex<Idle>) -> std::sync::MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_how_long_it_keeps_a_connection() {
        let promised = |lines: &[(&'static str, &'static str)]| {
            let line =
                |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), value.parse().unwrap());
            let (says, kept) = promise(&lines.iter().map(line).collect());
            (says, kept.as_secs())
        };
        assert_eq!(promised(&[]), (false, 15));
        assert_eq!(promised(&[("connection", "Keep-Alive")]), (true, 15));
        assert_eq!(promised(&[("connection", "keep-alive"), ("keep-alive", "timeout=5, max=100")]), (true, 4));
        assert_eq!(promised(&[("keep-alive", "timeout=75")]), (true, 15));
        assert_eq!(promised(&[("keep-alive", "timeout=0")]), (true, 0));
        assert_eq!(promised(&[("keep-alive", "timeout=soon")]), (false, 15));
    }
}
