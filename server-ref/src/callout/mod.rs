//! Call-outs: questions to an app's backend by HTTP, whose answer somebody waits for.
//!
//! [`start`] returns a [`CalloutThread`]; its [`Callouts`] is cheap to clone and can be used on any thread with an async
//! runtime. [`Callouts::replace`] says whom there is to ask:
//!
//! ```text
//! let change = callouts.replace(of_the_configuration);
//! // Whoever asks goes by `change.rules()` from now on, which name the ids.
//! drop(change);
//! let answer: Result<Answer, CalloutError> = callouts.call(id, Kind::Publish, body).await;
//! ```
//!
//! - A call-out that is as it was keeps its id, its breaker and its places; one that is new or has changed gets an id that was
//!   never used. One that is gone can be asked until the [`Change`] is dropped; requests under way end normally.
//! - `body` is JSON; it is `POST`ed to the call-out's URL, signed as hooks are (`webhook-id`, `webhook-timestamp`,
//!   `webhook-signature`), on a connection that is kept for the next. A call is sent once; a question again if a kept
//!   connection turns out to have ended. Nothing else is tried again here.
//! - An [`Answer`] is a 2xx with a JSON object of at most [`MOST_ANSWER`] bytes, or 401 or 403, which are a plain no.
//!   Everything else is a [`CalloutError`].
//! - `Target::within` bounds the whole, waiting for one of the call-out's `max_requests` places included.
//! - Each call-out has a [`breaker`]: after 5 failures in a row (no answer in time, nobody there, 5xx, 429) calls end at
//!   once with [`CalloutError::Open`] for 1 s to 30 s; then one is tried.
//!
//! Requests run on a thread of their own, so that TLS and names cost the shards nothing. Numbers are in [`Numbers`].

mod asking;
pub mod breaker;
mod numbers;

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;
use moorline_protocol::time::Timestamp;
use tokio::sync::{Semaphore, oneshot};

use self::breaker::{Breaker, State};
pub use self::numbers::Numbers;
use crate::egress::{Pool, Target};
pub use crate::egress::{Refusal, Reply};
pub use crate::node::{CalloutId, CalloutKind as Kind};
use crate::node::{CalloutRule, CalloutRules};
use crate::wall_clock::WallClock;

/// Bytes of an answer's body.
pub const MOST_ANSWER: usize = 256 * 1024;
/// Connections of one call-out that are kept while nobody needs them.
const MOST_KEPT: usize = 32;
/// What 401 and 403 mean, whatever came with them.
const DENIAL: &[u8] = b"{\"allow\":false}";

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    /// Names it in the server's log; unique in its app.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// Requests under way at a time.
    pub max_requests: usize,
    /// Headers of a client's request that it wants to see, in lower case.
    pub headers: Vec<String>,
    /// Whose backend it is, and what it is asked. Which id is in it does not matter: [`Callouts::replace`] gives one.
    pub rule: CalloutRule,
}

/// What a backend answered: 2xx and a JSON object, or 401 or 403.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The object as it came; of 401 and 403, `{"allow": false}`.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalloutError {
    /// It failed again and again, and is left alone for so long.
    #[error("not asked for {} ms more, after failures in a row", .0.as_millis())]
    Open(Duration),
    /// No place became free in time, or too many wait for one.
    #[error("too many calls at once")]
    Busy,
    /// No request went out, or nothing came back.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What came back is not a JSON object.
    #[error("answered something that is not a JSON object")]
    Invalid,
    /// The server stops.
    #[error("the server stops")]
    Stopped,
}

impl CalloutError {
    /// Tells whether the backend works and does not take such questions: somebody has to change something.
    fn is_misconfiguration(&self) -> bool {
        matches!(self, Self::Refused(refusal @ Refusal::Status(status)) if status.is_client_error() && !is_down(refusal))
    }

    /// Returns the outcome's name in the metrics.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Busy => "busy",
            Self::Stopped => "stopped",
            Self::Invalid | Self::Refused(Refusal::Large(_)) => "invalid",
            Self::Refused(Refusal::Late(_)) => "late",
            Self::Refused(Refusal::Status(_)) => "status",
            Self::Refused(_) => "unreachable",
        }
    }
}

/// Tells whether the other side does not work, as opposed to saying something of no use.
fn is_down(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
        Refusal::Large(_) | Refusal::Url | Refusal::Private(_) => false,
        Refusal::Late(_) | Refusal::Resolve(_) | Refusal::Connect(_) | Refusal::Tls(_) | Refusal::Http(_) => true,
    }
}

/// Asks the backends. See the module's documentation.
#[derive(Clone)]
pub struct Callouts(Arc<Shared>);

struct Shared {
    runtime: tokio::runtime::Handle,
    lines: RwLock<Lines>,
    clock: Mutex<WallClock>,
    started: Instant,
    /// What this start's ids begin with.
    prefix: String,
    next: AtomicU64,
    numbers: Numbers,
}

/// Whom there is to ask.
#[derive(Default)]
struct Lines {
    /// In the order of the configuration.
    current: Vec<Arc<Line>>,
    /// Gone, but somebody may still go by the rules that name them.
    leaving: Vec<Arc<Line>>,
    last: u64,
}

/// A call-out and what is under way to it.
struct Line {
    callout: Callout,
    places: Semaphore,
    waiting: AtomicUsize,
    breaker: Mutex<Breaker>,
    pool: Pool,
}

/// Call-outs that took the place of others. As long as it is held, those others can be asked, too.
#[must_use]
pub struct Change {
    callouts: Callouts,
    /// What there was before.
    before: CalloutRules,
    now: CalloutRules,
}

/// The thread that requests run on; closing it ends what is under way.
pub struct CalloutThread {
    callouts: Callouts,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Starts the thread, which asks nobody yet. `seed` makes the ids of requests.
///
/// # Errors
/// The system's, if thread or runtime cannot be had.
pub fn start(clock: WallClock, seed: [u8; 32]) -> std::io::Result<CalloutThread> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared = Shared {
        runtime: runtime.handle().clone(),
        lines: RwLock::default(),
        clock: Mutex::new(clock),
        started: Instant::now(),
        prefix: seed.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        next: AtomicU64::new(1),
        numbers: Numbers::default(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("moorline-callouts".into()).spawn(move || {
        // Whoever could ask for a stop is gone: that is one, too.
        let _ = runtime.block_on(stopped);
    })?;
    Ok(CalloutThread { callouts: Callouts(Arc::new(shared)), stop, thread })
}

impl CalloutThread {
    /// Returns what asks.
    pub fn handle(&self) -> Callouts {
        self.callouts.clone()
    }

    /// Ends it; calls under way end with [`CalloutError::Stopped`].
    pub fn close(self) {
        drop(self.stop);
        // A panic of the thread has been printed.
        let _ = self.thread.join();
    }
}

impl Change {
    /// Returns when whose backend is asked from now on.
    pub fn rules(&self) -> &CalloutRules {
        &self.now
    }

    /// Returns the same, and where nobody is asked any more, whom one asked before: for as long as tokens are those of
    /// before.
    pub fn both(&self) -> CalloutRules {
        self.now.before(&self.before)
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        write(&self.callouts.0.lines).leaving.clear();
    }
}

impl Callouts {
    /// From now on these are the call-outs. Two changes at a time are not for anybody to make.
    pub fn replace(&self, callouts: Vec<Callout>) -> Change {
        let mut lines = write(&self.0.lines);
        let before = lines.rules();
        let mut old = std::mem::take(&mut lines.current);
        for mut callout in callouts {
            let same = |line: &Arc<Line>| line.callout.is_but_for_its_id(&callout);
            let line = match old.iter().position(same) {
                Some(at) => old.swap_remove(at),
                None => {
                    lines.last += 1;
                    callout.rule.terms.id = CalloutId(lines.last);
                    Arc::new(Line {
                        places: Semaphore::new(callout.max_requests),
                        waiting: AtomicUsize::new(0),
                        breaker: Mutex::default(),
                        pool: Pool::new(callout.max_requests.min(MOST_KEPT)),
                        callout,
                    })
                }
            };
            lines.current.push(line);
        }
        for line in &old {
            self.0.numbers.forget(&line.callout.rule.app, &line.callout.name);
        }
        lines.leaving.extend(old);
        Change { callouts: self.clone(), before, now: lines.rules() }
    }

    /// Returns the headers of a client's request that a call-out wants to see.
    pub fn headers<'a>(
        &self,
        id: CalloutId,
        all: &'a [(String, String)],
    ) -> impl Iterator<Item = &'a (String, String)> {
        let wanted = self.0.line(id).map(|line| line.callout.headers.clone()).unwrap_or_default();
        all.iter().filter(move |(name, _)| wanted.contains(name))
    }

    /// Asks; what it returns waits for the answer. Dropping that does not take the request back.
    ///
    /// # Errors
    /// [`CalloutError`].
    pub fn call(
        &self,
        id: CalloutId,
        kind: Kind,
        body: Bytes,
    ) -> impl Future<Output = Result<Answer, CalloutError>> + use<> {
        let (this, line) = (self.clone(), self.0.line(id));
        let call = self.0.runtime.spawn(async move { this.0.call(line, kind, body, None, Answer::of).await });
        async move { call.await.unwrap_or(Err(CalloutError::Stopped)) }
    }

    /// Asks; what it returns waits for what comes back at most so long: a reply with any status below 500 but 429, and any
    /// body. Dropping that gives the request up.
    ///
    /// # Errors
    /// [`CalloutError`].
    pub fn exchange(
        &self,
        id: CalloutId,
        kind: Kind,
        body: Bytes,
        within: Duration,
    ) -> impl Future<Output = Result<Reply, CalloutError>> + use<> {
        let (this, line) = (self.clone(), self.0.line(id));
        let call = self.0.runtime.spawn(async move { this.0.call(line, kind, body, Some(within), Ok).await });
        let mut call = Abandoned(call);
        async move { (&mut call.0).await.unwrap_or(Err(CalloutError::Stopped)) }
    }

    /// Returns the numbers.
    pub fn numbers(&self) -> &Numbers {
        let lines = read(&self.0.lines);
        for line in &lines.current {
            let state = lock(&line.breaker).state();
            self.0.numbers.breaker(&line.callout.rule.app, &line.callout.name, matches!(state, State::Closed));
        }
        &self.0.numbers
    }
}

impl Callout {
    /// Tells whether the configuration says the same of both.
    fn is_but_for_its_id(&self, other: &Self) -> bool {
        let mut same = self.clone();
        same.rule.terms.id = other.rule.terms.id;
        same == *other
    }
}

impl Lines {
    fn rules(&self) -> CalloutRules {
        CalloutRules::new(self.current.iter().map(|line| line.callout.rule.clone()).collect())
    }
}

impl Shared {
    fn line(&self, id: CalloutId) -> Option<Arc<Line>> {
        let lines = read(&self.lines);
        let line = lines.current.iter().chain(&lines.leaving).find(|line| line.callout.rule.terms.id == id);
        line.cloned()
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(self.started.elapsed())
    }
}

impl Answer {
    fn of(reply: Reply) -> Result<Self, CalloutError> {
        if matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(Self { body: Bytes::from_static(DENIAL) });
        }
        if !reply.status.is_success() {
            return Err(Refusal::Status(reply.status).into());
        }
        let is_object = reply.body.trim_ascii_start().starts_with(b"{");
        if is_object && moorline_protocol::json::is_valid(&reply.body) {
            Ok(Self { body: reply.body })
        } else {
            Err(CalloutError::Invalid)
        }
    }
}

/// A call that ends with whoever waits for it.
struct Abandoned<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Abandoned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_success_with_a_json_object() {
        let read = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            Answer::of(Reply { status, retry_after: None, body: Bytes::copy_from_slice(body.as_bytes()) })
        };
        assert_eq!(read(200, " {\"allow\": true}\n").unwrap().body, " {\"allow\": true}\n");
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(80), "]".repeat(80));
        for body in ["", "[]", "true", "\"{}\"", "{\"allow\":true", "{\"allow\":true}}", "{'allow':true}", &deep] {
            assert!(matches!(read(200, body), Err(CalloutError::Invalid)), "{body}");
        }
        for status in [199, 302, 400, 404, 500] {
            assert!(matches!(read(status, "{}"), Err(CalloutError::Refused(Refusal::Status(_)))), "{status}");
        }
        for status in [401, 403] {
            assert_eq!(read(status, "{\"allow\":true}").unwrap().body, DENIAL, "{status}");
        }
    }

    #[test]
    fn a_client_error_that_opens_no_breaker_is_somebodys_to_mend() {
        let of = |status: u16| CalloutError::Refused(Refusal::Status(StatusCode::from_u16(status).unwrap()));
        for (status, is) in [(302, false), (400, true), (404, true), (429, false), (500, false)] {
            assert_eq!(of(status).is_misconfiguration(), is, "{status}");
        }
        assert!(!CalloutError::Busy.is_misconfiguration());
    }
}
